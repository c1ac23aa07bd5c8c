//! Arguments of `import`, `status` and `abort`.

use super::look::{MediaArgs, PlacesArgs, TrustArgs};
use super::parse;
use super::tao::PlatformArgs;
use airlift::format::Name;
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{Destination, OnExisting, Prefix};
use clap::{ArgGroup, ValueEnum};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

const IMPORT_EXAMPLES: &str = "\
Examples:
  airlift import /media/stick --stream tao --allowed-signers signers \\
      --to s3://tao-storage --endpoint https://seaweed:8333 --ca-file ca.pem \\
      --map models=shared-storage/models/ --map datasets=data/ --enrol --create-bucket
  airlift import /media/a /media/b --stream tao --allowed-signers signers --to dir:./store \\
      --map models=models/ --map datasets=-
  airlift import /media/stick --stream tao --allowed-signers signers --to dir:./store \\
      --map models=models/ --dry-run
  airlift import /media/stick --stream tao --allowed-signers signers \\
      --to s3://tao-storage --endpoint https://seaweed:8333 --ca-file ca.pem \\
      --profile tao --config-env ./config.env --enrol --create-bucket

Credentials come from the usual AWS environment variables and files, or --credentials-file; never \
from an option.";

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT_EXAMPLES)]
#[command(mut_arg("stream", |argument| argument.required(true)))]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) media: MediaArgs,
    /// Accept this stream in this store for the first time; needed once
    #[arg(long)]
    pub(crate) enrol: bool,
    /// Create the bucket if it is not there
    #[arg(long)]
    pub(crate) create_bucket: bool,
    /// What to do about objects that are not ours where files belong
    #[arg(long, value_enum, default_value_t = OnExistingArg::Error)]
    pub(crate) on_existing: OnExistingArg,
    /// Read every object again after it landed, and compare
    #[arg(long)]
    pub(crate) read_back: bool,
    /// Files that land when all others are there, by their path below the root, such as '**/*.json'
    #[arg(long, value_name = "GLOB", value_parser = parse::glob)]
    pub(crate) last: Vec<Glob>,
    /// Only plan: read, judge and tell
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Sign the receipt, the record of the import in the store, with this key file, through ssh-keygen
    #[arg(long, value_name = "KEY")]
    pub(crate) receipt_key: Option<PathBuf>,
    /// Parts of the bundle that are decoded at a time, about 52 MiB each
    #[arg(long, value_name = "N", default_value = "2")]
    pub(crate) workers: NonZeroUsize,
    /// Most bytes a second that go to the store, such as 50MiB
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) bwlimit: Option<NonZeroU64>,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  airlift status /media/stick --stream tao --allowed-signers signers --to dir:./store \\
      --map models=models/ --map datasets=data/";

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
#[command(mut_arg("stream", |argument| argument.required(true)))]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

const ABORT_EXAMPLES: &str = "\
Examples:
  airlift abort /media/stick --stream tao --allowed-signers signers --to dir:./store \\
      --map models=models/ --map datasets=data/";

/// Arguments of `abort`.
#[derive(Debug, clap::Args)]
#[command(after_help = ABORT_EXAMPLES)]
#[command(mut_arg("stream", |argument| argument.required(true)))]
pub(crate) struct AbortArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// What goes where: the bundle, who vouches for it, and the store.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("landing").required(true).multiple(true).args(["map", "profile"]))]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Where a root lands: key prefix that ends in '/', or - to leave the root out
    #[arg(long, value_name = "ROOT=PREFIX", value_parser = mapped)]
    pub(crate) map: Vec<(Name, Destination)>,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
    /// Where the state of the stream lies in the store
    #[arg(long, value_name = "PREFIX", default_value = ".airlift/", value_parser = prefix)]
    pub(crate) state_prefix: Prefix,
    /// Where the local state lies; $XDG_STATE_HOME/airlift when not given
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// The store.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store: s3://BUCKET, dir:PATH, or a path
    #[arg(long, value_name = "STORE", help_heading = "Store")]
    pub(crate) to: String,
    /// URL of the S3 server, such as https://seaweed:8333
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", help_heading = "Store")]
    pub(crate) endpoint: Option<String>,
    /// Region that signatures name
    #[arg(long, value_name = "NAME", help_heading = "Store")]
    pub(crate) region: Option<String>,
    /// File in the form of ~/.aws/credentials
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Profile in the AWS files
    #[arg(long, value_name = "NAME", help_heading = "Store")]
    pub(crate) aws_profile: Option<String>,
    /// PEM file with the only certificate authorities to accept
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Let plain http leave this machine; every body is then hashed and signed
    #[arg(long, help_heading = "Store")]
    pub(crate) plain_http: bool,
}

/// What to do about objects that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExistingArg {
    /// Refuse and name them
    Error,
    /// Leave them
    Skip,
    /// Write over them
    Replace,
}

impl OnExistingArg {
    pub(crate) const fn choice(self) -> OnExisting {
        match self {
            OnExistingArg::Error => OnExisting::Error,
            OnExistingArg::Skip => OnExisting::Skip,
            OnExistingArg::Replace => OnExisting::Replace,
        }
    }
}

pub(super) fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text).map_err(|error| error.to_string())
}

fn mapped(text: &str) -> Result<(Name, Destination), String> {
    let (root, to) = text.split_once('=').ok_or("it has no '='")?;
    let root = Name::parse(root).map_err(|error| error.to_string())?;
    if to == "-" {
        return Ok((root, Destination::LeftOut));
    }
    Ok((root, Destination::Prefix(prefix(to)?)))
}
