//! The table of a safetensors file (F-73).

use super::tensors::{Region, Table};
use crate::format::Element;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest table, in bytes.
const TABLE_LEN_MAX: u64 = 16 << 20;
const PREFIX_LEN: usize = 8;

/// Tells whether a file above 64 KiB that begins so may be safetensors.
pub(super) fn is_start(head: &[u8]) -> bool {
    table_len(head) <= TABLE_LEN_MAX && head.get(PREFIX_LEN) == Some(&b'{')
}

/// Reads the table.
pub(super) fn read(head: &[u8], file_len: u64) -> Table {
    let table_len = table_len(head);
    if table_len >= file_len || table_len > TABLE_LEN_MAX {
        return Table::Broken;
    }
    let Some(json) = head.get(PREFIX_LEN..table_len as usize) else { return Table::Wants(table_len as usize) };
    // The text as a whole, since the values that are passed over are not decoded.
    let json = std::str::from_utf8(json).unwrap_or_default();
    match serde_json::from_str::<Tensors>(json) {
        Ok(Tensors(tensors)) => regions(tensors, table_len, file_len),
        Err(_) => Table::Broken,
    }
}

/// Returns the length of the table with its prefix; above every limit where there is no prefix.
fn table_len(head: &[u8]) -> u64 {
    let json_len = head.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    json_len.saturating_add(PREFIX_LEN as u64)
}

/// Joins the tensors to regions: they must fill the rest of the file without gap or overlap.
fn regions(mut tensors: Vec<Tensor>, table_len: u64, file_len: u64) -> Table {
    tensors.retain(|tensor| tensor.begin != tensor.end);
    tensors.sort_unstable_by_key(|tensor| tensor.begin);
    let mut regions = Vec::with_capacity(tensors.len() + 1);
    regions.push(Region { start: 0, element: Element::Unknown });
    let mut end = 0;
    for tensor in tensors {
        if tensor.begin != end || tensor.begin > tensor.end {
            return Table::Broken;
        }
        regions.push(Region { start: table_len + tensor.begin, element: tensor.element });
        end = tensor.end;
    }
    if end != file_len - table_len { Table::Broken } else { Table::Regions(regions) }
}

struct Tensor {
    begin: u64,
    end: u64,
    element: Element,
}

/// The tensors of a table. An entry takes 40 bytes of text at least and 24 here, so the limit of the
/// table bounds the memory.
struct Tensors(Vec<Tensor>);

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tensors, D::Error> {
        deserializer.deserialize_map(TensorsVisitor)
    }
}

struct TensorsVisitor;

impl<'de> Visitor<'de> for TensorsVisitor {
    type Value = Tensors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        let mut tensors = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let Entry { dtype, offsets: (begin, end) } = map.next_value()?;
            if begin > end {
                return Err(A::Error::custom("a tensor ends before it begins"));
            }
            tensors.push(Tensor { begin, end, element: dtype });
        }
        Ok(Tensors(tensors))
    }
}

/// A member of the table. Written out, since a derived one would take an array for it.
struct Entry {
    dtype: Element,
    offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut dtype, mut offsets) = (None, None);
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "dtype" if dtype.is_none() => dtype = Some(element(&map.next_value::<Text<'_>>()?.0)),
                "data_offsets" if offsets.is_none() => offsets = Some(map.next_value()?),
                "dtype" | "data_offsets" => return Err(A::Error::custom("a member stands twice")),
                _ => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        let entry = dtype.zip(offsets).map(|(dtype, offsets)| Entry { dtype, offsets });
        entry.ok_or_else(|| A::Error::custom("a member is missing"))
    }
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn element(dtype: &str) -> Element {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F6_E2M3" | "F6_E3M2" | "F4" => Element::Byte,
        "U16" | "I16" | "F16" | "BF16" => Element::Word2,
        "U32" | "I32" | "F32" | "C64" => Element::Word4,
        "U64" | "I64" | "F64" => Element::Word8,
        _ => Element::Unknown,
    }
}
