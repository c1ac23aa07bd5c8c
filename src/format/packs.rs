//! The pack table: its root, its pages of fixed rows, and extra sections (F-50 to F-58).

use super::error::{FormatError, prove};
use super::limits::{
    INDEX_LEN_MAX, PACK_ENTRY_COUNT_MAX, PACK_RAW_LEN_END, PACK_ROW_COUNT_MAX, PAGE_COUNT_MAX, PAGE_LEN_MAX,
    SECTION_COUNT_MAX, TOTAL_LEN_MAX, VOLUME_COUNT_MAX,
};
use super::manifest::{SUITE, VERSION};
use super::wire::Reader;
use super::{Digest, Structure};

const MAGIC: &[u8; 8] = b"AIRLIFTP";
const ROW_LEN: usize = 76;
/// Rows on every page but the last.
pub const PAGE_ROW_COUNT: usize = PAGE_LEN_MAX as usize / ROW_LEN;
const CRITICAL: u16 = 1;

/// A volume's number in its bundle; `1 <= number <= 999,999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeNumber(u32);

impl VolumeNumber {
    /// The first volume.
    pub const FIRST: VolumeNumber = VolumeNumber(1);

    /// Returns the volume with this number; nothing for a number out of range.
    pub const fn new(number: u32) -> Option<VolumeNumber> {
        if number >= 1 && number <= VOLUME_COUNT_MAX { Some(VolumeNumber(number)) } else { None }
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the next volume; nothing behind the last possible one.
    pub const fn next(self) -> Option<VolumeNumber> {
        VolumeNumber::new(self.0 + 1)
    }

    /// Returns the name of the volume's file: `000001.vol`.
    pub fn file_name(self) -> String {
        format!("{:06}.vol", self.0)
    }
}

impl std::fmt::Display for VolumeNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the bytes of a pack lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The volume.
    pub volume: VolumeNumber,
    /// The first byte of the pack in the volume.
    pub offset: u64,
    /// The length of the index in bytes.
    pub index_len: u32,
    /// The length of the payload in bytes.
    pub payload_len: u32,
    /// The digest of the index.
    pub index_digest: Digest,
}

impl Place {
    /// Returns the length of the pack in bytes: index, payload, index.
    pub const fn stored_len(&self) -> u64 {
        2 * self.index_len as u64 + self.payload_len as u64
    }

    /// Returns where the payload begins in the volume.
    pub const fn payload_offset(&self) -> u64 {
        self.offset + self.index_len as u64
    }

    /// Returns where the copy of the index begins in the volume.
    pub const fn copy_offset(&self) -> u64 {
        self.payload_offset() + self.payload_len as u64
    }

    /// Returns the byte behind the pack in the volume.
    pub const fn end(&self) -> u64 {
        self.offset + self.stored_len()
    }
}

/// One row of the pack table: what a pack covers and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Index of its first entry.
    pub first_entry: u64,
    /// Number of entries, at least 1.
    pub entry_count: u32,
    /// Ordinal of its first row.
    pub first_ordinal: u64,
    /// Number of rows.
    pub row_count: u32,
    /// Where it lies; nothing where a repair does not carry it.
    pub place: Option<Place>,
}

