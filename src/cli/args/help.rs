//! Arguments of the commands that tell shells and `man` about the program.

use clap_complete::Shell;
use std::path::PathBuf;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  airlift completions bash > ~/.local/share/bash-completion/completions/airlift
  airlift completions zsh > ~/.zfunc/_airlift      # ~/.zfunc is in $fpath
  airlift completions fish > ~/.config/fish/completions/airlift.fish";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

const MAN_EXAMPLES: &str = "\
Examples:
  airlift man --out ~/.local/share/man/man1
  airlift man --out ./man1 && man -l ./man1/airlift-import.1";

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The directory for the pages; a page of another version there is replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
