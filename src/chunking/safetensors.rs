//! The table of a safetensors file (F-73).

use super::json::{Broken, Json};
use super::tensors::{Region, Table};
use crate::format::Element;

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
    match std::str::from_utf8(json).map_err(|_| Broken).and_then(tensors) {
        Ok(tensors) => regions(tensors, table_len, file_len),
        Err(Broken) => Table::Broken,
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
        if tensor.begin != end {
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

/// Reads the tensors of a table. A member takes 40 bytes of text at least and 24 here, so the limit
/// of the table bounds the memory.
fn tensors(text: &str) -> Result<Vec<Tensor>, Broken> {
    let mut json = Json::new(text);
    let mut tensors = Vec::new();
    json.object(|json, name| {
        if name == "__metadata__" {
            return json.skip();
        }
        tensors.push(tensor(json)?);
        Ok(())
    })?;
    json.finish()?;
    Ok(tensors)
}

fn tensor(json: &mut Json<'_>) -> Result<Tensor, Broken> {
    let (mut dtype, mut offsets) = (None, None);
    json.object(|json, name| match name {
        "dtype" if dtype.is_none() => {
            dtype = Some(element(&json.string()?));
            Ok(())
        }
        "data_offsets" if offsets.is_none() => {
            let mut both = Vec::with_capacity(2);
            json.array(
                |json| if both.len() < 2 { json.digits().map(|offset| both.push(offset)) } else { Err(Broken) },
            )?;
            offsets = Some(both);
            Ok(())
        }
        "dtype" | "data_offsets" => Err(Broken),
        _ => json.skip(),
    })?;
    match (dtype, offsets.as_deref()) {
        (Some(element), Some(&[begin, end])) if begin <= end => Ok(Tensor { begin, end, element }),
        _ => Err(Broken),
    }
}

fn element(dtype: &str) -> Element {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F6_E2M3" | "F6_E3M2" | "F4" => Element::Byte,
        "U16" | "I16" | "F16" | "BF16" => Element::Word2,
        "U32" | "I32" | "F32" | "C64" => Element::Word4,
        "U64" | "I64" | "F64" => Element::Word8,
        _ => Element::Unknown,
    }
}
