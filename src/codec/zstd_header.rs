//! What a zstd frame says of itself, checked before any C code sees it (F-90 to F-94).

use super::error::CodecError;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const WINDOW_LEN_MIN: u64 = 1 << 10;
const BLOCK_LEN_MAX: u64 = 128 << 10;
const BLOCK_HEADER_LEN: usize = 3;

/// Checks that `bytes` are exactly one zstd frame of `raw_len` bytes that keeps F-90 to F-94.
///
/// What the blocks hold is not looked at.
///
/// # Errors
/// [`CodecError::Breach`] with the first broken rule.
pub fn check(bytes: &[u8], raw_len: usize) -> Result<(), CodecError> {
    let mut reader = Reader { bytes, offset: 0 };
    if reader.take::<4>("F-90")? != MAGIC {
        return Err(breach("F-90", 0, "it does not begin with the magic number of zstd"));
    }
    let window_len = check_header(&mut reader, raw_len as u64)?;
    check_blocks(&mut reader, window_len.min(BLOCK_LEN_MAX))
}

/// Checks the frame header and returns the length of the window.
fn check_header(reader: &mut Reader<'_>, raw_len: u64) -> Result<u64, CodecError> {
    let offset = reader.offset;
    let [descriptor] = reader.take("F-90")?;
    let is_single_segment = descriptor & 0b0010_0000 != 0;
    let why = match descriptor & 0b0001_1111 {
        0 => None,
        bits if bits & 0b11 != 0 => Some("it asks for a dictionary"),
        bits if bits & 0b100 != 0 => Some("it has a checksum"),
        _ => Some("a reserved bit is set"),
    };
    if let Some(why) = why {
        return Err(breach("F-91", offset, why));
    }
    let window_offset = reader.offset;
    let window = if is_single_segment { None } else { Some(reader.take("F-90")?) };
    let content_offset = reader.offset;
    let content_len = match descriptor >> 6 {
        0 if is_single_segment => u64::from(reader.take::<1>("F-90")?[0]),
        0 => return Err(breach("F-92", offset, "it does not say the length of its content")),
        1 => u64::from(u16::from_le_bytes(reader.take("F-90")?)) + 256,
        2 => u64::from(u32::from_le_bytes(reader.take("F-90")?)),
        _ => u64::from_le_bytes(reader.take("F-90")?),
    };
    if content_len != raw_len {
        return Err(breach("F-92", content_offset, "its content has another length than is due"));
    }
    let window_len = window.map_or(content_len, |[window]| {
        let base = WINDOW_LEN_MIN << (window >> 3);
        base + base / 8 * u64::from(window & 7)
    });
    if window_len > raw_len.max(WINDOW_LEN_MIN) {
        return Err(breach("F-93", window_offset, "its window is larger than its content"));
    }
    Ok(window_len)
}

/// Walks the blocks, the last of which must end with the bytes.
fn check_blocks(reader: &mut Reader<'_>, block_len_max: u64) -> Result<(), CodecError> {
    loop {
        let offset = reader.offset;
        let [a, b, c] = reader.take::<BLOCK_HEADER_LEN>("F-94")?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let len = header >> 3;
        if u64::from(len) > block_len_max {
            return Err(breach("F-94", offset, "a block is longer than its frame allows"));
        }
        match header >> 1 & 0b11 {
            0 | 2 => reader.skip(len as usize)?,
            1 => reader.skip(1)?,
            _ => return Err(breach("F-94", offset, "a block is of the reserved type")),
        }
        if header & 1 == 1 {
            break;
        }
    }
    if reader.offset != reader.bytes.len() {
        return Err(breach("F-94", reader.offset, "bytes follow the last block"));
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn take<const LEN: usize>(&mut self, rule: &'static str) -> Result<[u8; LEN], CodecError> {
        let taken = self.bytes.get(self.offset..).and_then(<[u8]>::first_chunk);
        let taken = taken.ok_or(breach(rule, self.offset, "it ends early"))?;
        self.offset += LEN;
        Ok(*taken)
    }

    fn skip(&mut self, len: usize) -> Result<(), CodecError> {
        if len > self.bytes.len() - self.offset {
            return Err(breach("F-94", self.offset, "a block ends early"));
        }
        self.offset += len;
        Ok(())
    }
}

const fn breach(rule: &'static str, offset: usize, why: &'static str) -> CodecError {
    CodecError::Breach { rule, offset, why }
}
