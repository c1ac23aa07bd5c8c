//! Why a frame cannot be decoded or encoded.

use crate::error::Class;

/// The stored bytes of a frame break a rule, or encoding failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The index names a codec that version 1 does not have.
    #[error("frame has codec {codec} with parameter {parameter}, which this version does not know")]
    UnknownCodec {
        /// The id.
        codec: u8,
        /// The parameter.
        parameter: u8,
    },
    /// The stored bytes break a rule.
    #[error("stored bytes of a frame break {rule} at byte {offset}: {why}")]
    Breach {
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// Where in the stored bytes.
        offset: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// zstd refuses bytes whose header and blocks have passed the rules.
    #[error("zstd data in a frame breaks F-95 at or after byte {offset}: {why}")]
    BadZstd {
        /// Where the zstd frame begins in the stored bytes.
        offset: usize,
        /// What zstd says.
        why: &'static str,
    },
    /// zstd ends without an error and with another length than the frame's header says.
    #[error("zstd data at byte {offset} of a frame breaks F-95: it decodes to {found} bytes; {expected} are due")]
    DecodedLen {
        /// Where the zstd frame begins in the stored bytes.
        offset: usize,
        /// The length that is due.
        expected: usize,
        /// The length that came.
        found: usize,
    },
    /// A frame of this length can't be encoded.
    #[error("frame of {raw_len} bytes is outside 1 to 4194304")]
    FrameLen {
        /// Length before encoding.
        raw_len: usize,
    },
    /// zstd failed to encode.
    #[error("zstd did not encode: {why}")]
    Unencoded {
        /// What zstd says.
        why: &'static str,
    },
    /// What was encoded does not decode to what went in.
    #[error("frame of {raw_len} bytes does not decode to what was encoded")]
    NotReproduced {
        /// Length before encoding.
        raw_len: usize,
    },
}

impl CodecError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        if self.rule().is_some() { Class::Damaged } else { Class::Bug }
    }

    /// Returns the rule of `spec/format.md` that the stored bytes break; nothing for a defect.
    pub const fn rule(&self) -> Option<&'static str> {
        match self {
            CodecError::UnknownCodec { .. } => Some("F-80"),
            CodecError::Breach { rule, .. } => Some(rule),
            CodecError::BadZstd { .. } | CodecError::DecodedLen { .. } => Some("F-95"),
            CodecError::FrameLen { .. } | CodecError::Unencoded { .. } | CodecError::NotReproduced { .. } => None,
        }
    }

    /// Returns the error with its place counted from `distance` bytes earlier.
    pub(super) fn moved(mut self, distance: usize) -> CodecError {
        if let CodecError::Breach { offset, .. }
        | CodecError::BadZstd { offset, .. }
        | CodecError::DecodedLen { offset, .. } = &mut self
        {
            *offset += distance;
        }
        self
    }
}
