//! Cuts tile the file, keep the limits, and are the same however much is shown.
//!
//! Input: what the file is filled up with, how much more than wanted is shown (u16), the file's start.
#![no_main]

use airlift::chunking::{Chunk, Cutter};
use airlift::format::limits::CHUNK_LEN_MAX;
use airlift::format::manifest::Profile;
use libfuzzer_sys::fuzz_target;
use whole::cut;

#[path = "../../src/chunking/whole.rs"]
mod whole;

/// Enough that the file is no single chunk and tensors have steps.
const PADDING_LENS: [usize; 4] = [0, 66_000, 140_000, 1_200_000];

fuzz_target!(|bytes: &[u8]| {
    let Some((&[padding, low, high], start)) = bytes.split_first_chunk() else { return };
    let mut file = start.to_vec();
    file.resize(file.len() + PADDING_LENS[usize::from(padding) % PADDING_LENS.len()], padding);
    let found = cut(&file, 0);
    assert!(found.1.iter().all(|chunk| (1..=CHUNK_LEN_MAX).contains(&chunk.len)));
    assert_eq!(found, cut(&file, usize::from(u16::from_le_bytes([low, high])) * 64));
    assert_eq!(found, cut(&file, file.len()));
});
