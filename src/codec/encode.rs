//! The bytes of a frame to stored bytes, checked before they leave.

use super::decode::{Decoder, PLANE_STORED};
use super::error::CodecError;
use super::{Codec, Word, planes};
use crate::format::limits::FRAME_RAW_LEN_MAX;
use std::io::Cursor;
use zstd::zstd_safe::{CCtx, CParameter, ErrorCode, ParamSwitch, compress_bound, get_error_name};

/// Level of the zstd codec: see `spec/decisions/zstd-level.md`.
pub(super) const LEVEL: i32 = 1;
/// Level at which zstd looks for hardly any repeat, so that only its entropy coder works.
const LEVEL_ENTROPY_ONLY: i32 = -131_072;

/// What to try on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Store it as it is.
    Stored,
    /// One zstd frame.
    Zstd,
    /// Planes of words of this length.
    Planes(Word),
}

/// Encodes frames, one after the other; a worker keeps one.
pub struct Encoder {
    /// For whole frames.
    whole: CCtx<'static>,
    /// For planes: codes bytes and hardly looks for repeats.
    entropy: CCtx<'static>,
    planes: Vec<u8>,
    check: Decoder,
    decoded: Vec<u8>,
}

impl Encoder {
    /// Returns an encoder.
    ///
    /// # Errors
    /// [`CodecError::Unencoded`] where zstd does not know its own parameters.
    pub fn new() -> Result<Encoder, CodecError> {
        let mut whole = CCtx::create();
        whole.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(unencoded)?;
        let mut entropy = CCtx::create();
        entropy.set_parameter(CParameter::CompressionLevel(LEVEL_ENTROPY_ONLY)).map_err(unencoded)?;
        entropy.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable)).map_err(unencoded)?;
        for zstd in [&mut whole, &mut entropy] {
            zstd.set_parameter(CParameter::ContentSizeFlag(true)).map_err(unencoded)?;
            zstd.set_parameter(CParameter::ChecksumFlag(false)).map_err(unencoded)?;
            zstd.set_parameter(CParameter::DictIdFlag(false)).map_err(unencoded)?;
        }
        let check = Decoder::new();
        Ok(Encoder { whole, entropy, planes: Vec::new(), check, decoded: Vec::new() })
    }

    /// Appends the stored bytes of a frame to `out` and returns how they are stored: as `kind` says, or
    /// as they are where that does not make them shorter.
    ///
    /// They have been decoded again and compared when this returns.
    ///
    /// # Errors
    /// [`CodecError::FrameLen`] for a frame outside 1 byte to 4 MiB, [`CodecError::Unencoded`] and
    /// [`CodecError::NotReproduced`] for a defect; `out` is then as it was.
    pub fn encode(&mut self, raw: &[u8], kind: Kind, out: &mut Vec<u8>) -> Result<Codec, CodecError> {
        if raw.is_empty() || raw.len() > FRAME_RAW_LEN_MAX as usize {
            return Err(CodecError::FrameLen { raw_len: raw.len() });
        }
        let start = out.len();
        let encoded = self.encode_unchecked(raw, kind, out).and_then(|codec| {
            self.verify(codec, &out[start..], raw)?;
            Ok(codec)
        });
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    fn encode_unchecked(&mut self, raw: &[u8], kind: Kind, out: &mut Vec<u8>) -> Result<Codec, CodecError> {
        let start = out.len();
        let codec = match kind {
            Kind::Stored => Codec::Stored,
            Kind::Zstd => {
                compress(&mut self.whole, raw, out)?;
                Codec::Zstd
            }
            Kind::Planes(word) => {
                self.encode_planes(word, raw, out)?;
                Codec::Planes(word)
            }
        };
        if codec != Codec::Stored && out.len() - start < raw.len() {
            return Ok(codec);
        }
        out.truncate(start);
        out.extend_from_slice(raw);
        Ok(Codec::Stored)
    }

    fn encode_planes(&mut self, word: Word, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let plane_len = raw.len() / word as usize;
        let whole_len = plane_len * word as usize;
        if self.planes.len() < whole_len {
            self.planes.resize(whole_len, 0);
        }
        planes::split(word, raw, &mut self.planes[..whole_len]);
        for plane in self.planes[..whole_len].chunks_exact(plane_len.max(1)) {
            let len_at = out.len();
            out.extend_from_slice(&[0; 4]);
            let bytes_at = out.len();
            let encoded_len = compress(&mut self.entropy, plane, out)?;
            let mut word = encoded_len as u32;
            if encoded_len >= plane.len() {
                out.truncate(bytes_at);
                out.extend_from_slice(plane);
                word = plane.len() as u32 | PLANE_STORED;
            }
            out[len_at..bytes_at].copy_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&raw[whole_len..]);
        Ok(())
    }

    fn verify(&mut self, codec: Codec, stored: &[u8], raw: &[u8]) -> Result<(), CodecError> {
        let is_same = if codec == Codec::Stored {
            stored == raw
        } else {
            if self.decoded.len() < raw.len() {
                self.decoded.resize(raw.len(), 0);
            }
            let decoded = &mut self.decoded[..raw.len()];
            self.check.decode(codec, stored, decoded).is_ok() && decoded == raw
        };
        if is_same { Ok(()) } else { Err(CodecError::NotReproduced { raw_len: raw.len() }) }
    }
}

/// Appends one zstd frame of `raw` and returns its length.
fn compress(zstd: &mut CCtx<'_>, raw: &[u8], out: &mut Vec<u8>) -> Result<usize, CodecError> {
    out.reserve(compress_bound(raw.len()));
    let mut end = Cursor::new(out);
    end.set_position(end.get_ref().len() as u64);
    zstd.compress2(&mut end, raw).map_err(unencoded)
}

fn unencoded(code: ErrorCode) -> CodecError {
    CodecError::Unencoded { why: get_error_name(code) }
}
