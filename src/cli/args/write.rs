//! Arguments of `write`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift write tao-1 /media/a /media/b
  airlift write tao-1 /media/stick           # code 5: insert the next one and repeat
  airlift write tao-1 /media/a /media/b --dry-run
  airlift write tao-1 /media/second --again  # another set of media

Each volume goes to the first medium that has room for it; everything else is repeated on all of them. \
A file has its name on a medium when it is whole, durable and was read again. Repeating the command goes \
on where it was stopped, and adds signatures that came later.";

/// Arguments of `write`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WriteArgs {
    /// Bundle directory, or a directory that holds it
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Directory where a medium is mounted; several are filled in this order
    #[arg(value_name = "MEDIUM", required = true)]
    pub(crate) media: Vec<PathBuf>,
    /// Forget what is recorded as written to media that are not named
    #[arg(long)]
    pub(crate) again: bool,
    /// The record of what went where [default: BUNDLE.written.json beside the bundle]
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// List what would go where, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
