//! Arguments of `images`.

use super::look::{PlacesArgs, TrustArgs};
use clap::{Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift images list --config-env config.env --compose docker-compose.yaml
  airlift images fetch nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt --out ./images
  airlift images add ./saved_docker_images --out ./images
  airlift pack images=./images --stream tao --counter 1 --out tao-1 --sign KEY
  airlift images push tao-1 --to registry.enclave:5000 --stream tao --allowed-signers signers
  airlift images load tao-1 --to docker --stream tao --allowed-signers signers";

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    pub(crate) command: ImagesCommand,
}

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Name the images that a deployment needs
    List(ListImagesArgs),
    /// Fetch images from registries into a layout
    Fetch(FetchImagesArgs),
    /// Add images to a layout that save-docker-images.sh or docker save has written
    Add(AddImagesArgs),
    /// Push the images of a bundle into a registry
    Push(PushImagesArgs),
    /// Load the images of a bundle into a container engine
    Load(LoadImagesArgs),
}

/// The files that say which images a deployment needs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NeededArgs {
    /// File of variables, of which those that begin with IMAGE_ name images
    #[arg(long, value_name = "FILE")]
    pub(crate) config_env: Option<PathBuf>,
    /// Compose file, whose variables come from --config-env
    #[arg(long, value_name = "FILE")]
    pub(crate) compose: Vec<PathBuf>,
}

/// How registries are asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RegistryArgs {
    /// Ask without TLS
    #[arg(long, help_heading = "Registry")]
    pub(crate) plain_http: bool,
    /// File of credentials, as docker login writes it; else config.json in DOCKER_CONFIG or ~/.docker
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(crate) auth_file: Option<PathBuf>,
    /// File with certificate authorities to trust beside those of the machine
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(crate) ca_file: Option<PathBuf>,
}

const LIST_EXAMPLES: &str = "\
Examples:
  airlift images list --config-env config.env --compose docker-compose.yaml
  airlift images list --config-env config.env --compose docker-compose.yaml --have ./images

Marked are the images that the vendor's scripts forget, and tags that may mean another image \
tomorrow. With --have, images that the layout lacks end the command as incomplete (5).";

/// Arguments of `images list`.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListImagesArgs {
    #[command(flatten)]
    pub(crate) needed: NeededArgs,
    /// Layout in which the images should be
    #[arg(long, value_name = "DIR")]
    pub(crate) have: Option<PathBuf>,
}

const FETCH_EXAMPLES: &str = "\
Examples:
  airlift images fetch nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt mongo:7 --out ./images
  airlift images fetch --config-env config.env --compose docker-compose.yaml --out ./images
  airlift images fetch nginx:alpine --out ./images --platform linux/arm64 --dry-run

Credentials come from the file that docker login writes; credential helpers are not asked. Repeating \
the command goes on where it was stopped.";

/// Arguments of `images fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = FETCH_EXAMPLES)]
pub(crate) struct FetchImagesArgs {
    /// The images, as docker pull names them
    #[arg(value_name = "REF", required_unless_present_any = ["config_env", "compose"])]
    pub(crate) image_names: Vec<String>,
    #[command(flatten)]
    pub(crate) needed: NeededArgs,
    /// Directory of the layout: new, empty, or of an earlier fetch
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What the images have to run on
    #[arg(long, value_name = "OS/ARCH", default_value = "linux/amd64")]
    pub(crate) platform: String,
    /// Blobs at a time
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) parallel: NonZeroUsize,
    /// Only list what would be fetched
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

const ADD_EXAMPLES: &str = "\
Examples:
  airlift images add ./saved_docker_images --out ./images
  docker save -o mongo.tar mongo:7 && airlift images add mongo.tar --out ./images";

/// Arguments of `images add`.
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct AddImagesArgs {
    /// Directory that save-docker-images.sh wrote, or files that docker save wrote
    #[arg(value_name = "PATH", required = true)]
    pub(crate) saved: Vec<PathBuf>,
    /// Directory of the layout: new, empty, or of an earlier fetch
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What the images have to run on
    #[arg(long, value_name = "OS/ARCH", default_value = "linux/amd64")]
    pub(crate) platform: String,
}

const PUSH_EXAMPLES: &str = "\
Examples:
  airlift images push /media/stick --to registry.enclave:5000 --stream tao --allowed-signers signers
  airlift images push /media/a /media/b --to registry.enclave/tao --only mongo:7 \\
      --stream tao --allowed-signers signers

An image keeps its repository and tag, and its registry gives way to what --to names. What the \
registry has already is not sent again.";

/// Arguments of `images push`.
#[derive(Debug, clap::Args)]
#[command(after_help = PUSH_EXAMPLES)]
pub(crate) struct PushImagesArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    /// The registry, and what stands before every repository there
    #[arg(long, value_name = "REGISTRY[/PREFIX]")]
    pub(crate) to: String,
    /// Push only this image of the bundle
    #[arg(long, value_name = "REF")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

const LOAD_EXAMPLES: &str = "\
Examples:
  airlift images load /media/stick --to docker --stream tao --allowed-signers signers
  CONTAINERD_NAMESPACE=k8s.io airlift images load tao-1 --to containerd --allowed-signers signers
  airlift images load tao-1 --to - --only mongo:7 --allowed-signers signers | ssh node docker load
  airlift images load tao-1 --compat ./saved_docker_images --allowed-signers signers";

/// Arguments of `images load`.
#[derive(Debug, clap::Args)]
#[command(after_help = LOAD_EXAMPLES)]
pub(crate) struct LoadImagesArgs {
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    /// Who takes the stream
    #[arg(long, value_name = "ENGINE", default_value = "docker", conflicts_with = "compat")]
    pub(crate) to: Engine,
    /// Write the files that load-docker-images.sh reads into this directory instead
    #[arg(long, value_name = "DIR")]
    pub(crate) compat: Option<PathBuf>,
    /// Load only this image of the bundle
    #[arg(long, value_name = "REF")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

/// Who takes a stream of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// docker load
    Docker,
    /// ctr images import
    Containerd,
    /// Standard output
    #[value(name = "-")]
    Stdout,
}
