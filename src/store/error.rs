//! What can go wrong with a store. No value here ever holds a secret, a signature or a signed URL.

use super::{Key, PartNumber, UploadId};
use crate::error::Class;
use crate::format::Shown;
use std::fmt;
use std::path::PathBuf;

/// The calls of [`Store`](super::Store).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// `ensure_bucket`
    EnsureBucket,
    /// `put`
    Put,
    /// `stat`
    Stat,
    /// `read`
    Read,
    /// `load`
    Load,
    /// `list`
    List,
    /// `remove`
    Remove,
    /// `open_upload`
    OpenUpload,
    /// `put_part`
    PutPart,
    /// `list_parts`
    ListParts,
    /// `finish_upload`
    FinishUpload,
    /// `abort_upload`
    AbortUpload,
    /// `list_uploads`
    ListUploads,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::EnsureBucket => "ensure the bucket",
            Call::Put => "put",
            Call::Stat => "stat",
            Call::Read => "read",
            Call::Load => "load",
            Call::List => "list",
            Call::Remove => "remove",
            Call::OpenUpload => "open an upload for",
            Call::PutPart => "put a part of",
            Call::ListParts => "list the parts of",
            Call::FinishUpload => "finish the upload of",
            Call::AbortUpload => "abort the upload of",
            Call::ListUploads => "list the uploads under",
        })
    }
}

/// Why a store over a network did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It answered with a failure.
    Answer {
        /// The status of the answer; 200 where an error came in the body of a success (T04).
        status: u16,
        /// The error code where it is one that is known; its message is not kept, since it may
        /// repeat what was sent.
        code: Option<&'static str>,
    },
    /// Connecting or sending failed.
    Transport {
        /// What the operating system or the TLS layer said.
        reason: String,
    },
    /// Too few bytes moved for too long (T17).
    Stalled {
        /// How long was waited.
        waited_ms: u64,
    },
    /// No answer came.
    NoAnswer {
        /// How long was waited.
        waited_ms: u64,
    },
    /// The answer was not one that the call can have.
    Unreadable,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Answer { status, code: Some(code) } => write!(f, "it answered {status} {code}"),
            Cause::Answer { status, code: None } => write!(f, "it answered {status}"),
            Cause::Transport { reason } => write!(f, "the connection failed: {}", Shown(reason)),
            Cause::Stalled { waited_ms } => write!(f, "the transfer stalled for {waited_ms} ms"),
            Cause::NoAnswer { waited_ms } => write!(f, "no answer within {waited_ms} ms"),
            Cause::Unreadable => f.write_str("its answer was not readable"),
        }
    }
}

