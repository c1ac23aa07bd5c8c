//! Why a bundle is not written to media.

use crate::error::Class;
use crate::format::Shown;
use crate::format::packs::VolumeNumber;
use crate::media::MediaError;
use crate::pipeline::bundle::BundleError;
use crate::pipeline::unpack::Damage;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Why nothing is written, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Manifest or pack table of the bundle can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file of the bundle, or one that is on a medium already, can't be read.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A medium is not there.
    #[error("cannot use {path} as a medium", path = shown(.path))]
    NoMedium {
        /// The directory that was named.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One medium is named twice.
    #[error("{path} is named twice", path = shown(.path))]
    Twice {
        /// The directory.
        path: PathBuf,
    },
    /// The bundle would be written over itself.
    #[error("{path} is the bundle itself", path = shown(.path))]
    IsSource {
        /// The bundle directory.
        path: PathBuf,
    },
    /// A medium has another bundle, or something that is none, where this one belongs.
    #[error("{path} holds something else than this bundle", path = shown(.path))]
    OtherBundle {
        /// The bundle directory on the medium.
        path: PathBuf,
    },
    /// A link or a file stands where a directory belongs.
    #[error("{path} is there already and is no directory", path = shown(.path))]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another call writes this bundle, or to this medium.
    #[error("another call of write uses {path}", path = shown(.path))]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A medium has 16 other signatures already.
    #[error("{path} has 16 signatures, the most that a bundle carries", path = shown(.path))]
    NoNumberLeft {
        /// The directory of the signatures.
        path: PathBuf,
    },
    /// The record of what went where is that of another bundle.
    #[error("{path} records how another bundle was written", path = shown(.path))]
    OtherRecord {
        /// The record.
        path: PathBuf,
    },
    /// The record of what went where is not understood.
    #[error("{path} is no record of what was written", path = shown(.path))]
    NoRecord {
        /// The record.
        path: PathBuf,
    },
    /// The bundle does not have volumes that are to be written.
    #[error("the bundle lacks volumes that are to be written")]
    Missing {
        /// Those volumes.
        volumes: BTreeSet<VolumeNumber>,
    },
    /// A file of the bundle is not the one that its head states.
    #[error("{path} is not the file that the head states", path = shown(.path))]
    NotDue {
        /// The file.
        path: PathBuf,
    },
    /// A volume of the bundle has another length than its packs add up to.
    #[error("{path} has {found} bytes; {expected} are due", path = shown(.path))]
    OtherLen {
        /// The volume.
        path: PathBuf,
        /// The length due in bytes.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// Bytes of a volume are not those that were signed.
    #[error("{place} is not as it was signed", place = shown(Path::new(.place)))]
    Damaged {
        /// The file.
        place: String,
        /// Which bytes, and what is wrong.
        source: Box<Damage>,
    },
    /// A medium gives other bytes than were written to it.
    #[error("{path} does not read as it was written", path = shown(.path))]
    ReadBack {
        /// The file that was to be there.
        path: PathBuf,
    },
    /// A medium or the record can't be written.
    #[error("cannot {action} {path}", path = shown(.path))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A signal asked to stop.
    #[error("stopped by a signal")]
    Stopped,
}

impl WriteError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            WriteError::Bundle(error) => error.class(),
            WriteError::Media(error) => error.class(),
            WriteError::NoMedium { source, .. } if is_no_place(source.kind()) => Class::Usage,
            WriteError::NoMedium { source, .. } | WriteError::Io { source, .. } => Class::of_io(source),
            WriteError::Twice { .. } | WriteError::IsSource { .. } => Class::Usage,
            WriteError::OtherBundle { .. }
            | WriteError::InTheWay { .. }
            | WriteError::NoNumberLeft { .. }
            | WriteError::OtherRecord { .. }
            | WriteError::NoRecord { .. } => Class::Refused,
            WriteError::InUse { .. } => Class::Unavailable,
            WriteError::Missing { .. } => Class::Incomplete,
            WriteError::NotDue { .. } | WriteError::OtherLen { .. } => Class::Damaged,
            WriteError::Damaged { source, .. } => source.fact.class(),
            WriteError::ReadBack { .. } => Class::Failed,
            WriteError::Stopped => Class::Interrupted,
        }
    }

    /// Tells whether a medium takes no file so long as this one, but perhaps a shorter one.
    pub(super) fn is_of_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, WriteError::Io { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Returns what makes an error of an operation on this path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> WriteError {
        let path = path.to_owned();
        move |source| WriteError::Io { action, path: path.clone(), source }
    }
}

const fn is_no_place(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn shown(path: &Path) -> Shown<String> {
    Shown(path.to_string_lossy().into_owned())
}
