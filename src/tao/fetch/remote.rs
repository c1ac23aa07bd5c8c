//! Files of a model as its source names them.

use crate::error::Class;
use crate::format::path::{PathRule, check_segment};
use crate::format::{Sha256, Shown};
use crate::tao::http::HttpError;

/// A file that a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path below the folder of the model.
    pub path: String,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256, where the source publishes it.
    pub sha256: Option<Sha256>,
}

/// Why a source gives no files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It gives no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It names a file that can't lie below a folder, or can't be carried.
    #[error("file {shown} is not allowed: {rule}", shown = Shown(.path))]
    BadPath {
        /// The path.
        path: String,
        /// The rule that it breaks.
        rule: PathRule,
    },
    /// It gives no address for a file.
    #[error("file {shown} has no address that can be asked", shown = Shown(.path))]
    BadLink {
        /// The path.
        path: String,
    },
    /// It has too many files for one model.
    #[error("the model has more than {max} files")]
    TooManyFiles {
        /// How many it may have.
        max: usize,
    },
}

impl RemoteError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            RemoteError::Http(error) => error.class(),
            RemoteError::BadPath { .. } | RemoteError::TooManyFiles { .. } => Class::Refused,
            RemoteError::BadLink { .. } => Class::Failed,
        }
    }
}

/// Refuses paths that would leave the folder or that no bundle can carry (F-31 to F-35).
pub(super) fn check_path(path: &str) -> Result<(), RemoteError> {
    let bad = |rule| RemoteError::BadPath { path: path.to_owned(), rule };
    path.split('/').try_for_each(check_segment).map_err(bad)
}
