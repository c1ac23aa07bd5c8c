//! Which rows share a frame (F-104).

use crate::format::limits::FRAME_RAW_LEN_MAX;
use std::collections::HashMap;
use std::hash::Hash;

/// Frames are filled up to this length, in bytes: more gains little, and whoever needs one chunk has
/// to read and decode all of its frame.
pub const FRAME_RAW_LEN_GOAL: u32 = 1 << 20;

const _: () = assert!(FRAME_RAW_LEN_GOAL <= FRAME_RAW_LEN_MAX);

/// The rows of a frame and how they are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRows<K> {
    /// Numbers of the rows in their pack, ascending.
    pub rows: Vec<u32>,
    /// What they have in common.
    pub kind: K,
    /// Sum of their lengths in bytes.
    pub raw_len: u32,
}

/// Groups the carried rows of a pack into frames: rows of one kind share a frame up to
/// [`FRAME_RAW_LEN_GOAL`], whether or not they are neighbours. A longer row is a frame by itself.
///
/// Rows come as number, kind and length, in order of their numbers. `word_len` says for a kind the
/// words into which its frames are split: a row joins a frame only where its own words stay whole.
/// The frames come back in order of their first row.
pub fn group<K: Copy + Eq + Hash>(
    rows: impl IntoIterator<Item = (u32, K, u32)>,
    word_len: impl Fn(K) -> u32,
) -> Vec<FrameRows<K>> {
    let mut frames: Vec<FrameRows<K>> = Vec::new();
    let mut open: HashMap<K, usize> = HashMap::new();
    for (row, kind, len) in rows {
        let frame = open.get(&kind).and_then(|&index| frames.get_mut(index));
        match frame.filter(|frame| frame.raw_len + len <= FRAME_RAW_LEN_GOAL && frame.raw_len % word_len(kind) == 0) {
            Some(frame) => {
                frame.rows.push(row);
                frame.raw_len += len;
            }
            None => {
                open.insert(kind, frames.len());
                frames.push(FrameRows { rows: vec![row], kind, raw_len: len });
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u32 = 1 << 10;

    fn numbers(frames: &[FrameRows<char>]) -> Vec<(char, Vec<u32>)> {
        frames.iter().map(|frame| (frame.kind, frame.rows.clone())).collect()
    }

    #[test]
    fn rows_of_a_kind_share_a_frame_until_it_is_full() {
        let rows = [(0, 't', 500 * KIB), (1, 'j', KIB), (3, 't', 500 * KIB), (4, 'j', KIB), (5, 't', 500 * KIB)];
        let frames = group(rows, |_| 1);
        assert_eq!(numbers(&frames), [('t', vec![0, 3]), ('j', vec![1, 4]), ('t', vec![5])]);
        assert!(frames.is_sorted_by_key(|frame| frame.rows[0]));
    }

    #[test]
    fn a_row_above_the_goal_is_alone() {
        let frames = group([(0, 'w', KIB), (1, 'w', 2048 * KIB), (2, 'w', KIB)], |_| 2);
        assert_eq!(numbers(&frames), [('w', vec![0]), ('w', vec![1]), ('w', vec![2])]);
    }

    #[test]
    fn words_stay_whole() {
        let frames = group([(0, 'w', 6), (1, 'w', 7), (2, 'w', 8)], |_| 2);
        assert_eq!(numbers(&frames), [('w', vec![0, 1]), ('w', vec![2])]);
    }
}
