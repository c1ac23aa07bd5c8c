//! The manifest: its root, its pages and the records on them (F-40 to F-49).
//!
//! [`ManifestEncoder`] fills pages greedily, so one content has one manifest. [`PageReader`] reads the
//! records of one proven page; [`ManifestWalk`](super::walk::ManifestWalk) checks them against each other.

use super::error::FormatError;
use super::limits::{CHUNK_LEN_MAX, FILE_LEN_MAX, PAGE_COUNT_MAX, PAGE_LEN_MAX, PATH_LEN_MAX, TOTAL_LEN_MAX};
use super::wire::Reader;
use super::{Digest, EntryPath, Mark, Sha256, Structure};

const MAGIC: &[u8; 8] = b"AIRLIFTM";
/// The version of every structure of this format.
pub(super) const VERSION: u16 = 1;
/// The suite of this format: BLAKE3 and SHA-256.
pub(super) const SUITE: u16 = 1;
const PAGE_START_LEN: usize = 8;
const KIND_FILE: u32 = 1;
const KIND_DIRECTORY: u32 = 2;
const KIND_ROW: u32 = 3;
const KIND_MARK: u32 = 4;

/// How a file was cut; kept for people (F-44).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Profile {
    /// One chunk, or none.
    Single = 1,
    /// Content-defined chunks.
    Mincdc = 2,
    /// At the tensors of a safetensors file.
    Safetensors = 3,
    /// At the tensors of a GGUF file.
    Gguf = 4,
    /// At the array of a NumPy file.
    Npy = 5,
}

impl Profile {
    /// Returns the profile with this id.
    pub const fn from_id(id: u8) -> Option<Profile> {
        match id {
            1 => Some(Profile::Single),
            2 => Some(Profile::Mincdc),
            3 => Some(Profile::Safetensors),
            4 => Some(Profile::Gguf),
            5 => Some(Profile::Npy),
            _ => None,
        }
    }

    /// Returns the name as reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Single => "single",
            Profile::Mincdc => "mincdc",
            Profile::Safetensors => "safetensors",
            Profile::Gguf => "gguf",
            Profile::Npy => "npy",
        }
    }
}

/// A file of the manifest, without its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// How it was cut.
    pub profile: Profile,
    /// Its length in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// One occurrence of a chunk in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The digest of the chunk.
    pub digest: Digest,
    /// The length of the chunk in bytes; `1 <= len <= 4 MiB`.
    pub len: u32,
}

/// One record of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A file; its rows follow.
    File(EntryPath, FileFacts),
    /// An empty directory.
    Directory(EntryPath),
    /// A row of the file before it.
    Row(Row),
    /// A mark: chaining words and tail.
    Mark([u32; 8], Tail),
}

/// The 0 to 63 bytes behind the last whole block of a mark.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    bytes: [u8; 63],
    len: u8,
}

impl Tail {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tail({} bytes)", self.len)
    }
}

/// What the root says of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// The digest of the page.
    pub digest: Digest,
    /// The length of the page in bytes.
    pub len: u32,
    /// Index of the entry that the page's first record belongs to.
    pub first_entry: u64,
    /// Ordinal of the first row on or after the page.
    pub first_ordinal: u64,
    /// Path of that entry.
    pub first_path: EntryPath,
}

/// The root of the manifest; its digest is the content id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRoot {
    /// Number of entries.
    pub entry_count: u64,
    /// Number of files, at least 1.
    pub file_count: u64,
    /// Number of rows.
    pub row_count: u64,
    /// Sum of the file lengths in bytes.
    pub total_len: u64,
    /// The pages in order.
    pub pages: Vec<PageFacts>,
}

