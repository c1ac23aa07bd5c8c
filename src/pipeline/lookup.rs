//! Finding rows by ordinal and entries by path, a page at a time.

use super::bundle::{Bundle, BundleError};
use crate::format::manifest::{FileFacts, PageReader, Record, Row};
use crate::format::{EntryPath, FormatError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages that are kept decoded; each takes about 2 MiB.
const PAGE_COUNT_KEPT: usize = 8;

/// A row of the manifest and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The row.
    pub row: Row,
    /// Index of its entry.
    pub entry: u64,
    /// The path of its entry.
    pub path: Arc<EntryPath>,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
}

/// An entry of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// Its index.
    pub entry: u64,
    /// Its path.
    pub path: Arc<EntryPath>,
    /// The file; nothing for a directory.
    pub file: Option<FileFacts>,
}

/// Reads pages of a manifest where they are needed and keeps the last few.
///
/// Its answers carry no trust of their own: whoever follows a row compares digests at both ends.
#[derive(Default)]
pub struct Lookup {
    pages: Mutex<VecDeque<(usize, Arc<Page>)>>,
}

#[derive(Default)]
struct Page {
    first_ordinal: u64,
    /// Whether the first of `entries` stands in for one whose record is on an earlier page.
    is_continued: bool,
    entries: Vec<FoundEntry>,
    /// Row, index into `entries`, offset in the file.
    rows: Vec<(Row, u32, u64)>,
}

impl Lookup {
    /// Returns a lookup without pages.
    pub fn new() -> Lookup {
        Lookup::default()
    }

    /// Returns the row with this ordinal; nothing where the manifest has no such row.
    ///
    /// # Errors
    /// The page can't be read.
    pub fn row(&self, bundle: &Bundle, ordinal: u64) -> Result<Option<Located>, BundleError> {
        let pages = &bundle.manifest().pages;
        // Pages that begin behind the last row share its ordinal: the first of them has no rows.
        let Some(index) = pages.partition_point(|page| page.first_ordinal <= ordinal).checked_sub(1) else {
            return Ok(None);
        };
        let page = self.page(bundle, index)?;
        let place = usize::try_from(ordinal - page.first_ordinal).ok().and_then(|place| page.rows.get(place));
        Ok(place.map(|&(row, entry, offset)| {
            let entry = &page.entries[entry as usize];
            Located { row, entry: entry.entry, path: Arc::clone(&entry.path), offset }
        }))
    }

    /// Returns the rows with these ordinals, in order; fewer where the manifest ends, or a page has fewer
    /// than the root says.
    ///
    /// # Errors
    /// A page can't be read.
    pub fn rows(&self, bundle: &Bundle, first: u64, count: u32) -> Result<Vec<Row>, BundleError> {
        let pages = &bundle.manifest().pages;
        let end = first.saturating_add(u64::from(count));
        let mut index = pages.partition_point(|page| page.first_ordinal <= first).saturating_sub(1);
        let mut rows = Vec::new();
        while rows.len() < count as usize && pages.get(index).is_some_and(|page| page.first_ordinal < end) {
            let page = self.page(bundle, index)?;
            let Some(from) = (first + rows.len() as u64).checked_sub(page.first_ordinal) else { break };
            let left = count as usize - rows.len();
            rows.extend(page.rows.iter().skip(from as usize).take(left).map(|(row, _, _)| *row));
            index += 1;
        }
        Ok(rows)
    }

    /// Returns the entry with this path; nothing where the manifest has none.
    ///
    /// # Errors
    /// A page can't be read.
    pub fn entry(&self, bundle: &Bundle, path: &EntryPath) -> Result<Option<FoundEntry>, BundleError> {
        let pages = &bundle.manifest().pages;
        // The record is on the last page that begins with an earlier path, or begins the next page.
        let next = pages.partition_point(|page| page.first_path < *path);
        for index in next.saturating_sub(1)..pages.len().min(next + 1) {
            let page = self.page(bundle, index)?;
            if let Ok(place) = page.entries.binary_search_by(|entry| entry.path.as_ref().cmp(path))
                && !(page.is_continued && place == 0)
            {
                return Ok(Some(page.entries[place].clone()));
            }
        }
        Ok(None)
    }

