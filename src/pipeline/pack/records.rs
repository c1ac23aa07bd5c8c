//! The logs: what finished volumes hold, from which manifest and pack table are made at the end.
//!
//! Four files that only grow: entries, rows, marks and packs, each in manifest order. The journal
//! says how much of them counts, and with which digest.

use super::error::PackError;
use crate::format::manifest::{FileFacts, Profile, Row};
use crate::format::packs::{Pack, Place, VolumeNumber};
use crate::format::{Digest, EntryPath, Mark, Sha256};
use crate::machine::{Machine, MachineFile};
use crate::pipeline::walk::{SourceEntry, SourceKind, Stamp};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

const BUFFER_LEN: usize = 256 << 10;
const ROW_LEN: usize = 36;
const MARK_LEN: usize = 32 + 63 + 8;
const PACK_LEN: usize = 76;
/// Length of an entry without its path.
const ENTRY_LEN: usize = 2 + 1 + 8 + 32 + 32;
const DIRECTORY: u8 = 0;
/// Set in the length of a row that the chunk index leads to.
const CARRIER: u32 = 1 << 31;

/// A log that is written.
pub(super) struct Log {
    writer: BufWriter<MachineFile>,
    path: PathBuf,
    hasher: blake3::Hasher,
    len: u64,
}

/// How much of a log counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogState {
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its BLAKE3.
    pub(super) digest: Digest,
}

impl Log {
    /// Creates a log, or empties it.
    pub(super) fn create(machine: &Machine, path: &Path) -> Result<Log, PackError> {
        let file = machine.create(path, 0o600).map_err(PackError::io("create", path))?;
        Ok(Log::new(file, path, blake3::Hasher::new(), 0))
    }

    /// Opens a log to go on behind `state`, letting go of what follows; nothing where the log does
    /// not begin as the state says.
    pub(super) fn resume(machine: &Machine, path: &Path, state: &LogState) -> Result<Option<Log>, PackError> {
        let failed = PackError::io("read", path);
        let mut file = match machine.open_existing(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut hasher = blake3::Hasher::new();
        let mut source = file.as_file();
        let read_len = source
            .rewind()
            .and_then(|()| io::copy(&mut BufReader::with_capacity(BUFFER_LEN, source.take(state.len)), &mut hasher));
        let is_same =
            read_len.map_err(&failed)? == state.len && hasher.finalize().as_bytes() == state.digest.as_bytes();
        if !is_same {
            return Ok(None);
        }
        file.set_len(state.len).map_err(&failed)?;
        Ok(Some(Log::new(file, path, hasher, state.len)))
    }

    fn new(file: MachineFile, path: &Path, hasher: blake3::Hasher, len: u64) -> Log {
        Log { writer: BufWriter::with_capacity(BUFFER_LEN, file), path: path.to_owned(), hasher, len }
    }

    /// Makes everything so far durable.
    pub(super) fn sync(&mut self) -> Result<LogState, PackError> {
        let synced = self.writer.flush().and_then(|()| self.writer.get_ref().sync());
        synced.map_err(PackError::io("write", &self.path))?;
        Ok(LogState { len: self.len, digest: Digest::from_bytes(*self.hasher.finalize().as_bytes()) })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(PackError::io("write", &self.path))
    }

    /// Appends an entry that is packed: a file with its profile and SHA-256, or a directory.
    pub(super) fn append_entry(
        &mut self,
        entry: &SourceEntry,
        profile: Profile,
        sha256: &Sha256,
    ) -> Result<(), PackError> {
        let path = entry.path.as_bytes();
        let kind = if entry.kind == SourceKind::Directory { DIRECTORY } else { profile as u8 };
        let mut record = Vec::with_capacity(ENTRY_LEN + path.len());
        record.extend_from_slice(&(path.len() as u16).to_le_bytes());
        record.push(kind);
        record.extend_from_slice(&entry.len.to_le_bytes());
        record.extend_from_slice(sha256.as_bytes());
        record.extend_from_slice(&entry.stamp.mtime_ns.to_le_bytes());
        record.extend_from_slice(&entry.stamp.ctime_ns.to_le_bytes());
        record.extend_from_slice(&entry.stamp.inode.to_le_bytes());
        record.extend_from_slice(&entry.stamp.device.to_le_bytes());
        record.extend_from_slice(path);
        self.append(&record)
    }

    /// Appends a row, and whether the chunk index leads to it.
    pub(super) fn append_row(&mut self, row: &Row, is_carrier: bool) -> Result<(), PackError> {
        let mut record = [0; ROW_LEN];
        let flag = if is_carrier { CARRIER } else { 0 };
        record[..4].copy_from_slice(&(row.len | flag).to_le_bytes());
        record[4..].copy_from_slice(row.digest.as_bytes());
        self.append(&record)
    }

    /// Appends the mark at a part end.
    pub(super) fn append_mark(&mut self, mark: &Mark) -> Result<(), PackError> {
        let mut record = [0; MARK_LEN];
        for (bytes, word) in record.chunks_exact_mut(4).zip(mark.words()) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        record[32..32 + mark.tail().len()].copy_from_slice(mark.tail());
        record[MARK_LEN - 8..].copy_from_slice(&mark.offset().to_le_bytes());
        self.append(&record)
    }

    /// Appends a pack that lies in a volume.
    pub(super) fn append_pack(&mut self, pack: &Pack, place: &Place) -> Result<(), PackError> {
        let mut record = Vec::with_capacity(PACK_LEN);
        record.extend_from_slice(&pack.first_entry.to_le_bytes());
        record.extend_from_slice(&pack.entry_count.to_le_bytes());
        record.extend_from_slice(&pack.first_ordinal.to_le_bytes());
        record.extend_from_slice(&pack.row_count.to_le_bytes());
        record.extend_from_slice(&place.volume.number().to_le_bytes());
        record.extend_from_slice(&place.offset.to_le_bytes());
        record.extend_from_slice(&place.index_len.to_le_bytes());
        record.extend_from_slice(&place.payload_len.to_le_bytes());
        record.extend_from_slice(place.index_digest.as_bytes());
        self.append(&record)
    }
}

/// An entry of the log.
pub(super) struct EntryRecord {
    /// The entry as it was listed.
    pub(super) source: SourceEntry,
    /// What the manifest says of a file; nothing for a directory.
    pub(super) file: Option<FileFacts>,
}

/// A log that is read from its beginning.
pub(super) struct LogReader {
    reader: BufReader<io::Take<File>>,
    path: PathBuf,
}

impl LogReader {
    /// Opens a log whose first `len` bytes count.
    pub(super) fn open(machine: &Machine, path: &Path, len: u64) -> Result<LogReader, PackError> {
        let file = machine.open_to_read(path).map_err(PackError::io("open", path))?;
        Ok(LogReader { reader: BufReader::with_capacity(BUFFER_LEN, file.take(len)), path: path.to_owned() })
    }

