//! The local file `uploads`: which uploads are open and which parts they have.

use crate::machine::{Machine, MachineFile};
use crate::store::{PartNumber, PartTag, UploadId};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

/// Longest line that is read, in bytes; a longer one does not check.
const LINE_LEN_MAX: usize = 16 << 10;

/// One fact about an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fact {
    /// An upload is about to be opened.
    Intent { entry: u64 },
    /// It is open.
    Open { entry: u64, upload: String },
    /// It has a part.
    Part { entry: u64, number: u16, tag: String },
    /// It was finished, aborted, or is gone.
    Closed { entry: u64 },
}

/// An upload as the journal knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JournalledUpload {
    /// Its id; nothing where it was to be opened and no answer was journalled.
    pub upload: Option<UploadId>,
    /// The parts that the server has acknowledged.
    pub parts: BTreeMap<PartNumber, PartTag>,
}

/// Appends facts. A line is in the page cache when the call returns, so the end of this process loses
/// none; after a power cut the last parts may be sent again.
#[derive(Debug)]
pub(super) struct Journal {
    file: MachineFile,
}

impl Journal {
    /// Opens the journal and returns the uploads that it says are not closed.
    ///
    /// # Errors
    /// The file can't be opened or read.
    pub(super) fn open(machine: &Machine, path: &Path) -> io::Result<(Journal, BTreeMap<u64, JournalledUpload>)> {
        let file = machine.open(path, 0o600)?;
        let uploads = read_open_uploads(&machine.open_to_read(path)?)?;
        let mut journal = Journal { file };
        // A line that a crash has cut must not swallow the next one.
        journal.file.write_all(b"\n")?;
        Ok((journal, uploads))
    }

    /// Returns the uploads that the journal at `path` says are not closed, without opening it for
    /// writing; none where there is no journal.
    ///
    /// # Errors
    /// The file can't be read.
    pub(super) fn peek(path: &Path) -> io::Result<BTreeMap<u64, JournalledUpload>> {
        match File::open(path) {
            Ok(file) => read_open_uploads(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Notes that an upload is about to be opened.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn intend(&mut self, entry: u64) -> io::Result<()> {
        self.append(&Fact::Intent { entry })
    }

    /// Notes that an upload is open.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn opened(&mut self, entry: u64, upload: &UploadId) -> io::Result<()> {
        self.append(&Fact::Open { entry, upload: upload.as_str().to_owned() })
    }

    /// Notes that the server has a part.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn has_part(&mut self, entry: u64, number: PartNumber, tag: &PartTag) -> io::Result<()> {
        self.append(&Fact::Part { entry, number: number.number(), tag: tag.as_str().to_owned() })
    }

    /// Notes that an upload is no longer open.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn closed(&mut self, entry: u64) -> io::Result<()> {
        self.append(&Fact::Closed { entry })
    }

    /// Makes all facts durable.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn append(&mut self, fact: &Fact) -> io::Result<()> {
        let json = serde_json::to_string(fact)?;
        self.file.write_all(format!("{:08x} {json}\n", crc_of(json.as_bytes())).as_bytes())
    }
}

fn read_open_uploads(file: &File) -> io::Result<BTreeMap<u64, JournalledUpload>> {
    let mut uploads: BTreeMap<u64, JournalledUpload> = BTreeMap::new();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut reader, LINE_LEN_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(uploads);
        }
        match decode(&line) {
            None => {}
            Some(Fact::Intent { entry }) => drop(uploads.insert(entry, JournalledUpload::default())),
            Some(Fact::Open { entry, upload }) => {
                let upload = Some(UploadId::new(upload));
                uploads.insert(entry, JournalledUpload { upload, parts: BTreeMap::new() });
            }
            Some(Fact::Part { entry, number, tag }) => {
                if let (Some(upload), Some(number)) = (uploads.get_mut(&entry), PartNumber::new(number)) {
                    upload.parts.insert(number, PartTag::new(tag));
                }
            }
            Some(Fact::Closed { entry }) => drop(uploads.remove(&entry)),
        }
    }
}

fn decode(line: &[u8]) -> Option<Fact> {
    // The last line may lack its end where a crash cut it just there: the CRC decides.
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (crc, json) = (line.get(..8)?, line.get(9..)?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if line[8] != b' ' || crc != crc_of(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

pub(super) fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new(CrcAlgorithm::Crc32IsoHdlc);
    crc.update(bytes);
    crc.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u16) -> PartNumber {
        PartNumber::new(number).expect("in range")
    }

    fn sample(path: &Path) {
        let (mut journal, uploads) = Journal::open(&Machine::default(), path).expect("opened");
        assert!(uploads.is_empty());
        journal.intend(3).expect("written");
        journal.opened(3, &UploadId::new("up 3")).expect("written");
        journal.has_part(3, number(2), &PartTag::new("\"two\"")).expect("written");
        journal.intend(4).expect("written");
        journal.opened(4, &UploadId::new("up4")).expect("written");
        journal.closed(4).expect("written");
        journal.intend(9).expect("written");
        journal.finish().expect("durable");
    }

    #[test]
    fn knows_open_uploads_and_intents_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("uploads");
        sample(&path);
        let (_, uploads) = Journal::open(&Machine::default(), &path).expect("opened");
        assert_eq!(uploads.keys().collect::<Vec<_>>(), [&3, &9]);
        assert_eq!(uploads[&3].upload, Some(UploadId::new("up 3")));
        assert_eq!(uploads[&3].parts[&number(2)], PartTag::new("\"two\""));
        assert_eq!(uploads[&9], JournalledUpload::default());
    }

    #[test]
    fn survives_a_cut_at_every_byte_and_every_flipped_bit() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("uploads");
        sample(&path);
        let bytes = std::fs::read(&path).expect("read");
        let cut = directory.path().join("cut");
        for len in 0..bytes.len() {
            std::fs::write(&cut, &bytes[..len]).expect("written");
            let (mut journal, before) = Journal::open(&Machine::default(), &cut).expect("opened");
            journal.intend(77).expect("written");
            let (_, after) = Journal::open(&Machine::default(), &cut).expect("opened");
            assert_eq!(after.len(), before.len() + 1, "{len}");
            assert!(after.contains_key(&77));
        }
        let part = |uploads: &BTreeMap<u64, JournalledUpload>| uploads.get(&3).map(|one| one.parts.clone());
        let good = part(&Journal::peek(&path).expect("read"));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&cut, &flipped).expect("written");
            let found = part(&Journal::peek(&cut).expect("read"));
            // A fact is lost or kept, never changed.
            assert!(found == good || found.is_none_or(|parts| parts.is_empty()), "bit {bit}");
        }
    }
}