    /// Returns the roots in the order of the manifest, of which only the pages are read on which one begins.
    ///
    /// # Errors
    /// A page can't be read.
    pub fn roots(&self, bundle: &Bundle) -> Result<Vec<String>, BundleError> {
        let pages = &bundle.manifest().pages;
        let mut roots: Vec<String> = Vec::new();
        for (index, facts) in pages.iter().enumerate() {
            // Paths are in order: between two of one root there is no other (F-40).
            let is_of_one_root =
                pages.get(index + 1).is_some_and(|next| next.first_path.root() == facts.first_path.root());
            let page = if is_of_one_root { None } else { Some(self.page(bundle, index)?) };
            let entries = page.iter().flat_map(|page| &page.entries).map(|entry| entry.path.root());
            for root in std::iter::once(facts.first_path.root()).chain(entries) {
                if roots.last().is_none_or(|last| last != root) {
                    roots.push(root.to_owned());
                }
            }
        }
        Ok(roots)
    }

    fn page(&self, bundle: &Bundle, index: usize) -> Result<Arc<Page>, BundleError> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = pages.iter().position(|(number, _)| *number == index) {
            // The page that was used last is dropped last.
            if let Some(page) = pages.remove(place) {
                pages.push_back(page);
            }
        } else {
            drop(pages);
            let page = Arc::new(Page::decode(bundle, index)?);
            pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            if pages.len() >= PAGE_COUNT_KEPT {
                pages.pop_front();
            }
            pages.push_back((index, page));
        }
        Ok(pages.back().map(|(_, page)| Arc::clone(page)).unwrap_or_default())
    }
}

