//! The chunk index: which chunk was seen first where.

use super::file::{SpillError, SpillFile};
use super::filter::Filter;
use crate::format::Digest;
use std::path::{Path, PathBuf};

/// Smallest budget, in bytes; a smaller one is raised to this.
const BUDGET_LEN_MIN: usize = 16 << 10;
/// Runs of one level that are merged into one of the next level.
const FAN_IN: usize = 4;
/// Length of a digest and its ordinal in a run, in bytes.
const RECORD_LEN: usize = 40;
/// Records that a search reads at once: not quite 4 KiB.
const WINDOW_COUNT: u64 = 102;
/// Steps of interpolation before one of bisection, so that no choice of digests makes a search long.
const STEPS_BEFORE_BISECTION: u32 = 4;

/// A map from the digests of chunks to their ordinals, within a budget of memory.
///
/// Half of the budget is a table. A full table becomes a sorted run in a private file; three sixteenths
/// are filters that spare most searches in runs. Runs are read, not mapped: a failing disk is then
/// an error, not a signal, and what is read does not count as this program's memory.
pub struct ChunkIndex {
    dir: PathBuf,
    table: Table,
    runs: Vec<Run>,
    filters_len_max: usize,
    buffer_len: usize,
}

impl ChunkIndex {
    /// Returns an empty index that holds up to `budget_len` bytes in memory and the rest in `dir`.
    pub fn new(dir: &Path, budget_len: usize) -> ChunkIndex {
        let budget_len = budget_len.max(BUDGET_LEN_MIN);
        ChunkIndex {
            dir: dir.to_owned(),
            table: Table::new(budget_len / 2),
            runs: Vec::new(),
            // Twice this much is held for a moment when runs are merged.
            filters_len_max: budget_len / 16 * 3,
            buffer_len: (budget_len / 8 / (FAN_IN + 1)).next_multiple_of(RECORD_LEN),
        }
    }

    /// Puts in a digest that [`find`](ChunkIndex::find) does not know, with its ordinal.
    ///
    /// # Errors
    /// Fails where a spill file can't be written or read.
    pub fn insert(&mut self, digest: Digest, ordinal: u64) -> Result<(), SpillError> {
        if self.table.is_full() {
            self.spill()?;
        }
        self.table.insert(Record { digest, ordinal });
        Ok(())
    }

    /// Returns the ordinal that was put in with this digest.
    ///
    /// # Errors
    /// Fails where a spill file can't be read.
    pub fn find(&self, digest: &Digest) -> Result<Option<u64>, SpillError> {
        if let Some(ordinal) = self.table.find(digest) {
            return Ok(Some(ordinal));
        }
        // The first runs are the longest, so a chunk is likelier there.
        for run in &self.runs {
            if let Some(ordinal) = run.find(digest)? {
                return Ok(Some(ordinal));
            }
        }
        Ok(None)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.table.clear();
        self.runs.clear();
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        let records = self.table.sort();
        let mut writer = RunWriter::create(&self.dir, records.len() as u64, self.filters_len_max, self.buffer_len)?;
        for record in records {
            writer.write(record)?;
        }
        self.runs.push(writer.finish(0)?);
        self.table.clear();
        while let Some(level) = self.level_to_merge() {
            let merged = self.merge(level + 1)?;
            self.runs.truncate(self.runs.len() - FAN_IN);
            self.runs.push(merged);
        }
        self.fold_filters();
        Ok(())
    }

    /// Returns the level of the last runs, if there are enough of it to merge.
    fn level_to_merge(&self) -> Option<u32> {
        let last = self.runs.last_chunk::<FAN_IN>()?;
        let level = last[0].level;
        last.iter().all(|run| run.level == level).then_some(level)
    }

