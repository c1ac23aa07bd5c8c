//! A whole file, cut piece by piece as a packer does; for tests and for fuzzing, which includes this file.

use super::{Chunk, Cutter, Profile};

/// Cuts a whole file, always showing `extra_len` bytes more than wanted.
pub(super) fn cut(file: &[u8], extra_len: usize) -> (Profile, Vec<Chunk>) {
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
    assert_eq!(position, file.len());
    assert_eq!(cutter.next(&[]), None);
    (cutter.profile().expect("decided at the end"), chunks)
}
