//! `airlift verify`.

use super::{missing, name_of, workers};
use crate::cli::args::VerifyArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::{TrustFiles, note_strays, open_trusted};
use crate::cli::pace::PacedProgress;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::{EntryPath, OneLine};
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::verify::{Finding, Findings, verify};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(args: &VerifyArgs, report: &Report) -> Result<(), Failure> {
    let files = TrustFiles::read(&args.trust)?;
    let opened = open_trusted(&args.places.places, &args.trust, &files, report)?;
    let strays = note_strays(&opened, &args.media, report)?;
    let progress = Shown::new(report);
    let paced = PacedProgress::new(&progress, args.bwlimit);
    let findings = verify(&opened, opened.media(), args.depth.depth(), workers(args.threads), &paced);
    progress.finish();
    let outcome = Outcome { opened: &opened, findings: &findings, depth: args.depth.name(), strays };
    report.result(&outcome.document(), &outcome.text())?;
    match findings.class() {
        None => Ok(()),
        Some(class) => Err(outcome.failure(class)),
    }
}

struct Outcome<'a> {
    opened: &'a Opened,
    findings: &'a Findings,
    depth: &'static str,
    /// How many names on the media do not belong to the bundle.
    strays: u64,
}

impl Outcome<'_> {
    fn signers(&self) -> Vec<String> {
        let trusted = self.opened.vouched().map(|bundle| bundle.trusted_head().principals());
        trusted.into_iter().flatten().map(ToString::to_string).collect()
    }

    fn text(&self) -> String {
        let (head, findings) = (self.opened.head(), self.findings);
        if findings.class().is_none() {
            return format!(
                "clean: {}, {}, {} in {}, proven to its {}, signed by {}\n",
                name_of(head),
                Count(head.totals.files, "file"),
                Size(head.totals.bytes),
                Count(u64::from(head.volumes.count), "volume"),
                self.depth,
                self.signers().join(", "),
            );
        }
        let mut text = String::new();
        for finding in &findings.findings {
            text.push_str(&finding_text(finding));
        }
        if findings.more_count > 0 {
            let _ = writeln!(text, "and {}", Count(findings.more_count, "further finding"));
        }
        if !findings.missing_volumes.is_empty() {
            let _ = writeln!(text, "incomplete: {}", missing(&findings.missing_volumes, head.volumes.count));
        }
        text
    }

    fn document(&self) -> Value {
        let (head, findings) = (self.opened.head(), self.findings);
        json!({
            "result": findings.class().map_or("clean", Class::name),
            "stream": head.stream.as_str(),
            "counter": head.counter,
            "content_id": head.content_id.to_string(),
            "tree_id": head.tree_id.to_string(),
            "depth": self.depth,
            "signers": self.signers(),
            "files": head.totals.files,
            "bytes": head.totals.bytes,
            "checked_bytes": findings.checked_len,
            "checked_stored_bytes": findings.stored_len,
            "missing_volumes": findings.missing_volumes.iter().map(|one| one.number()).collect::<Vec<_>>(),
            "findings": findings.findings.iter().map(finding_document).collect::<Vec<_>>(),
            "more_findings": findings.more_count,
            "unexpected_names": self.strays,
        })
    }

    fn failure(&self, class: Class) -> Failure {
        let release = name_of(self.opened.head());
        let volumes = &self.findings.missing_volumes;
        let count = self.findings.findings.len() as u64 + self.findings.more_count;
        match class {
            Class::Interrupted => Failure::interrupted(),
            Class::Incomplete if !volumes.is_empty() => {
                let missing = missing(volumes, self.opened.head().volumes.count);
                let message = format!("{release} is incomplete: {missing}");
                Failure::new(class, message, "bring it and repeat the command with all media named")
            }
            class => {
                let message = format!("{release} is {}: {}", class.name(), Count(count, "finding"));
                Failure::new(class, message, remedy::of_class(class))
            }
        }
    }
}

/// Displays a finding: what and where on one line, then the files that need the bytes.
pub(crate) fn finding_text(finding: &Finding) -> String {
    let extent = finding
        .extent
        .as_ref()
        .map(|(volume, range)| format!("volume {}, bytes {} to {}, ", volume.number(), range.start, range.end));
    let rule = finding.rule.map(|rule| format!(" ({rule})")).unwrap_or_default();
    let extent = extent.unwrap_or_default();
    let line = format!("{}: {extent}{}{rule}: {}", finding.class.name(), finding.place, finding.what);
    let mut text = format!("{}\n", OneLine(line));
    let (names, count) = &finding.files;
    for name in names {
        let _ = writeln!(text, "  affects {name}");
    }
    let more = count - names.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "  affects {}", Count(more, "further file"));
    }
    text
}

/// Returns a finding as JSON.
pub(crate) fn finding_document(finding: &Finding) -> Value {
    let extent = finding.extent.as_ref();
    json!({
        "class": finding.class.name(),
        "place": finding.place,
        "volume": extent.map(|(volume, _)| volume.number()),
        "start": extent.map(|(_, range)| range.start),
        "end": extent.map(|(_, range)| range.end),
        "rule": finding.rule,
        "what": finding.what,
        "files": finding.files.0.iter().map(EntryPath::as_str).collect::<Vec<_>>(),
        "file_count": finding.files.1,
    })
}
