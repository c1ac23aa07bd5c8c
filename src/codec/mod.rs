//! How the bytes of a frame are stored (F-80 to F-99): as they are, as zstd, or as planes.

mod decode;
mod encode;
mod error;
mod planes;
mod probe;
pub mod zstd_header;

use crate::format::index::CodecId;

pub use decode::Decoder;
pub use encode::{Encoder, Kind};
pub use error::CodecError;
pub use probe::Prober;

/// How a frame is stored (F-80).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As it is.
    Stored,
    /// One zstd frame.
    Zstd,
    /// Split into planes of bytes, each a zstd frame or as it is.
    Planes(Word),
}

/// The length of the words that the planes codec splits; it is also the number of planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Word {
    /// 2 bytes.
    Two = 2,
    /// 4 bytes.
    Four = 4,
    /// 8 bytes.
    Eight = 8,
}

impl Codec {
    /// Returns the codec that an index names.
    ///
    /// # Errors
    /// [`CodecError::UnknownCodec`] for a pair of id and parameter that F-80 does not list.
    pub const fn from_id(id: CodecId) -> Result<Codec, CodecError> {
        match (id.codec, id.parameter) {
            (0, 0) => Ok(Codec::Stored),
            (1, 0) => Ok(Codec::Zstd),
            (2, 2) => Ok(Codec::Planes(Word::Two)),
            (2, 4) => Ok(Codec::Planes(Word::Four)),
            (2, 8) => Ok(Codec::Planes(Word::Eight)),
            _ => Err(CodecError::UnknownCodec { codec: id.codec, parameter: id.parameter }),
        }
    }

    /// Returns how an index names the codec.
    pub const fn id(self) -> CodecId {
        match self {
            Codec::Stored => CodecId { codec: 0, parameter: 0 },
            Codec::Zstd => CodecId { codec: 1, parameter: 0 },
            Codec::Planes(word) => CodecId { codec: 2, parameter: word as u8 },
        }
    }
}

#[cfg(test)]
mod tests;
