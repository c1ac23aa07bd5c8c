//! `airlift export`.

use super::verify::finding_text;
use super::{missing, name_of};
use crate::cli::args::ExportArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::open_to_look;
use crate::cli::pace::PacedProgress;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::pipeline::bundle::Bundle;
use airlift::pipeline::export::{ExportError, ExportReport, write_directory, write_tar};
use airlift::pipeline::volumes::Volumes;
use serde_json::json;
use std::io::{self, IsTerminal as _};
use std::path::Path;

pub(crate) fn run(args: &ExportArgs, report: &Report) -> Result<(), Failure> {
    let is_stream = args.to == Path::new("-");
    if is_stream && (report.is_json() || io::stdout().is_terminal()) {
        let message = "a tar stream goes neither to a terminal nor beside a JSON document";
        return Err(Failure::new(Class::Usage, message, "redirect standard output, and leave --json out"));
    }
    let opened = open_to_look(&args.places.places, &args.vouch, report)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let progress = Shown::new(report);
    let paced = PacedProgress::new(&progress, args.bwlimit);
    let written = if is_stream {
        let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
        write_tar(&opened, &volumes, &mut out, &paced)
    } else {
        write_directory(&opened, &volumes, &args.to, &paced)
    };
    progress.finish();
    let written = written?;
    if !is_stream {
        print(&opened, &written, &args.to, report)?;
    }
    failure_of(&opened, &written, &name_of(opened.head()), report).map_or(Ok(()), Err)
}

fn print(bundle: &Bundle, written: &ExportReport, to: &Path, report: &Report) -> Result<(), Failure> {
    let head = bundle.head();
    let result = written.class().map_or("exported", Class::name);
    let document = json!({
        "result": result,
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "to": to,
        "files": written.file_count,
        "bytes": written.file_len,
        "already": written.already_count,
        "lost": written.lost_count,
        "missing_volumes": written.read.missing_volumes.iter().map(|one| one.number()).collect::<Vec<_>>(),
    });
    let already = match written.already_count {
        0 => String::new(),
        count => format!(", {} there already", Count(count, "file")),
    };
    let (files, size) = (Count(written.file_count, "file"), Size(written.file_len));
    let to = OneLine(to.to_string_lossy());
    report.result(&document, &format!("{result}: {}, {files}, {size}{already}, to {to}\n", name_of(head)))
}

/// Returns why not everything that was wanted could be had, after naming what is damaged.
pub(crate) fn failure_of(bundle: &Bundle, written: &ExportReport, what: &str, report: &Report) -> Option<Failure> {
    for finding in &written.read.findings {
        finding_text(finding).lines().for_each(|line| report.note(line));
    }
    let class = written.class()?;
    Some(match class {
        Class::Interrupted => Failure::interrupted(),
        Class::Incomplete => {
            let missing = missing(&written.read.missing_volumes, bundle.head().volumes.count);
            let message = format!("{what} is incomplete: {missing}");
            Failure::new(class, message, "bring it and repeat the command with all media named")
        }
        class => {
            let lost = Count(written.lost_count, "file");
            Failure::new(class, format!("{what} is {}: {lost} can't be had", class.name()), remedy::of_class(class))
        }
    })
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Failure {
        match error {
            ExportError::Bundle(error) => error.into(),
            ExportError::Output(error) => Failure::output(&error),
            error => Failure { remedy: remedy::of_export(&error).into(), ..Failure::of(error.class(), &error) },
        }
    }
}
