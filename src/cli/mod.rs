//! Arguments in, a report out, an exit code. This alone prints.

mod args;
mod commands;
mod config;
mod failure;
mod opening;
mod pace;
mod progress;
mod remedy;
mod report;
mod scratch;
mod signals;
mod size;
mod stores;
mod whole_file;

use args::{Args, Command};
use clap::{CommandFactory as _, FromArgMatches as _};
use config::Config;
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
    let config = match Config::load(&words) {
        Ok(config) => config,
        Err(failure) => return Report::before_arguments(&words).fail(&failure),
    };
    let args = match parse(&words, &config) {
        Ok(args) => args,
        Err(error) => return Report::before_arguments(&words).usage(&error),
    };
    let report = Report::new(&args.output);
    match dispatch(args.command, &config, &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report.fail(&failure),
    }
}

/// Returns what the words say, and the config file where they say nothing.
fn parse(words: &[OsString], config: &Config) -> Result<Args, clap::Error> {
    let mut program = config.apply(Args::command());
    let mut matches = program.try_get_matches_from_mut(words)?;
    Args::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut program))
}

fn dispatch(command: Command, config: &Config, report: &Report) -> Result<(), Failure> {
    match command {
        Command::Fetch(args) => commands::fetch::run(&args, report),
        Command::Pack(args) => commands::pack::run(&args, report),
        Command::Sign(args) => commands::sign::run(&args, report),
        Command::Write(args) => commands::write::run(&args, report),
        Command::Verify(args) => commands::verify::run(&args, report),
        Command::Ls(args) => commands::ls::run(&args, report),
        Command::Cat(args) => commands::cat::run(&args, report),
        Command::Info(args) => commands::info::run(&args, report),
        Command::Export(args) => commands::export::run(&args, report),
        Command::Import(args) => commands::import::run(&args, report),
        Command::Status(args) => commands::state::status(&args, report),
        Command::Abort(args) => commands::state::abort(&args, report),
        Command::Tao(args) => commands::tao::run(&args, report),
        Command::Images(args) => commands::images::run(&args, report),
        Command::Demo(args) => commands::demo::run(&args, report),
        Command::Config(args) => commands::config::run(&args, config, report),
        Command::Completions(args) => commands::completions::run(&args, report),
        Command::Man(args) => commands::man::run(&args, report),
    }
}
