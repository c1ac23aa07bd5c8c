//! `airlift man`.

use crate::cli::args::{Args, ManArgs};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use crate::cli::size::Count;
use crate::cli::whole_file::{Existing, write_whole};
use airlift::format::OneLine;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::json;
use std::fs;
use std::io;

/// What the foot of each page names.
const SOURCE: &str = concat!("airlift ", env!("CARGO_PKG_VERSION"));

pub(crate) fn run(args: &ManArgs, report: &Report) -> Result<(), Failure> {
    fs::create_dir_all(&args.out).map_err(|error| Failure::io("create", &args.out, &error))?;
    let mut program = Args::command();
    program.build();
    let mut names = Vec::new();
    for command in with_subcommands(&program) {
        let man = Man::new(command.clone()).source(SOURCE).manual("Airlift");
        let (name, mut page) = (man.get_filename(), Vec::new());
        let path = args.out.join(&name);
        render(&man, command, &mut page).map_err(|error| Failure::io("write", &path, &error))?;
        write_whole(&path, &page, Existing::Replace)?;
        names.push(name);
    }
    let (pages, to) = (Count(names.len() as u64, "page"), OneLine(args.out.to_string_lossy()).to_string());
    let document = json!({ "result": "written", "to": args.out, "pages": names });
    report.result(&document, &format!("written: {pages} to {to}\n"))
}

/// Returns a command and all below it.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_subcommands);
    [command].into_iter().chain(below).collect()
}

fn render(man: &Man, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    after_help(&after).to_writer(page)
}

/// Returns what stands behind the options in the help, with its lines as they are: a paragraph whose
/// first line ends with a colon is a section of its own.
fn after_help(text: &str) -> Roff {
    let mut page = Roff::new();
    for paragraph in text.split("\n\n") {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let lines = match first.strip_suffix(':') {
            Some(heading) => {
                page.control("SH", [heading.to_uppercase().as_str()]);
                rest
            }
            None => {
                page.control("PP", []);
                paragraph
            }
        };
        page.control("nf", []);
        lines.lines().for_each(|line| {
            page.text([roman(line)]);
        });
        page.control("fi", []);
    }
    page
}
