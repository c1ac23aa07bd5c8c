//! Roots roundtrip; records of a page are refused or read to its end, and a walk takes no page twice.
#![no_main]

use airlift::format::manifest::{ManifestRoot, PageReader};
use airlift::format::walk::ManifestWalk;
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
    let Some(Ok(airlift::format::manifest::Record::File(path, facts))) = records.first() else { return };
    // A root that leads to this page, so that the walk judges its records and not its digest.
    let root = ManifestRoot {
        entry_count: 1,
        file_count: 1,
        row_count: records.len() as u64 - 1,
        total_len: facts.len,
        pages: vec![airlift::format::manifest::PageFacts {
            digest: Digest::of_structure(Structure::ManifestPage, bytes),
            len: bytes.len() as u32,
            first_entry: 0,
            first_ordinal: 0,
            first_path: path.clone(),
        }],
    };
    let mut walk = ManifestWalk::new(root);
    if walk.feed(bytes).is_ok() {
        assert!(records.iter().all(Result::is_ok));
        assert!(walk.feed(bytes).is_err());
    }
});
