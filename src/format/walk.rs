//! The manifest as a whole: pages are fed in order, entries, rows and part ends come out, checked
//! against each other (F-42 to F-48).

use super::error::{FormatError, prove};
use super::limits::{PACK_RAW_LEN, PACK_ROW_COUNT_MAX, PAGE_LEN_MAX};
use super::manifest::{FileFacts, ManifestRoot, PageFacts, PageReader, Profile, Record, Row, Tail, part_bound};
use super::{EntryPath, Mark, Structure};

/// What the walk over a manifest meets, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry begins.
    Entry(Entry),
    /// A row of the last file, and its ordinal.
    Row(u64, Row),
    /// A part of the last file ends, and it is not the file's last.
    PartEnd(Box<Mark>),
}

/// A file or an empty directory of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its index in the manifest, from 0.
    pub index: u64,
    /// Its path.
    pub path: EntryPath,
    /// What it is; nothing for a directory.
    pub file: Option<FileFacts>,
}

/// Feeds on the pages of one manifest in order and checks them.
pub struct ManifestWalk {
    root: ManifestRoot,
    next_page: usize,
    next_entry: u64,
    next_ordinal: u64,
    file_count: u64,
    total_len: u64,
    file: OpenFile,
    last_path: Option<EntryPath>,
    /// Entries whose paths the current path begins with, byte by byte.
    prefixes: Vec<EntryPath>,
}

/// How far the rows of the last file have come.
#[derive(Default)]
struct OpenFile {
    len: u64,
    done: u64,
    bound: u64,
    part_len: u64,
    mark_due: bool,
    /// Of the piece that one pack holds (F-53).
    piece_len: u64,
    piece_row_count: u32,
}

impl ManifestWalk {
    /// Returns a walk over the manifest with this root.
    pub fn new(root: ManifestRoot) -> ManifestWalk {
        ManifestWalk {
            root,
            next_page: 0,
            next_entry: 0,
            next_ordinal: 0,
            file_count: 0,
            total_len: 0,
            file: OpenFile::default(),
            last_path: None,
            prefixes: Vec::new(),
        }
    }

    /// Returns what the root says of the page to feed next; nothing behind the last.
    pub fn wants(&self) -> Option<&PageFacts> {
        self.root.pages.get(self.next_page)
    }

