//! A bit for each entry of a release. Calls may come from any thread.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The entries of which something is so.
#[derive(Debug)]
pub(super) struct Bits(Vec<AtomicU64>);

impl Bits {
    /// Returns the bits of `count` entries, none of them set.
    pub(super) fn new(count: u64) -> Bits {
        Bits((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Sets the bit of an entry; one that there is not has none.
    pub(super) fn set(&self, entry: u64) {
        if let Some(word) = self.0.get((entry / 64) as usize) {
            word.fetch_or(1 << (entry % 64), Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, entry: u64) -> bool {
        let word = self.0.get((entry / 64) as usize).map_or(0, |word| word.load(Ordering::Relaxed));
        word & 1 << (entry % 64) != 0
    }

    /// Tells whether the bit of any of these entries may be set; never no where one is.
    pub(super) fn may_have(&self, entries: Range<u64>) -> bool {
        let words = (entries.start / 64) as usize..self.0.len().min(entries.end.div_ceil(64) as usize);
        self.0.get(words).is_some_and(|words| words.iter().any(|word| word.load(Ordering::Relaxed) != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_a_bit_of_its_own() {
        let bits = Bits::new(130);
        [0, 63, 64, 129].into_iter().for_each(|entry| bits.set(entry));
        let set: Vec<u64> = (0..200).filter(|entry| bits.get(*entry)).collect();
        assert_eq!(set, [0, 63, 64, 129]);
        bits.set(5000);
        assert!(!bits.get(5000));
    }

    #[test]
    fn a_range_may_have_what_is_set_in_it() {
        let bits = Bits::new(1000);
        bits.set(300);
        for (range, expected) in
            [(0..1000, true), (300..301, true), (0..256, false), (384..1000, false), (1000..2000, false)]
        {
            assert_eq!(bits.may_have(range.clone()), expected, "{range:?}");
        }
    }
}
