//! How results and progress are shown: options that every command takes (C-02).

use clap::ArgAction;

/// How results and progress are shown.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print the result as one JSON document, and errors as one JSON object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print nothing but the result and errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Show no progress
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_progress: bool,
    /// Say more about what is done
    #[arg(long, short, global = true, help_heading = "Output", action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
}