impl Page {
    fn decode(bundle: &Bundle, index: usize) -> Result<Page, BundleError> {
        let facts = &bundle.manifest().pages[index];
        let bytes = bundle.manifest_page(index)?;
        let damaged = |source: FormatError| BundleError::Damaged { name: "manifest".to_owned(), offset: 0, source };
        let reader = PageReader::new(&bytes).map_err(damaged)?;
        let mut offset = reader.first_offset();
        let mut page = Page { first_ordinal: facts.first_ordinal, ..Page::default() };
        let mut next_entry = facts.first_entry;
        for record in reader {
            let record = record.map_err(damaged)?;
            if page.entries.is_empty() && matches!(record, Record::Row(_) | Record::Mark(..)) {
                let path = Arc::new(facts.first_path.clone());
                page.entries.push(FoundEntry { entry: next_entry, path, file: None });
                page.is_continued = true;
                next_entry += 1;
            }
            let (path, file) = match record {
                Record::File(path, file) => (path, Some(file)),
                Record::Directory(path) => (path, None),
                Record::Row(row) => {
                    page.rows.push((row, page.entries.len() as u32 - 1, offset));
                    offset += u64::from(row.len);
                    continue;
                }
                Record::Mark(..) => continue,
            };
            page.entries.push(FoundEntry { entry: next_entry, path: Arc::new(path), file });
            next_entry += 1;
            offset = 0;
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::head::tests::full_head;
    use crate::format::head::{ManifestFile, PacksFile, Totals, Volumes};
    use crate::format::manifest::{ManifestEncoder, PageFacts, Profile};
    use crate::format::packs::{Pack, PackTableEncoder, Place, VolumeNumber};
    use crate::format::{Digest, Sha256, Structure};
    use crate::media::MetaFile;
    use crate::pipeline::bundle::MetaSource;

    struct Files([Vec<u8>; 2]);

    impl MetaSource for Files {
        fn read_meta(&self, file: MetaFile, offset: u64, len: usize) -> Result<Vec<u8>, BundleError> {
            let bytes = &self.0[usize::from(file == MetaFile::Packs)];
            Ok(bytes[offset as usize..][..len].to_vec())
        }

        fn describe(&self, file: MetaFile) -> String {
            file.name().to_owned()
        }
    }

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a path")
    }

    fn row(seed: u8) -> Row {
        Row { digest: Digest::of(&[seed]), len: 10 }
    }

    /// Returns a bundle of one file with three rows, whose root says that its one page is two: the
    /// second begins at this ordinal, and with this first offset.
    fn lying(first_ordinal: u64, first_offset: u64) -> Bundle {
        let mut encoder = ManifestEncoder::new();
        encoder.push_file(path("m/a"), &FileFacts { profile: Profile::Single, len: 30, sha256: Sha256::of(b"") });
        (0..3).for_each(|seed| drop(encoder.push_row(&row(seed))));
        let (mut root, page) = encoder.finish();
        let page = page.expect("a page");
        let (first, rest) = page.split_at(page.len() - 72);
        let second = [&first_offset.to_le_bytes(), rest].concat();
        let facts = |bytes: &[u8], first_ordinal: u64| PageFacts {
            digest: Digest::of_structure(Structure::ManifestPage, bytes),
            len: bytes.len() as u32,
            first_entry: 0,
            first_ordinal,
            first_path: path("m/a"),
        };
        root.pages = vec![facts(first, 0), facts(&second, first_ordinal)];
        let manifest_root = root.encode();
        let mut table = PackTableEncoder::new();
        let index_digest = Digest::of(b"");
        let place = Place { volume: VolumeNumber::FIRST, offset: 0, index_len: 1, payload_len: 1, index_digest };
        let pack = Pack { first_entry: 0, entry_count: 1, first_ordinal: 0, row_count: 3, place: Some(place) };
        assert_eq!(table.push(&pack), None);
        let (packs, packs_page) = table.finish();
        let packs_root = packs.encode();
        let manifest = [&manifest_root, first, &second].concat();
        let packs = [packs_root.clone(), packs_page.expect("a page")].concat();
        let (blake3, sha256) = (Digest::of(b""), Sha256::of(b""));
        let lens = |file: &[u8], root: &[u8]| (file.len() as u64, root.len() as u64);
        let (length, root_length) = lens(&manifest, &manifest_root);
        let manifest_file = ManifestFile { length, root_length, blake3, sha256 };
        let (length, root_length) = lens(&packs, &packs_root);
        let root = Digest::of_structure(Structure::PackRoot, &packs_root);
        let mut head = full_head();
        head.content_id = Digest::of_structure(Structure::ManifestRoot, &manifest_root);
        head.manifest = manifest_file;
        head.packs = PacksFile { root, length, root_length, blake3, sha256 };
        head.volumes = Volumes { count: 1, length: 3 };
        head.totals = Totals { files: 1, directories: 0, bytes: 30 };
        Bundle::open_installed(head, vec![Arc::new(Files([manifest, packs]))]).expect("every digest is right")
    }

    #[test]
    fn finds_rows_over_the_end_of_a_page() {
        let (bundle, lookup) = (lying(1, 10), Lookup::new());
        assert_eq!(lookup.rows(&bundle, 0, 3).expect("read"), [row(0), row(1), row(2)]);
        assert_eq!(lookup.rows(&bundle, 2, 9).expect("read"), [row(2)]);
        let last = lookup.row(&bundle, 2).expect("read").expect("found");
        assert_eq!((last.row, last.entry, last.offset), (row(2), 0, 20));
    }

    #[test]
    fn a_page_with_fewer_rows_than_the_root_says_ends_the_rows() {
        let (bundle, lookup) = (lying(2, 10), Lookup::new());
        assert_eq!(lookup.rows(&bundle, 0, 3).expect("read"), [row(0)]);
        assert_eq!(lookup.row(&bundle, 1).expect("read"), None);
        assert_eq!(lookup.rows(&bundle, u64::MAX, 3).expect("read"), []);
    }

    #[test]
    fn a_first_offset_beyond_every_file_is_damage() {
        let (bundle, lookup) = (lying(1, u64::MAX - 5), Lookup::new());
        let error = lookup.row(&bundle, 1).expect_err("refused");
        let BundleError::Damaged { source: FormatError::Breach { rule, .. }, .. } = error else { panic!("{error}") };
        assert_eq!(rule, "F-48");
    }
}