impl Pack {
    /// Returns the ordinal behind the last row.
    pub const fn end_ordinal(&self) -> u64 {
        self.first_ordinal + self.row_count as u64
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first_entry.to_le_bytes());
        out.extend_from_slice(&self.entry_count.to_le_bytes());
        out.extend_from_slice(&self.first_ordinal.to_le_bytes());
        out.extend_from_slice(&self.row_count.to_le_bytes());
        let Some(place) = &self.place else {
            out.extend_from_slice(&[0; ROW_LEN - 24]);
            return;
        };
        out.extend_from_slice(&place.volume.number().to_le_bytes());
        out.extend_from_slice(&place.offset.to_le_bytes());
        out.extend_from_slice(&place.index_len.to_le_bytes());
        out.extend_from_slice(&place.payload_len.to_le_bytes());
        out.extend_from_slice(place.index_digest.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Pack, FormatError> {
        let (first_entry, entry_count) = (reader.u64()?, reader.u32()?);
        let (first_ordinal, row_count) = (reader.u64()?, reader.u32()?);
        let entries_fit = (1..=PACK_ENTRY_COUNT_MAX).contains(&entry_count);
        reader.rule(entries_fit && row_count <= PACK_ROW_COUNT_MAX, "F-10", "pack has too many entries or rows")?;
        // No row lacks a byte, and the head bounds all files and all volumes: so sums with these never
        // overflow, whoever asks for one pack before the table as a whole is checked.
        reader.rule(first_ordinal <= TOTAL_LEN_MAX, "F-10", "first ordinal is beyond every manifest")?;
        let (volume, offset) = (reader.u32()?, reader.u64()?);
        reader.rule(offset <= TOTAL_LEN_MAX, "F-10", "offset is beyond every volume")?;
        let (index_len, payload_len) = (reader.u32()?, reader.u32()?);
        let index_digest = Digest::from_bytes(reader.array()?);
        if volume == 0 {
            let is_zero = offset == 0 && index_len == 0 && payload_len == 0 && *index_digest.as_bytes() == [0; 32];
            reader.rule(is_zero, "F-56", "a pack that is not carried has a place")?;
            return Ok(Pack { first_entry, entry_count, first_ordinal, row_count, place: None });
        }
        let Some(volume) = VolumeNumber::new(volume) else {
            return Err(reader.breach("F-10", "volume number is out of range"));
        };
        reader.rule((1..=INDEX_LEN_MAX).contains(&index_len), "F-10", "index length is out of range")?;
        reader.rule(u64::from(payload_len) < PACK_RAW_LEN_END, "F-10", "payload is too long")?;
        let place = Place { volume, offset, index_len, payload_len, index_digest };
        Ok(Pack { first_entry, entry_count, first_ordinal, row_count, place: Some(place) })
    }
}

/// What the root says of one page of the pack table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackPageFacts {
    /// The digest of the page.
    pub digest: Digest,
    /// The length of the page in bytes.
    pub len: u32,
    /// First entry of its first pack.
    pub first_entry: u64,
    /// First ordinal of its first pack.
    pub first_ordinal: u64,
}

/// An extra section: what an optional feature adds to a root or an index (F-58).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is; version 1 defines none.
    pub kind: u16,
    /// The length of its content in bytes.
    pub len: u32,
    /// The BLAKE3 of its content.
    pub digest: Digest,
}

/// The root of the pack table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackRoot {
    /// Number of packs, at least 1.
    pub pack_count: u64,
    /// Number of the last volume.
    pub volume_count: u32,
    /// The pages in order.
    pub pages: Vec<PackPageFacts>,
    /// The extra sections, none of them critical; their contents follow the last page.
    pub sections: Vec<Section>,
}

