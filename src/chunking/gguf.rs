//! The table of a GGUF file (F-74), versions 2 and 3, little-endian.

use super::tensors::{Region, Table};
use crate::format::Element;

/// Longest table, in bytes.
pub(super) const TABLE_LEN_MAX: usize = 64 << 20;
/// Most tensors of a table, so that the regions stay small beside it.
const TENSOR_COUNT_MAX: u64 = 1 << 20;
const DIMENSION_COUNT_MAX: u32 = 4;
const ARRAY_DEPTH_MAX: u32 = 4;
const ALIGNMENT_DEFAULT: u32 = 32;
const ALIGNMENT_KEY: &[u8] = b"general.alignment";

const KIND_U32: u32 = 4;
const KIND_STRING: u32 = 8;
const KIND_ARRAY: u32 = 9;

/// Tells whether a file begins as GGUF of a known version does.
pub(super) fn is_start(head: &[u8]) -> bool {
    head.starts_with(b"GGUF\x02\0\0\0") || head.starts_with(b"GGUF\x03\0\0\0")
}

/// Reads the table.
pub(super) fn read(head: &[u8], file_len: u64) -> Table {
    let limit = file_len.min(TABLE_LEN_MAX as u64) as usize;
    let mut table = Reader { bytes: &head[..head.len().min(limit)], position: 0, limit };
    match table.tensors() {
        Ok(found) => regions(found, table.position as u64, file_len),
        Err(Stop::Longer) => Table::Longer,
        Err(Stop::Broken) => Table::Broken,
    }
}

/// Joins the tensors to regions: each ends where the next one begins, the last with the file.
fn regions(Found { alignment, mut tensors }: Found, table_len: u64, file_len: u64) -> Table {
    let alignment = u64::from(alignment);
    let data_start = table_len.next_multiple_of(alignment);
    tensors.sort_unstable_by_key(|tensor| tensor.offset);
    let mut regions = Vec::with_capacity(tensors.len() + 1);
    regions.push(Region { start: 0, element: Element::Unknown });
    let mut last = None;
    for Tensor { offset, element } in tensors {
        let start = data_start.saturating_add(offset);
        if offset % alignment != 0 || start >= file_len || last == Some(offset) {
            return Table::Broken;
        }
        regions.push(Region { start, element });
        last = Some(offset);
    }
    if last.is_none() { Table::Broken } else { Table::Regions(regions) }
}

struct Found {
    alignment: u32,
    tensors: Vec<Tensor>,
}

struct Tensor {
    offset: u64,
    element: Element,
}

enum Stop {
    Longer,
    Broken,
}

/// Reads the table's values one after the other. What cannot end within the limit is broken at once,
/// whatever of it was shown.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    limit: usize,
}

impl<'a> Reader<'a> {
    fn tensors(&mut self) -> Result<Found, Stop> {
        self.take(8)?;
        let (tensor_count, pair_count) = (self.u64()?, self.u64()?);
        if tensor_count > TENSOR_COUNT_MAX {
            return Err(Stop::Broken);
        }
        let mut alignment = ALIGNMENT_DEFAULT;
        for _ in 0..pair_count {
            let key = self.string()?;
            let kind = self.u32()?;
            if key == ALIGNMENT_KEY {
                alignment = if kind == KIND_U32 { self.u32()? } else { 0 };
                if !alignment.is_power_of_two() {
                    return Err(Stop::Broken);
                }
            } else {
                self.skip_value(kind, 0)?;
            }
        }
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(self.tensor()?);
        }
        Ok(Found { alignment, tensors })
    }

    fn tensor(&mut self) -> Result<Tensor, Stop> {
        self.string()?;
        let dimension_count = self.u32()?;
        if dimension_count > DIMENSION_COUNT_MAX {
            return Err(Stop::Broken);
        }
        self.take(u64::from(dimension_count) * 8)?;
        let kind = self.u32()?;
        Ok(Tensor { element: element(kind), offset: self.u64()? })
    }

    fn skip_value(&mut self, kind: u32, depth: u32) -> Result<(), Stop> {
        match kind {
            KIND_STRING => self.string().map(|_| ()),
            KIND_ARRAY if depth < ARRAY_DEPTH_MAX => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if let Some(len) = value_len(kind) {
                    return self.take(count.saturating_mul(len)).map(|_| ());
                }
                if !matches!(kind, KIND_STRING | KIND_ARRAY) {
                    return Err(Stop::Broken);
                }
                (0..count).try_for_each(|_| self.skip_value(kind, depth + 1))
            }
            _ => self.take(value_len(kind).ok_or(Stop::Broken)?).map(|_| ()),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Stop> {
        let len = self.u64()?;
        self.take(len)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let bytes = self.take(4)?.first_chunk().ok_or(Stop::Broken)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        let bytes = self.take(8)?.first_chunk().ok_or(Stop::Broken)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        if len > (self.limit - self.position) as u64 {
            return Err(Stop::Broken);
        }
        let end = self.position + len as usize;
        let taken = self.bytes.get(self.position..end).ok_or(Stop::Longer)?;
        self.position = end;
        Ok(taken)
    }
}

/// Returns the length of a value of fixed length.
const fn value_len(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Returns the element of a tensor type; what is not a plain number is a quantised block.
const fn element(kind: u32) -> Element {
    match kind {
        1 | 25 | 30 => Element::Word2,
        0 | 26 => Element::Word4,
        27 | 28 => Element::Word8,
        _ => Element::Byte,
    }
}
