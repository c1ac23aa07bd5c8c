//! An external sort of byte records.

use super::file::{SpillError, SpillFile};
use std::path::{Path, PathBuf};

/// Longest record to sort, in bytes.
pub const RECORD_LEN_MAX: usize = 4096;

/// Smallest budget, in bytes; a smaller one is raised to this.
const BUDGET_LEN_MIN: usize = 32 << 10;
/// Largest budget, in bytes, so that positions fit 32 bits.
const BUDGET_LEN_MAX: usize = 1 << 30;
/// Buffer that a run should have when runs are merged, in bytes.
const MERGE_BUFFER_LEN: usize = 32 << 10;
/// Smallest buffer of a run, in bytes: any one record fits.
const MERGE_BUFFER_LEN_MIN: usize = 2 * RECORD_LEN_MAX;
/// Most runs merged at once.
const FAN_IN_MAX: usize = 64;
/// Length of the length that stands before a record in a run, in bytes.
const PREFIX_LEN: usize = 2;

/// Takes records in any order, to give them back in byte order.
///
/// Equal records are all kept. The memory held stays within the budget; what is beyond goes to
/// private files.
pub struct Sorter {
    dir: PathBuf,
    budget_len: usize,
    records: Records,
    runs: Option<Runs>,
}

impl Sorter {
    /// Returns an empty sorter that holds up to `budget_len` bytes in memory and the rest in `dir`.
    pub fn new(dir: &Path, budget_len: usize) -> Sorter {
        let budget_len = budget_len.clamp(BUDGET_LEN_MIN, BUDGET_LEN_MAX);
        Sorter { dir: dir.to_owned(), budget_len, records: Records::new(budget_len), runs: None }
    }

    /// Takes a record of at most [`RECORD_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// Refuses a longer record, and fails where a spill file can't be written.
    pub fn push(&mut self, record: &[u8]) -> Result<(), SpillError> {
        if record.len() > RECORD_LEN_MAX {
            return Err(SpillError::RecordTooLong { len: record.len() });
        }
        if !self.records.has_room(record.len()) {
            self.spill()?;
        }
        self.records.push(record);
        Ok(())
    }

    /// Returns the records in byte order.
    ///
    /// # Errors
    /// Fails where a spill file can't be written or read.
    pub fn finish(mut self) -> Result<Sorted, SpillError> {
        if self.runs.is_none() {
            self.records.sort();
            return Ok(Sorted(Source::Memory { records: self.records, next: 0 }));
        }
        self.spill()?;
        let Sorter { dir, budget_len, records, runs } = self;
        drop(records);
        let mut runs = runs.unwrap_or_default();
        let fan_in = (budget_len / MERGE_BUFFER_LEN).clamp(2, FAN_IN_MAX);
        let buffer_len = (budget_len / (fan_in + 1)).max(MERGE_BUFFER_LEN_MIN);
        while runs.extents.len() > fan_in {
            runs = merge_pass(&dir, &runs, fan_in, buffer_len)?;
        }
        let merge = Merge::new(&runs.extents, buffer_len);
        Ok(Sorted(Source::Runs { merge, runs }))
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        self.records.sort();
        let runs = self.runs.get_or_insert_default();
        let mut writer = runs.writer(&self.dir, MERGE_BUFFER_LEN_MIN)?;
        for index in 0..self.records.bounds.len() {
            writer.write(self.records.at(index))?;
        }
        writer.finish()?;
        self.records.clear();
        Ok(())
    }
}

/// Sorted records, each lent until the next is asked for.
pub struct Sorted(Source);

enum Source {
    Memory { records: Records, next: usize },
    Runs { runs: Runs, merge: Merge },
}

impl Sorted {
    /// Returns the next record, or nothing after the last.
    ///
    /// # Errors
    /// Fails where a spill file can't be read.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, SpillError> {
        match &mut self.0 {
            Source::Memory { records, next } => {
                let index = *next;
                *next += 1;
                Ok((index < records.bounds.len()).then(|| records.at(index)))
            }
            Source::Runs { runs, merge } => merge.next_record(runs),
        }
    }
}

/// Records in memory: three quarters of the budget for their bytes, a quarter for their bounds.
struct Records {
    bytes: Vec<u8>,
    bounds: Vec<Bound>,
    bytes_len_max: usize,
    bound_count_max: usize,
}

/// Where a record lies in the bytes.
#[derive(Clone, Copy)]
struct Bound {
    start: u32,
    len: u32,
}

