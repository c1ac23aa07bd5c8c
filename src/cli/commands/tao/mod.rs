//! `airlift tao`.

mod check;
pub(super) mod profile;

use crate::cli::args::{TaoArgs, TaoCommand};
use crate::cli::failure::Failure;
use crate::cli::report::Report;

pub(crate) fn run(args: &TaoArgs, report: &Report) -> Result<(), Failure> {
    match &args.command {
        TaoCommand::Check(args) => check::run(args, report),
    }
}
