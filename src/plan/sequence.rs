//! Where the bytes of a pack's rows are: carried, repeated or referred to (F-102 to F-106).
//!
//! Decided for one pack after the other in manifest order, so the outcome depends on nothing else.

use crate::format::manifest::Row;
use std::collections::HashMap;

/// Shortest run of rows worth a reference, in bytes: below it, the range request and the look into
/// another pack that the importer has to make cost more than carrying the bytes again.
pub const REFERENCE_LEN_MIN: u64 = 16 << 10;

/// Where the bytes of a row are, before frames have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Carried in this pack.
    New,
    /// The same as an earlier row of this pack, from 0.
    Repeat(u32),
    /// The same as the row of an earlier file with this ordinal.
    Reference(u64),
}

/// Returns for each row the first row of the pack with its digest, where that is an earlier one.
pub fn repeats(rows: &[Row]) -> Vec<Option<u32>> {
    let mut first_rows = HashMap::with_capacity(rows.len());
    let first_of = |(number, row): (usize, &Row)| {
        let number = number as u32;
        let first = *first_rows.entry(row.digest).or_insert(number);
        (first != number).then_some(first)
    };
    rows.iter().enumerate().map(first_of).collect()
}

/// Decides about the rows of a pack.
///
/// `repeats` is what [`repeats`] says of them. `carriers` has, for each row that is no repeat, the
/// ordinal of the row that carries the same chunk, where one may be referred to: in an earlier pack,
/// of an earlier file of the same root, first with this chunk there.
pub fn decide(rows: &[Row], repeats: &[Option<u32>], carriers: &[Option<u64>]) -> Vec<Decision> {
    let first_choice = |(repeat, carrier): (&Option<u32>, &Option<u64>)| match (*repeat, *carrier) {
        (Some(row), _) => Decision::Repeat(row),
        (None, Some(ordinal)) => Decision::Reference(ordinal),
        (None, None) => Decision::New,
    };
    let mut decisions: Vec<Decision> = repeats.iter().zip(carriers).map(first_choice).collect();
    let mut start = 0;
    while start < decisions.len() {
        let count = reference_count(&decisions[start..]);
        let end = start + count;
        let len: u64 = rows[start..end].iter().map(|row| u64::from(row.len)).sum();
        if len < REFERENCE_LEN_MIN {
            decisions[start..end].fill(Decision::New);
        }
        start = end.max(start + 1);
    }
    decisions
}

/// Returns for each row whether this pack carries its bytes: it is new, or repeats a new one. Only
/// such rows may be referred to from later packs, so that no reference leads to another.
pub fn carries(decisions: &[Decision]) -> impl Iterator<Item = bool> {
    decisions.iter().map(|decision| match decision {
        Decision::New => true,
        Decision::Repeat(row) => decisions.get(*row as usize) == Some(&Decision::New),
        Decision::Reference(_) => false,
    })
}

/// Returns the length of the run of references that `decisions` begin with.
fn reference_count(decisions: &[Decision]) -> usize {
    let Some(Decision::Reference(first)) = decisions.first() else { return 0 };
    let continues = |(step, decision): (u64, &Decision)| *decision == Decision::Reference(first + step);
    (0..).zip(decisions).take_while(|pair| continues(*pair)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Digest;

    fn rows(seeds: &[u8], len: u32) -> Vec<Row> {
        seeds.iter().map(|&seed| Row { digest: Digest::of(&[seed]), len }).collect()
    }

    fn decided(rows: &[Row], carriers: &[Option<u64>]) -> Vec<Decision> {
        decide(rows, &repeats(rows), carriers)
    }

    #[test]
    fn a_row_repeats_the_first_one_with_its_digest() {
        let rows = rows(&[1, 2, 1, 1, 2], 9);
        assert_eq!(repeats(&rows), [None, None, Some(0), Some(0), Some(1)]);
        use Decision::{New, Repeat};
        assert_eq!(decided(&rows, &[None; 5]), [New, New, Repeat(0), Repeat(0), Repeat(1)]);
    }

    #[test]
    fn a_repeat_wins_over_a_reference() {
        let rows = rows(&[1, 1], REFERENCE_LEN_MIN as u32);
        assert_eq!(decided(&rows, &[Some(5), Some(5)]), [Decision::Reference(5), Decision::Repeat(0)]);
    }

    #[test]
    fn short_runs_of_references_are_carried_and_long_ones_are_not() {
        use Decision::{New, Reference};
        let rows = rows(&[1, 2, 3, 4, 5], 6 << 10);
        // Rows 0 to 2 follow each other there and have 18 KiB; the others are alone.
        let carriers = [Some(10), Some(11), Some(12), Some(20), Some(30)];
        assert_eq!(decided(&rows, &carriers), [Reference(10), Reference(11), Reference(12), New, New]);
        let carriers = [Some(10), Some(11), None, Some(12), Some(13)];
        assert_eq!(decided(&rows, &carriers), [New; 5]);
    }

    #[test]
    fn only_what_this_pack_carries_may_be_referred_to() {
        let decisions = [Decision::New, Decision::Reference(7), Decision::Repeat(0), Decision::Repeat(1)];
        assert_eq!(carries(&decisions).collect::<Vec<_>>(), [true, false, true, false]);
    }
}