impl ManifestRoot {
    /// Returns the bytes of the root.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.pages.len() * 96);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&SUITE.to_le_bytes());
        out.extend_from_slice(&(self.pages.len() as u32).to_le_bytes());
        for count in [self.entry_count, self.file_count, self.row_count, self.total_len] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for page in &self.pages {
            out.extend_from_slice(page.digest.as_bytes());
            out.extend_from_slice(&page.len.to_le_bytes());
            out.extend_from_slice(&page.first_entry.to_le_bytes());
            out.extend_from_slice(&page.first_ordinal.to_le_bytes());
            out.extend_from_slice(&(page.first_path.as_bytes().len() as u16).to_le_bytes());
            out.extend_from_slice(page.first_path.as_bytes());
        }
        out
    }

    /// Returns the root that `bytes` encode.
    ///
    /// # Errors
    /// Refuses every breach of F-40 that the root alone shows.
    pub fn decode(bytes: &[u8]) -> Result<ManifestRoot, FormatError> {
        let mut reader = Reader::new("manifest root", bytes);
        let magic = reader.array::<8>()?;
        reader.rule(magic == *MAGIC, "F-40", "this is no manifest root")?;
        let (version, suite) = (reader.u16()?, reader.u16()?);
        reader.rule(version == VERSION, "F-40", "unknown version")?;
        reader.rule(suite == SUITE, "F-20", "unknown suite")?;
        let page_count = reader.u32()?;
        reader.rule((1..=PAGE_COUNT_MAX).contains(&page_count), "F-40", "page count is out of range")?;
        let (entry_count, file_count) = (reader.u64()?, reader.u64()?);
        let (row_count, total_len) = (reader.u64()?, reader.u64()?);
        reader.rule((1..=entry_count).contains(&file_count), "F-40", "there is no file, or more files than entries")?;
        reader.rule(total_len <= TOTAL_LEN_MAX, "F-10", "the files have 2^53 bytes or more")?;
        reader.rule(row_count <= total_len, "F-40", "there are more rows than bytes")?;
        let mut pages: Vec<PageFacts> = Vec::new();
        for _ in 0..page_count {
            let page = decode_page_facts(&mut reader)?;
            let in_order = pages
                .last()
                .is_none_or(|last| last.first_entry <= page.first_entry && last.first_ordinal <= page.first_ordinal);
            reader.rule(in_order && page.first_entry < entry_count, "F-48", "pages are out of order")?;
            pages.push(page);
        }
        reader.finish()?;
        Ok(ManifestRoot { entry_count, file_count, row_count, total_len, pages })
    }

    /// Returns where each page begins in the file `manifest`, and last where the file ends, in bytes.
    pub fn page_starts(&self, root_len: u64) -> Vec<u64> {
        let mut starts = Vec::with_capacity(self.pages.len() + 1);
        starts.push(root_len);
        starts.extend(self.pages.iter().scan(root_len, |start, page| {
            *start += u64::from(page.len);
            Some(*start)
        }));
        starts
    }
}

fn decode_page_facts(reader: &mut Reader<'_>) -> Result<PageFacts, FormatError> {
    let digest = Digest::from_bytes(reader.array()?);
    let len = reader.u32()?;
    reader.rule(len as usize > PAGE_START_LEN && len <= PAGE_LEN_MAX, "F-10", "page length is out of range")?;
    let (first_entry, first_ordinal) = (reader.u64()?, reader.u64()?);
    let path_len = reader.u16()? as usize;
    let first_path = decode_path(reader, path_len)?;
    Ok(PageFacts { digest, len, first_entry, first_ordinal, first_path })
}

fn decode_path(reader: &mut Reader<'_>, len: usize) -> Result<EntryPath, FormatError> {
    let offset = reader.offset() as u64;
    reader.rule(len <= PATH_LEN_MAX, "F-31", "path is too long")?;
    let bytes = reader.take(len)?;
    EntryPath::parse(bytes).map_err(|source| FormatError::Path { offset, source })
}

/// Reads the records of one page whose digest was proven.
pub struct PageReader<'a> {
    reader: Reader<'a>,
    first_offset: u64,
    has_failed: bool,
}

