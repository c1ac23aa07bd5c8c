//! The bytes of a frame to stored bytes, checked before they leave.

use super::decode::{Decoder, PLANE_STORED};
use super::error::CodecError;
use super::{Codec, Word, planes};
use crate::format::limits::FRAME_RAW_LEN_MAX;
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
    /// Room for one zstd frame.
    encoded: Vec<u8>,
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
        Ok(Encoder { whole, entropy, planes: Vec::new(), encoded: Vec::new(), check, decoded: Vec::new() })
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
                out.extend_from_slice(compress(&mut self.whole, raw, &mut self.encoded)?);
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
            let encoded = compress(&mut self.entropy, plane, &mut self.encoded)?;
            let (bytes, flag) = if encoded.len() < plane.len() { (encoded, 0) } else { (plane, PLANE_STORED) };
            out.extend_from_slice(&(bytes.len() as u32 | flag).to_le_bytes());
            out.extend_from_slice(bytes);
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

/// Returns one zstd frame of `raw`, made in `room`.
fn compress<'a>(zstd: &mut CCtx<'_>, raw: &[u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
    let bound = compress_bound(raw.len());
    if room.len() < bound {
        room.resize(bound, 0);
    }
    let len = zstd.compress2(room.as_mut_slice(), raw).map_err(unencoded)?;
    Ok(&room[..len])
}

fn unencoded(code: ErrorCode) -> CodecError {
    CodecError::Unencoded { why: get_error_name(code) }
}
