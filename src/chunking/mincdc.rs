//! Cuts that the content decides (F-63): MinCDC with a hashed window of 4 bytes.

use mincdc::{Cdc as _, MinCdcHash4};

/// Shortest chunk but a file's last, in bytes.
pub(super) const LEN_MIN: usize = 32 << 10;
/// Longest chunk, in bytes.
pub(super) const LEN_MAX: usize = 96 << 10;

const WINDOW_LEN: usize = 4;
const MULTIPLIER: u32 = 0x915f_77f5;
const ADDEND: u32 = 0x3463_6463;

/// Returns the length of the chunk that `rest` begins with. `rest` is the rest of the file, or at
/// least its next `LEN_MAX` bytes.
pub(super) fn cut_len(rest: &[u8]) -> usize {
    if rest.len() <= LEN_MIN {
        return rest.len();
    }
    let start = LEN_MIN - WINDOW_LEN;
    let search = &rest[start..rest.len().min(LEN_MAX)];
    if has_vectors() {
        start + MinCdcHash4::with_params(MULTIPLIER, ADDEND).best_splitpoint(search)
    } else {
        start + best_split(search)
    }
}

/// Tells whether the crate may search. On an x86-64 without SSE 4.1, as some virtual machines
/// pretend to be, its search panics where the best window is among the last.
fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// Returns the end of the first window with the least hash.
fn best_split(search: &[u8]) -> usize {
    let hash = |window: &[u8; WINDOW_LEN]| u32::from_le_bytes(*window).wrapping_mul(MULTIPLIER).wrapping_add(ADDEND);
    let best = search.array_windows().enumerate().min_by_key(|(_, window)| hash(window));
    best.map_or(search.len(), |(index, _)| index + WINDOW_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunking::tests::noise;

    fn lens(mut rest: &[u8], cut: impl Fn(&[u8]) -> usize) -> Vec<usize> {
        let mut lens = Vec::new();
        while !rest.is_empty() {
            let len = cut(rest);
            lens.push(len);
            rest = &rest[len..];
        }
        lens
    }

    fn plain_cut_len(rest: &[u8]) -> usize {
        if rest.len() <= LEN_MIN {
            return rest.len();
        }
        let start = LEN_MIN - WINDOW_LEN;
        start + best_split(&rest[start..rest.len().min(LEN_MAX)])
    }

    #[test]
    fn cuts_where_the_specification_says() {
        let pinned = [98_046, 44_666, 91_729, 74_500, 33_968, 40_721, 16_370];
        assert_eq!(lens(&noise(1, 400_000), cut_len), pinned);
    }

    #[test]
    fn vectors_find_what_the_plain_search_finds() {
        let mut few_values = noise(2, 3_000_000);
        few_values.iter_mut().for_each(|byte| *byte &= 1);
        let ties: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        for bytes in [noise(3, 3_000_000), few_values, ties, vec![0; 1_000_000], vec![0xff; 1_000_000]] {
            assert_eq!(lens(&bytes, cut_len), lens(&bytes, plain_cut_len));
        }
        let bytes = noise(4, LEN_MIN + 200);
        for len in LEN_MIN..bytes.len() {
            assert_eq!(cut_len(&bytes[..len]), plain_cut_len(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn an_inserted_byte_moves_few_cuts() {
        let before = noise(5, 2_000_000);
        let mut after = before.clone();
        after.insert(700_000, 7);
        let digests = |bytes: &[u8]| {
            let mut offset = 0;
            let mut digests = std::collections::BTreeSet::new();
            for len in lens(bytes, cut_len) {
                digests.insert(crate::format::Digest::of(&bytes[offset..offset + len]).to_string());
                offset += len;
            }
            digests
        };
        let (before, after) = (digests(&before), digests(&after));
        assert!(after.difference(&before).count() <= 4);
    }
}