impl<'a> PageReader<'a> {
    /// Returns a reader of the records of a page.
    ///
    /// # Errors
    /// Refuses a page that is too short or too long.
    pub fn new(bytes: &'a [u8]) -> Result<PageReader<'a>, FormatError> {
        let mut reader = Reader::new("manifest page", bytes);
        reader.rule(bytes.len() <= PAGE_LEN_MAX as usize, "F-10", "page is too long")?;
        let first_offset = reader.u64()?;
        reader.rule(first_offset <= FILE_LEN_MAX, "F-48", "first offset is beyond every file")?;
        reader.rule(!reader.is_at_end(), "F-47", "page has no record")?;
        Ok(PageReader { reader, first_offset, has_failed: false })
    }

    /// Returns how many bytes of the page's first entry come before the page.
    pub fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// Returns how many bytes of the page were read.
    pub fn offset(&self) -> usize {
        self.reader.offset()
    }

    fn record(&mut self) -> Result<Record, FormatError> {
        let reader = &mut self.reader;
        let start = reader.u32()?;
        let len = start & 0x00ff_ffff;
        match start >> 24 {
            KIND_FILE => {
                let profile = Profile::from_id(reader.u8()?);
                let Some(profile) = profile else { return Err(reader.breach("F-44", "unknown profile")) };
                let file_len = reader.u64()?;
                reader.rule(file_len <= FILE_LEN_MAX, "F-10", "file is longer than 2^44 bytes")?;
                let sha256 = Sha256::from_bytes(reader.array()?);
                let path = decode_path(reader, len as usize)?;
                reader.rule(!path.below_root().is_empty(), "F-36", "a file needs a name below its root")?;
                Ok(Record::File(path, FileFacts { profile, len: file_len, sha256 }))
            }
            KIND_DIRECTORY => Ok(Record::Directory(decode_path(reader, len as usize)?)),
            KIND_ROW => {
                reader.rule((1..=CHUNK_LEN_MAX).contains(&len), "F-10", "chunk length is out of range")?;
                Ok(Record::Row(Row { digest: Digest::from_bytes(reader.array()?), len }))
            }
            KIND_MARK => {
                reader.rule(len < 64, "F-46", "tail is longer than 63 bytes")?;
                let mut words = [0; 8];
                for word in &mut words {
                    *word = u32::from_be_bytes(reader.array()?);
                }
                let mut tail = Tail { bytes: [0; 63], len: len as u8 };
                tail.bytes[..len as usize].copy_from_slice(reader.take(len as usize)?);
                Ok(Record::Mark(words, tail))
            }
            _ => Err(reader.breach("F-41", "unknown record")),
        }
    }
}

impl Iterator for PageReader<'_> {
    type Item = Result<Record, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed || self.reader.is_at_end() {
            return None;
        }
        let record = self.record();
        // Behind a record that does not parse nothing can be told apart.
        self.has_failed = record.is_err();
        Some(record)
    }
}

/// Fills pages with records in order.
///
/// The caller keeps the order of F-42 and F-43. A page that is full comes back from the call that
/// did not fit on it any more; keep its bytes, and write them behind the root in order.
pub struct ManifestEncoder {
    root: ManifestRoot,
    page: Vec<u8>,
    page_path: Option<EntryPath>,
    path: Option<EntryPath>,
    offset: u64,
}

impl Default for ManifestEncoder {
    fn default() -> Self {
        ManifestEncoder::new()
    }
}

impl ManifestEncoder {
    /// Returns an encoder without entries.
    pub fn new() -> ManifestEncoder {
        ManifestEncoder {
            root: ManifestRoot { entry_count: 0, file_count: 0, row_count: 0, total_len: 0, pages: Vec::new() },
            page: Vec::with_capacity(PAGE_LEN_MAX as usize),
            page_path: None,
            path: None,
            offset: 0,
        }
    }

