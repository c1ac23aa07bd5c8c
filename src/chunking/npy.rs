//! The table of an npy file (F-75): a short header before one array.

use super::tensors::{Region, Table};
use crate::format::Element;

/// Longest header, in bytes.
const TABLE_LEN_MAX: u64 = 16 << 20;
const MAGIC: &[u8] = b"\x93NUMPY";
const DESCR: &str = "'descr': '";

/// Tells whether a file begins as npy does.
pub(super) fn is_start(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads the header.
pub(super) fn read(head: &[u8], file_len: u64) -> Table {
    let Some((text_start, text_len)) = text_place(head) else { return Table::Broken };
    let table_len = text_start as u64 + text_len;
    if table_len >= file_len || table_len > TABLE_LEN_MAX {
        return Table::Broken;
    }
    let Some(text) = head.get(text_start..table_len as usize) else { return Table::Wants(table_len as usize) };
    match descr(text) {
        Some(descr) => Table::Regions(vec![
            Region { start: 0, element: Element::Unknown },
            Region { start: table_len, element: element(descr) },
        ]),
        None => Table::Broken,
    }
}

/// Returns where the header's text begins, and its length.
fn text_place(head: &[u8]) -> Option<(usize, u64)> {
    let version = *head.get(MAGIC.len())?;
    let len_bytes = head.get(MAGIC.len() + 2..)?;
    match version {
        1 => Some((10, u64::from(u16::from_le_bytes(*len_bytes.first_chunk()?)))),
        2 | 3 => Some((12, u64::from(u32::from_le_bytes(*len_bytes.first_chunk()?)))),
        _ => None,
    }
}

/// Returns the type of the array; nothing for records and for text that is no header.
fn descr(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.strip_prefix('{')?.split_once(DESCR)?;
    rest.split_once('\'').map(|(descr, _)| descr)
}

fn element(descr: &str) -> Element {
    match descr {
        "|b1" | "|i1" | "|u1" | "|V1" => Element::Byte,
        "<f2" | "<i2" | "<u2" | "<V2" | "|V2" => Element::Word2,
        "<f4" | "<i4" | "<u4" | "<c8" => Element::Word4,
        "<f8" | "<i8" | "<u8" | "<c16" | "<m8" | "<M8" => Element::Word8,
        _ => Element::Unknown,
    }
}