/// Why a call of a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not there.
    #[error("object {key} is not in the store")]
    NotFound {
        /// The object.
        key: Key,
    },
    /// The object was not as the condition demands, and is as it was.
    #[error("object {key} is not in the state that the write was for")]
    ConditionFailed {
        /// The object.
        key: Key,
    },
    /// The bucket or root directory is not there.
    #[error("bucket {bucket} does not exist", bucket = Shown(.bucket))]
    BucketMissing {
        /// The bucket, or the path of the root directory.
        bucket: String,
    },
    /// The store has no such upload, or no longer.
    #[error("upload {upload} of {key} is gone from the store")]
    UploadMissing {
        /// The object it was for.
        key: Key,
        /// The upload.
        upload: UploadId,
    },
    /// The store has no such part, or another one, or wants other parts before it.
    #[error("the store refuses the parts of {key}, the last of them number {last}", last = .last.number())]
    PartsRefused {
        /// The object.
        key: Key,
        /// The last part that was named.
        last: PartNumber,
    },
    /// An upload was to be finished without parts, or with parts out of order.
    #[error("the parts of {key} are not in ascending order, or there are none")]
    PartsUnordered {
        /// The object.
        key: Key,
    },
    /// The store received other bytes than were sent (its checksum differs), again and again.
    #[error("the store received other bytes of {key} than were sent, {attempts} times", key = Shown(.key))]
    DamagedOnTheWay {
        /// The object.
        key: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The answer has another length than was asked for (T07).
    #[error("object {key}: {expected_len} bytes from offset {offset} asked, {found_len} received")]
    ShortAnswer {
        /// The object.
        key: Key,
        /// The start of the range.
        offset: u64,
        /// The length of the range.
        expected_len: u64,
        /// The length received.
        found_len: u64,
    },
    /// The object is longer than the caller takes.
    #[error("object {key} is longer than {len_max} bytes")]
    TooLong {
        /// The object.
        key: Key,
        /// The longest that is taken.
        len_max: u64,
    },
    /// A listing gave a token again (T13).
    #[error("the listing of {prefix} never ends: the store repeats a page", prefix = Shown(.prefix))]
    ListingLoops {
        /// The prefix that was listed.
        prefix: String,
    },
    /// A listing named a key outside its prefix.
    #[error("the listing of {prefix} names {key}, which is outside it", prefix = Shown(.prefix), key = Shown(.key))]
    MisplacedKey {
        /// The prefix that was listed.
        prefix: String,
        /// The key it named.
        key: String,
    },
    /// A directory store keeps this key for itself.
    #[error("key {key} lies in {area}, which the store keeps for itself")]
    Reserved {
        /// The key.
        key: Key,
        /// The directory that is reserved.
        area: &'static str,
    },
    /// A directory store has a directory, a link or a special file where the object's file would
    /// be, or a file where one of its directories would be.
    #[error("object {key} cannot be: {other} is in its way", other = Shown(.other))]
    InTheWay {
        /// The object.
        key: Key,
        /// What is in the way.
        other: String,
    },
    /// The server answers conditional writes as if they had no condition (T23).
    #[error("the store ignores the condition of a write, so two importers could overwrite each other")]
    ConditionsIgnored {
        /// The object that was tried.
        key: Key,
    },
    /// The server sent the call elsewhere (T11).
    #[error("the store redirected {call} {key}, which is never followed", key = Shown(.key))]
    Redirected {
        /// The call.
        call: Call,
        /// The key or prefix.
        key: String,
    },
    /// The server's certificate does not prove who it is (T14).
    #[error("the certificate of the store is not acceptable: {reason}", reason = Shown(.reason))]
    CertificateRefused {
        /// What the TLS layer said.
        reason: String,
    },
    /// Plain http leaves the machine, which was not allowed.
    #[error("endpoint {endpoint} is plain http beyond this machine, where anyone on the way can read and change it", endpoint = Shown(.endpoint))]
    PlainHttp {
        /// Scheme, host and port of the endpoint.
        endpoint: String,
    },
    /// An option of the store is missing or malformed.
    #[error("{option} {problem}")]
    BadOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The store is full.
    #[error("the store has no space left for {key}", key = Shown(.key))]
    NoSpace {
        /// The key that did not fit.
        key: String,
    },
    /// The store could not be reached, refused us, or failed, and kept doing so.
    #[error("cannot {call} {key}, tried {attempts} times: {cause}", key = Shown(.key))]
    Unavailable {
        /// The call.
        call: Call,
        /// The key or prefix.
        key: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        cause: Cause,
    },
    /// The operating system failed at a file of the store.
    #[error("cannot {action} {path}", path = Shown(.path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// At which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The call was stopped before it reached the store.
    #[error("stopped before {call} {key}", key = Shown(.key))]
    Stopped {
        /// The call.
        call: Call,
        /// The key or prefix.
        key: String,
    },
}

impl StoreError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            StoreError::NotFound { .. }
            | StoreError::UploadMissing { .. }
            | StoreError::PartsRefused { .. }
            | StoreError::DamagedOnTheWay { .. }
            | StoreError::Unavailable { .. } => Class::Unavailable,
            StoreError::ShortAnswer { .. } | StoreError::TooLong { .. } | StoreError::MisplacedKey { .. } => {
                Class::Damaged
            }
            StoreError::ConditionFailed { .. }
            | StoreError::ListingLoops { .. }
            | StoreError::Reserved { .. }
            | StoreError::InTheWay { .. }
            | StoreError::ConditionsIgnored { .. }
            | StoreError::Redirected { .. }
            | StoreError::CertificateRefused { .. }
            | StoreError::PlainHttp { .. } => Class::Refused,
            StoreError::BucketMissing { .. } | StoreError::BadOption { .. } => Class::Usage,
            StoreError::NoSpace { .. } => Class::NoSpace,
            StoreError::Io { source, .. } => Class::of_io(source),
            StoreError::PartsUnordered { .. } => Class::Bug,
            StoreError::Stopped { .. } => Class::Interrupted,
        }
    }
}
