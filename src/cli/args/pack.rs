//! Arguments of `pack`.

use super::parse;
use super::tao::ProfileArg;
use airlift::format::limits::VOLUME_LEN_DEFAULT;
use airlift::format::{Name, Time};
use airlift::pipeline::globs::Glob;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  airlift pack models=./airgapped-models datasets=./data --stream tao --counter 1 --out tao-1
  airlift pack models=./models --stream tao --counter 2 --previous tao-1/head.json --out tao-2 \\
      --volume-size 4GiB --audience plant-7 --attach sbom=sbom.json --sign ~/.ssh/id_ed25519
  airlift pack models=./models --stream tao --counter 2 --out tao-2 --dry-run
  airlift pack models=./airgapped-models datasets=./airgapped-datasets --profile tao \\
      --stream tao --counter 1 --out tao-1
  airlift pack src=. --stream src --counter 1 --out src-1 --exclude .git --exclude '**/*.tmp'

A GLOB is matched with the whole path below the root: '*' and '?' stand for characters of one name, \
'**' for any directories. Nothing else is left out but by a profile: no .gitignore is looked at.";

/// Arguments of `pack`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PackArgs {
    /// A root: its name in the bundle and the directory it is read from
    #[arg(value_name = "NAME=DIR", required = true, value_parser = parse::named_path)]
    pub(crate) roots: Vec<(Name, PathBuf)>,
    /// The bundle directory: new, empty, or begun by an earlier run of this command
    #[arg(long, value_name = "BUNDLE")]
    pub(crate) out: PathBuf,
    /// The line of releases that this one belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Name,
    /// The number of the release in its stream, higher than any before
    #[arg(long, value_name = "N")]
    pub(crate) counter: u64,
    /// Largest length of a volume, such as 4032MiB, 4GiB or 650MB; at least 64MiB
    #[arg(long, value_name = "SIZE", default_value_t = Bytes(VOLUME_LEN_DEFAULT), value_parser = parse::bytes)]
    pub(crate) volume_size: Bytes,
    /// Threads that hash and encode; as many as there are processors when not given
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Most bytes a second that are read from the roots, such as 50MiB
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) bwlimit: Option<NonZeroU64>,
    /// Sign with this key file, through ssh-keygen; several for several signatures
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Vec<PathBuf>,
    /// The head.json of the release before this one, from its directory
    #[arg(long, value_name = "HEAD")]
    pub(crate) previous: Option<PathBuf>,
    /// The last moment at which it may be imported, such as 2030-12-31T23:59:59Z
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(crate) not_after: Option<Time>,
    /// The enclave that it is meant for; any other refuses it
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<Name>,
    /// A file that travels with the bundle: its type and its path
    #[arg(long, value_name = "TYPE=FILE", value_parser = parse::named_path)]
    pub(crate) attach: Vec<(Name, PathBuf)>,
    /// Leave out what matches below a root, a directory with all in it, such as '**/*.lock'
    #[arg(long, value_name = "GLOB", value_parser = parse::glob)]
    pub(crate) exclude: Vec<Glob>,
    /// Check the root models as this platform will see it, and leave out its locks and caches
    #[arg(long, value_name = "PLATFORM", value_enum)]
    pub(crate) profile: Option<ProfileArg>,
    /// The server's LOCAL_MODEL_REGISTRY, recorded in the bundle: import with another one is refused
    #[arg(long, value_name = "PATH", requires = "profile")]
    pub(crate) registry: Option<String>,
    /// Name links, pipes, sockets and the like, and leave them out
    #[arg(long)]
    pub(crate) skip_unsupported: bool,
    /// Follow symbolic links whose target is in the same root, as caches of models have them
    #[arg(long)]
    pub(crate) follow_inside: bool,
    /// Only look at what would be packed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

pub(crate) use parse::Bytes;
