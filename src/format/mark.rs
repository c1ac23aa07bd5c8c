//! SHA-256 whose state can be carried: the marks at part ends (F-23).

use super::digest::Sha256;
use sha2::block_api::compress256;

const BLOCK_LEN: usize = 64;
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The state of SHA-256 after some bytes of a file: the chaining value after the last whole
/// 64-byte block, the 0 to 63 bytes since, and how many bytes there were.
///
/// From the mark before a part, the part's bytes must give the mark after it. So every part proves
/// its share of the file's published SHA-256 alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark {
    words: [u32; 8],
    tail: [u8; BLOCK_LEN],
    len: u64,
}

impl Mark {
    /// Returns the state before the first byte of a file.
    pub const fn start() -> Mark {
        Mark { words: INITIAL, tail: [0; BLOCK_LEN], len: 0 }
    }

    /// Returns the mark with these words and tail after `len` bytes; nothing where the tail does not
    /// have `len` mod 64 bytes.
    pub fn from_parts(words: [u32; 8], tail_bytes: &[u8], len: u64) -> Option<Mark> {
        if tail_bytes.len() as u64 != len % BLOCK_LEN as u64 {
            return None;
        }
        let mut tail = [0; BLOCK_LEN];
        tail[..tail_bytes.len()].copy_from_slice(tail_bytes);
        Some(Mark { words, tail, len })
    }

    /// Returns the eight words of the chaining value.
    pub const fn words(&self) -> &[u32; 8] {
        &self.words
    }

    /// Returns the bytes since the last whole block, 0 to 63 of them.
    pub fn tail(&self) -> &[u8] {
        &self.tail[..self.tail_len()]
    }

    /// Returns how many bytes of the file came before this mark.
    pub const fn offset(&self) -> u64 {
        self.len
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        let filled = self.tail_len();
        self.len += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(BLOCK_LEN - filled));
        self.tail[filled..filled + first.len()].copy_from_slice(first);
        if filled + first.len() < BLOCK_LEN {
            return;
        }
        let (blocks, rest) = rest.as_chunks::<BLOCK_LEN>();
        compress256(&mut self.words, &[self.tail]);
        compress256(&mut self.words, blocks);
        self.tail = [0; BLOCK_LEN];
        self.tail[..rest.len()].copy_from_slice(rest);
    }

    /// Returns the SHA-256 of all bytes so far.
    pub fn digest(&self) -> Sha256 {
        let mut words = self.words;
        let filled = self.tail_len();
        let mut block = self.tail;
        block[filled] = 0x80;
        block[filled + 1..].fill(0);
        if filled >= BLOCK_LEN - 8 {
            compress256(&mut words, &[block]);
            block = [0; BLOCK_LEN];
        }
        block[BLOCK_LEN - 8..].copy_from_slice(&(self.len * 8).to_be_bytes());
        compress256(&mut words, &[block]);
        let mut bytes = [0; 32];
        for (out, word) in bytes.chunks_exact_mut(4).zip(words) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        Sha256::from_bytes(bytes)
    }

    fn tail_len(&self) -> usize {
        (self.len % BLOCK_LEN as u64) as usize
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mark({} bytes, {:08x?})", self.len, self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_hash_for_every_length_and_split() {
        let bytes: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        for len in 0..bytes.len() {
            for split in [0, 1, len / 3, len / 2, len] {
                let split = split.min(len);
                let mut mark = Mark::start();
                mark.update(&bytes[..split]);
                let mut carried = Mark::from_parts(*mark.words(), mark.tail(), mark.offset()).expect("own parts");
                carried.update(&bytes[split..len]);
                assert_eq!(carried.digest(), Sha256::of(&bytes[..len]), "{split} of {len}");
            }
        }
    }

    #[test]
    fn refuses_a_tail_that_does_not_fit_the_offset() {
        assert!(Mark::from_parts(INITIAL, &[0; 3], 64 + 4).is_none());
        assert!(Mark::from_parts(INITIAL, &[0; 3], 64 + 3).is_some());
    }
}
