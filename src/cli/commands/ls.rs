//! `airlift ls`.

use crate::cli::args::LsArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::open_to_look;
use crate::cli::report::Report;
use airlift::error::Class;
use airlift::format::EntryPath;
use airlift::format::Shown;
use airlift::format::walk::{Entry, Item};
use airlift::pipeline::bundle::Bundle;
use airlift::pipeline::inspect::is_below;
use serde_json::{Value, json};
use std::io::{self, Write};

pub(crate) fn run(args: &LsArgs, report: &Report) -> Result<(), Failure> {
    let wanted = args.path.as_deref().map(parse_path).transpose()?;
    let opened = open_to_look(std::slice::from_ref(&args.bundle), &args.vouch, report)?;
    let style = match (report.is_json(), args.long) {
        (true, _) => Style::Json,
        (false, true) => Style::Long,
        (false, false) => Style::Short,
    };
    let mut listing = Listing { style, count: 0, failure: None };
    report.stream(|out| listing.write(&opened, wanted.as_ref(), out))?;
    if let Some(failure) = listing.failure {
        return Err(failure);
    }
    match &wanted {
        Some(wanted) if listing.count == 0 => Err(no_such_entry(wanted)),
        _ => Ok(()),
    }
}

/// Returns the path that a person has written; a slash at its end is passed over.
///
/// # Errors
/// It breaks the grammar of paths, so no bundle has it.
pub(crate) fn parse_path(text: &str) -> Result<EntryPath, Failure> {
    EntryPath::parse(text.trim_end_matches('/').as_bytes())
        .map_err(|error| Failure::new(Class::Usage, error.to_string(), "airlift ls BUNDLE shows the paths"))
}

pub(crate) fn no_such_entry(path: &EntryPath) -> Failure {
    let message = format!("{} is not in the bundle", Shown(path.as_str()));
    Failure::new(Class::Usage, message, "airlift ls BUNDLE shows the paths")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Short,
    Long,
    Json,
}

/// A listing while it is written: it may be far longer than memory.
struct Listing {
    style: Style,
    count: u64,
    failure: Option<Failure>,
}

impl Listing {
    fn write(&mut self, bundle: &Bundle, wanted: Option<&EntryPath>, out: &mut dyn Write) -> io::Result<()> {
        if self.style == Style::Json {
            out.write_all(b"{\n  \"entries\": [")?;
        }
        for item in bundle.items() {
            match item {
                Ok(Item::Entry(entry)) if is_below(&entry.path, wanted) => self.entry(&entry, out)?,
                // Entries come in order of path bytes, and those below a path stand together.
                Ok(Item::Entry(_)) if self.count > 0 && wanted.is_some() => break,
                Ok(_) => {}
                Err(error) => {
                    self.failure = Some(error.into());
                    break;
                }
            }
        }
        if self.style == Style::Json {
            out.write_all(b"\n  ]\n}\n")?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        self.count += 1;
        match self.style {
            Style::Json => {
                out.write_all(if self.count > 1 { b",\n    " } else { b"\n    " })?;
                serde_json::to_writer(out, &document(entry)).map_err(io::Error::from)
            }
            Style::Long => match &entry.file {
                Some(file) => {
                    writeln!(out, "{:>14}  {}  {:<11}  {}", file.len, file.sha256, file.profile.name(), entry.path)
                }
                None => writeln!(out, "{:>14}  {:64}  {:<11}  {}/", "-", "-", "directory", entry.path),
            },
            Style::Short if entry.file.is_some() => writeln!(out, "{}", entry.path),
            Style::Short => writeln!(out, "{}/", entry.path),
        }
    }
}

fn document(entry: &Entry) -> Value {
    match &entry.file {
        Some(file) => json!({
            "path": entry.path.as_str(),
            "size": file.len,
            "sha256": file.sha256.to_string(),
            "profile": file.profile.name(),
        }),
        None => json!({ "path": entry.path.as_str(), "directory": true }),
    }
}
