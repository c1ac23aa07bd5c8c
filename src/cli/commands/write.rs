//! `airlift write`.

use super::{name_of, ranges};
use crate::cli::args::WriteArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::find_one;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::format::packs::VolumeNumber;
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::progress::Progress as _;
use airlift::pipeline::write::{
    Earlier, WriteError, WriteOptions, WriteReport, WrittenMedium, plan, record_beside, write,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(crate) fn run(args: &WriteArgs, report: &Report) -> Result<(), Failure> {
    // Nobody has to be trusted for bytes to be copied; whoever receives them asks.
    let bundle = Opened::untrusted(find_one(std::slice::from_ref(&args.bundle))?)?;
    let beside = || bundle.media().first().map_or(args.bundle.as_path(), |medium| medium.path());
    let record = args.record.clone().map_or_else(|| record_beside(beside()), Ok)?;
    let earlier = if args.again { Earlier::Forget } else { Earlier::Keep };
    let options = WriteOptions { media: args.media.clone(), record, earlier };
    let progress = Shown::new(report);
    if bundle.signatures().is_empty() {
        progress.note("the bundle is not signed yet: repeat the command with these media when it is");
    }
    let written = if args.dry_run { plan(&bundle, &options, &progress) } else { write(&bundle, &options, &progress) };
    progress.finish();
    let written = written?;
    let outcome = Outcome { bundle: &bundle, options: &options, written: &written, is_plan: args.dry_run };
    report.result(&outcome.document(), &outcome.text())?;
    written.class().map_or(Ok(()), |class| Err(outcome.failure(class)))
}

struct Outcome<'a> {
    bundle: &'a Opened,
    options: &'a WriteOptions,
    written: &'a WriteReport,
    is_plan: bool,
}

impl Outcome<'_> {
    fn result(&self) -> &'static str {
        if self.is_plan { "would write" } else { self.written.class().map_or("written", Class::name) }
    }

    fn document(&self) -> Value {
        let (head, written) = (self.bundle.head(), self.written);
        let medium = |medium: &WrittenMedium| {
            json!({
                "medium": medium.place,
                "directory": medium.directory,
                "volumes": numbers(medium.written.keys()),
                "bytes": medium.written.values().sum::<u64>(),
                "files": medium.small,
                "already": numbers(&medium.already),
                "full": medium.is_full,
            })
        };
        json!({
            "result": self.result(),
            "stream": head.stream.as_str(),
            "counter": head.counter,
            "volumes": head.volumes.count,
            "media": written.media.iter().map(medium).collect::<Vec<_>>(),
            "elsewhere": numbers(&written.elsewhere),
            "left": numbers(written.left.keys()),
            "left_bytes": written.left.values().sum::<u64>(),
            "record": self.options.record,
        })
    }

    fn text(&self) -> String {
        let (head, written) = (self.bundle.head(), self.written);
        let mut text = String::new();
        for medium in &written.media {
            let line = format!("{}: {}", medium.place.display(), self.on(medium));
            let _ = writeln!(text, "{}", OneLine(line));
        }
        if !written.elsewhere.is_empty() {
            let _ = writeln!(text, "on other media: {}", volumes(&written.elsewhere));
        }
        let len = written.media.iter().flat_map(|medium| medium.written.values()).sum();
        let all = Count(u64::from(head.volumes.count), "volume");
        let placed = u64::from(head.volumes.count) - written.left.len() as u64;
        let now = if self.is_plan { "to be written" } else { "written now" };
        let (result, release) = (self.result(), name_of(head));
        let _ = writeln!(text, "{result}: {release}, {placed} of {all} on media, {} {now}", Size(len));
        text
    }

    /// Says what goes to a medium and what is there.
    fn on(&self, medium: &WrittenMedium) -> String {
        let mut parts = Vec::new();
        if !medium.written.is_empty() {
            let numbers = medium.written.keys().copied().collect();
            parts.push(format!("{}, {}", volumes(&numbers), Size(medium.written.values().sum())));
        }
        if !medium.already.is_empty() {
            parts.push(format!("{} there already", volumes(&medium.already)));
        }
        if !medium.small.is_empty() {
            parts.push(Count(medium.small.len() as u64, "other file").to_string());
        }
        match parts.is_empty() {
            true if medium.is_full => "no room".to_owned(),
            true => "nothing to write".to_owned(),
            false => parts.join("; "),
        }
    }

    fn failure(&self, class: Class) -> Failure {
        let left = &self.written.left;
        match class {
            Class::Interrupted => Failure::interrupted(),
            Class::Incomplete => {
                let (len, longest) = (left.values().sum(), left.values().copied().max().unwrap_or_default());
                let numbers = left.keys().copied().collect();
                let (verb, longest) = match left.len() {
                    1 => ("has", String::new()),
                    _ => ("have", format!(", the longest {}", Size(longest))),
                };
                let of = format!("{} of {}", volumes(&numbers), self.bundle.head().volumes.count);
                let message = format!("{of} {verb} no place yet: {} to be written{longest}", Size(len));
                Failure::new(class, message, "insert the next medium and repeat the command with it")
            }
            class => {
                let full = self.written.media.iter().find(|medium| medium.is_full && !medium.already.is_empty());
                let place = full.map(|medium| medium.place.display().to_string()).unwrap_or_default();
                let message = format!("{place} has no room for what every medium carries beside its volumes");
                Failure::new(class, message, remedy::of_class(class))
            }
        }
    }
}

fn numbers<'a>(volumes: impl IntoIterator<Item = &'a VolumeNumber>) -> Vec<u32> {
    volumes.into_iter().map(|volume| volume.number()).collect()
}

/// Displays volumes: `volume 1`, `volumes 1-3, 7`.
fn volumes(volumes: &BTreeSet<VolumeNumber>) -> String {
    format!("volume{} {}", if volumes.len() == 1 { "" } else { "s" }, ranges(volumes))
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Failure {
        match error {
            WriteError::Bundle(error) => error.into(),
            WriteError::Media(error) => error.into(),
            WriteError::Missing { volumes: absent } => {
                let message = format!("the bundle lacks {}, which no medium has yet", volumes(&absent));
                Failure::new(
                    Class::Incomplete,
                    message,
                    "bring what is missing into the bundle, and repeat the command",
                )
            }
            error => Failure { remedy: remedy::of_write(&error).into(), ..Failure::of(error.class(), &error) },
        }
    }
}
