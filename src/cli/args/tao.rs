//! Arguments of `tao`.

use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift tao check ./airgapped-models
  airlift tao check ./airgapped-assets --json
  airlift tao init
  airlift tao export airlift-tao.toml
  airlift tao land airlift-tao.toml";

/// Arguments of `tao`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TaoArgs {
    #[command(subcommand)]
    pub(crate) command: TaoCommand,
}

/// What to do for the platform.
#[derive(Debug, Subcommand)]
pub(crate) enum TaoCommand {
    /// Say what the platform would find wrong with a tree of models, before it travels
    Check(CheckArgs),
    /// Write a file of steps, with comments, for export and land
    Init(InitArgs),
    /// Do all of the connected side from a file of steps: fetch, check, pack, sign, write
    Export(StepsArgs),
    /// Do all behind the gap from a file of steps: verify, import, register, doctor
    Land(StepsArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  airlift tao check ./airgapped-models
  airlift tao check ./airgapped-assets --json

DIR has ptm_metadatas.json, as the vendor's downloader and airlift fetch write it, or a directory
models that has it, and datasets beside it. What the platform would drop, or what would break its
listings, is refused (7); what works and may surprise is named.";

/// Arguments of `tao check`.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// Directory of models, or one that holds models and datasets
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Follow symbolic links whose target is in the same tree, as caches of models have them
    #[arg(long)]
    pub(crate) follow_inside: bool,
}

const INIT_EXAMPLES: &str = "\
Examples:
  airlift tao init
  airlift tao init releases/tao.toml

Nothing is written over.";

/// Arguments of `tao init`.
#[derive(Debug, clap::Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = "airlift-tao.toml")]
    pub(crate) file: PathBuf,
}

const STEPS_EXAMPLES: &str = "\
Examples:
  airlift tao init
  airlift tao export airlift-tao.toml
  airlift tao land airlift-tao.toml

Each table of FILE is a command and each key an option of it. A step that is done is not done again;
after one that failed, correct what it names and repeat the command.";

/// Arguments of `tao export` and `tao land`.
#[derive(Debug, clap::Args)]
#[command(after_help = STEPS_EXAMPLES)]
pub(crate) struct StepsArgs {
    /// File of steps, as airlift tao init writes it
    #[arg(value_name = "FILE", default_value = "airlift-tao.toml")]
    pub(crate) file: PathBuf,
}

/// For which platform a bundle is made or landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileArg {
    /// NVIDIA TAO Finetuning Microservices
    Tao,
}

/// The platform, and who says where it looks for its models.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PlatformArgs {
    /// Land as this platform needs it: models where it looks for them, datasets below data/, and what
    /// it is told of the models last
    #[arg(long, value_name = "PLATFORM", value_enum, help_heading = "Platform")]
    pub(crate) profile: Option<ProfileArg>,
    /// The server's LOCAL_MODEL_REGISTRY: where the models lie in the bucket
    #[arg(long, value_name = "PATH", requires = "profile", help_heading = "Platform")]
    pub(crate) registry: Option<String>,
    /// The config.env that the server is started with, of which LOCAL_MODEL_REGISTRY is read
    #[arg(long, value_name = "FILE", requires = "profile", help_heading = "Platform")]
    pub(crate) config_env: Option<PathBuf>,
    /// The values.yaml that the chart is installed with, of which LOCAL_MODEL_REGISTRY is read
    #[arg(long, value_name = "FILE", requires = "profile", help_heading = "Platform")]
    pub(crate) values: Option<PathBuf>,
}
