//! The local file `objects`: what is known of the object of each entry.

use super::bits::Bits;
use crate::machine::{Machine, MachineFile};
use crate::store::Tag;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// Bytes of a record.
pub(super) const SLOT_LEN: usize = 96;
const TAG_LEN_MAX: usize = SLOT_LEN - 6;
/// Records that are read at once when all are walked.
const WALK_COUNT: usize = 4096;

/// What is known of the object of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing: it is still to be sent.
    Nothing,
    /// It landed, and had this tag then; no tag where the store's is too long to keep.
    Landed(Option<Tag>),
    /// A foreign object is left in its place.
    Skipped(Tag),
    /// An object with this tag is to be replaced.
    Replace(Tag),
}

/// The records of one release, by entry. Calls may come from any thread.
#[derive(Debug)]
pub struct Slots {
    file: MachineFile,
    entry_count: u64,
    /// The entries whose records may say something: those of all others are not read.
    told: Bits,
}

impl Slots {
    /// Opens the file, or creates it with nothing known.
    ///
    /// # Errors
    /// The file can't be opened or grown.
    pub fn open(machine: &Machine, path: &Path, entry_count: u64) -> io::Result<Slots> {
        Slots::of(machine.open(path, 0o600)?, entry_count)
    }

    /// Returns a copy that is never written back, for a plan that only looks.
    ///
    /// # Errors
    /// There is no room for the copy.
    pub fn scratch(machine: &Machine, path: &Path, entry_count: u64) -> io::Result<Slots> {
        let directory = path.ancestors().skip(1).find(|directory| directory.is_dir()).unwrap_or(Path::new("."));
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::CLOEXEC;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let mut file = File::from(rustix::fs::open(directory, flags, mode)?);
        match File::open(path) {
            Ok(mut kept) => drop(io::copy(&mut kept, &mut file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Slots::of(machine.nameless(file), entry_count)
    }

    fn of(mut file: MachineFile, entry_count: u64) -> io::Result<Slots> {
        // Only entries that are written take room: the file is sparse.
        file.set_len(entry_count * SLOT_LEN as u64)?;
        let slots = Slots { file, entry_count, told: Bits::new(entry_count) };
        slots.scan(
            |_| true,
            |entry, _| {
                slots.told.set(entry);
                Ok(())
            },
        )?;
        Ok(slots)
    }

    /// Returns the record of an entry; nothing for one that does not check.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn get(&self, entry: u64) -> io::Result<Slot> {
        if !self.told.get(entry) {
            return Ok(Slot::Nothing);
        }
        let mut record = [0; SLOT_LEN];
        self.file.read_exact_at(&mut record, entry * SLOT_LEN as u64)?;
        Ok(decode(entry, &record))
    }

    /// Writes the record of an entry.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set(&self, entry: u64, slot: &Slot) -> io::Result<()> {
        self.set_all(&[(entry, slot.clone())])
    }

    /// Writes the records of entries, those of neighbours at once.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_all(&self, records: &[(u64, Slot)]) -> io::Result<()> {
        for run in records.chunk_by(|(one, _), (next, _)| one + 1 == *next) {
            run.iter().for_each(|(entry, _)| self.told.set(*entry));
            let bytes: Vec<u8> = run.iter().flat_map(|(entry, slot)| encode(*entry, slot)).collect();
            self.file.write_all_at(&bytes, run[0].0 * SLOT_LEN as u64)?;
        }
        Ok(())
    }

    /// Calls `each` with every record that says something, in order.
    ///
    /// # Errors
    /// The file can't be read, or `each` fails.
    pub fn walk(&self, each: impl FnMut(u64, Slot) -> io::Result<()>) -> io::Result<()> {
        self.scan(|entries| self.told.may_have(entries), each)
    }

    /// Reads the runs of records that are `wanted`, in order.
    fn scan(
        &self,
        wanted: impl Fn(Range<u64>) -> bool,
        mut each: impl FnMut(u64, Slot) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut records = vec![0; SLOT_LEN * WALK_COUNT];
        for start in (0..self.entry_count).step_by(WALK_COUNT) {
            let entries = start..self.entry_count.min(start + WALK_COUNT as u64);
            if !wanted(entries.clone()) {
                continue;
            }
            let records = &mut records[..(entries.end - start) as usize * SLOT_LEN];
            self.file.read_exact_at(records, start * SLOT_LEN as u64)?;
            for (record, entry) in records.chunks_exact(SLOT_LEN).zip(entries) {
                match decode(entry, record) {
                    Slot::Nothing => {}
                    slot => each(entry, slot)?,
                }
            }
        }
        Ok(())
    }

