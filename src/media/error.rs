//! What goes wrong with media.

use crate::error::Class;
use std::io;
use std::path::{Path, PathBuf};

/// Why a medium, or a file on it, can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// It can't be opened.
    #[error("cannot open {path}", path = .path.display())]
    Open {
        /// What was opened.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A link, device, socket or FIFO stands where a regular file belongs.
    #[error("{path} is not a regular file", path = .path.display())]
    NotRegular {
        /// What was opened.
        path: PathBuf,
    },
    /// Something else stands where a directory belongs.
    #[error("{path} is not a directory", path = .path.display())]
    NotDirectory {
        /// What was opened.
        path: PathBuf,
    },
    /// Another file system lies over what belongs to the bundle.
    #[error("another file system is mounted at {path}, inside a bundle", path = .path.display())]
    Mounted {
        /// What was opened.
        path: PathBuf,
    },
    /// The medium failed while it was read, and not even its head can be read any more.
    #[error("cannot read {path}: its medium no longer answers", path = .path.display())]
    Gone {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The medium failed while it was read.
    #[error("cannot read {path} at byte {offset}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// A file ends too soon.
    #[error("{path} ends at byte {len}, before what it must hold", path = .path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// The head or a signature is longer than its limit.
    #[error("{path} has {len} bytes; the limit is {limit}", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more signatures than a bundle may have.
    #[error("{path} holds more than 16 signatures", path = .path.display())]
    TooManySignatures {
        /// The directory.
        path: PathBuf,
    },
    /// No bundle is there.
    #[error("{path} holds no bundle: there is no head.json in it or in a directory of it", path = .path.display())]
    NoBundle {
        /// Where it was looked for.
        path: PathBuf,
    },
}

impl MediaError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            MediaError::NoBundle { .. } => Class::Usage,
            // Nobody has signed what is too long to be a head or a signature (T-01, T-50).
            MediaError::TooManySignatures { .. } | MediaError::TooLong { .. } => Class::Untrusted,
            MediaError::Short { .. }
            | MediaError::NotRegular { .. }
            | MediaError::NotDirectory { .. }
            | MediaError::Mounted { .. }
            | MediaError::Read { .. } => Class::Damaged,
            MediaError::Gone { .. } => Class::Incomplete,
            MediaError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => Class::Incomplete,
            MediaError::Open { source, .. } => Class::of_io(source),
        }
    }

    /// Returns the file or directory that it is about.
    pub fn path(&self) -> &Path {
        match self {
            MediaError::Open { path, .. }
            | MediaError::NotRegular { path }
            | MediaError::NotDirectory { path }
            | MediaError::Mounted { path }
            | MediaError::Gone { path, .. }
            | MediaError::Read { path, .. }
            | MediaError::Short { path, .. }
            | MediaError::TooLong { path, .. }
            | MediaError::TooManySignatures { path }
            | MediaError::NoBundle { path } => path,
        }
    }

    pub(super) fn open(path: &Path, error: rustix::io::Errno) -> MediaError {
        match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NXIO => MediaError::NotRegular { path: path.to_owned() },
            rustix::io::Errno::XDEV => MediaError::Mounted { path: path.to_owned() },
            error => MediaError::Open { path: path.to_owned(), source: error.into() },
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, MediaError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
