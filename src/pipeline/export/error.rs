//! Why an export stops.

use crate::error::Class;
use crate::format::{EntryPath, Shown};
use crate::pipeline::bundle::BundleError;
use crate::pipeline::spill::SpillError;
use std::io;
use std::path::PathBuf;

/// Why an export is refused, or stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Manifest or pack table can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The path is no file of the release.
    #[error("{path} is not a file of the bundle", path = Shown(.path.as_str()))]
    NoSuchFile {
        /// The path.
        path: EntryPath,
    },
    /// Whoever takes the bytes takes no more.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The destination can't be used.
    #[error("cannot {action} {path}", path = Shown(.path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else is where a file or directory belongs.
    #[error("{path} is there already and is something else", path = Shown(.path.to_string_lossy()))]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another export writes there.
    #[error("another export writes to {path}", path = Shown(.path.to_string_lossy()))]
    InUse {
        /// The destination.
        path: PathBuf,
    },
    /// Two names in one directory are one on some file systems (F-37).
    #[error("{path} is a twin of another name beside it ({count} such names)", path = Shown(.path))]
    Twins {
        /// The first of them.
        path: String,
        /// How many there are.
        count: u64,
    },
    /// Names can't be sorted.
    #[error("cannot sort the names")]
    Sort(#[from] SpillError),
}

impl ExportError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            ExportError::Bundle(error) => error.class(),
            ExportError::NoSuchFile { .. } => Class::Usage,
            ExportError::Output(source) | ExportError::Io { source, .. } => Class::of_io(source),
            ExportError::InTheWay { .. } | ExportError::Twins { .. } => Class::Refused,
            ExportError::InUse { .. } => Class::Unavailable,
            ExportError::Sort(error) => error.class(),
        }
    }
}