    /// Appends a file; its rows and marks follow. Returns the bytes of a finished page.
    pub fn push_file(&mut self, path: EntryPath, facts: &FileFacts) -> Option<Vec<u8>> {
        let mut record = Vec::with_capacity(45 + path.as_bytes().len());
        put_start(&mut record, KIND_FILE, path.as_bytes().len());
        record.push(facts.profile as u8);
        record.extend_from_slice(&facts.len.to_le_bytes());
        record.extend_from_slice(facts.sha256.as_bytes());
        record.extend_from_slice(path.as_bytes());
        self.root.file_count += 1;
        self.root.total_len += facts.len;
        self.push_entry(path, &record)
    }

    /// Appends an empty directory. Returns the bytes of a finished page.
    pub fn push_directory(&mut self, path: EntryPath) -> Option<Vec<u8>> {
        let mut record = Vec::with_capacity(4 + path.as_bytes().len());
        put_start(&mut record, KIND_DIRECTORY, path.as_bytes().len());
        record.extend_from_slice(path.as_bytes());
        self.push_entry(path, &record)
    }

    /// Appends a row of the last file. Returns the bytes of a finished page.
    pub fn push_row(&mut self, row: &Row) -> Option<Vec<u8>> {
        let mut record = Vec::with_capacity(36);
        put_start(&mut record, KIND_ROW, row.len as usize);
        record.extend_from_slice(row.digest.as_bytes());
        let finished = self.push_record(&record);
        self.root.row_count += 1;
        self.offset += u64::from(row.len);
        finished
    }

    /// Appends a mark behind the last row. Returns the bytes of a finished page.
    pub fn push_mark(&mut self, mark: &Mark) -> Option<Vec<u8>> {
        let mut record = Vec::with_capacity(36 + 63);
        put_start(&mut record, KIND_MARK, mark.tail().len());
        for word in mark.words() {
            record.extend_from_slice(&word.to_be_bytes());
        }
        record.extend_from_slice(mark.tail());
        self.push_record(&record)
    }

    /// Returns the root and the bytes of the last page; no page where there was no entry.
    pub fn finish(mut self) -> (ManifestRoot, Option<Vec<u8>>) {
        let last = self.end_page();
        (self.root, last)
    }

    fn push_entry(&mut self, path: EntryPath, record: &[u8]) -> Option<Vec<u8>> {
        let finished = self.make_room(record.len());
        self.root.entry_count += 1;
        self.offset = 0;
        self.path = Some(path);
        self.append(record);
        finished
    }

    fn push_record(&mut self, record: &[u8]) -> Option<Vec<u8>> {
        let finished = self.make_room(record.len());
        self.append(record);
        finished
    }

    fn make_room(&mut self, record_len: usize) -> Option<Vec<u8>> {
        if self.page.len() + record_len > PAGE_LEN_MAX as usize { self.end_page() } else { None }
    }

    fn append(&mut self, record: &[u8]) {
        if self.page.is_empty() {
            self.page.extend_from_slice(&self.offset.to_le_bytes());
            self.page_path.clone_from(&self.path);
            if let Some(first_path) = self.page_path.clone() {
                self.root.pages.push(PageFacts {
                    digest: Digest::from_bytes([0; 32]),
                    len: 0,
                    first_entry: self.root.entry_count.saturating_sub(1),
                    first_ordinal: self.root.row_count,
                    first_path,
                });
            }
        }
        self.page.extend_from_slice(record);
    }

    fn end_page(&mut self) -> Option<Vec<u8>> {
        let facts = self.root.pages.last_mut()?;
        if self.page.is_empty() {
            return None;
        }
        facts.digest = Digest::of_structure(Structure::ManifestPage, &self.page);
        facts.len = self.page.len() as u32;
        Some(std::mem::replace(&mut self.page, Vec::with_capacity(PAGE_LEN_MAX as usize)))
    }
}

