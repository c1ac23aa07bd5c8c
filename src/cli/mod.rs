//! Arguments in, a report out, an exit code. This alone prints.

mod args;
mod commands;
mod failure;
mod opening;
mod progress;
mod remedy;
mod report;
mod scratch;
mod signals;
mod size;
mod stores;
mod whole_file;

use args::{Args, Command};
use clap::Parser as _;
use failure::Failure;
use report::Report;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that the arguments name and returns its exit code (C-10).
pub(crate) fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Err(failure) = args::refuse_secrets(&words) {
        return Report::before_arguments(&words).fail(&failure);
    }
    let args = match Args::try_parse_from(&words) {
        Ok(args) => args,
        Err(error) => return Report::before_arguments(&words).usage(&error),
    };
    let report = Report::new(&args.output);
    match dispatch(args.command, &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report.fail(&failure),
    }
}

fn dispatch(command: Command, report: &Report) -> Result<(), Failure> {
    match command {
        Command::Pack(args) => commands::pack::run(&args, report),
        Command::Sign(args) => commands::sign::run(&args, report),
        Command::Verify(args) => commands::verify::run(&args, report),
        Command::Ls(args) => commands::ls::run(&args, report),
        Command::Cat(args) => commands::cat::run(&args, report),
        Command::Info(args) => commands::info::run(&args, report),
        Command::Export(args) => commands::export::run(&args, report),
        Command::Import(args) => commands::import::run(&args, report),
        Command::Status(args) => commands::state::status(&args, report),
        Command::Abort(args) => commands::state::abort(&args, report),
        Command::Demo(args) => commands::demo::run(&args, report),
        Command::Completions(args) => commands::completions::run(&args, report),
        Command::Man(args) => commands::man::run(&args, report),
    }
}
