//! Arguments of `sign`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift sign models-7 ~/.ssh/id_ed25519
  airlift sign models-7 ~/.ssh/id_ed25519_sk      # a security key; it asks for a touch
  airlift sign models-7 alice.pub                 # the private half is in the agent";

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SignArgs {
    /// Bundle directory, or a directory that holds it
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Key file that ssh-keygen can sign with
    #[arg(value_name = "KEY")]
    pub(crate) key: PathBuf,
}
