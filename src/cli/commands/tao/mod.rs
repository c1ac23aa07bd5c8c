//! `airlift tao`.

mod check;
pub(super) mod profile;
mod steps;

use crate::cli::args::{TaoArgs, TaoCommand};
use crate::cli::failure::Failure;
use crate::cli::report::Report;

pub(crate) fn run(args: &TaoArgs, report: &Report) -> Result<(), Failure> {
    match &args.command {
        TaoCommand::Check(args) => check::run(args, report),
        TaoCommand::Init(args) => steps::init(args, report),
        TaoCommand::Export(args) => steps::export(args, report),
        TaoCommand::Land(args) => steps::land(args, report),
    }
}
