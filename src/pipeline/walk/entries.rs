//! The sorted list of entries, kept in a file of the packer's state.
//!
//! A line saying what it is; then for each entry its length (16 bits) and its record: path, NUL,
//! kind, length, times, inode, device, little-endian; then an empty record and the BLAKE3 digest of
//! all that. Records in byte order are entries in the order of their paths, since no path has a NUL.

use super::error::WalkError;
use super::stat::{Stamp, Stat};
use crate::format::{Digest, EntryPath};
use crate::machine::{Machine, MachineFile};
use crate::pipeline::progress::Progress;
use crate::pipeline::spill::{RECORD_LEN_MAX, Sorted};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE_NAME: &str = "entries";
const NEW_FILE_NAME: &str = "entries.new";
const MAGIC: &[u8] = b"airlift entries 1\n";
/// Length of what stands behind the NUL of a record, in bytes.
const TAIL_LEN: usize = 41;
const DIGEST_LEN: usize = 32;
const BUFFER_LEN: usize = 64 << 10;
/// Most places of the list that are remembered to start from.
const PLACE_COUNT_MAX: usize = 4096;

/// Entries between two looks at whether to stop.
const STOP_STEP: u64 = 4096;

/// What a listed entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A regular file.
    File,
    /// A directory with no entry below it.
    Directory,
}

/// An entry of a root, as it was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    /// The path, with the name of the root first.
    pub path: EntryPath,
    /// File or directory.
    pub kind: SourceKind,
    /// The length of the file in bytes, at most `FILE_LEN_MAX`; 0 for a directory.
    pub len: u64,
    /// What changes when the file changes.
    pub stamp: Stamp,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files.
    pub file_count: u64,
    /// Directories with no entry below them.
    pub directory_count: u64,
    /// The length of all files, in bytes.
    pub total_len: u64,
}

impl Totals {
    /// Returns how many entries there are.
    pub fn entry_count(&self) -> u64 {
        self.file_count + self.directory_count
    }

    pub(super) fn add(&mut self, kind: SourceKind, len: u64) {
        match kind {
            SourceKind::File => self.file_count += 1,
            SourceKind::Directory => self.directory_count += 1,
        }
        self.total_len = self.total_len.saturating_add(len);
    }
}

/// Writes an entry as a record to sort.
pub(super) fn encode(record: &mut Vec<u8>, path: &[u8], kind: SourceKind, stat: &Stat) {
    let len = if kind == SourceKind::File { stat.len } else { 0 };
    record.clear();
    record.extend_from_slice(path);
    record.extend_from_slice(&[0, kind as u8]);
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&stat.stamp.mtime_ns.to_le_bytes());
    record.extend_from_slice(&stat.stamp.ctime_ns.to_le_bytes());
    record.extend_from_slice(&stat.stamp.inode.to_le_bytes());
    record.extend_from_slice(&stat.stamp.device.to_le_bytes());
}

/// Returns the bytes of the path of a record.
pub(super) fn path_of(record: &[u8]) -> &[u8] {
    &record[..record.len().saturating_sub(TAIL_LEN + 1)]
}

fn decode(record: &[u8]) -> Option<SourceEntry> {
    let (path, tail) = record.split_last_chunk::<TAIL_LEN>()?;
    let path = EntryPath::parse(path.strip_suffix(&[0])?).ok()?;
    let kind = match tail[0] {
        0 => SourceKind::File,
        1 => SourceKind::Directory,
        _ => return None,
    };
    let (words, _) = tail[1..].as_chunks::<8>();
    let [len, mtime, ctime, inode, device] = words.first_chunk::<5>()?;
    Some(SourceEntry {
        path,
        kind,
        len: u64::from_le_bytes(*len),
        stamp: Stamp {
            mtime_ns: i64::from_le_bytes(*mtime),
            ctime_ns: i64::from_le_bytes(*ctime),
            inode: u64::from_le_bytes(*inode),
            device: u64::from_le_bytes(*device),
        },
    })
}

/// The list of all entries in byte order of their paths, readable as often as needed.
#[derive(Clone, Debug)]
pub struct SortedEntries {
    file: Arc<File>,
    path: PathBuf,
    totals: Totals,
    digest: Digest,
    places: Places,
}