    /// Merges the last runs.
    fn merge(&mut self, level: u32) -> Result<Run, SpillError> {
        let first = self.runs.len() - FAN_IN;
        let runs = &mut self.runs[first..];
        let count = runs.iter().map(|run| run.count).sum();
        for run in &mut *runs {
            // The filter of the merged run needs the room, and nothing is sought meanwhile.
            run.filter = Filter::new(0, 0);
        }
        let mut writer = RunWriter::create(&self.dir, count, self.filters_len_max, self.buffer_len)?;
        let mut readers: Vec<RunReader> = runs.iter().map(|run| RunReader::new(run, self.buffer_len)).collect();
        loop {
            let mut least: Option<(Record, usize)> = None;
            for (index, reader) in readers.iter_mut().enumerate() {
                if let Some(record) = reader.current()?
                    && least.is_none_or(|(least, _)| record.digest < least.digest)
                {
                    least = Some((record, index));
                }
            }
            let Some((record, index)) = least else { break };
            writer.write(&record)?;
            readers[index].step();
        }
        writer.finish(level)
    }

    /// Halves the longest filters until all of them fit their share of the budget.
    fn fold_filters(&mut self) {
        let mut total: usize = self.runs.iter().map(|run| run.filter.len()).sum();
        while total > self.filters_len_max {
            let Some(run) = self.runs.iter_mut().max_by_key(|run| run.filter.len()) else { return };
            let before = run.filter.len();
            if !run.filter.fold() {
                return;
            }
            total -= before - run.filter.len();
        }
    }
}

/// A digest and its ordinal.
#[derive(Clone, Copy)]
struct Record {
    digest: Digest,
    ordinal: u64,
}

impl Record {
    /// Stands where the table has nothing; no ordinal is so large.
    const VACANT: Record = Record { digest: Digest::from_bytes([0xff; 32]), ordinal: u64::MAX };

    fn is_vacant(&self) -> bool {
        self.ordinal == u64::MAX
    }

    fn encode(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..32].copy_from_slice(self.digest.as_bytes());
        bytes[32..].copy_from_slice(&self.ordinal.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RECORD_LEN]) -> Record {
        let (mut digest, mut ordinal) = ([0; 32], [0; 8]);
        digest.copy_from_slice(&bytes[..32]);
        ordinal.copy_from_slice(&bytes[32..]);
        Record { digest: Digest::from_bytes(digest), ordinal: u64::from_le_bytes(ordinal) }
    }
}

