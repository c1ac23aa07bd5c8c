//! `airlift completions`.

use crate::cli::args::{Args, CompletionsArgs};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use airlift::error::Class;
use clap::CommandFactory as _;

pub(crate) fn run(args: &CompletionsArgs, report: &Report) -> Result<(), Failure> {
    if report.is_json() {
        return Err(Failure::new(Class::Usage, "a script for a shell is no JSON document", "leave --json out"));
    }
    // The generator panics where it can't write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "airlift", &mut script);
    report.stream(|out| out.write_all(&script))
}
