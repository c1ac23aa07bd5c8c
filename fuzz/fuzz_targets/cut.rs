//! Cuts tile the file, keep the limits, and are the same however much is shown.
#![no_main]

use airlift::chunking::{Chunk, Cutter};
use airlift::format::limits::CHUNK_LEN_MAX;
use libfuzzer_sys::fuzz_target;

/// Enough that the file is no single chunk and tensors have steps.
const PADDING_LENS: [usize; 4] = [0, 70_000, 300_000, 2_500_000];

fuzz_target!(|input: (u8, u16, Vec<u8>)| {
    let (padding, extra_len, mut file) = input;
    let padding_len = PADDING_LENS[usize::from(padding) % PADDING_LENS.len()];
    file.resize(file.len() + padding_len, padding);
    let chunks = cut(&file, 0);
    assert_eq!(chunks.iter().map(|chunk| chunk.len as usize).sum::<usize>(), file.len());
    assert!(chunks.iter().all(|chunk| (1..=CHUNK_LEN_MAX).contains(&chunk.len)));
    assert_eq!(chunks, cut(&file, usize::from(extra_len) * 64));
    assert_eq!(chunks, cut(&file, file.len()));
});

fn cut(file: &[u8], extra_len: usize) -> Vec<Chunk> {
    let mut cutter = Cutter::new(file.len() as u64);
    let (mut chunks, mut position) = (Vec::new(), 0);
    while !cutter.is_done() {
        let wants = cutter.wants();
        let end = (position + wants + extra_len).min(file.len());
        match cutter.next(&file[position..end]) {
            Some(chunk) => {
                assert!(chunk.len as usize <= end - position, "a chunk is longer than what was shown");
                position += chunk.len as usize;
                chunks.push(chunk);
            }
            None => assert!(cutter.wants() > wants, "neither cuts nor wants more"),
        }
    }
    chunks
}