/// Returns the first 64 bits of a digest: digests are uniform, so they need no hash of their own.
fn head(digest: &Digest) -> u64 {
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// An open-addressing table in which a digest's place is its share of the range of all digests.
struct Table {
    slots: Vec<Record>,
    count: usize,
}

impl Table {
    fn new(budget_len: usize) -> Table {
        Table { slots: vec![Record::VACANT; budget_len / size_of::<Record>()], count: 0 }
    }

    fn is_full(&self) -> bool {
        self.count >= self.slots.len() / 4 * 3
    }

    fn insert(&mut self, record: Record) {
        let slot = self.slot_of(&record.digest);
        if self.slots[slot].is_vacant() {
            self.slots[slot] = record;
            self.count += 1;
        }
    }

    fn find(&self, digest: &Digest) -> Option<u64> {
        let record = self.slots[self.slot_of(digest)];
        (!record.is_vacant()).then_some(record.ordinal)
    }

    /// Returns the slot that holds the digest, or the vacant one where it belongs.
    fn slot_of(&self, digest: &Digest) -> usize {
        let mut slot = ((u128::from(head(digest)) * self.slots.len() as u128) >> 64) as usize;
        // Ends, since a quarter of the slots is vacant.
        while !self.slots[slot].is_vacant() && self.slots[slot].digest != *digest {
            slot = (slot + 1) % self.slots.len();
        }
        slot
    }

    /// Sorts the records to the front and returns them; the table must be cleared after that.
    fn sort(&mut self) -> &[Record] {
        self.slots.sort_unstable_by_key(|record| (record.is_vacant(), record.digest));
        &self.slots[..self.count]
    }

    fn clear(&mut self) {
        self.slots.fill(Record::VACANT);
        self.count = 0;
    }
}

/// Records in a file, sorted by digest.
struct Run {
    file: SpillFile,
    count: u64,
    /// How often its records were merged.
    level: u32,
    filter: Filter,
}

impl Run {
    fn find(&self, digest: &Digest) -> Result<Option<u64>, SpillError> {
        if !self.filter.may_hold(digest) {
            return Ok(None);
        }
        let mut bytes = [0; WINDOW_COUNT as usize * RECORD_LEN];
        let mut range = Range { start: 0, end: self.count, head_low: 0, head_high: 1 << 64 };
        let mut step_count = 0;
        while range.start < range.end {
            let start = range.guess(head(digest), step_count % (STEPS_BEFORE_BISECTION + 1) == STEPS_BEFORE_BISECTION);
            let end = range.end.min(start + WINDOW_COUNT);
            let window = &mut bytes[..(end - start) as usize * RECORD_LEN];
            self.file.read_at(window, start * RECORD_LEN as u64)?;
            let (records, _) = window.as_chunks::<RECORD_LEN>();
            let place = records.binary_search_by(|record| record[..32].cmp(digest.as_bytes()));
            match place {
                Ok(found) => return Ok(Some(Record::decode(&records[found]).ordinal)),
                Err(0) => (range.end, range.head_high) = (start, head_of(&records[0])),
                Err(after) if after == records.len() => {
                    (range.start, range.head_low) = (end, head_of(&records[after - 1]));
                }
                Err(_) => return Ok(None),
            }
            step_count += 1;
        }
        Ok(None)
    }
}

fn head_of(record: &[u8; RECORD_LEN]) -> u128 {
    u128::from(head(&Record::decode(record).digest))
}

/// The records among which a digest may still lie, and the heads of their neighbours.
struct Range {
    start: u64,
    end: u64,
    head_low: u128,
    head_high: u128,
}

impl Range {
    /// Returns where to read a window, so that the place where the digest should lie is its middle.
    fn guess(&self, head: u64, bisect: bool) -> u64 {
        let count = self.end - self.start;
        let place = if bisect {
            count / 2
        } else {
            let share = u128::from(head) - self.head_low;
            (share * u128::from(count) / (self.head_high - self.head_low).max(1)) as u64
        };
        let last = count.saturating_sub(WINDOW_COUNT);
        self.start + place.saturating_sub(WINDOW_COUNT / 2).min(last)
    }
}

struct RunWriter {
    run: Run,
    buffer: Vec<u8>,
    buffer_len: usize,
}

impl RunWriter {
    fn create(dir: &Path, count: u64, filter_len_max: usize, buffer_len: usize) -> Result<RunWriter, SpillError> {
        let run = Run { file: SpillFile::create(dir)?, count: 0, level: 0, filter: Filter::new(count, filter_len_max) };
        Ok(RunWriter { run, buffer: Vec::with_capacity(buffer_len), buffer_len })
    }

    fn write(&mut self, record: &Record) -> Result<(), SpillError> {
        self.buffer.extend_from_slice(&record.encode());
        self.run.filter.insert(&record.digest);
        self.run.count += 1;
        if self.buffer.len() >= self.buffer_len {
            self.run.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self, level: u32) -> Result<Run, SpillError> {
        self.run.file.append(&self.buffer)?;
        self.run.level = level;
        Ok(self.run)
    }
}

/// A run read from its start, a record at a time.
struct RunReader<'a> {
    file: &'a SpillFile,
    offset: u64,
    buffer: Vec<u8>,
    buffer_len: usize,
    position: usize,
}

impl<'a> RunReader<'a> {
    fn new(run: &'a Run, buffer_len: usize) -> RunReader<'a> {
        RunReader { file: &run.file, offset: 0, buffer: Vec::with_capacity(buffer_len), buffer_len, position: 0 }
    }

    fn current(&mut self) -> Result<Option<Record>, SpillError> {
        if self.position == self.buffer.len() {
            let take = (self.file.len() - self.offset).min(self.buffer_len as u64);
            self.buffer.resize(take as usize, 0);
            self.file.read_at(&mut self.buffer, self.offset)?;
            self.offset += take;
            self.position = 0;
        }
        Ok(self.buffer[self.position..].first_chunk().map(Record::decode))
    }

    fn step(&mut self) {
        self.position += RECORD_LEN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn digest(i: u64) -> Digest {
        Digest::of(&i.to_le_bytes())
    }

    #[test]
    fn finds_what_was_put_in_whatever_the_budget() {
        let dir = tempfile::tempdir().expect("directory");
        for budget_len in [0, 256 << 10, 16 << 20] {
            let mut index = ChunkIndex::new(dir.path(), budget_len);
            for i in 0..30_000 {
                assert_eq!(index.find(&digest(i)).expect("readable"), None);
                index.insert(digest(i), i * 3).expect("room");
            }
            for i in 0..30_000 {
                assert_eq!(index.find(&digest(i)).expect("readable"), Some(i * 3), "budget of {budget_len} bytes");
            }
            assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0, "no name is left");
        }
    }

    #[test]
    fn keeps_runs_few_and_filters_within_the_budget() {
        let dir = tempfile::tempdir().expect("directory");
        let mut index = ChunkIndex::new(dir.path(), 0);
        (0..20_000).for_each(|i| index.insert(digest(i), i).expect("room"));
        assert!((2..=12).contains(&index.runs.len()), "{} runs", index.runs.len());
        let filters_len: usize = index.runs.iter().map(|run| run.filter.len()).sum();
        assert!(filters_len <= BUDGET_LEN_MIN / 16 * 3, "{filters_len} bytes");
    }

    #[test]
    fn knows_nothing_after_it_was_cleared() {
        let dir = tempfile::tempdir().expect("directory");
        let mut index = ChunkIndex::new(dir.path(), 0);
        (0..1000).for_each(|i| index.insert(digest(i), i).expect("room"));
        index.clear();
        assert!((0..1000).all(|i| index.find(&digest(i)).expect("readable").is_none()));
        index.insert(digest(5), 77).expect("room");
        assert_eq!(index.find(&digest(5)).expect("readable"), Some(77));
    }

    #[test]
    fn the_first_ordinal_of_a_digest_stays() {
        let mut index = ChunkIndex::new(Path::new("/nowhere"), 0);
        index.insert(digest(1), 10).expect("room");
        index.insert(digest(1), 20).expect("room");
        assert_eq!(index.find(&digest(1)).expect("in memory"), Some(10));
    }

    /// Digests that share their first 64 bits, or crowd at the ends of the range, defeat
    /// interpolation; the answers must not change.
    fn crowded() -> impl Strategy<Value = Digest> {
        (prop::sample::select(vec![0u8, 1, 0x7f, 0xff]), any::<u16>()).prop_map(|(head, tail)| {
            let mut bytes = [head; 32];
            bytes[8..24].copy_from_slice(&digest(u64::from(tail)).as_bytes()[..16]);
            bytes[30..].copy_from_slice(&tail.to_be_bytes());
            Digest::from_bytes(bytes)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_a_hash_map(digests in prop::collection::vec(crowded(), 0..4000), absent in crowded()) {
            let dir = tempfile::tempdir().expect("directory");
            let mut index = ChunkIndex::new(dir.path(), 0);
            let mut model = HashMap::new();
            for (ordinal, digest) in (0..).zip(&digests) {
                let found = index.find(digest).expect("readable");
                prop_assert_eq!(found, model.get(digest).copied());
                if found.is_none() {
                    index.insert(*digest, ordinal).expect("room");
                    model.insert(*digest, ordinal);
                }
            }
            for digest in digests.iter().chain([&absent]) {
                prop_assert_eq!(index.find(digest).expect("readable"), model.get(digest).copied());
            }
        }
    }
}