impl PackRoot {
    /// Returns the bytes of the root.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.pages.len() * 52);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&SUITE.to_le_bytes());
        out.extend_from_slice(&(self.pages.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.pack_count.to_le_bytes());
        out.extend_from_slice(&self.volume_count.to_le_bytes());
        out.extend_from_slice(&(self.sections.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        for page in &self.pages {
            out.extend_from_slice(page.digest.as_bytes());
            out.extend_from_slice(&page.len.to_le_bytes());
            out.extend_from_slice(&page.first_entry.to_le_bytes());
            out.extend_from_slice(&page.first_ordinal.to_le_bytes());
        }
        put_sections(&self.sections, &mut out);
        out
    }

    /// Returns the root that `bytes` encode.
    ///
    /// # Errors
    /// Refuses every breach of F-50 and F-58 that the root alone shows.
    pub fn decode(bytes: &[u8]) -> Result<PackRoot, FormatError> {
        let mut reader = Reader::new("pack-table root", bytes);
        let magic = reader.array::<8>()?;
        reader.rule(magic == *MAGIC, "F-50", "this is no pack-table root")?;
        let (version, suite) = (reader.u16()?, reader.u16()?);
        reader.rule(version == VERSION, "F-50", "unknown version")?;
        reader.rule(suite == SUITE, "F-20", "unknown suite")?;
        let (page_count, pack_count) = (reader.u32()?, reader.u64()?);
        reader.rule((1..=PAGE_COUNT_MAX).contains(&page_count), "F-50", "page count is out of range")?;
        let volume_count = reader.u32()?;
        reader.rule((1..=VOLUME_COUNT_MAX).contains(&volume_count), "F-10", "volume count is out of range")?;
        let section_count = reader.u16()?;
        let reserved = reader.u16()?;
        reader.rule(reserved == 0, "F-50", "reserved bytes are not zero")?;
        let (full, last) = (u64::from(page_count) - 1, PAGE_ROW_COUNT as u64);
        let fits = pack_count > full * last && pack_count <= (full + 1) * last;
        reader.rule(fits, "F-51", "page count does not fit pack count")?;
        let mut pages: Vec<PackPageFacts> = Vec::new();
        for index in 0..u64::from(page_count) {
            let rows = if index == full { pack_count - full * last } else { last };
            let page = decode_page_facts(&mut reader, rows)?;
            let in_order = pages.last().is_none_or(|before| {
                before.first_entry <= page.first_entry && before.first_ordinal <= page.first_ordinal
            });
            reader.rule(in_order, "F-57", "pages are out of order")?;
            pages.push(page);
        }
        let sections = decode_sections(&mut reader, section_count)?;
        reader.finish()?;
        Ok(PackRoot { pack_count, volume_count, pages, sections })
    }

    /// Returns the length of the file `packs` in bytes.
    pub fn file_len(&self, root_len: u64) -> u64 {
        let pages_len: u64 = self.pages.iter().map(|page| u64::from(page.len)).sum();
        root_len + pages_len + self.sections.iter().map(|section| u64::from(section.len)).sum::<u64>()
    }

    /// Returns where page `index` begins in the file `packs`, in bytes.
    pub fn page_start(&self, root_len: u64, index: usize) -> u64 {
        root_len + (index * PAGE_ROW_COUNT * ROW_LEN) as u64
    }
}

fn decode_page_facts(reader: &mut Reader<'_>, row_count: u64) -> Result<PackPageFacts, FormatError> {
    let digest = Digest::from_bytes(reader.array()?);
    let len = reader.u32()?;
    reader.rule(u64::from(len) == row_count * ROW_LEN as u64, "F-51", "page length does not fit its rows")?;
    Ok(PackPageFacts { digest, len, first_entry: reader.u64()?, first_ordinal: reader.u64()? })
}

/// Writes section records.
pub(super) fn put_sections(sections: &[Section], out: &mut Vec<u8>) {
    for section in sections {
        out.extend_from_slice(&section.kind.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&section.len.to_le_bytes());
        out.extend_from_slice(section.digest.as_bytes());
    }
}

/// Reads section records and refuses critical ones, since this version knows none.
pub(super) fn decode_sections(reader: &mut Reader<'_>, count: u16) -> Result<Vec<Section>, FormatError> {
    reader.rule(count <= SECTION_COUNT_MAX, "F-10", "there are too many sections")?;
    let mut sections: Vec<Section> = Vec::new();
    for _ in 0..count {
        let (kind, flags) = (reader.u16()?, reader.u16()?);
        reader.rule(flags & !CRITICAL == 0, "F-58", "unknown section flag")?;
        let ascends = sections.last().is_none_or(|last| last.kind < kind);
        reader.rule(ascends, "F-58", "sections are out of order")?;
        if flags & CRITICAL != 0 {
            return Err(FormatError::UnknownSection { structure: "pack table or index", kind });
        }
        sections.push(Section { kind, len: reader.u32()?, digest: Digest::from_bytes(reader.array()?) });
    }
    Ok(sections)
}

/// Returns the packs on a page, after its digest was compared.
///
/// # Errors
/// Refuses a page with another digest before it is read, and every breach of F-51 and F-56.
pub fn decode_page(facts: &PackPageFacts, bytes: &[u8]) -> Result<Vec<Pack>, FormatError> {
    prove(Structure::PackPage, bytes, &facts.digest)?;
    let mut reader = Reader::new("pack-table page", bytes);
    let mut packs = Vec::with_capacity(bytes.len() / ROW_LEN);
    while !reader.is_at_end() {
        packs.push(Pack::decode(&mut reader)?);
    }
    let first_fits = packs
        .first()
        .is_some_and(|pack: &Pack| (pack.first_entry, pack.first_ordinal) == (facts.first_entry, facts.first_ordinal));
    reader.rule(first_fits, "F-57", "the root says other things of its page")?;
    Ok(packs)
}

/// Fills pages with packs in order.
#[derive(Default)]
pub struct PackTableEncoder {
    pages: Vec<PackPageFacts>,
    page: Vec<u8>,
    pack_count: u64,
    volume_count: u32,
}

impl PackTableEncoder {
    /// Returns an encoder without packs.
    pub fn new() -> PackTableEncoder {
        PackTableEncoder::default()
    }

    /// Appends a pack. Returns the bytes of a finished page.
    pub fn push(&mut self, pack: &Pack) -> Option<Vec<u8>> {
        let finished = if self.page.len() == PAGE_ROW_COUNT * ROW_LEN { self.end_page() } else { None };
        if self.page.is_empty() {
            self.pages.push(PackPageFacts {
                digest: Digest::from_bytes([0; 32]),
                len: 0,
                first_entry: pack.first_entry,
                first_ordinal: pack.first_ordinal,
            });
        }
        pack.put(&mut self.page);
        self.pack_count += 1;
        if let Some(place) = &pack.place {
            self.volume_count = place.volume.number();
        }
        finished
    }

    /// Returns the root and the bytes of the last page; no page where there was no pack.
    pub fn finish(mut self) -> (PackRoot, Option<Vec<u8>>) {
        let last = self.end_page();
        let (pack_count, volume_count) = (self.pack_count, self.volume_count);
        (PackRoot { pack_count, volume_count, pages: self.pages, sections: Vec::new() }, last)
    }

    fn end_page(&mut self) -> Option<Vec<u8>> {
        let facts = self.pages.last_mut()?;
        if self.page.is_empty() {
            return None;
        }
        facts.digest = Digest::of_structure(Structure::PackPage, &self.page);
        facts.len = self.page.len() as u32;
        Some(std::mem::take(&mut self.page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u64) -> Pack {
        let place = Place {
            volume: VolumeNumber::FIRST,
            offset: number * 300,
            index_len: 100,
            payload_len: 100,
            index_digest: Digest::of(&number.to_le_bytes()),
        };
        Pack { first_entry: number, entry_count: 1, first_ordinal: number * 2, row_count: 2, place: Some(place) }
    }

    #[test]
    fn roundtrips_over_several_pages() {
        let (mut encoder, mut pages) = (PackTableEncoder::new(), Vec::new());
        let packs: Vec<Pack> = (0..30_000).map(pack).collect();
        for pack in &packs {
            pages.extend(encoder.push(pack));
        }
        let (root, last) = encoder.finish();
        pages.extend(last);
        assert_eq!(pages.len(), 3);
        let decoded = PackRoot::decode(&root.encode()).expect("own root");
        assert_eq!(decoded, root);
        let again: Vec<Pack> = root
            .pages
            .iter()
            .zip(&pages)
            .flat_map(|(facts, page)| decode_page(facts, page).expect("own page"))
            .collect();
        assert_eq!(again, packs);
        let mut damaged = pages[1].clone();
        damaged[7] ^= 1;
        assert!(matches!(decode_page(&root.pages[1], &damaged), Err(FormatError::StructureDigest { .. })));
    }

    /// Returns the root and the last page of a table of packs.
    fn table(packs: impl Iterator<Item = Pack>) -> (PackRoot, Vec<u8>) {
        let mut encoder = PackTableEncoder::new();
        packs.for_each(|pack| drop(encoder.push(&pack)));
        let (root, page) = encoder.finish();
        (root, page.expect("a page"))
    }

    #[test]
    fn index_payload_and_copy_follow_each_other() {
        let place = Place { offset: 1000, index_len: 16, payload_len: 100, ..pack(0).place.expect("carried") };
        assert_eq!((place.payload_offset(), place.copy_offset()), (1016, 1116));
        assert_eq!((place.stored_len(), place.end()), (132, 1132));
    }

    #[test]
    fn volumes_are_named_by_six_digits() {
        let volume = VolumeNumber::new(42).expect("a number");
        assert_eq!((&volume.file_name()[..], &volume.to_string()[..]), ("000042.vol", "42"));
        assert_eq!(volume.next().map(VolumeNumber::number), Some(43));
        assert_eq!(VolumeNumber::new(VOLUME_COUNT_MAX).expect("the last").next(), None);
        assert_eq!(VolumeNumber::new(0), None);
    }

    #[test]
    fn each_value_of_a_row_keeps_its_limit() {
        let (root, page) = table([pack(1)].into_iter());
        let broken = |at: usize, bytes: &[u8]| {
            let mut page = page.clone();
            page[at..at + bytes.len()].copy_from_slice(bytes);
            let mut facts = root.pages[0];
            facts.digest = Digest::of_structure(Structure::PackPage, &page);
            decode_page(&facts, &page).err().map(|error| error.rule().expect("a rule"))
        };
        for (at, limit) in [
            (8, PACK_ENTRY_COUNT_MAX),
            (20, PACK_ROW_COUNT_MAX),
            (24, VOLUME_COUNT_MAX),
            (36, INDEX_LEN_MAX),
            (40, PACK_RAW_LEN_END as u32 - 1),
        ] {
            assert_eq!(broken(at, &limit.to_le_bytes()), None, "{at}");
            assert_eq!(broken(at, &(limit + 1).to_le_bytes()), Some("F-10"), "{at}");
        }
        for at in [8, 36] {
            assert_eq!(broken(at, &[0; 4]), Some("F-10"), "{at}");
        }
        // A pack that is not carried has zeros in all of its place.
        assert_eq!(broken(24, &[0; ROW_LEN - 24]), None);
        for at in [28, 36, 40, 44, ROW_LEN - 1] {
            let mut place = [0; ROW_LEN - 24];
            place[at - 24] = 1;
            assert_eq!(broken(24, &place), Some("F-56"), "{at}");
        }
    }

    #[test]
    fn a_pack_that_is_not_carried_has_a_row_as_long_as_any() {
        let packs = [Pack { place: None, ..pack(0) }, pack(1)];
        let (root, page) = table(packs.into_iter());
        assert_eq!(page.len(), 2 * ROW_LEN);
        assert_eq!(decode_page(&root.pages[0], &page).expect("own page"), packs);
    }

    #[test]
    fn pages_of_the_table_are_full_and_in_order() {
        let (root, _) = table((0..30_000).map(pack));
        let broken = |change: fn(&mut PackRoot)| {
            let mut root = root.clone();
            change(&mut root);
            PackRoot::decode(&root.encode()).err().map(|error| error.rule().expect("a rule"))
        };
        assert_eq!(broken(|root| root.pages[2].first_entry = root.pages[1].first_entry), None);
        assert_eq!(broken(|root| root.pages[2].first_ordinal = root.pages[1].first_ordinal), None);
        assert_eq!(broken(|root| root.pages[2].first_entry = 0), Some("F-57"));
        assert_eq!(broken(|root| root.pages[2].first_ordinal = 0), Some("F-57"));
        let without_last = |root: &mut PackRoot| {
            root.pack_count = 2 * PAGE_ROW_COUNT as u64;
            root.pages[2].len = 0;
        };
        assert_eq!(broken(without_last), Some("F-51"));
        assert_eq!(broken(|root| root.pack_count = 3 * PAGE_ROW_COUNT as u64 + 1), Some("F-51"));
        assert_eq!(broken(|root| root.pages[1].len -= 1), Some("F-51"));
        let lens = root.pages.iter().map(|page| u64::from(page.len));
        assert_eq!(root.page_start(100, 0), 100);
        assert_eq!(root.page_start(100, 2), 100 + lens.clone().take(2).sum::<u64>());
        assert_eq!(root.file_len(100), 100 + lens.sum::<u64>());
        let section = Section { kind: 1, len: 7, digest: Digest::of(b"section") };
        assert_eq!(PackRoot { sections: vec![section], ..root.clone() }.file_len(0), root.file_len(0) + 7);
    }

    #[test]
    fn sections_ascend_by_kind() {
        let (root, _) = table([pack(0)].into_iter());
        let of = |kinds: [u16; 2]| {
            let section = |kind| Section { kind, len: 1, digest: Digest::of(b"x") };
            let root = PackRoot { sections: kinds.map(section).to_vec(), ..root.clone() };
            PackRoot::decode(&root.encode()).err().map(|error| error.rule().expect("a rule"))
        };
        assert_eq!([of([8, 9]), of([9, 9]), of([9, 8])], [None, Some("F-58"), Some("F-58")]);
    }

    #[test]
    fn refuses_reserved_flags_and_critical_sections() {
        let (mut encoder, mut pages) = (PackTableEncoder::new(), Vec::new());
        pages.extend(encoder.push(&pack(0)));
        let (mut root, last) = encoder.finish();
        pages.extend(last);
        root.sections.push(Section { kind: 9, len: 4, digest: Digest::of(b"abcd") });
        let bytes = root.encode();
        assert_eq!(PackRoot::decode(&bytes).as_ref(), Ok(&root));
        let flags_at = bytes.len() - 38;
        let with_flags = |flags: u8| {
            let mut changed = bytes.clone();
            changed[flags_at] = flags;
            PackRoot::decode(&changed)
        };
        assert!(matches!(with_flags(1), Err(FormatError::UnknownSection { kind: 9, .. })));
        assert!(matches!(with_flags(2), Err(FormatError::Breach { rule: "F-58", .. })));
    }

    #[test]
    fn refuses_an_ordinal_and_an_offset_with_which_sums_would_overflow() {
        let refused = |pack: Pack| {
            let mut encoder = PackTableEncoder::new();
            assert_eq!(encoder.push(&pack), None);
            let (root, page) = encoder.finish();
            match decode_page(&root.pages[0], &page.expect("a page")) {
                Err(FormatError::Breach { rule, .. }) => Some(rule),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(Pack { first_ordinal: u64::MAX, ..pack(0) }), Some("F-10"));
        let place = pack(0).place.map(|place| Place { offset: u64::MAX - 200, ..place });
        assert_eq!(refused(Pack { place, ..pack(0) }), Some("F-10"));
    }
}
