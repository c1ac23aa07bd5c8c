//! Cuts tile the file, keep the limits, and are the same however much is shown.
#![no_main]

use airlift::chunking::{Chunk, Cutter};
use airlift::format::limits::CHUNK_LEN_MAX;
use airlift::format::manifest::Profile;
use libfuzzer_sys::fuzz_target;
use whole::cut;

#[path = "../../src/chunking/whole.rs"]
mod whole;

/// Enough that the file is no single chunk and tensors have steps.
const PADDING_LENS: [usize; 4] = [0, 70_000, 300_000, 2_500_000];

fuzz_target!(|input: (u8, u16, Vec<u8>)| {
    let (padding, extra_len, mut file) = input;
    let padding_len = PADDING_LENS[usize::from(padding) % PADDING_LENS.len()];
    file.resize(file.len() + padding_len, padding);
    let found = cut(&file, 0);
    assert!(found.1.iter().all(|chunk| (1..=CHUNK_LEN_MAX).contains(&chunk.len)));
    assert_eq!(found, cut(&file, usize::from(extra_len) * 64));
    assert_eq!(found, cut(&file, file.len()));
});