    /// Returns the bytes of the records from `offset` on, at most `len` of them.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min((self.len() - offset.min(self.len())) as usize);
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Returns the length of all records in bytes.
    pub fn len(&self) -> u64 {
        self.entry_count * SLOT_LEN as u64
    }

    /// Tells whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    /// Makes every record durable.
    ///
    /// # Errors
    /// The disk fails.
    pub fn finish(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn encode(entry: u64, slot: &Slot) -> [u8; SLOT_LEN] {
    let (state, tag) = match slot {
        Slot::Nothing => (0, None),
        Slot::Landed(tag) => (1, tag.as_ref()),
        Slot::Skipped(tag) => (2, Some(tag)),
        Slot::Replace(tag) => (3, Some(tag)),
    };
    let tag = tag.map(Tag::as_str).filter(|tag| tag.len() <= TAG_LEN_MAX).unwrap_or_default().as_bytes();
    let mut record = [0; SLOT_LEN];
    record[4] = state;
    record[5] = tag.len() as u8;
    record[6..6 + tag.len()].copy_from_slice(tag);
    let crc = crc_of(entry, &record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    record
}

fn decode(entry: u64, record: &[u8]) -> Slot {
    let (crc, rest) = record.split_at(4);
    let (state, tag_len) = (rest[0], rest[1] as usize);
    if state == 0 || crc != crc_of(entry, rest).to_le_bytes() || tag_len > TAG_LEN_MAX {
        return Slot::Nothing;
    }
    let tag = std::str::from_utf8(&rest[2..2 + tag_len]).ok().filter(|tag| !tag.is_empty()).map(Tag::new);
    match (state, tag) {
        (1, tag) => Slot::Landed(tag),
        (2, Some(tag)) => Slot::Skipped(tag),
        (3, Some(tag)) => Slot::Replace(tag),
        _ => Slot::Nothing,
    }
}

/// Returns the CRC-32 of a record, with its entry: a record at another place does not check.
fn crc_of(entry: u64, rest: &[u8]) -> u32 {
    let mut crc = Crc::new(CrcAlgorithm::Crc32IsoHdlc);
    crc.update(&entry.to_le_bytes());
    crc.update(rest);
    crc.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_records_and_ignores_every_flipped_bit() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("objects");
        let slots = Slots::open(&Machine::default(), &path, 5000).expect("opened");
        let tag = Tag::new("\"0123456789abcdef0123456789abcdef-12\"");
        slots.set(7, &Slot::Landed(Some(tag.clone()))).expect("written");
        slots.set(4999, &Slot::Replace(tag.clone())).expect("written");
        slots.set(4998, &Slot::Landed(Some(Tag::new("x".repeat(200))))).expect("written");
        let slots = Slots::open(&Machine::default(), &path, 5000).expect("opened again");
        assert_eq!(slots.get(7).expect("read"), Slot::Landed(Some(tag.clone())));
        assert_eq!(slots.get(8).expect("read"), Slot::Nothing);
        let landed = |text: &str| Slot::Landed(Some(Tag::new(text)));
        slots.set_all(&[(20, landed("a")), (21, landed("b")), (30, landed("c"))]).expect("written");
        let slots = Slots::open(&Machine::default(), &path, 5000).expect("opened again");
        assert_eq!([20, 21, 30].map(|entry| slots.get(entry).expect("read")), ["a", "b", "c"].map(landed));
        assert_eq!(slots.get(22).expect("read"), Slot::Nothing);
        assert_eq!(slots.get(4998).expect("read"), Slot::Landed(None));
        let mut met = Vec::new();
        let walked = slots.walk(|entry, _| {
            met.push(entry);
            Ok(())
        });
        walked.expect("walked");
        assert_eq!(met, [7, 20, 21, 30, 4998, 4999]);
        let good = encode(7, &Slot::Landed(Some(tag)));
        for bit in 0..SLOT_LEN * 8 {
            let mut record = good;
            record[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(7, &record), Slot::Nothing, "bit {bit}");
        }
        assert_eq!(decode(8, &good), Slot::Nothing);
    }

    #[test]
    fn a_scratch_copy_is_never_written_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("objects");
        Slots::open(&Machine::default(), &path, 3).expect("opened").set(1, &Slot::Landed(None)).expect("written");
        let scratch = Slots::scratch(&Machine::default(), &path, 3).expect("copied");
        assert_eq!(scratch.get(1).expect("read"), Slot::Landed(None));
        scratch.set(2, &Slot::Landed(None)).expect("written");
        assert_eq!(Slots::open(&Machine::default(), &path, 3).expect("opened").get(2).expect("read"), Slot::Nothing);
    }
}
