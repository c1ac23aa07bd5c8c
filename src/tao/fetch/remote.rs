//! Files of a model as its source names them.

use crate::error::Class;
use crate::format::limits::{FILE_LEN_MAX, PATH_LEN_MAX};
use crate::format::path::{PathRule, check_segment};
use crate::format::{Sha256, Shown};
use crate::tao::http::HttpError;

/// Most pages of an answer that are asked for.
pub(super) const PAGE_COUNT_MAX: u64 = 10_000;

/// A file that a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path below the folder of the model.
    pub path: String,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256, where the source publishes it.
    pub sha256: Option<Sha256>,
    /// Whether its source never has other bytes of this path and length: then length alone says that it
    /// is there.
    pub is_fixed: bool,
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
    /// It names a path that is longer than any that a bundle carries.
    #[error("the path of a file has {len} bytes, more than {PATH_LEN_MAX}")]
    PathTooLong {
        /// How many it has.
        len: usize,
    },
    /// It lists a file that is longer than any that a bundle carries.
    #[error("{shown} has {len} bytes, more than {FILE_LEN_MAX}", shown = Shown(.path))]
    FileTooLong {
        /// The path.
        path: String,
        /// How many it has.
        len: u64,
    },
    /// It names one path twice, or a file and a folder by one path.
    #[error("{shown} is there twice", shown = Shown(.path))]
    Twice {
        /// The path.
        path: String,
    },
    /// Its answer goes on for more pages than anything has.
    #[error("the answer of {place} has more than {max} pages", max = PAGE_COUNT_MAX)]
    TooManyPages {
        /// What was asked.
        place: String,
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
            RemoteError::PathTooLong { .. }
            | RemoteError::FileTooLong { .. }
            | RemoteError::BadPath { .. }
            | RemoteError::TooManyFiles { .. }
            | RemoteError::Twice { .. } => Class::Refused,
            RemoteError::BadLink { .. } | RemoteError::TooManyPages { .. } => Class::Failed,
        }
    }
}

/// Refuses files that would leave the folder or that no bundle can carry (F-31 to F-35).
pub(super) fn check_path(path: &str, len: u64) -> Result<(), RemoteError> {
    if len > FILE_LEN_MAX {
        return Err(RemoteError::FileTooLong { path: path.to_owned(), len });
    }

    let bad = |rule| RemoteError::BadPath { path: path.to_owned(), rule };
    if path.len() > PATH_LEN_MAX {
        return Err(RemoteError::PathTooLong { len: path.len() });
    }
    path.split('/').try_for_each(check_segment).map_err(bad)
}

/// Refuses an answer that never ends.
pub(super) fn check_page_count(page_count: u64, place: &str) -> Result<(), RemoteError> {
    if page_count > PAGE_COUNT_MAX { Err(RemoteError::TooManyPages { place: place.to_owned() }) } else { Ok(()) }
}
