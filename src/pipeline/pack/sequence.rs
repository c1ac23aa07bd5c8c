//! The sequencer: decides about rows in manifest order, with the chunk index of the root.

use super::unit::Unit;
use crate::format::manifest::Row;
use crate::pipeline::spill::{ChunkIndex, SpillError};
use crate::plan::sequence::{Decision, carries, decide, repeats};

/// What is known of all rows so far.
pub(super) struct Sequencer {
    index: ChunkIndex,
    root: String,
    next_ordinal: u64,
    /// The first ordinal of the file whose pieces come now.
    file_ordinal: u64,
}

/// What was decided about the rows of a unit.
pub(super) struct Sequenced {
    /// The ordinal of its first row.
    pub(super) first_ordinal: u64,
    /// The ordinal of the first row of its file, where it is a piece; else of its own first row.
    pub(super) file_ordinal: u64,
    /// What each row is.
    pub(super) decisions: Vec<Decision>,
    /// Whether the chunk index of the root now leads to the row.
    pub(super) is_carrier: Vec<bool>,
}

/// Where a sequencer goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct SequencerStart {
    /// The root of the last entry before.
    pub(super) root: String,
    /// The ordinal of the next row.
    pub(super) ordinal: u64,
    /// The first ordinal of the file that is begun.
    pub(super) file_ordinal: u64,
}

impl Sequencer {
    /// Returns a sequencer whose index holds the carriers of the root so far.
    pub(super) fn new(index: ChunkIndex, start: SequencerStart) -> Sequencer {
        Sequencer { index, root: start.root, next_ordinal: start.ordinal, file_ordinal: start.file_ordinal }
    }

    /// Decides about the rows of the next unit.
    pub(super) fn sequence(&mut self, unit: &Unit, rows: &[Row]) -> Result<Sequenced, SpillError> {
        let first_ordinal = self.next_ordinal;
        if unit.piece.is_none_or(|piece| piece.offset == 0) {
            self.file_ordinal = first_ordinal;
        }
        let repeats = repeats(rows);
        let mut known = vec![false; rows.len()];
        let mut carriers = vec![None; rows.len()];
        // Rows of further roots have no carrier yet: their roots begin in this pack.
        for row in 0..self.first_root_row_count(unit) {
            if repeats[row].is_none()
                && let Some(ordinal) = self.index.find(&rows[row].digest)?
            {
                known[row] = true;
                // A file is never referred to by itself (F-106).
                carriers[row] = Some(ordinal).filter(|ordinal| *ordinal < self.file_ordinal);
            }
        }
        let decisions = decide(rows, &repeats, &carriers);
        let is_carrier = self.learn(unit, rows, &decisions, &known)?;
        self.next_ordinal += rows.len() as u64;
        Ok(Sequenced { first_ordinal, file_ordinal: self.file_ordinal, decisions, is_carrier })
    }

    /// Returns how many rows come before the first entry of another root.
    fn first_root_row_count(&self, unit: &Unit) -> usize {
        let same_root = unit.entries.iter().take_while(|entry| entry.source.path.root() == self.root);
        same_root.map(|entry| entry.row_count as usize).sum()
    }

    /// Puts the first carrier of each chunk into the index; says which rows these are.
    fn learn(
        &mut self,
        unit: &Unit,
        rows: &[Row],
        decisions: &[Decision],
        known: &[bool],
    ) -> Result<Vec<bool>, SpillError> {
        let mut is_carrier: Vec<bool> = carries(decisions).collect();
        let mut root_row = 0;
        let mut row = 0;
        for entry in &unit.entries {
            if entry.source.path.root() != self.root {
                self.index.clear();
                self.root = entry.source.path.root().to_owned();
                root_row = row;
            }
            for _ in 0..entry.row_count {
                let is_known = match decisions[row] {
                    // A repeat within one root adds nothing to the row that it repeats.
                    Decision::Repeat(first) if first as usize >= root_row => true,
                    Decision::Repeat(_) if is_carrier[row] => self.index.find(&rows[row].digest)?.is_some(),
                    _ => known[row],
                };
                is_carrier[row] &= !is_known;
                if is_carrier[row] {
                    self.index.insert(rows[row].digest, self.next_ordinal + row as u64)?;
                }
                row += 1;
            }
        }
        Ok(is_carrier)
    }
}
