//! `airlift images push`.

use super::{Login, only};
use crate::cli::args::PushImagesArgs;
use crate::cli::commands::export::failure_of;
use crate::cli::commands::name_of;
use crate::cli::failure::Failure;
use crate::cli::opening::{TrustFiles, open_trusted};
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::pipeline::export::ExportReport;
use airlift::pipeline::progress::Progress as _;
use airlift::pipeline::volumes::Volumes;
use airlift::tao::http::{Http, Patience, client};
use airlift::tao::images::carried::CarriedImages;
use airlift::tao::images::push::{Destination, PushReport, push};
use airlift::tao::images::registry::Registry;
use serde_json::json;
use std::fmt::Write as _;

pub(crate) fn run(args: &PushImagesArgs, report: &Report) -> Result<(), Failure> {
    let login = Login::read(&args.registry)?;
    let (host, prefix) =
        args.to.split_once('/').map_or((args.to.as_str(), None), |(host, prefix)| (host, Some(prefix)));
    let credentials = login.credentials(host)?;
    let opened = open_trusted(&args.places.places, &args.trust, &TrustFiles::read(&args.trust)?, report)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let progress = Shown::new(report);
    let is_stopped = || progress.is_cancelled();
    let patience = Patience::default();
    let note = |line: &str| progress.note(line);
    let http = Http::new(client(args.registry.ca_file.as_deref(), &patience)?, patience, &is_stopped).with_note(&note);
    let registry = Registry::new(&http, host, login.transport, credentials).ok_or_else(|| {
        let message = format!("--to {}: that is no registry", args.to);
        Failure::new(Class::Usage, message, "name a host, perhaps with a port, and what stands before every repository")
    })?;
    let carried = only(CarriedImages::find(&opened, &volumes, &progress)?, &args.only)?;
    let destination = Destination { registry: &registry, prefix: prefix.filter(|prefix| !prefix.is_empty()) };
    let pushed = push(&opened, &volumes, &carried, &destination, &progress);
    progress.finish();
    let pushed = pushed?;
    print(&pushed, &args.to, report)?;
    for image_name in &pushed.lost {
        report.warn(&format!("not pushed: {image_name}: a blob of it can't be had"));
    }
    let read = ExportReport { lost_count: pushed.lost.len() as u64, read: pushed.read, ..ExportReport::default() };
    failure_of(&opened, &read, &name_of(opened.head()), report).map_or(Ok(()), Err)
}

fn print(pushed: &PushReport, to: &str, report: &Report) -> Result<(), Failure> {
    let is_whole = pushed.lost.is_empty() && !pushed.read.is_cancelled;
    let document = json!({
        "result": if is_whole { "pushed" } else { "incomplete" },
        "to": to,
        "pushed": pushed.pushed,
        "already": pushed.already,
        "lost": pushed.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "blobs_sent": pushed.sent_count,
        "bytes_sent": pushed.sent_len,
        "blobs_there": pushed.there_count,
    });
    let mut text = String::new();
    for name in &pushed.pushed {
        let _ = writeln!(text, "pushed   {name}");
    }
    for name in &pushed.already {
        let _ = writeln!(text, "already  {name}");
    }
    let images = Count((pushed.pushed.len() + pushed.already.len()) as u64, "image");
    let (sent, there) = (Count(pushed.sent_count, "blob"), Count(pushed.there_count, "blob"));
    let size = Size(pushed.sent_len);
    let result = if is_whole { "pushed" } else { "incomplete" };
    let _ = writeln!(text, "{result}: {images} at {to}; {sent} sent, {size}, and {there} there already");
    report.result(&document, &text)
}
