//! Roots roundtrip; records of a page are refused or read to its end. A walk takes no page twice, and
//! encoding what it meets gives the same page.
#![no_main]

use airlift::format::manifest::{ManifestEncoder, ManifestRoot, PageFacts, PageReader, Record};
use airlift::format::walk::{Item, ManifestWalk};
use airlift::format::{Digest, Structure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_root, bytes) = input;
    if is_root {
        if let Ok(root) = ManifestRoot::decode(bytes) {
            assert_eq!(root.encode(), bytes);
        }
        return;
    }
    let Ok(reader) = PageReader::new(bytes) else { return };
    let records: Vec<_> = reader.collect();
    let Some(Ok(Record::File(path, _) | Record::Directory(path))) = records.first() else { return };
    // A root that leads to this page, so that the walk judges its records and not its digest.
    let mut root = ManifestRoot {
        entry_count: 0,
        file_count: 0,
        row_count: 0,
        total_len: 0,
        pages: vec![PageFacts {
            digest: Digest::of_structure(Structure::ManifestPage, bytes),
            len: bytes.len() as u32,
            first_entry: 0,
            first_ordinal: 0,
            first_path: path.clone(),
        }],
    };
    for record in records.iter().flatten() {
        match record {
            Record::File(_, facts) => {
                root.entry_count += 1;
                root.file_count += 1;
                root.total_len = root.total_len.saturating_add(facts.len);
            }
            Record::Directory(_) => root.entry_count += 1,
            Record::Row(_) => root.row_count += 1,
            Record::Mark(..) => {}
        }
    }
    let mut walk = ManifestWalk::new(root.clone());
    if let Ok(items) = walk.feed(bytes) {
        assert!(records.iter().all(Result::is_ok));
        assert!(walk.feed(bytes).is_err());
        assert_eq!(encoded(&items), (root, Some(bytes.to_vec())));
    }
});

/// Encodes what fits on one page.
fn encoded(items: &[Item]) -> (ManifestRoot, Option<Vec<u8>>) {
    let mut encoder = ManifestEncoder::new();
    for item in items {
        let finished = match item {
            Item::Entry(entry) => match &entry.file {
                Some(file) => encoder.push_file(entry.path.clone(), file),
                None => encoder.push_directory(entry.path.clone()),
            },
            Item::Row(_, row) => encoder.push_row(row),
            Item::PartEnd(mark) => encoder.push_mark(mark),
        };
        assert_eq!(finished, None, "one page is enough");
    }
    encoder.finish()
}
