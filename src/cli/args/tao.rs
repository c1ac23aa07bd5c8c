//! Arguments of `tao`.

use super::import::prefix;
use airlift::pipeline::import::Prefix;
use airlift::tao::api::Version;
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift tao check ./airgapped-models
  airlift tao check ./airgapped-assets --json
  airlift tao values --registry /shared-storage/models
  airlift tao register --api http://platform:8090 --org nvidia --bucket tao-storage \\
      --store-endpoint http://seaweedfs-s3:8333 --endpoint https://seaweed:8333 \\
      --registry /shared-storage/models
  airlift tao doctor --endpoint http://127.0.0.1:8333 --config-env config.env \\
      --api http://platform:8090 --org nvidia
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
    /// Let the platform load the models of a bucket, and prove that it lists and finds them
    Register(Box<RegisterArgs>),
    /// Print what the platform's deployment has to be told of the models
    Values(ValuesArgs),
    /// Say what is wrong on this side, and what to do about it
    Doctor(Box<DoctorArgs>),
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

DIR has ptm_metadatas.json, as the vendor's downloader and airlift fetch write it, or a directory \
models that has it, and datasets beside it. What the platform would drop, or what would break its \
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

Each table of FILE is a command and each key an option of it. A step that is done is not done again; \
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

/// Who says where the platform looks for its models.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ModelRegistryArgs {
    /// The server's LOCAL_MODEL_REGISTRY: where the models lie in the bucket
    #[arg(long, value_name = "PATH", help_heading = "Platform")]
    pub(crate) registry: Option<String>,
    /// The config.env that the server is started with, of which LOCAL_MODEL_REGISTRY is read
    #[arg(long, value_name = "FILE", help_heading = "Platform")]
    pub(crate) config_env: Option<PathBuf>,
    /// The values.yaml that the chart is installed with, of which LOCAL_MODEL_REGISTRY is read
    #[arg(long, value_name = "FILE", help_heading = "Platform")]
    pub(crate) values: Option<PathBuf>,
}

impl ModelRegistryArgs {
    pub(crate) const fn is_empty(&self) -> bool {
        self.registry.is_none() && self.config_env.is_none() && self.values.is_none()
    }
}

/// The platform, and who says where it looks for its models.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PlatformArgs {
    /// Land as this platform needs it: models where it looks for them, datasets below data/, and what
    /// it is told of the models last
    #[arg(long, value_name = "PLATFORM", value_enum, help_heading = "Platform")]
    pub(crate) profile: Option<ProfileArg>,
    #[command(flatten)]
    pub(crate) registry: ModelRegistryArgs,
}

const REGISTER_EXAMPLES: &str = "\
Examples:
  airlift tao register --api http://platform:8090 --org nvidia --bucket tao-storage \\
      --store-endpoint http://seaweedfs-s3:8333 --endpoint https://seaweed:8333 \\
      --registry /shared-storage/models --credentials-file credentials
  airlift tao register --api http://127.0.0.1:8090 --org nvidia --bucket tao-storage \\
      --store-endpoint http://127.0.0.1:8333 --registry models --json

The platform is told of the store in a workspace, with the credentials that read it from here: those \
of the AWS environment and files, or --credentials-file. Metadata that would break its lists are \
refused before it hears of them (7). Afterwards its list is compared with them, and the files are \
looked for where it looks: entries without any are named (5). Repeating it changes nothing.

The server of version 2 of the API writes the credentials of a workspace into its log, that of \
version 1 does not; so version 1 is asked.";

/// Arguments of `tao register`.
#[derive(Debug, clap::Args)]
#[command(after_help = REGISTER_EXAMPLES)]
pub(crate) struct RegisterArgs {
    /// URL of the platform, such as http://HOST:8090
    #[arg(long, value_name = "URL")]
    pub(crate) api: String,
    /// Organisation that the platform is asked for
    #[arg(long, value_name = "ORG")]
    pub(crate) org: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) registry: ModelRegistryArgs,
    /// Version of the API
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = VersionArg::V1)]
    pub(crate) api_version: VersionArg,
    /// Name of the workspace
    #[arg(long, value_name = "NAME", default_value = "airlift")]
    pub(crate) workspace: String,
    /// Name to log in with; anonymous where none is given
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) store: SeenArgs,
}

