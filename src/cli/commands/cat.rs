//! `airlift cat`.

use super::export::failure_of;
use super::ls::{no_such_entry, parse_path};
use crate::cli::args::CatArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::open_to_look;
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use airlift::error::Class;
use airlift::pipeline::export::{ExportError, write_file};
use airlift::pipeline::volumes::Volumes;
use std::io;

pub(crate) fn run(args: &CatArgs, report: &Report) -> Result<(), Failure> {
    if report.is_json() {
        let message = "cat writes the bytes of a file, which are no JSON document";
        return Err(Failure::new(Class::Usage, message, "leave --json out"));
    }
    let path = parse_path(&args.file)?;
    let places: Vec<_> = std::iter::once(&args.bundle).chain(&args.medium).cloned().collect();
    let opened = open_to_look(&places, &args.vouch, report)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let progress = Shown::new(report);
    let mut out = io::stdout().lock();
    let written = write_file(&opened, &volumes, &path, &mut out, &progress);
    progress.finish();
    match written {
        Ok(written) => failure_of(&opened, &written, path.as_str(), report).map_or(Ok(()), Err),
        Err(ExportError::NoSuchFile { path }) => Err(no_such_entry(&path)),
        Err(error) => Err(error.into()),
    }
}
