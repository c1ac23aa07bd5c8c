//! Reads the caller's own trust files: allowed signers and revoked keys.

use crate::error::Class;
use crate::machine::read_limited;
use crate::trust::allowed_signers::{ALLOWED_SIGNERS_LEN_MAX, AllowedSigners, SignersError};
use crate::trust::revoked::{REVOKED_LEN_MAX, Revoked, RevokedError};
use std::io;
use std::path::{Path, PathBuf};

/// Why a trust file gives no trust.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustFileError {
    /// The file can't be read (T-31, T-43).
    #[error("cannot read {path}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no strict file of allowed signers.
    #[error("{path} is not accepted", path = .path.display())]
    Signers {
        /// The file.
        path: PathBuf,
        /// The broken rule.
        source: SignersError,
    },
    /// The file is no plain list of revoked keys.
    #[error("{path} is not accepted", path = .path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The broken rule.
        source: RevokedError,
    },
}

impl TrustFileError {
    /// Returns the class: whoever can't be told to be trusted is not (S37).
    pub const fn class(&self) -> Class {
        Class::Untrusted
    }
}

/// Reads a file of allowed signers.
///
/// # Errors
/// The file is absent, unreadable or breaks a rule of T-30 to T-39; no default takes its place.
pub fn read_allowed_signers(path: &Path) -> Result<AllowedSigners, TrustFileError> {
    let bytes = read(path, ALLOWED_SIGNERS_LEN_MAX)?;
    AllowedSigners::parse(&bytes).map_err(|source| TrustFileError::Signers { path: path.to_owned(), source })
}

/// Reads a list of revoked keys.
///
/// # Errors
/// The file is absent, unreadable or breaks a rule of T-40 to T-43.
pub fn read_revoked(path: &Path) -> Result<Revoked, TrustFileError> {
    let bytes = read(path, REVOKED_LEN_MAX)?;
    Revoked::parse(&bytes).map_err(|source| TrustFileError::Revoked { path: path.to_owned(), source })
}

fn read(path: &Path, len_max: u64) -> Result<Vec<u8>, TrustFileError> {
    read_limited(path, len_max).map_err(|source| TrustFileError::Unreadable { path: path.to_owned(), source })
}
