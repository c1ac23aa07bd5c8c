//! Arguments of `verify`.

use super::look::{MediaArgs, PlacesArgs, TrustArgs};
use super::parse;
use airlift::pipeline::verify::Depth;
use clap::ValueEnum;
use std::num::{NonZeroU64, NonZeroUsize};

const EXAMPLES: &str = "\
Examples:
  airlift verify /media/stick --allowed-signers signers
  airlift verify /media/a /media/b --allowed-signers signers --threshold 2 --revoked revoked
  airlift verify models-7 --allowed-signers signers --depth head --json";

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) media: MediaArgs,
    /// How deep to look
    #[arg(long, value_enum, default_value_t = DepthArg::Contents)]
    pub(crate) depth: DepthArg,
    /// Workers; as many as there are processors when not given
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Most bytes a second of content that are read, such as 50MiB
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) bwlimit: Option<NonZeroU64>,
}

/// How deep a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DepthArg {
    /// Signatures and the tables of the bundle, no content
    Head,
    /// The same and every stored byte
    Stored,
    /// The same and every file after decoding
    Contents,
}

impl DepthArg {
    pub(crate) const fn depth(self) -> Depth {
        match self {
            DepthArg::Head => Depth::Head,
            DepthArg::Stored => Depth::Stored,
            DepthArg::Contents => Depth::Contents,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            DepthArg::Head => "head",
            DepthArg::Stored => "stored",
            DepthArg::Contents => "contents",
        }
    }
}
