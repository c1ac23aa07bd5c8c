//! What may stand on the command line (C-01 to C-07), and the examples that `--help` shows.

mod config;
mod demo;
mod fetch;
mod help;
mod images;
mod import;
mod look;
mod output;
mod pack;
mod parse;
mod sign;
mod tao;
mod verify;
mod write;

pub(crate) use config::{ConfigArgs, ConfigCommand, ShowArgs};
pub(crate) use demo::DemoArgs;
pub(crate) use fetch::FetchArgs;
pub(crate) use help::{CompletionsArgs, ManArgs};
pub(crate) use images::{
    AddImagesArgs, Engine, FetchImagesArgs, ImagesArgs, ImagesCommand, ListImagesArgs, LoadImagesArgs, NeededArgs,
    PushImagesArgs, RegistryArgs,
};
pub(crate) use import::{AbortArgs, ImportArgs, StatusArgs, StoreArgs, TargetArgs};
pub(crate) use look::{CatArgs, ExportArgs, InfoArgs, LsArgs, MediaArgs, TrustArgs, VouchArgs};
pub(crate) use output::OutputArgs;
pub(crate) use pack::PackArgs;
pub(crate) use parse::rate;
pub(crate) use sign::SignArgs;
pub(crate) use tao::{
    CheckArgs, DoctorArgs, InitArgs, ModelRegistryArgs, PlaceArgs, PlatformArgs, ProfileArg, RegisterArgs, StepsArgs,
    TaoArgs, TaoCommand, ValuesArgs,
};
pub(crate) use verify::VerifyArgs;
pub(crate) use write::WriteArgs;

use super::failure::Failure;
use airlift::error::Class;
use clap::builder::Styles;
use clap::{Parser, Subcommand};
use std::ffi::OsString;

const OVERVIEW: &str = "\
Airlift carries models, datasets and images into networks without a connection. It turns directories \
into a signed, deduplicated, compressed bundle whose volumes travel on any media, and brings them, \
proven chunk by chunk, into an object store.";

const EXAMPLES: &str = "\
Examples:
  airlift demo
  airlift pack models=./models datasets=./data --stream tao --counter 1 --out tao-1 --sign KEY
  airlift verify tao-1 --allowed-signers signers
  airlift import tao-1 --stream tao --allowed-signers signers --to dir:./store \\
      --map models=models/ --map datasets=data/ --enrol --create-bucket

Exit codes:
  0 done · 1 failed · 2 usage · 3 damaged: get another copy of what is named · 4 untrusted ·
  5 incomplete: bring the missing volumes and repeat · 6 unavailable: repeat later ·
  7 refused by policy · 8 base missing · 9 older than or forked from what is installed ·
  10 no space · 70 bug · 130 interrupted: repeating resumes";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "airlift", version, about = OVERVIEW, after_help = EXAMPLES, styles = Styles::plain())]
#[command(max_term_width = 100, disable_help_subcommand = true, arg = config::file_option())]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch models from NGC and Hugging Face, for the platform's layout
    Fetch(FetchArgs),
    /// Make a bundle of directories
    Pack(PackArgs),
    /// Add a signature to a bundle, through ssh-keygen
    Sign(SignArgs),
    /// Write a bundle to media: sticks, discs, directories
    Write(WriteArgs),
    /// Prove a bundle and name everything that is wrong with it
    Verify(VerifyArgs),
    /// List the files of a bundle
    Ls(LsArgs),
    /// Write one file of a bundle to standard output, proven
    Cat(CatArgs),
    /// Say what a bundle holds, how it is stored and who signed it
    Info(InfoArgs),
    /// Write the files of a bundle into a directory or as a tar stream
    Export(ExportArgs),
    /// Bring a bundle into an object store
    Import(ImportArgs),
    /// Tell how an import stands in a store
    Status(StatusArgs),
    /// Remove what an unfinished import has left in a store
    Abort(AbortArgs),
    /// Do the platform's part: check models for NVIDIA TAO, and register them
    Tao(TaoArgs),
    /// Carry container images: from registries into a bundle, and from a bundle into a registry
    Images(ImagesArgs),
    /// Show the whole way on this machine, with one damaged bit
    Demo(DemoArgs),
    /// Show the options that the config file may hold, and what they are
    Config(ConfigArgs),
    /// Print what makes a shell complete commands and options
    Completions(CompletionsArgs),
    /// Write a man page for each command
    Man(ManArgs),
}

/// Words in the name of an option that would carry a secret.
const SECRET_WORDS: [&str; 7] = ["access-key", "secret", "password", "passphrase", "token", "session-key", "api-key"];

/// Refuses options that would put a secret where every user of the machine can read it (C-06). The
/// value is not repeated.
///
/// # Errors
/// Names the option and says where credentials belong.
pub(crate) fn refuse_secrets(words: &[OsString]) -> Result<(), Failure> {
    for word in words.iter().skip(1).take_while(|word| *word != "--") {
        let word = word.to_string_lossy();
        let Some(name) = word.strip_prefix("--").and_then(|option| option.split('=').next()) else { continue };
        if names_a_secret(name) {
            let message = format!("option --{name} does not exist: other users could read a secret in the arguments");
            let remedy = "put credentials into a file (--credentials-file) or into the environment";
            return Err(Failure::new(Class::Usage, message, remedy));
        }
    }
    Ok(())
}

/// Tells whether what has this name would be a secret.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    // The name of a file is no secret, and the one place where one belongs.
    !plain.ends_with("-file") && SECRET_WORDS.iter().any(|secret| plain.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_examples_and_no_option_takes_a_secret() {
        let program = Args::command();
        program.clone().debug_assert();
        for command in program.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("airlift {}", command.get_name())), "{} has no example", command.get_name());
            assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
            for argument in command.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(!names_a_secret(argument), "--{argument}");
            }
        }
    }

    #[test]
    fn names_a_secret_option_without_its_value() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let failure = refuse_secrets(&words("airlift ls x --AWS_Secret_Access_Key=canary")).expect_err("refused");
        assert!(failure.to_string().contains("--AWS_Secret_Access_Key"));
        assert!(!failure.to_string().contains("canary"));
        assert!(refuse_secrets(&words("airlift ls x --credentials-file f -- --secret")).is_ok());
    }
}
