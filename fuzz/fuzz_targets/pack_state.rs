//! The journal, the logs and the list of entries of a pack, torn anywhere.
//!
//! Input: which of them (u8), its bytes.
#![no_main]

use airlift::format::Digest;
use airlift::pipeline::pack::torn;
use airlift::pipeline::walk::SortedEntries;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

#[path = "shared/place.rs"]
mod place;

static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place::make("pack-state"));

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, bytes)) => torn::journal(&PLACE.join("journal"), bytes),
        Some((1, bytes)) => torn::logs(&PLACE.join("log"), bytes),
        Some((2, bytes)) => list(bytes),
        _ => {}
    }
});

/// Opens a list of entries of these bytes, to which its digest is added.
fn list(bytes: &[u8]) {
    std::fs::write(PLACE.join("entries"), [bytes, Digest::of(bytes).as_bytes()].concat()).expect("written");
    let Ok(Some(entries)) = SortedEntries::open(&PLACE) else { return };
    let all: Vec<_> = entries.iter().map(|entry| entry.expect("checked")).collect();
    assert_eq!(all.len() as u64, entries.totals().entry_count());
    let half = all.len() / 2;
    let behind = entries.iter_from(half as u64).expect("read").map(|entry| entry.expect("checked"));
    assert!(behind.eq(all[half..].iter().cloned()));
}
