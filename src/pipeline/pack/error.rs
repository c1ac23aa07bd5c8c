//! Why nothing was packed.

use crate::codec::CodecError;
use crate::error::Class;
use crate::format::head::HeadError;
use crate::format::limits::{ATTACHMENT_COUNT_MAX, ATTACHMENT_LEN_MAX, VOLUME_COUNT_MAX, VOLUME_LEN_MIN};
use crate::format::{EntryPath, Shown};
use crate::pipeline::spill::SpillError;
use crate::pipeline::walk::WalkError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a bundle was not made, or not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The volume size is below what every pack fits.
    #[error("volume size {volume_len} is below {VOLUME_LEN_MIN}")]
    VolumeTooSmall {
        /// The size that was asked for, in bytes.
        volume_len: u64,
    },
    /// The parts of a large file do not fit the volume size.
    #[error("volume size {volume_len} is too small for the parts of {path}: {needed_len} is needed")]
    PartTooLarge {
        /// The size that was asked for, in bytes.
        volume_len: u64,
        /// The size that is needed, in bytes.
        needed_len: u64,
        /// The file.
        path: EntryPath,
    },
    /// The head cannot say what was asked for.
    #[error("{field} is out of range: {why}")]
    Argument {
        /// The field of the head.
        field: &'static str,
        /// What it has to be.
        why: &'static str,
    },
    /// There are too many attachments.
    #[error("there are {count} attachments, the limit is {ATTACHMENT_COUNT_MAX}")]
    TooManyAttachments {
        /// Their number.
        count: usize,
    },
    /// An attachment is too long.
    #[error("attachment {path} has more than {ATTACHMENT_LEN_MAX} bytes", path = shown(.path))]
    AttachmentTooLong {
        /// The file.
        path: PathBuf,
    },
    /// The roots hold no file.
    #[error("the roots hold no file")]
    NoFile,
    /// The output is a place with something else.
    #[error("{path} is neither empty nor a bundle that is being packed", path = shown(.path))]
    OutputInUse {
        /// The output.
        path: PathBuf,
    },
    /// Another process packs there.
    #[error("another process is packing to {path}", path = shown(.path))]
    OutputLocked {
        /// The output.
        path: PathBuf,
    },
    /// The output was begun with other arguments.
    #[error("{path} was begun with another {argument}", path = shown(.path))]
    OtherArguments {
        /// The output.
        path: PathBuf,
        /// What differs.
        argument: &'static str,
    },
    /// An attachment changed since packing began.
    #[error("attachment {path} changed while it was packed", path = shown(.path))]
    AttachmentChanged {
        /// The file.
        path: PathBuf,
    },
    /// What a finished volume holds has changed at its source.
    #[error("{path} changed after it was packed into a finished volume")]
    ChangedSince {
        /// The entry.
        path: EntryPath,
    },
    /// There are too many volumes.
    #[error("more than {VOLUME_COUNT_MAX} volumes of {volume_len} bytes are needed")]
    TooManyVolumes {
        /// The size of a volume, in bytes.
        volume_len: u64,
    },
    /// A table of the bundle is beyond its limit.
    #[error("there is more than a bundle may hold: {what} are beyond the limit")]
    TooMuch {
        /// What is too long.
        what: &'static str,
    },
    /// What the packer keeps about its work is not what it wrote.
    #[error("{path} is damaged", path = shown(.path))]
    StateDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A file of the output or an attachment cannot be read or written.
    #[error("cannot {action} {path}", path = shown(.path))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The roots cannot be walked, or a file of them not read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The chunk index cannot be kept.
    #[error("cannot keep the chunk index")]
    Index(#[from] SpillError),
    /// A frame was not encoded.
    #[error("cannot encode a frame of the pack that begins with {path}", path = Shown(.path))]
    Codec {
        /// The first entry of the pack.
        path: String,
        /// Why not.
        source: CodecError,
    },
    /// The head is not one.
    #[error("cannot write the head")]
    Head(#[source] HeadError),
    /// Threads cannot be started.
    #[error("cannot start {count} threads")]
    Threads {
        /// How many.
        count: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// The caller asked to stop.
    #[error("stopped while packing")]
    Stopped,
}

impl PackError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            PackError::VolumeTooSmall { .. }
            | PackError::PartTooLarge { .. }
            | PackError::Argument { .. }
            | PackError::TooManyAttachments { .. }
            | PackError::AttachmentTooLong { .. }
            | PackError::NoFile
            | PackError::OutputInUse { .. }
            | PackError::OtherArguments { .. }
            | PackError::TooManyVolumes { .. } => Class::Usage,
            PackError::TooMuch { .. } => Class::Refused,
            PackError::OutputLocked { .. }
            | PackError::AttachmentChanged { .. }
            | PackError::ChangedSince { .. }
            | PackError::StateDamaged { .. }
            | PackError::Threads { .. } => Class::Failed,
            PackError::Io { source, .. } => Class::of_io(source),
            PackError::Walk(error) => error.class(),
            PackError::Index(error) => error.class(),
            PackError::Codec { source, .. } => source.class(),
            PackError::Head(_) => Class::Bug,
            PackError::Stopped => Class::Interrupted,
        }
    }

    /// Returns a function that says what was tried with a file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PackError {
        move |source| PackError::Io { action, path: path.to_owned(), source }
    }
}

fn shown(path: &Path) -> Shown<String> {
    Shown(path.to_string_lossy().into_owned())
}