/// The store as the platform sees it.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Bucket of the models
    #[arg(long, value_name = "BUCKET", default_value = "tao-storage")]
    pub(crate) bucket: String,
    /// URL of the store as the platform reaches it
    #[arg(long, value_name = "URL", default_value = "http://seaweedfs-s3:8333")]
    pub(crate) store_endpoint: String,
}

/// The store as it is seen from here.
#[derive(Debug, clap::Args)]
pub(crate) struct SeenArgs {
    /// URL of the store as it is reached from here; --store-endpoint when not given
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", help_heading = "Store, as seen from here")]
    pub(crate) endpoint: Option<String>,
    /// Region that signatures name
    #[arg(long, value_name = "NAME", help_heading = "Store, as seen from here")]
    pub(crate) region: Option<String>,
    /// File in the form of ~/.aws/credentials
    #[arg(long, value_name = "FILE", help_heading = "Store, as seen from here")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Profile in the AWS files
    #[arg(long, value_name = "NAME", help_heading = "Store, as seen from here")]
    pub(crate) aws_profile: Option<String>,
    /// PEM file with certificate authorities: the only ones for the store, more for the API
    #[arg(long, value_name = "FILE", help_heading = "Store, as seen from here")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Let plain http to the store leave this machine
    #[arg(long, help_heading = "Store, as seen from here")]
    pub(crate) plain_http: bool,
}

/// The versions of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionArg {
    /// Keeps credentials out of the platform's log
    V1,
    /// For a platform without version 1
    V2,
}

impl VersionArg {
    pub(crate) const fn choice(self) -> Version {
        match self {
            VersionArg::V1 => Version::V1,
            VersionArg::V2 => Version::V2,
        }
    }
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  airlift tao doctor --models ./airgapped-models --out ./bundles
  airlift tao doctor --endpoint https://seaweed:8333 --ca-file ca.pem --config-env ./config.env
  airlift tao doctor --endpoint http://127.0.0.1:8333 --credentials-file credentials \\
      --registry /shared-storage/models --api http://platform:8090 --org nvidia --json

What is named is looked at, and nothing is written anywhere. Each line is ok, a note, wrong, or not \
looked at since something before is wrong. The end is 7 where something is wrong, and 6 where something \
only does not answer or has no room.";

/// Arguments of `tao doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Directory of models, or one that holds models and datasets
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Where a bundle of them would be packed: is there room for it
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// URL of the platform, such as http://HOST:8090
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// Organisation that the platform is asked for
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Version of the API
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = VersionArg::V1)]
    pub(crate) api_version: VersionArg,
    /// Name to log in with; anonymous where none is given
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Bucket of the models; tao-storage when not given
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Option<String>,
    /// URL of the store as the platform reaches it
    #[arg(long, value_name = "URL")]
    pub(crate) store_endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) registry: ModelRegistryArgs,
    /// Where the state of imports lies in the store
    #[arg(long, value_name = "PREFIX", default_value = ".airlift/", value_parser = prefix)]
    pub(crate) state_prefix: Prefix,
    /// Where the local state lies; $XDG_STATE_HOME/airlift when not given
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: SeenArgs,
}

const VALUES_EXAMPLES: &str = "\
Examples:
  airlift tao values --registry /shared-storage/models
  airlift tao values --registry models --bucket tao-storage \\
      --store-endpoint http://seaweedfs-s3:8333 --json

It prints what values.yaml of the chart and config.env of the compose files must say so that the \
platform finds the models, and the workspace that tells it of the store, without credentials.";

/// Arguments of `tao values`.
#[derive(Debug, clap::Args)]
#[command(after_help = VALUES_EXAMPLES)]
pub(crate) struct ValuesArgs {
    #[command(flatten)]
    pub(crate) registry: ModelRegistryArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