impl Records {
    fn new(budget_len: usize) -> Records {
        let bound_count_max = budget_len / 4 / size_of::<Bound>();
        let bytes_len_max = budget_len - budget_len / 4;
        // Pages that are never written cost nothing, and a vector that grows holds twice its bytes.
        let (bytes, bounds) = (Vec::with_capacity(bytes_len_max), Vec::with_capacity(bound_count_max));
        Records { bytes, bounds, bytes_len_max, bound_count_max }
    }

    fn has_room(&self, record_len: usize) -> bool {
        self.bounds.len() < self.bound_count_max && self.bytes.len() + record_len <= self.bytes_len_max
    }

    fn push(&mut self, record: &[u8]) {
        self.bounds.push(Bound { start: self.bytes.len() as u32, len: record.len() as u32 });
        self.bytes.extend_from_slice(record);
    }

    fn at(&self, index: usize) -> &[u8] {
        slice(&self.bytes, self.bounds[index])
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.bounds.sort_unstable_by(|&one, &other| slice(bytes, one).cmp(slice(bytes, other)));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bounds.clear();
    }
}

fn slice(bytes: &[u8], bound: Bound) -> &[u8] {
    &bytes[bound.start as usize..][..bound.len as usize]
}

/// Sorted runs, one behind the other in one file.
#[derive(Default)]
struct Runs {
    file: Option<SpillFile>,
    extents: Vec<Extent>,
}

#[derive(Clone, Copy)]
struct Extent {
    start: u64,
    end: u64,
}

impl Runs {
    fn writer(&mut self, dir: &Path, buffer_len: usize) -> Result<RunWriter<'_>, SpillError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => SpillFile::create(dir)?,
        };
        let start = file.len();
        let file = self.file.insert(file);
        Ok(RunWriter { file, extents: &mut self.extents, start, buffer: Vec::with_capacity(buffer_len) })
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), SpillError> {
        self.file.as_ref().map_or(Ok(()), |file| file.read_at(bytes, offset))
    }
}

struct RunWriter<'a> {
    file: &'a mut SpillFile,
    extents: &'a mut Vec<Extent>,
    start: u64,
    buffer: Vec<u8>,
}

impl RunWriter<'_> {
    fn write(&mut self, record: &[u8]) -> Result<(), SpillError> {
        if self.buffer.len() + PREFIX_LEN + record.len() > self.buffer.capacity() {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(&(record.len() as u16).to_le_bytes());
        self.buffer.extend_from_slice(record);
        Ok(())
    }

    fn finish(self) -> Result<(), SpillError> {
        self.file.append(&self.buffer)?;
        self.extents.push(Extent { start: self.start, end: self.file.len() });
        Ok(())
    }
}

/// Merges each `fan_in` runs into one, in a new file.
fn merge_pass(dir: &Path, runs: &Runs, fan_in: usize, buffer_len: usize) -> Result<Runs, SpillError> {
    let mut merged = Runs::default();
    for extents in runs.extents.chunks(fan_in) {
        let mut merge = Merge::new(extents, buffer_len);
        let mut writer = merged.writer(dir, buffer_len)?;
        while let Some(record) = merge.next_record(runs)? {
            writer.write(record)?;
        }
        writer.finish()?;
    }
    Ok(merged)
}

/// Several runs read side by side, the least record first.
struct Merge {
    readers: Vec<RunReader>,
    /// A binary heap of readers by their current record; empty before the first record.
    heap: Vec<usize>,
    started: bool,
}

impl Merge {
    fn new(extents: &[Extent], buffer_len: usize) -> Merge {
        let readers = extents.iter().map(|&extent| RunReader::new(extent, buffer_len)).collect();
        Merge { readers, heap: Vec::with_capacity(extents.len()), started: false }
    }

    fn next_record(&mut self, runs: &Runs) -> Result<Option<&[u8]>, SpillError> {
        if self.started {
            self.step(runs)?;
        } else {
            self.start(runs)?;
        }
        Ok(self.heap.first().map(|&least| self.readers[least].current()))
    }

    fn start(&mut self, runs: &Runs) -> Result<(), SpillError> {
        self.started = true;
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if reader.advance(runs)? {
                self.heap.push(index);
            }
        }
        for position in (0..self.heap.len() / 2).rev() {
            self.sift_down(position);
        }
        Ok(())
    }

    fn step(&mut self, runs: &Runs) -> Result<(), SpillError> {
        let Some(&least) = self.heap.first() else { return Ok(()) };
        if !self.readers[least].advance(runs)? {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }

    fn sift_down(&mut self, mut position: usize) {
        let current = |&index: &usize| self.readers[index].current();
        loop {
            let left = 2 * position + 1;
            let children = left..self.heap.len().min(left + 2);
            let Some(least) = children.min_by_key(|&child| current(&self.heap[child])) else { return };
            if current(&self.heap[position]) <= current(&self.heap[least]) {
                return;
            }
            self.heap.swap(position, least);
            position = least;
        }
    }
}

