//! `airlift status` and `airlift abort`.

use super::import::Ready;
use super::name_of;
use crate::cli::args::{AbortArgs, StatusArgs};
use crate::cli::failure::Failure;
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::size::Count;
use airlift::format::{OneLine, Time};
use airlift::pipeline::import::{self, Status};
use airlift::pipeline::progress::Progress as _;
use serde_json::json;
use std::fmt::Write as _;

pub(crate) fn status(args: &StatusArgs, report: &Report) -> Result<(), Failure> {
    let ready = Ready::new(&args.target, report)?;
    let (options, _) = ready.options(&args.target)?;
    let shipment = ready.shipment()?;
    let status = import::status(&shipment, &ready.target.store, &options)?;
    let head = shipment.bundle.head();
    let opened_at = status.open_uploads.1.map(|at_ms| Time::from_unix(at_ms / 1000));
    let document = json!({
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "store": ready.target.name,
        "installed": status.installed,
        "is_installed": status.installed == Some(head.release()),
        "importer": status.holder,
        "open_uploads": status.open_uploads.0,
        "oldest_upload_opened_at": opened_at.map(|time| time.to_string()),
        "journalled_parts": status.journalled_part_count,
        "waiting": status.waiting_count,
    });
    let is_installed = status.installed == Some(head.release());
    let verb = if is_installed { "installed" } else { "not installed" };
    let mut text = format!("{verb}: {}, in {}\n", name_of(head), OneLine(&ready.target.name));
    status_text(&status, opened_at, &mut text);
    report.result(&document, &text)
}

fn status_text(status: &Status, opened_at: Option<Time>, text: &mut String) {
    if let Some(release) = status.installed {
        let _ = writeln!(text, "installed     release {}, {}", release.counter, release.content_id);
    }
    if let Some(holder) = &status.holder {
        let _ = writeln!(text, "importer      process {} on {}", holder.process, OneLine(&holder.host));
    }
    let oldest = opened_at.map(|time| format!(", the oldest since {time}")).unwrap_or_default();
    let _ = writeln!(text, "uploads       {} open{oldest}", status.open_uploads.0);
    let _ = writeln!(text, "journal       {}", Count(status.journalled_part_count, "part"));
    let _ = writeln!(text, "waiting       {}", Count(status.waiting_count, "pack"));
}

pub(crate) fn abort(args: &AbortArgs, report: &Report) -> Result<(), Failure> {
    let ready = Ready::new(&args.target, report)?;
    let (options, _) = ready.options(&args.target)?;
    let shipment = ready.shipment()?;
    let progress = Shown::new(report);
    let aborted = import::abort(&shipment, &ready.target.store, &options, &|| progress.is_cancelled())?;
    let head = shipment.bundle.head();
    let document = json!({
        "result": "aborted",
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "uploads": aborted.upload_count,
        "state_objects": aborted.state_count,
    });
    let (uploads, objects) = (Count(aborted.upload_count, "upload"), Count(aborted.state_count, "state object"));
    report.result(&document, &format!("aborted: {}, {uploads} and {objects} removed\n", name_of(head)))
}
