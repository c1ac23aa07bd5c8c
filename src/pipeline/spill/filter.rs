//! A small filter before a run of the chunk index: it says surely not, or maybe.

use crate::format::Digest;

/// Bits that a digest has when a filter is made.
const BITS_PER_DIGEST: usize = 16;

/// A Bloom filter whose number of bits is a power of two, so that it can be folded to half.
pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// Returns an empty filter for so many digests, of at most `len_max` bytes.
    pub(super) fn new(digest_count: u64, len_max: usize) -> Filter {
        let word_count_max = (len_max / size_of::<u64>()).max(1);
        let wanted = usize::try_from(digest_count).unwrap_or(usize::MAX).saturating_mul(BITS_PER_DIGEST) / 64;
        let word_count = wanted.clamp(1, word_count_max);
        // The largest power of two that is not above.
        Filter { words: vec![0; 1 << word_count.ilog2()] }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    pub(super) fn insert(&mut self, digest: &Digest) {
        for bit in bits(digest) {
            let index = (bit as usize / 64) & (self.words.len() - 1);
            self.words[index] |= 1 << (bit % 64);
        }
    }

    pub(super) fn may_hold(&self, digest: &Digest) -> bool {
        bits(digest).into_iter().all(|bit| {
            let index = (bit as usize / 64) & (self.words.len() - 1);
            self.words[index] & (1 << (bit % 64)) != 0
        })
    }

    /// Halves the filter; what it held it still may hold. Tells whether there was something to halve.
    pub(super) fn fold(&mut self) -> bool {
        let half = self.words.len() / 2;
        if half == 0 {
            return false;
        }
        let (low, high) = self.words.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low |= *high);
        self.words.truncate(half);
        self.words.shrink_to_fit();
        true
    }
}

/// Returns the positions of a digest, from bits that neither the table nor the search in a run uses.
fn bits(digest: &Digest) -> [u32; 4] {
    let (words, _) = digest.as_bytes()[8..].as_chunks::<4>();
    [0, 1, 2, 3].map(|index| u32::from_le_bytes(words[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(i: u64) -> Digest {
        Digest::of(&i.to_le_bytes())
    }

    #[test]
    fn never_denies_what_it_holds_and_mostly_denies_the_rest() {
        let mut filter = Filter::new(1000, 1 << 20);
        (0..1000).for_each(|i| filter.insert(&digest(i)));
        loop {
            assert!((0..1000).all(|i| filter.may_hold(&digest(i))), "{} bytes", filter.len());
            let wrong = (1000..11_000).filter(|&i| filter.may_hold(&digest(i))).count();
            assert!(filter.len() < 1024 || wrong < 1000, "{wrong} of 10000 with {} bytes", filter.len());
            if !filter.fold() {
                break;
            }
        }
        assert_eq!(filter.len(), 8);
    }

    #[test]
    fn stays_within_its_length() {
        assert_eq!(Filter::new(u64::MAX, 1000).len(), 512);
        assert_eq!(Filter::new(0, 0).len(), 8);
    }
}
