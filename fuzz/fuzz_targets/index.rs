//! An index is refused, or every row has a source that fits it and encoding it gives the same bytes.
//!
//! Input: payload length (u32), row count (u8), for each row a seed of its chunk and its length less 1
//! (u16), the index.
#![no_main]

use airlift::format::Digest;
use airlift::format::index::{Index, RowSource};
use airlift::format::manifest::Row;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[a, b, c, d, row_count], rest)) = bytes.split_first_chunk() else { return };
    let Some((rows, bytes)) = rest.split_at_checked(3 * usize::from(row_count)) else { return };
    let row = |row: &[u8; 3]| {
        let [seed, low, high] = *row;
        Row { digest: Digest::of(&[seed]), len: u32::from(u16::from_le_bytes([low, high])) + 1 }
    };
    let rows: Vec<Row> = rows.as_chunks().0.iter().map(row).collect();
    let Ok(index) = Index::decode(bytes, &rows, u32::from_le_bytes([a, b, c, d])) else { return };
    assert_eq!(index.sources.len(), rows.len());
    for (row, source) in rows.iter().zip(&index.sources) {
        if let RowSource::Repeat { row: target } = source {
            assert_eq!(rows[*target as usize], *row);
        }
    }
    let has_sections = bytes[12..14] != [0, 0];
    if !has_sections {
        assert_eq!(index.encode(), bytes);
    }
});
