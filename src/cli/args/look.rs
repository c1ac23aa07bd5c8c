//! Arguments of the commands that look at a bundle, and those that say whom to trust.

use super::parse;
use airlift::format::Name;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// Whom to trust (C-03).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// File of the keys that may sign, as ssh-keygen knows it
    #[arg(long, value_name = "FILE", env = "AIRLIFT_ALLOWED_SIGNERS", help_heading = "Trust")]
    pub(crate) allowed_signers: Option<PathBuf>,
    /// How many principals must have signed
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Trust")]
    pub(crate) threshold: NonZeroUsize,
    /// File of keys that no longer count
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    pub(crate) revoked: Option<PathBuf>,
    /// The stream that the bundle must belong to
    #[arg(long, value_name = "NAME", help_heading = "Trust")]
    pub(crate) stream: Option<Name>,
    /// The name of this enclave: a bundle for another one is refused
    #[arg(long, value_name = "NAME", help_heading = "Trust")]
    pub(crate) audience: Option<Name>,
}

/// Whom to trust, or nobody.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VouchArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Look without any check of signatures: what is shown may be anybody's
    #[arg(long, help_heading = "Trust")]
    pub(crate) untrusted: bool,
}

/// How much is asked of the media.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MediaArgs {
    /// Refuse media with names on them that do not belong to the bundle
    #[arg(long)]
    pub(crate) strict: bool,
}

/// The places where one bundle lies.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PlacesArgs {
    /// Bundle directory, or a directory that holds it; several for volumes on several media
    #[arg(value_name = "BUNDLE", required = true)]
    pub(crate) places: Vec<PathBuf>,
}

const LS_EXAMPLES: &str = "\
Examples:
  airlift ls /media/stick --allowed-signers signers
  airlift ls models-7 models/llama --long --allowed-signers signers
  airlift ls models-7 --untrusted --json";

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = LS_EXAMPLES)]
pub(crate) struct LsArgs {
    /// Bundle directory, or a directory that holds it
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// List this file, or what is below this directory
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Show size, SHA-256 and how each file was cut
    #[arg(long, short)]
    pub(crate) long: bool,
    #[command(flatten)]
    pub(crate) vouch: VouchArgs,
}

const INFO_EXAMPLES: &str = "\
Examples:
  airlift info /media/stick --allowed-signers signers
  airlift info /media/a /media/b --allowed-signers signers --json
  airlift info models-7 --untrusted --dedup
  airlift info models-7 --allowed-signers signers --html models-7.html";

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
#[command(after_help = INFO_EXAMPLES)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    /// Show what was the same: whole files, chunks by how they were cut, and how long the runs are
    #[arg(long)]
    pub(crate) dedup: bool,
    /// Write a page for people into this new file; it needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) vouch: VouchArgs,
}

const CAT_EXAMPLES: &str = "\
Examples:
  airlift cat models-7 models/llama/config.json --allowed-signers signers
  airlift cat /media/a datasets/train.csv --medium /media/b --allowed-signers signers | sha256sum";

/// Arguments of `cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = CAT_EXAMPLES)]
pub(crate) struct CatArgs {
    /// Bundle directory, or a directory that holds it
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// The file, as ls lists it
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Another medium with volumes of the same bundle
    #[arg(long, value_name = "DIR")]
    pub(crate) medium: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) vouch: VouchArgs,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  airlift export /media/a /media/b --to ./files --allowed-signers signers
  airlift export models-7 --to - --allowed-signers signers | tar -xf - -C files";

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    /// Directory for the files, or - for a tar stream to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Most bytes a second of content that are read, such as 50MiB
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) bwlimit: Option<NonZeroU64>,
    #[command(flatten)]
    pub(crate) vouch: VouchArgs,
}
