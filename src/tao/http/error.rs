//! Why a question got no answer.

use super::place_of;
use crate::error::Class;
use serde_json::error::Category;
use std::error::Error;
use std::path::PathBuf;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client can't be made.
    #[error("cannot set up HTTP")]
    Setup(#[source] reqwest::Error),
    /// The machine starts no thread that could wait for an answer.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The file of authorities can't be read.
    #[error("cannot read the authorities in {path}", path = .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No answer, however often it was asked.
    #[error("{place} does not answer")]
    Unreachable {
        /// The address, without what may be secret in it.
        place: String,
        /// The last attempt.
        source: reqwest::Error,
    },
    /// Nobody who is trusted vouches for the server.
    #[error("the certificate of {place} is refused")]
    CertificateRefused {
        /// The address, without what may be secret in it.
        place: String,
        /// Why.
        source: reqwest::Error,
    },
    /// What was shown, a key or a link, gives no access.
    #[error("{place} refuses access: {status}")]
    AccessRefused {
        /// The address, without what may be secret in it.
        place: String,
        /// The status, 401 or 403.
        status: u16,
    },
    /// The server has no such thing.
    #[error("{place} is not there")]
    NotFound {
        /// The address, without what may be secret in it.
        place: String,
    },
    /// Another status than one of success.
    #[error("{place} answers {status}")]
    Status {
        /// The address, without what may be secret in it.
        place: String,
        /// The status.
        status: u16,
    },
    /// The answer is longer than any that is needed.
    #[error("the answer of {place} is longer than {max} bytes")]
    TooLong {
        /// The address, without what may be secret in it.
        place: String,
        /// How long it may be.
        max: u64,
    },
    /// The connection broke in the middle of the answer, however often it was asked.
    #[error("the answer of {place} broke off")]
    BrokenOff {
        /// The address, without what may be secret in it.
        place: String,
        /// The last attempt.
        source: std::io::Error,
    },
    /// The answer can't be read.
    #[error("the answer of {place} is not what was asked for: {why}, line {line}, column {column}")]
    NotAnswer {
        /// The address, without what may be secret in it.
        place: String,
        /// Why; nothing of the answer is repeated, which may have echoed a key.
        why: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A person asked to stop.
    #[error("stopped by a signal")]
    Stopped,
}

impl HttpError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            HttpError::Authorities { source, .. } | HttpError::Thread(source) => Class::of_io(source),
            HttpError::Unreachable { .. } | HttpError::BrokenOff { .. } => Class::Unavailable,
            HttpError::Status { .. } if self.may_pass() => Class::Unavailable,
            HttpError::AccessRefused { .. } | HttpError::CertificateRefused { .. } => Class::Refused,
            HttpError::Stopped => Class::Interrupted,
            HttpError::Setup(_)
            | HttpError::NotFound { .. }
            | HttpError::Status { .. }
            | HttpError::TooLong { .. }
            | HttpError::NotAnswer { .. } => Class::Failed,
        }
    }

    /// Returns that an answer can't be read.
    pub(in crate::tao) fn not_answer(place: String, error: &serde_json::Error) -> HttpError {
        let why = match error.classify() {
            Category::Data => "it is JSON of another form",
            Category::Eof => "it is JSON that ends too soon",
            Category::Syntax | Category::Io => "it is no JSON",
        };
        HttpError::NotAnswer { place, why, line: error.line(), column: error.column() }
    }

    /// Tells whether the same question may be answered later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            HttpError::Unreachable { source, .. } => !source.is_builder() && !source.is_redirect(),
            HttpError::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> HttpError {
        let place = error.url().map(place_of).unwrap_or_default();
        let is_about_certificate = is_about_certificate(&error);
        let source = error.without_url();
        if is_about_certificate {
            HttpError::CertificateRefused { place, source }
        } else {
            HttpError::Unreachable { place, source }
        }
    }
}

/// Tells whether an error is that of a certificate, which does not pass. Its cause may lie in an error of IO.
fn is_about_certificate(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        let payload = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = payload.map(|payload| payload as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}