/// A run read through a buffer, a record at a time.
struct RunReader {
    /// What of the run is not yet in the buffer.
    rest: Extent,
    buffer: Vec<u8>,
    buffer_len: usize,
    /// Where the current record starts, and where it ends.
    start: usize,
    end: usize,
}

impl RunReader {
    fn new(rest: Extent, buffer_len: usize) -> RunReader {
        RunReader { rest, buffer: Vec::new(), buffer_len, start: 0, end: 0 }
    }

    fn current(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Moves to the next record; tells whether there is one.
    fn advance(&mut self, runs: &Runs) -> Result<bool, SpillError> {
        if self.record_end().is_none() {
            self.fill(runs)?;
        }
        let Some(end) = self.record_end() else {
            self.buffer = Vec::new();
            (self.start, self.end) = (0, 0);
            return Ok(false);
        };
        self.start = self.end + PREFIX_LEN;
        self.end = end;
        Ok(true)
    }

    /// Returns where the record behind the current one ends, if all of it is in the buffer.
    fn record_end(&self) -> Option<usize> {
        let prefix = self.buffer.get(self.end..)?.first_chunk::<PREFIX_LEN>()?;
        let end = self.end + PREFIX_LEN + usize::from(u16::from_le_bytes(*prefix));
        (end <= self.buffer.len()).then_some(end)
    }

    fn fill(&mut self, runs: &Runs) -> Result<(), SpillError> {
        self.buffer.drain(..self.end);
        (self.start, self.end) = (0, 0);
        let kept = self.buffer.len();
        let rest_len = self.rest.end - self.rest.start;
        let take = rest_len.min((self.buffer_len - kept) as u64);
        self.buffer.reserve_exact(self.buffer_len - kept);
        self.buffer.resize(kept + take as usize, 0);
        runs.read_at(&mut self.buffer[kept..], self.rest.start)?;
        self.rest.start += take;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(records: &[Vec<u8>], budget_len: usize) -> Vec<Vec<u8>> {
        let dir = tempfile::tempdir().expect("directory");
        let mut sorter = Sorter::new(dir.path(), budget_len);
        records.iter().for_each(|record| sorter.push(record).expect("room"));
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0, "no name is left");
        let mut sorted = sorter.finish().expect("sorted");
        let mut out = Vec::new();
        while let Some(record) = sorted.next_record().expect("readable") {
            out.push(record.to_vec());
        }
        assert_eq!(sorted.next_record().expect("still readable"), None);
        out
    }

    #[test]
    fn sorts_alike_in_memory_in_one_pass_and_in_several() {
        let record = |i: u64| {
            let digest = crate::format::Digest::of(&i.to_le_bytes());
            let len = 1 + usize::from(digest.as_bytes()[0]) % 200;
            digest.as_bytes().iter().copied().cycle().skip(1).take(len).collect::<Vec<u8>>()
        };
        let records: Vec<Vec<u8>> = (0..20_000).map(record).collect();
        let mut expected = records.clone();
        expected.sort();
        for budget_len in [0, 200 << 10, 64 << 20] {
            assert!(sorted(&records, budget_len) == expected, "budget of {budget_len} bytes");
        }
    }

    #[test]
    fn takes_the_longest_record_and_refuses_a_longer_one() {
        let records: Vec<Vec<u8>> = (0..50u8).rev().map(|byte| vec![byte; RECORD_LEN_MAX]).collect();
        let mut expected = records.clone();
        expected.reverse();
        assert_eq!(sorted(&records, 0), expected);
        let mut sorter = Sorter::new(Path::new("/nowhere"), 0);
        let refused = sorter.push(&[0; RECORD_LEN_MAX + 1]).expect_err("too long");
        assert_eq!(refused.class(), crate::error::Class::Bug);
    }

    #[test]
    fn names_the_directory_that_takes_no_file() {
        let mut sorter = Sorter::new(Path::new("/nowhere"), 0);
        let result = (0..100).try_for_each(|_| sorter.push(&[7; 1000]));
        let error = result.expect_err("no such directory");
        assert_eq!(error.to_string(), "cannot create a spill file in \"/nowhere\"");
        assert_eq!(error.class(), crate::error::Class::Failed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_a_plain_sort(records in prop::collection::vec(prop::collection::vec(0u8..3, 0..600), 0..400)) {
            let mut expected = records.clone();
            expected.sort();
            prop_assert_eq!(sorted(&records, 0), expected);
        }
    }
}
