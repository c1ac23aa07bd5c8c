//! Why an import is refused or stops.

use super::mapping::MappingError;
use crate::error::Class;
use crate::format::{EntryPath, Shown};
use crate::pipeline::bundle::BundleError;
use crate::pipeline::globs::Glob;
use crate::store::{Key, StoreError};
use crate::trust::{ReleaseError, TrustError};
use std::io;
use std::path::PathBuf;

/// Why an import is refused, or stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The roots do not map to prefixes.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A glob of files that land last matches none: one was meant.
    #[error("no file of the bundle matches {glob}", glob = Shown(.glob.to_string()))]
    NothingLast {
        /// The glob.
        glob: Glob,
    },
    /// Manifest or pack table can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The store does not do what it is asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its signatures or its end do not reach the floor that the installed release sets.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The release may not follow what is installed.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The head of the installed release is not trusted any more.
    #[error("the installed release {counter} is not trusted")]
    InstalledUntrusted {
        /// Its counter.
        counter: u64,
        /// Why not.
        source: TrustError,
    },
    /// The state in the store can't be read as what it should be.
    #[error("{key} in the store is not what an import writes there")]
    BadState {
        /// The object.
        key: Key,
    },
    /// The bundle builds on others.
    #[error(
        "the bundle builds on release {counter} of stream {stream}, and this version imports complete bundles only"
    )]
    NeedsBase {
        /// The base's stream.
        stream: crate::format::Name,
        /// The base's counter.
        counter: u64,
    },
    /// The local state can't be read or written.
    #[error("cannot use local state {path}", path = .path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another importer on this machine uses the local state.
    #[error("another import uses {path}", path = .path.display())]
    StateInUse {
        /// The lock.
        path: PathBuf,
    },
    /// Objects that are not ours stand where files belong.
    #[error("{count} objects that are not of this stream stand where its files belong, the first at {first}")]
    Foreign {
        /// The first of them.
        first: Key,
        /// How many there are.
        count: u64,
    },
    /// Another importer holds the lease.
    #[error("process {process} on {host} imports this stream now")]
    Leased {
        /// Its host.
        host: String,
        /// Its process id.
        process: u32,
    },
    /// Another importer has taken the lease.
    #[error("the lease on this stream was lost")]
    LeaseLost,
    /// An object appeared, or changed, after it was judged.
    #[error("object {key} was changed by somebody else during the import")]
    ChangedMeanwhile {
        /// The object.
        key: Key,
    },
    /// An object that was written reads back as other bytes.
    #[error("object {key} does not read back as {path}")]
    ReadBack {
        /// The object.
        key: Key,
        /// The file.
        path: EntryPath,
    },
    /// The receipt could not be signed.
    #[error("cannot sign the receipt")]
    Receipt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ImportError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            ImportError::Mapping(error) => error.class(),
            ImportError::NothingLast { .. } => Class::Usage,
            ImportError::Bundle(error) => error.class(),
            ImportError::Store(error) => error.class(),
            ImportError::Trust(error) => error.class(),
            ImportError::Release(error) => error.class(),
            ImportError::InstalledUntrusted { source, .. } => source.class(),
            ImportError::BadState { .. } => Class::Untrusted,
            ImportError::NeedsBase { .. } => Class::BaseMissing,
            ImportError::State { source, .. } => Class::of_io(source),
            ImportError::StateInUse { .. } | ImportError::Leased { .. } | ImportError::LeaseLost => Class::Unavailable,
            ImportError::Foreign { .. } | ImportError::ChangedMeanwhile { .. } => Class::Refused,
            ImportError::ReadBack { .. } => Class::Unavailable,
            ImportError::Receipt(_) => Class::Failed,
            ImportError::Interrupted => Class::Interrupted,
        }
    }
}