impl SortedEntries {
    /// Opens the list that an earlier walk left in the state directory and checks all of it;
    /// nothing if there is none.
    ///
    /// # Errors
    /// Fails where the list can't be read or is damaged.
    pub fn open(state_dir: &Path) -> Result<Option<SortedEntries>, WalkError> {
        let path = state_dir.join(FILE_NAME);
        match File::open(&path) {
            Ok(file) => SortedEntries::check(file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WalkError::List { action: "open", path, source }),
        }
    }

    /// Writes sorted records as the list in the state directory, in place of an earlier one.
    pub(super) fn write(
        machine: &Machine,
        state_dir: &Path,
        sorted: Sorted,
        progress: &dyn Progress,
    ) -> Result<SortedEntries, WalkError> {
        let path = state_dir.join(FILE_NAME);
        let new_path = state_dir.join(NEW_FILE_NAME);
        let failed = |source| WalkError::List { action: "write", path: path.clone(), source };
        let file = machine.create(&new_path, 0o600).map_err(failed)?;
        let mut writer = ListWriter::new(file).map_err(failed)?;
        writer.take(sorted, &path, progress)?;
        let (file, totals, digest, places) = writer.finish().map_err(failed)?;
        // The list must be whole on disk before it takes the name of the earlier one.
        let renamed = file.sync().and_then(|()| machine.rename(&new_path, &path));
        renamed.and_then(|()| machine.sync_directory(state_dir)).map_err(failed)?;
        Ok(SortedEntries { file: Arc::new(file.into_file()), path, totals, digest, places })
    }

    /// Returns how much there is.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the digest of the list: the same for a walk that found every entry unchanged.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns all entries in order.
    pub fn iter(&self) -> EntryReader {
        self.reader(MAGIC.len() as u64, 0)
    }

    /// Returns the entries from number `index` on, counted from 0.
    ///
    /// # Errors
    /// Fails where the list can't be read.
    pub fn iter_from(&self, index: u64) -> Result<EntryReader, WalkError> {
        let (offset, place_index) = self.places.before(index);
        let mut reader = self.reader(offset, place_index);
        while reader.index < index && reader.next_record()?.is_some() {}
        Ok(reader)
    }

    fn reader(&self, offset: u64, index: u64) -> EntryReader {
        let source = FileAt { file: Arc::clone(&self.file), offset };
        let source = BufReader::with_capacity(BUFFER_LEN, source);
        EntryReader { source, path: self.path.clone(), record: Vec::new(), index, is_over: false }
    }

    fn check(file: File, path: PathBuf) -> Result<SortedEntries, WalkError> {
        let failed = |source| WalkError::List { action: "read", path: path.clone(), source };
        let damaged = || WalkError::ListDamaged { path: path.clone() };
        let len = file.metadata().map_err(failed)?.len();
        let digest_offset = len.checked_sub(DIGEST_LEN as u64).ok_or_else(damaged)?;
        let mut stated = [0; DIGEST_LEN];
        file.read_exact_at(&mut stated, digest_offset).map_err(failed)?;
        let file = Arc::new(file);
        let mut hasher = blake3::Hasher::new();
        let whole = FileAt { file: Arc::clone(&file), offset: 0 }.take(digest_offset);
        io::copy(&mut BufReader::with_capacity(BUFFER_LEN, whole), &mut hasher).map_err(failed)?;
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        if digest != Digest::from_bytes(stated) {
            return Err(damaged());
        }
        let (totals, places) = (Totals::default(), Places::new());
        let mut entries = SortedEntries { file, path, totals, digest, places };
        let mut offset = MAGIC.len() as u64;
        let mut reader = entries.iter();
        while let Some(entry) = reader.next().transpose()? {
            entries.places.add(entries.totals.entry_count(), offset);
            entries.totals.add(entry.kind, entry.len);
            offset += 2 + reader.record.len() as u64;
        }
        Ok(entries)
    }
}

/// Entries of a list, in order.
#[derive(Debug)]
pub struct EntryReader {
    source: BufReader<FileAt>,
    path: PathBuf,
    record: Vec<u8>,
    index: u64,
    is_over: bool,
}