    /// Returns the next entry.
    pub(super) fn next_entry(&mut self) -> Result<Option<EntryRecord>, PackError> {
        let Some(fixed) = self.next_array::<ENTRY_LEN>()? else { return Ok(None) };
        let mut path = vec![0; usize::from(u16::from_le_bytes([fixed[0], fixed[1]]))];
        self.fill(&mut path)?;
        let path = EntryPath::parse(&path).map_err(|_| self.damaged())?;
        let len = u64_at(&fixed, 3);
        let stamp = Stamp {
            mtime_ns: u64_at(&fixed, 43) as i64,
            ctime_ns: u64_at(&fixed, 51) as i64,
            inode: u64_at(&fixed, 59),
            device: u64_at(&fixed, 67),
        };
        let kind = if fixed[2] == DIRECTORY { SourceKind::Directory } else { SourceKind::File };
        let file = match (kind, Profile::from_id(fixed[2])) {
            (SourceKind::Directory, _) => None,
            (SourceKind::File, Some(profile)) => {
                Some(FileFacts { profile, len, sha256: Sha256::from_bytes(bytes_at(&fixed, 11)) })
            }
            (SourceKind::File, None) => return Err(self.damaged()),
        };
        Ok(Some(EntryRecord { source: SourceEntry { path, kind, len, stamp }, file }))
    }

    /// Returns the next row, and whether the chunk index leads to it.
    pub(super) fn next_row(&mut self) -> Result<Option<(Row, bool)>, PackError> {
        let record = self.next_array::<ROW_LEN>()?;
        Ok(record.map(|record| {
            let len = u32_at(&record, 0);
            (Row { digest: Digest::from_bytes(bytes_at(&record, 4)), len: len & !CARRIER }, len & CARRIER != 0)
        }))
    }

    /// Returns the next mark.
    pub(super) fn next_mark(&mut self) -> Result<Option<Mark>, PackError> {
        let Some(record) = self.next_array::<MARK_LEN>()? else { return Ok(None) };
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(record.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let offset = u64_at(&record, MARK_LEN - 8);
        let tail = &record[32..32 + (offset % 64) as usize];
        Mark::from_parts(words, tail, offset).map(Some).ok_or_else(|| self.damaged())
    }

    /// Returns the next pack.
    pub(super) fn next_pack(&mut self) -> Result<Option<Pack>, PackError> {
        let Some(record) = self.next_array::<PACK_LEN>()? else { return Ok(None) };
        let volume = VolumeNumber::new(u32_at(&record, 24)).ok_or_else(|| self.damaged())?;
        let place = Place {
            volume,
            offset: u64_at(&record, 28),
            index_len: u32_at(&record, 36),
            payload_len: u32_at(&record, 40),
            index_digest: Digest::from_bytes(bytes_at(&record, 44)),
        };
        Ok(Some(Pack {
            first_entry: u64_at(&record, 0),
            entry_count: u32_at(&record, 8),
            first_ordinal: u64_at(&record, 12),
            row_count: u32_at(&record, 20),
            place: Some(place),
        }))
    }

    /// Returns the error for a log that does not hold what belongs together.
    pub(super) fn damaged(&self) -> PackError {
        PackError::StateDamaged { path: self.path.clone() }
    }

    fn next_array<const LEN: usize>(&mut self) -> Result<Option<[u8; LEN]>, PackError> {
        let mut record = [0; LEN];
        let is_at_end = io::BufRead::fill_buf(&mut self.reader).map(<[u8]>::is_empty);
        if is_at_end.map_err(PackError::io("read", &self.path))? {
            return Ok(None);
        }
        self.fill(&mut record)?;
        Ok(Some(record))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), PackError> {
        match self.reader.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged()),
            other => other.map_err(PackError::io("read", &self.path)),
        }
    }
}

fn bytes_at<const LEN: usize>(record: &[u8], offset: usize) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes.copy_from_slice(&record[offset..offset + LEN]);
    bytes
}

fn u32_at(record: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes_at(record, offset))
}

fn u64_at(record: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(record, offset))
}
