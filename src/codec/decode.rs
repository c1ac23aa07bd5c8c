//! Stored bytes to the bytes of a frame (F-81 to F-95).

use super::error::CodecError;
use super::{Codec, Word, planes, zstd_header};
use crate::format::limits::FRAME_RAW_LEN_MAX;
use zstd::zstd_safe::{DCtx, get_error_name};

/// Top bit of a plane's length: the plane is stored as it is.
pub(super) const PLANE_STORED: u32 = 1 << 31;
const PLANE_HEADER_LEN: usize = 4;

/// Decodes frames, one after the other; a worker keeps one.
pub struct Decoder {
    zstd: DCtx<'static>,
    planes: Vec<u8>,
}

impl Decoder {
    /// Returns a decoder.
    pub fn new() -> Decoder {
        Decoder { zstd: DCtx::create(), planes: Vec::new() }
    }

    /// Decodes `stored`, whose digest is proven, to exactly the bytes of `raw`.
    ///
    /// # Errors
    /// Names the first broken rule; `raw` then holds anything.
    pub fn decode(&mut self, codec: Codec, stored: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        if raw.is_empty() || raw.len() > FRAME_RAW_LEN_MAX as usize {
            return Err(CodecError::Breach { rule: "F-81", offset: 0, why: "raw length is out of range" });
        }
        if codec == Codec::Stored {
            if stored.len() != raw.len() {
                return Err(CodecError::Breach { rule: "F-81", offset: 0, why: "stored length is not the raw length" });
            }
            raw.copy_from_slice(stored);
            return Ok(());
        }
        if stored.len() >= raw.len() {
            return Err(CodecError::Breach {
                rule: "F-81",
                offset: 0,
                why: "stored length is not below the raw length",
            });
        }
        match codec {
            Codec::Planes(word) => self.decode_planes(word, stored, raw),
            Codec::Zstd | Codec::Stored => decode_zstd(&mut self.zstd, stored, raw),
        }
    }

    fn decode_planes(&mut self, word: Word, stored: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        let plane_len = raw.len() / word as usize;
        let whole_len = plane_len * word as usize;
        if self.planes.len() < whole_len {
            self.planes.resize(whole_len, 0);
        }
        let mut planes: [&[u8]; Word::Eight as usize] = [&[]; Word::Eight as usize];
        let mut offset = 0;
        for (plane, room) in planes.iter_mut().zip(self.planes[..whole_len].chunks_exact_mut(plane_len.max(1))) {
            let (bytes, is_stored) = plane_bytes(stored, offset)?;
            offset += PLANE_HEADER_LEN;
            *plane = decode_plane(&mut self.zstd, bytes, is_stored, room).map_err(|error| error.moved(offset))?;
            offset += bytes.len();
        }
        let tail = &mut raw[whole_len..];
        if stored.len() - offset != tail.len() {
            return Err(CodecError::Breach { rule: "F-86", offset, why: "what follows the planes has a wrong length" });
        }
        tail.copy_from_slice(&stored[offset..]);
        planes::join(word, &planes, raw);
        Ok(())
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

/// Returns the bytes of the plane at `offset`, and whether they are stored as they are.
fn plane_bytes(stored: &[u8], offset: usize) -> Result<(&[u8], bool), CodecError> {
    let early = CodecError::Breach { rule: "F-84", offset, why: "a plane ends early" };
    let (header, rest) = stored[offset..].split_first_chunk().ok_or(early)?;
    let header = u32::from_le_bytes(*header);
    let bytes = rest.get(..(header & !PLANE_STORED) as usize).ok_or(early)?;
    Ok((bytes, header & PLANE_STORED != 0))
}

/// Returns a plane: its bytes as they are stored, or what they decode to in `room`, which has its length.
fn decode_plane<'a>(
    zstd: &mut DCtx<'_>,
    bytes: &'a [u8],
    is_stored: bool,
    room: &'a mut [u8],
) -> Result<&'a [u8], CodecError> {
    let breach = |why| Err(CodecError::Breach { rule: "F-85", offset: 0, why });
    if is_stored {
        if bytes.len() != room.len() {
            return breach("a stored plane has a wrong length");
        }
        return Ok(bytes);
    }
    if bytes.len() >= room.len() {
        return breach("a zstd plane is not shorter than the plane");
    }
    decode_zstd(zstd, bytes, room)?;
    Ok(room)
}

fn decode_zstd(zstd: &mut DCtx<'_>, bytes: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    zstd_header::check(bytes, raw.len())?;
    match zstd.decompress(raw, bytes) {
        Ok(found) if found == raw.len() => Ok(()),
        Ok(found) => Err(CodecError::DecodedLen { offset: 0, expected: raw.len(), found }),
        Err(code) => Err(CodecError::BadZstd { offset: 0, why: get_error_name(code) }),
    }
}
