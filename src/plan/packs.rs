//! Where a pack ends (F-52 to F-54).

use crate::format::limits::{INDEX_LEN_MAX, PACK_ENTRY_COUNT_MAX, PACK_RAW_LEN, PACK_RAW_LEN_END, PACK_ROW_COUNT_MAX};
use crate::format::manifest::part_bound;

/// What a run of whole entries holds so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its entries.
    pub entry_count: u32,
    /// Their rows.
    pub row_count: u32,
    /// Their length in bytes.
    pub raw_len: u64,
}

impl Run {
    /// Returns the run with one more entry of `raw_len` bytes in `row_count` rows; nothing where that
    /// entry begins a new run (F-54).
    pub fn with(self, raw_len: u64, row_count: u32) -> Option<Run> {
        let longer = Run {
            entry_count: self.entry_count + 1,
            row_count: self.row_count.saturating_add(row_count),
            raw_len: self.raw_len + raw_len,
        };
        let fits = longer.raw_len <= PACK_RAW_LEN
            && longer.row_count <= PACK_ROW_COUNT_MAX
            && longer.entry_count <= PACK_ENTRY_COUNT_MAX;
        // An entry alone is a run whatever it has: one of more than 32 MiB with a single part.
        (fits || self.entry_count == 0).then_some(longer)
    }
}

/// What ends behind a row of a file of more than 32 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The piece goes on.
    Nothing,
    /// The pack; its part goes on.
    Pack,
    /// The pack and its part.
    Part,
    /// The file, and with it the pack and the part.
    File,
}

/// How far the rows of a file of more than 32 MiB have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    file_len: u64,
    bound: u64,
    done_len: u64,
    part_len: u64,
    pack_len: u64,
}

impl Pieces {
    /// Returns the state at a pack's beginning, `part_len` bytes into a part.
    pub fn new(file_len: u64, offset: u64, part_len: u64) -> Pieces {
        Pieces { file_len, bound: part_bound(file_len), done_len: offset, part_len, pack_len: 0 }
    }

    /// Takes the length of the next row and says what ends with it (F-45, F-53).
    pub fn add(&mut self, row_len: u32) -> End {
        let len = u64::from(row_len);
        self.done_len += len;
        self.part_len += len;
        self.pack_len += len;
        let end = if self.done_len == self.file_len {
            End::File
        } else if self.part_len >= self.bound {
            End::Part
        } else if self.pack_len >= PACK_RAW_LEN {
            End::Pack
        } else {
            End::Nothing
        };
        if end != End::Nothing {
            self.pack_len = 0;
        }
        if end == End::Part {
            self.part_len = 0;
        }
        end
    }

    /// Returns how many bytes of the file came before.
    pub const fn offset(&self) -> u64 {
        self.done_len
    }

    /// Returns how many bytes of the part came before.
    pub const fn part_len(&self) -> u64 {
        self.part_len
    }
}

/// Returns the most bytes that a part of a file of this length may take in a volume. A volume has
/// room for it, since the packs of a part are in one volume (F-53).
pub fn part_stored_len_max(file_len: u64) -> u64 {
    let pack_count = part_bound(file_len).div_ceil(PACK_RAW_LEN);
    pack_count * (PACK_RAW_LEN_END + 2 * u64::from(INDEX_LEN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_before_the_entry_that_takes_it_past_a_limit() {
        let run = Run::default().with(PACK_RAW_LEN - 1, 5).expect("first");
        assert_eq!(run.with(1, 1), Some(Run { entry_count: 2, row_count: 6, raw_len: PACK_RAW_LEN }));
        assert_eq!(run.with(2, 1), None);
        assert_eq!(run.with(1, PACK_ROW_COUNT_MAX - 4), None);
        let full = Run { entry_count: PACK_ENTRY_COUNT_MAX, row_count: 0, raw_len: 0 };
        assert_eq!(full.with(0, 0), None);
    }

    #[test]
    fn an_entry_above_32_mib_shares_its_run_with_nothing() {
        let alone = Run::default().with(PACK_RAW_LEN + 1, 513).expect("first");
        assert_eq!(alone.with(0, 0), None);
    }

    #[test]
    fn pieces_end_at_packs_parts_and_the_file() {
        const MIB: u32 = 1 << 20;
        let mut small = Pieces::new(70 << 20, 0, 0);
        let ends: Vec<End> = (0..70).map(|_| small.add(MIB)).collect();
        assert_eq!((ends[31], ends[63], ends[69]), (End::Part, End::Part, End::File));
        assert_eq!(ends.iter().filter(|end| **end == End::Nothing).count(), 67);
        // 400 GiB in 9,000 parts: a bound of 46 MiB.
        let mut large = Pieces::new(400 << 30, 0, 0);
        let ends: Vec<End> = (0..92).map(|_| large.add(MIB)).collect();
        assert_eq!((ends[31], ends[45], ends[77], ends[91]), (End::Pack, End::Part, End::Pack, End::Part));
        assert_eq!((large.offset(), large.part_len()), (92 << 20, 0));
    }

    #[test]
    fn the_smallest_volume_has_room_for_the_part_of_any_usual_file() {
        use crate::format::limits::{FILE_LEN_MAX, VOLUME_LEN_DEFAULT, VOLUME_LEN_MIN};
        assert!(part_stored_len_max(9_000 * (32 << 20)) <= VOLUME_LEN_MIN);
        assert!(part_stored_len_max(FILE_LEN_MAX) <= VOLUME_LEN_DEFAULT);
    }
}
