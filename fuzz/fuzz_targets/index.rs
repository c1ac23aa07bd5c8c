//! An index is refused, or every row has a source that fits it and encoding it gives the same bytes.
#![no_main]

use airlift::format::Digest;
use airlift::format::index::{Index, RowSource};
use airlift::format::manifest::Row;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<(u8, u16)>, u32, &[u8])| {
    let (rows, payload_len, bytes) = input;
    let row = |&(seed, len): &(u8, u16)| Row { digest: Digest::of(&[seed]), len: u32::from(len) + 1 };
    let rows: Vec<Row> = rows.iter().map(row).collect();
    let Ok(index) = Index::decode(bytes, &rows, payload_len) else { return };
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