fn put_start(record: &mut Vec<u8>, kind: u32, len: usize) {
    record.extend_from_slice(&((kind << 24) + len as u32).to_le_bytes());
}

/// Returns the raw length at which a part of a file of this length ends (F-45), in bytes.
pub fn part_bound(file_len: u64) -> u64 {
    use super::limits::{PART_COUNT_GOAL, PART_LEN_MIN};
    const STEP: u64 = 1 << 20;
    PART_LEN_MIN.max(file_len.div_ceil(PART_COUNT_GOAL).div_ceil(STEP) * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(first_entry: u64, first_ordinal: u64) -> PageFacts {
        let first_path = EntryPath::parse(b"m/a").expect("a path");
        PageFacts { digest: Digest::of(b"page"), len: 100, first_entry, first_ordinal, first_path }
    }

    fn root(pages: Vec<PageFacts>) -> ManifestRoot {
        ManifestRoot { entry_count: 10, file_count: 9, row_count: 20, total_len: 100, pages }
    }

    /// Returns the rule that a root with these pages breaks.
    fn broken(pages: Vec<PageFacts>) -> Option<&'static str> {
        let root = root(pages);
        match ManifestRoot::decode(&root.encode()) {
            Ok(decoded) => {
                assert_eq!(decoded, root);
                None
            }
            Err(error) => Some(error.rule().expect("a rule")),
        }
    }

    #[test]
    fn pages_are_in_order_and_begin_within_the_manifest() {
        for (pages, rule) in [
            ([(0, 0), (4, 8)], None),
            ([(0, 0), (0, 8)], None),
            ([(0, 0), (4, 0)], None),
            ([(0, 0), (9, 8)], None),
            ([(0, 0), (10, 8)], Some("F-48")),
            ([(4, 8), (3, 9)], Some("F-48")),
            ([(4, 8), (5, 7)], Some("F-48")),
        ] {
            assert_eq!(broken(pages.map(|(entry, ordinal)| page(entry, ordinal)).to_vec()), rule, "{pages:?}");
        }
    }

    #[test]
    fn a_page_has_a_record_and_keeps_its_limit() {
        for (len, rule) in [(8, Some("F-10")), (9, None), (PAGE_LEN_MAX, None), (PAGE_LEN_MAX + 1, Some("F-10"))] {
            assert_eq!(broken(vec![PageFacts { len, ..page(0, 0) }]), rule, "{len}");
        }
    }

    #[test]
    fn a_record_that_fills_a_page_to_its_last_byte_is_on_it() {
        let mut encoder = ManifestEncoder::new();
        let mut push = |number: u32, path_len: usize| {
            let text = format!("m/{number:0width$}", width = path_len - 2);
            encoder.push_directory(EntryPath::parse(text.as_bytes()).expect("a path"))
        };
        // Records of 64 bytes, and one that takes what is left.
        let room_len = PAGE_LEN_MAX as usize - PAGE_START_LEN;
        let count = (room_len / 64) as u32;
        for number in 0..count {
            assert_eq!(push(number, 60), None);
        }
        assert_eq!(push(count, room_len % 64 - 4), None);
        let page = push(count + 1, 60).expect("a page");
        assert_eq!(page.len(), PAGE_LEN_MAX as usize);
    }

    #[test]
    fn pages_lie_behind_the_root_and_each_other() {
        assert_eq!(root(vec![page(0, 0), page(1, 1)]).page_starts(50), [50, 150, 250]);
    }

    #[test]
    fn profiles_have_their_ids_and_names() {
        let names: Vec<_> = (0..=6).map(|id| Profile::from_id(id).map(Profile::name)).collect();
        let due = ["single", "mincdc", "safetensors", "gguf", "npy"].map(Some);
        assert_eq!(names, [&[None][..], &due, &[None]].concat());
    }
}
