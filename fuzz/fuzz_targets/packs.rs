//! Pack-table roots roundtrip; pages are refused or hold as many packs as their length says, and encoding
//! these gives the same page.
#![no_main]

use airlift::format::packs::{PackPageFacts, PackRoot, PackTableEncoder, decode_page};
use airlift::format::{Digest, Structure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_root, bytes) = input;
    if is_root {
        if let Ok(root) = PackRoot::decode(bytes)
            && root.sections.is_empty()
        {
            assert_eq!(root.encode(), bytes);
        }
        return;
    }
    let (Some(entry), Some(ordinal)) = (bytes.get(..8), bytes.get(12..20)) else { return };
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let facts = PackPageFacts {
        digest: Digest::of_structure(Structure::PackPage, bytes),
        len: bytes.len() as u32,
        first_entry: number(entry),
        first_ordinal: number(ordinal),
    };
    if let Ok(packs) = decode_page(&facts, bytes) {
        assert_eq!(packs.len() * 76, bytes.len());
        let mut encoder = PackTableEncoder::new();
        // Input of more than a page is cut into several.
        if packs.iter().all(|pack| encoder.push(pack).is_none()) {
            let (root, page) = encoder.finish();
            assert_eq!((root.pages, page.as_deref()), (vec![facts], Some(bytes)));
        }
    }
});
