//! Bytes that look random and say where they are from: 16 of them tell the seed and the position.

/// Noise is made in cells of this many bytes.
const CELL_LEN: usize = 64;
/// The bytes of a cell that tell where it is from.
const TELLING_LEN: usize = 16;
/// What the upper half of a cell's first word is before mixing.
const MAGIC: u64 = 0x6169_726c;
const FACTORS: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];

/// A position in the noise of a seed, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seed: u32,
    pub(crate) offset: u64,
}

impl Place {
    /// Returns the place `len` bytes behind this one.
    pub(crate) fn behind(self, len: u64) -> Place {
        Place { offset: self.offset + len, ..self }
    }

    /// Fills `bytes` with the noise from here on.
    pub(crate) fn fill(self, bytes: &mut [u8]) {
        let mut cell = self.offset / CELL_LEN as u64;
        let skipped_len = (self.offset % CELL_LEN as u64) as usize;
        let head_len = if skipped_len == 0 { 0 } else { bytes.len().min(CELL_LEN - skipped_len) };
        let (head, rest) = bytes.split_at_mut(head_len);
        if !head.is_empty() {
            head.copy_from_slice(&cell_of(self.seed, cell)[skipped_len..][..head_len]);
            cell += 1;
        }
        let (cells, tail) = rest.as_chunks_mut::<CELL_LEN>();
        for into in cells {
            *into = cell_of(self.seed, cell);
            cell += 1;
        }
        if !tail.is_empty() {
            tail.copy_from_slice(&cell_of(self.seed, cell)[..tail.len()]);
        }
    }

    /// Returns how many of the first bytes are the noise from here on.
    pub(crate) fn matching_len(self, bytes: &[u8]) -> usize {
        let mut expected = [0; 4096];
        let mut done = 0;
        for group in bytes.chunks(expected.len()) {
            let expected = &mut expected[..group.len()];
            self.behind(done as u64).fill(expected);
            if expected != group {
                return done + expected.iter().zip(group).take_while(|(one, other)| one == other).count();
            }
            done += group.len();
        }
        done
    }

    /// Returns the place whose noise these bytes begin with, where it is the start of a cell.
    pub(crate) fn of(bytes: &[u8]) -> Option<Place> {
        let (words, _) = bytes.get(..TELLING_LEN)?.as_chunks::<8>();
        let [mut left, mut right] = [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])];
        for pair in FACTORS.chunks(2).rev() {
            right = right.wrapping_sub(stir(left, pair[1]));
            left = left.wrapping_sub(stir(right, pair[0]));
        }
        let seed = right as u32;
        (right >> 32 == MAGIC && left < 1 << 48).then_some(Place { seed, offset: left * CELL_LEN as u64 })
    }
}

fn cell_of(seed: u32, cell: u64) -> [u8; CELL_LEN] {
    let (mut left, mut right) = (cell, MAGIC << 32 | u64::from(seed));
    for pair in FACTORS.chunks(2) {
        left = left.wrapping_add(stir(right, pair[0]));
        right = right.wrapping_add(stir(left, pair[1]));
    }
    let mut bytes = [0; CELL_LEN];
    bytes[..8].copy_from_slice(&left.to_le_bytes());
    bytes[8..16].copy_from_slice(&right.to_le_bytes());
    for (number, into) in (1..).zip(bytes[16..].chunks_exact_mut(8)) {
        let word = stir(left.rotate_left(9 * number) ^ right, FACTORS[number as usize % 4]);
        into.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn stir(word: u64, factor: u64) -> u64 {
    let product = word.wrapping_mul(factor);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_wherever_it_is_begun() {
        let place = Place { seed: 7, offset: 1 << 40 };
        let mut whole = [0; 1000];
        place.fill(&mut whole);
        for start in [0, 1, 63, 64, 65, 128, 999] {
            let mut rest = vec![0; 1000 - start];
            place.behind(start as u64).fill(&mut rest);
            assert_eq!(rest, whole[start..]);
        }
        assert_eq!(place.matching_len(&whole), 1000);
        whole[700] ^= 1;
        assert_eq!(place.matching_len(&whole), 700);
    }

    #[test]
    fn a_cell_tells_where_it_is_from_and_nothing_else_does() {
        for (seed, cell) in [(0, 0), (9, 1), (u32::MAX, (1 << 48) - 1)] {
            let place = Place { seed, offset: cell * 64 };
            let mut bytes = [0; 64];
            place.fill(&mut bytes);
            assert_eq!(Place::of(&bytes), Some(place));
            assert_eq!(Place::of(&bytes[1..]), None);
            assert_eq!(Place::of(&bytes[..15]), None);
        }
        assert_eq!(Place::of(&[0; 64]), None);
    }
}