impl EntryReader {
    fn next_record(&mut self) -> Result<Option<&[u8]>, WalkError> {
        if self.is_over {
            return Ok(None);
        }
        self.read_record().map_err(|source| WalkError::List { action: "read", path: self.path.clone(), source })?;
        self.index += 1;
        self.is_over = self.record.is_empty();
        Ok((!self.is_over).then_some(&self.record))
    }

    fn read_record(&mut self) -> io::Result<()> {
        let mut len = [0; 2];
        self.source.read_exact(&mut len)?;
        self.record.resize(usize::from(u16::from_le_bytes(len)), 0);
        self.source.read_exact(&mut self.record)
    }
}

impl Iterator for EntryReader {
    type Item = Result<SourceEntry, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_record() {
            Ok(record) => {
                let entry = decode(record?);
                Some(entry.ok_or_else(|| WalkError::ListDamaged { path: self.path.clone() }))
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

/// Reads a shared file from a position of its own.
#[derive(Debug)]
struct FileAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for FileAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// Where some entries start: each `stride`-th one.
#[derive(Clone, Debug)]
struct Places {
    offsets: Vec<u64>,
    stride: u64,
}

impl Places {
    fn new() -> Places {
        Places { offsets: Vec::new(), stride: 1 }
    }

    fn add(&mut self, index: u64, offset: u64) {
        if !index.is_multiple_of(self.stride) {
            return;
        }
        if self.offsets.len() == PLACE_COUNT_MAX {
            let mut is_kept = false;
            self.offsets.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.stride *= 2;
        }
        if index.is_multiple_of(self.stride) {
            self.offsets.push(offset);
        }
    }

    /// Returns the last place at or before an entry: its offset, and the index of the entry there.
    fn before(&self, index: u64) -> (u64, u64) {
        let place = (index / self.stride).min((self.offsets.len() as u64).saturating_sub(1));
        let offset = self.offsets.get(place as usize).copied().unwrap_or(MAGIC.len() as u64);
        (offset, place * self.stride)
    }
}

/// Writes a list and hashes it on the way.
struct ListWriter {
    writer: BufWriter<MachineFile>,
    hasher: blake3::Hasher,
    offset: u64,
    totals: Totals,
    places: Places,
}

impl ListWriter {
    fn new(file: MachineFile) -> io::Result<ListWriter> {
        let writer = BufWriter::with_capacity(BUFFER_LEN, file);
        let (hasher, totals, places) = (blake3::Hasher::new(), Totals::default(), Places::new());
        let mut list = ListWriter { writer, hasher, offset: 0, totals, places };
        list.write(MAGIC)?;
        Ok(list)
    }

    fn take(&mut self, mut sorted: Sorted, path: &Path, progress: &dyn Progress) -> Result<(), WalkError> {
        let mut last = Vec::new();
        while let Some(record) = sorted.next_record()? {
            if self.totals.entry_count().is_multiple_of(STOP_STEP) && progress.is_cancelled() {
                return Err(WalkError::Stopped);
            }
            // A directory that changes while it is listed may show a name twice.
            if path_of(record) == path_of(&last) {
                return Err(WalkError::Changed { path: path_of(record).to_vec() });
            }
            self.add(record).map_err(|source| WalkError::List { action: "write", path: path.to_owned(), source })?;
            last.clear();
            last.extend_from_slice(record);
        }
        Ok(())
    }

    fn add(&mut self, record: &[u8]) -> io::Result<()> {
        debug_assert!(record.len() <= RECORD_LEN_MAX);
        let entry = decode(record).ok_or(io::ErrorKind::InvalidData)?;
        self.places.add(self.totals.entry_count(), self.offset);
        self.totals.add(entry.kind, entry.len);
        self.write(&(record.len() as u16).to_le_bytes())?;
        self.write(record)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<(MachineFile, Totals, Digest, Places)> {
        self.write(&[0, 0])?;
        let digest = Digest::from_bytes(*self.hasher.finalize().as_bytes());
        self.writer.write_all(digest.as_bytes())?;
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, self.totals, digest, self.places))
    }
}