    /// Takes the next page and returns what it holds.
    ///
    /// # Errors
    /// Refuses a page with another digest before it is read, and every breach of F-41 to F-48.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Item>, FormatError> {
        let Some(facts) = self.wants().cloned() else {
            return Err(self.breach("F-48", "there are more pages than the root lists"));
        };
        prove(Structure::ManifestPage, bytes, &facts.digest)?;
        let mut reader = PageReader::new(bytes)?;
        let first_offset = reader.first_offset();
        let mut items = Vec::with_capacity(bytes.len() / 36);
        let ordinal_before = self.next_ordinal;
        let done_before = self.file.done;
        let mut is_first = true;
        while let Some(record) = reader.next() {
            let item = self.take(record?)?;
            if is_first {
                self.check_page_start(&facts, &item, (first_offset, done_before), ordinal_before)?;
                self.check_filling(reader.offset() - 8)?;
                is_first = false;
            }
            items.push(item);
        }
        self.next_page += 1;
        if self.next_page == self.root.pages.len() {
            self.check_end()?;
        }
        Ok(items)
    }

    fn take(&mut self, record: Record) -> Result<Item, FormatError> {
        match record {
            Record::File(path, facts) => self.take_entry(path, Some(facts)),
            Record::Directory(path) => self.take_entry(path, None),
            Record::Row(row) => self.take_row(row),
            Record::Mark(words, tail) => self.take_mark(words, &tail),
        }
    }

    fn take_entry(&mut self, path: EntryPath, file: Option<FileFacts>) -> Result<Item, FormatError> {
        self.check_file_is_whole()?;
        self.next_entry += 1;
        self.check_order(&path)?;
        self.file = OpenFile::default();
        if let Some(facts) = &file {
            let fits = facts.len > 0 || facts.profile == Profile::Single;
            self.rule(fits, "F-43", "an empty file has the profile single")?;
            self.file_count += 1;
            self.total_len = self.total_len.saturating_add(facts.len);
            self.file = OpenFile { len: facts.len, bound: part_bound(facts.len), ..OpenFile::default() };
        }
        Ok(Item::Entry(Entry { index: self.next_entry - 1, path, file }))
    }

    fn take_row(&mut self, row: Row) -> Result<Item, FormatError> {
        self.rule(!self.file.mark_due, "F-43", "a mark is due before this row")?;
        self.rule(self.file.done + u64::from(row.len) <= self.file.len, "F-43", "its rows are longer than the file")?;
        self.file.done += u64::from(row.len);
        self.file.part_len += u64::from(row.len);
        self.file.mark_due = self.file.part_len >= self.file.bound && self.file.done < self.file.len;
        self.file.piece_len += u64::from(row.len);
        self.file.piece_row_count += 1;
        self.rule(self.file.piece_row_count <= PACK_ROW_COUNT_MAX, "F-59", "no pack can have so many rows")?;
        if self.file.piece_len >= PACK_RAW_LEN || self.file.mark_due {
            (self.file.piece_len, self.file.piece_row_count) = (0, 0);
        }
        self.next_ordinal += 1;
        Ok(Item::Row(self.next_ordinal - 1, row))
    }

    fn take_mark(&mut self, words: [u32; 8], tail: &Tail) -> Result<Item, FormatError> {
        self.rule(self.file.mark_due, "F-43", "a mark stands where no part ends")?;
        self.file.mark_due = false;
        self.file.part_len = 0;
        let mark = Mark::from_parts(words, tail.as_bytes(), self.file.done);
        mark.map(|mark| Item::PartEnd(Box::new(mark)))
            .ok_or_else(|| self.breach("F-46", "the tail of a mark has the wrong length"))
    }

    /// Checks F-42. Paths that begin with an entry's bytes follow it without a gap, so the entries
    /// above a path are among the byte prefixes kept here, at most one a byte of the path.
    fn check_order(&mut self, path: &EntryPath) -> Result<(), FormatError> {
        if let Some(last) = self.last_path.take() {
            self.rule(last < *path, "F-42", "it does not follow the entry before it")?;
            self.prefixes.push(last);
        }
        self.prefixes.retain(|prefix| path.as_bytes().starts_with(prefix.as_bytes()));
        let collides = self.prefixes.iter().any(|prefix| prefix.is_above(path));
        self.rule(!collides, "F-42", "an entry is the directory of another")?;
        self.last_path = Some(path.clone());
        Ok(())
    }

    fn check_page_start(
        &self,
        facts: &PageFacts,
        first: &Item,
        (stated, actual): (u64, u64),
        ordinal: u64,
    ) -> Result<(), FormatError> {
        let offset = if matches!(first, Item::Entry(_)) { 0 } else { actual };
        let good = facts.first_entry + 1 == self.next_entry
            && facts.first_ordinal == ordinal
            && self.last_path.as_ref() == Some(&facts.first_path)
            && stated == offset;
        self.rule(good, "F-48", "the root says other things of its page")
    }

    fn check_filling(&self, first_record_len: usize) -> Result<(), FormatError> {
        let Some(before) = self.next_page.checked_sub(1).map(|index| &self.root.pages[index]) else {
            return Ok(());
        };
        let full = before.len as usize + first_record_len > PAGE_LEN_MAX as usize;
        self.rule(full, "F-47", "its first record has room on the page before")
    }

    fn check_file_is_whole(&self) -> Result<(), FormatError> {
        self.rule(self.file.done == self.file.len && !self.file.mark_due, "F-43", "its rows are shorter than the file")
    }

    fn check_end(&self) -> Result<(), FormatError> {
        self.check_file_is_whole()?;
        let root = &self.root;
        let good = self.next_entry == root.entry_count
            && self.next_ordinal == root.row_count
            && self.file_count == root.file_count
            && self.total_len == root.total_len;
        self.rule(good, "F-48", "the root counts other entries, files, rows or bytes")
    }

    fn rule(&self, good: bool, rule: &'static str, why: &'static str) -> Result<(), FormatError> {
        if good { Ok(()) } else { Err(self.breach(rule, why)) }
    }

    fn breach(&self, rule: &'static str, why: &'static str) -> FormatError {
        FormatError::Entry { entry: self.next_entry.saturating_sub(1), rule, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::manifest::ManifestEncoder;
    use crate::format::{Digest, Sha256};

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect(text)
    }

    fn facts(len: u64, profile: Profile) -> FileFacts {
        FileFacts { profile, len, sha256: Sha256::of(b"") }
    }

    fn collect(pages: &mut Vec<Vec<u8>>, page: Option<Vec<u8>>) {
        pages.extend(page);
    }

    /// A manifest of `count` small files, one large file of several parts, and a directory.
    fn sample(count: u32) -> (ManifestRoot, Vec<Vec<u8>>) {
        let (mut encoder, mut pages) = (ManifestEncoder::new(), Vec::new());
        for number in 0..count {
            collect(&mut pages, encoder.push_file(path(&format!("a/{number:07}")), &facts(10, Profile::Single)));
            collect(&mut pages, encoder.push_row(&Row { digest: Digest::of(&number.to_le_bytes()), len: 10 }));
        }
        collect(&mut pages, encoder.push_directory(path("b")));
        let chunk: u64 = 3 << 20;
        let mut mark = Mark::start();
        collect(&mut pages, encoder.push_file(path("c/large"), &facts(chunk * 30, Profile::Mincdc)));
        for number in 0..30u64 {
            collect(
                &mut pages,
                encoder.push_row(&Row { digest: Digest::of(&number.to_le_bytes()), len: chunk as u32 }),
            );
            mark = Mark::from_parts(*mark.words(), &[], (number + 1) * chunk).expect("whole blocks");
            // 11 chunks of 3 MiB are the shortest run of at least 32 MiB.
            if (number + 1) % 11 == 0 {
                collect(&mut pages, encoder.push_mark(&mark));
            }
        }
        let (root, last) = encoder.finish();
        pages.extend(last);
        (root, pages)
    }

    fn walk(root: &ManifestRoot, pages: &[Vec<u8>]) -> Result<Vec<Item>, FormatError> {
        let mut walk = ManifestWalk::new(root.clone());
        let mut items = Vec::new();
        for page in pages {
            items.extend(walk.feed(page)?);
        }
        assert!(walk.wants().is_none());
        Ok(items)
    }

    #[test]
    fn walks_what_the_encoder_wrote_over_many_pages() {
        let (root, pages) = sample(40_000);
        assert!(pages.len() > 3);
        assert_eq!(ManifestRoot::decode(&root.encode()).as_ref(), Ok(&root));
        let items = walk(&root, &pages).expect("a good manifest");
        let ordinals =
            items.iter().filter_map(|item| if let Item::Row(ordinal, _) = item { Some(*ordinal) } else { None });
        assert!(ordinals.eq(0..40_030));
        assert_eq!(items.iter().filter(|item| matches!(item, Item::PartEnd(_))).count(), 2);
        assert_eq!(root.file_count, 40_001);
        assert_eq!(root.entry_count, 40_002);
    }

    #[test]
    fn refuses_every_prefix_of_root_and_page() {
        let (root, pages) = sample(20);
        let bytes = root.encode();
        for len in 0..bytes.len() {
            assert!(ManifestRoot::decode(&bytes[..len]).is_err(), "{len}");
        }
        for len in 0..pages[0].len() {
            assert!(walk(&root, &[pages[0][..len].to_vec()]).is_err(), "{len}");
        }
    }

    #[test]
    fn refuses_a_file_that_is_also_a_directory_even_with_entries_between() {
        let (mut encoder, mut pages) = (ManifestEncoder::new(), Vec::new());
        for name in ["m/a", "m/a-b", "m/a/x"] {
            collect(&mut pages, encoder.push_file(path(name), &facts(0, Profile::Single)));
        }
        let (root, last) = encoder.finish();
        pages.extend(last);
        assert!(matches!(walk(&root, &pages), Err(FormatError::Entry { entry: 2, rule: "F-42", .. })));
    }

    #[test]
    fn a_file_has_no_more_rows_than_its_packs_can_have() {
        // A piece of 65,536 rows that ends with its last one, and what is left of the file.
        let (short, last) = (450, (32 << 20) - 450 * 65_535);
        let file = |more_rows: u32, rest_rows: u32| {
            let (mut encoder, mut pages) = (ManifestEncoder::new(), Vec::new());
            let lens =
                [vec![short; 65_535], vec![1; more_rows as usize], vec![last], vec![1; rest_rows as usize]].concat();
            let len = lens.iter().map(|len| u64::from(*len)).sum();
            collect(&mut pages, encoder.push_file(path("m/a"), &facts(len, Profile::Mincdc)));
            let mut done = 0;
            for &len in &lens {
                collect(&mut pages, encoder.push_row(&Row { digest: Digest::of(b"x"), len }));
                done += u64::from(len);
                if len == last && rest_rows > 0 {
                    let tail = vec![0; (done % 64) as usize];
                    collect(&mut pages, encoder.push_mark(&Mark::from_parts([0; 8], &tail, done).expect("its tail")));
                }
            }
            let (root, page) = encoder.finish();
            pages.extend(page);
            walk(&root, &pages).map(|_| ())
        };
        assert_eq!((file(0, 0), file(0, 65_536)), (Ok(()), Ok(())));
        assert!(matches!(file(1, 0), Err(FormatError::Entry { entry: 0, rule: "F-59", .. })));
        assert!(matches!(file(0, 65_537), Err(FormatError::Entry { entry: 0, rule: "F-59", .. })));
    }

    #[test]
    fn a_part_with_several_packs_has_the_rows_of_each() {
        // A part of 33 MiB; its first pack ends with the 65,536th row.
        let file = |row_count: usize| {
            let (mut encoder, mut pages) = (ManifestEncoder::new(), Vec::new());
            collect(&mut pages, encoder.push_file(path("m/a"), &facts(9000 * (32 << 20) + 1, Profile::Mincdc)));
            for _ in 0..row_count {
                collect(&mut pages, encoder.push_row(&Row { digest: Digest::of(b"x"), len: 512 }));
            }
            let (root, page) = encoder.finish();
            pages.extend(page);
            walk(&root, &pages)
        };
        // All rows are good, and the file is not whole.
        assert!(matches!(file(65_536 + 1000), Err(FormatError::Entry { entry: 0, rule: "F-43", .. })));
    }

    #[test]
    fn the_records_of_a_page_end_behind_one_that_does_not_parse() {
        let mut page = vec![0; 8];
        page.extend_from_slice(&[0xff; 64]);
        let records: Vec<_> = PageReader::new(&page).expect("long enough").take(10).collect();
        assert_eq!(records.len(), 1);
        assert!(records[0].is_err());
    }

    #[test]
    fn part_bound_follows_the_rule() {
        assert_eq!(part_bound(0), 32 << 20);
        assert_eq!(part_bound(9000 * (32 << 20)), 32 << 20);
        assert_eq!(part_bound(9000 * (32 << 20) + 1), 33 << 20);
    }
}
