//! Arguments of `config`.

use clap::builder::ValueParser;
use clap::{Arg, Subcommand};

const EXAMPLES: &str = "\
Examples:
  airlift config show --origin
  airlift config show --config ./config.toml --json

The file is TOML: a key is the long name of an option with '_' for '-', such as
  allowed_signers = \"/etc/airlift/signers\"
  threshold = 2
  endpoint = \"https://seaweed:8333\"
A path that is not absolute is below the directory of the file.";

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the config file.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every option that the config file may hold, and its value
    Show(ShowArgs),
}

/// Arguments of `config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Print where each value comes from as well
    #[arg(long)]
    pub(crate) origin: bool,
}

/// Returns the option that names the config file. The file is read before the parser runs, since it
/// says what the parser takes for given; here the option is only known and told.
pub(super) fn file_option() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("AIRLIFT_CONFIG")
        .value_parser(ValueParser::os_string())
        .global(true)
        .help_heading("Output")
        .help("File of defaults; $XDG_CONFIG_HOME/airlift/config.toml when not given")
}
