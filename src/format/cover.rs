//! The pack table laid over the manifest: which entries, rows and parts each pack holds (F-52 to F-56).

use super::error::FormatError;
use super::limits::{PACK_RAW_LEN, PACK_RAW_LEN_END};
use super::manifest::{FileFacts, Row, part_bound};
use super::packs::{Pack, VolumeNumber};
use super::walk::{Entry, Item};
use super::{EntryPath, Mark};
use std::collections::VecDeque;
use std::ops::Range;

/// A pack with everything that the manifest says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackContent {
    /// Its index in the pack table, from 0.
    pub number: u64,
    /// Its row of the pack table.
    pub pack: Pack,
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// What it holds of which entry, in order: one piece of a file, or whole entries.
    pub pieces: Vec<Piece>,
    /// Sum of the row lengths in bytes.
    pub raw_len: u64,
}

/// What a pack holds of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of the entry in the manifest.
    pub entry: u64,
    /// Its path.
    pub path: EntryPath,
    /// The file; nothing for a directory.
    pub file: Option<FileFacts>,
    /// The rows of the pack that belong to it.
    pub rows: Range<usize>,
    /// Where in the file the piece begins, in bytes.
    pub offset: u64,
    /// The part that the piece belongs to.
    pub part: PartFacts,
}

/// What the manifest says of one part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFacts {
    /// Its number in the file, from 1, as multipart uploads count.
    pub number: u32,
    /// Whether the piece begins where the part begins.
    pub starts: bool,
    /// Whether the piece ends where the part ends.
    pub ends: bool,
    /// Whether the piece ends the file.
    pub is_last: bool,
    /// The mark before the part; nothing for the first part of a file.
    pub before: Option<Box<Mark>>,
    /// The mark behind the part where the piece ends it and it is not the last; there the file's
    /// SHA-256 proves it.
    pub after: Option<Box<Mark>>,
}

impl PartFacts {
    /// Of a file that is one part.
    const WHOLE: PartFacts =
        PartFacts { number: 1, starts: true, ends: true, is_last: true, before: None, after: None };

    /// Returns the state of the file's SHA-256 before the part.
    pub fn start(&self) -> Mark {
        self.before.as_deref().cloned().unwrap_or_else(Mark::start)
    }
}

/// Lays packs over manifest items; feed both, in order, and take what is complete.
pub struct Cover {
    items: VecDeque<Item>,
    next_pack: u64,
    next_entry: u64,
    next_ordinal: u64,
    file: Option<Rest>,
    last_volume: Option<(VolumeNumber, u64)>,
    volume_lens_sum: u64,
    volumes_left: u32,
    is_repair: bool,
}

/// A file of several parts whose rows are not all taken yet.
#[derive(Clone)]
struct Rest {
    entry: u64,
    path: EntryPath,
    file: FileFacts,
    done: u64,
    part_number: u32,
    part_done: u64,
    /// Where the first pack of the part lies that is carried.
    part_volume: Option<VolumeNumber>,
    before: Option<Box<Mark>>,
}

impl Cover {
    /// Returns a cover before the first pack. `volume_count` is the pack-table root's.
    pub fn new(volume_count: u32, is_repair: bool) -> Cover {
        Cover {
            items: VecDeque::new(),
            next_pack: 0,
            next_entry: 0,
            next_ordinal: 0,
            file: None,
            last_volume: None,
            volume_lens_sum: 0,
            volumes_left: volume_count,
            is_repair,
        }
    }

    /// Takes the next items of the walk over the manifest.
    pub fn feed(&mut self, items: Vec<Item>) {
        self.items.extend(items);
    }

    /// Tells whether the items at hand may not be enough for `pack`; then feed the next page.
    pub fn needs_items(&self, pack: &Pack) -> bool {
        // One more item than the pack's own shows whether a part end or another entry follows.
        self.items.len() <= pack.entry_count as usize + pack.row_count as usize + 1
    }

    /// Returns the content of the next pack.
    ///
    /// # Errors
    /// Refuses every breach of F-52 to F-56.
    pub fn take(&mut self, pack: Pack) -> Result<PackContent, FormatError> {
        let follows = pack.first_ordinal == self.next_ordinal
            && pack.first_entry == self.file.as_ref().map_or(self.next_entry, |file| file.entry);
        self.rule(follows, "F-52", "it does not begin where the pack before it ends")?;
        self.check_place(&pack)?;
        let mut content =
            PackContent { number: self.next_pack, pack, rows: Vec::new(), pieces: Vec::new(), raw_len: 0 };
        if self.file.is_none() && self.begins_large_file() {
            self.open_large_file();
        }
        if self.file.is_some() {
            self.rule(pack.entry_count == 1, "F-52", "a piece of a file has one entry")?;
            self.take_piece(&mut content)?;
        } else {
            self.take_run(&mut content)?;
        }
        self.next_ordinal = pack.end_ordinal();
        self.next_pack += 1;
        Ok(content)
    }

    /// Checks that packs and manifest ended together, and the volumes with them.
    ///
    /// # Errors
    /// Refuses a manifest that is not covered to its end (F-52), and other volume counts or lengths
    /// than root and head say (F-55).
    pub fn finish(&self, volumes_len: u64) -> Result<(), FormatError> {
        let ended = self.items.is_empty() && self.file.is_none();
        self.rule(ended, "F-52", "the packs do not cover the manifest to its end")?;
        let volumes_end = self.volumes_left == 0 && self.volume_lens_sum == volumes_len;
        self.rule(volumes_end, "F-55", "the packs do not fill the volumes that root and head state")
    }

    /// Tells whether a file of several parts is next.
    fn begins_large_file(&self) -> bool {
        let Some(Item::Entry(Entry { file: Some(file), .. })) = self.items.front() else { return false };
        // Its rows end at a part end, or are not all at hand; those of a file of one part reach its end.
        let row_len = |item: &Item| if let Item::Row(_, row) = item { Some(u64::from(row.len)) } else { None };
        self.items.iter().skip(1).map_while(row_len).sum::<u64>() < file.len
    }

    fn open_large_file(&mut self) {
        if let Some(Item::Entry(Entry { index, path, file: Some(file) })) = self.items.pop_front() {
            let (done, part_number, part_done) = (0, 1, 0);
            let (part_volume, before) = (None, None);
            self.file = Some(Rest { entry: index, path, file, done, part_number, part_done, part_volume, before });
        }
    }

    fn take_piece(&mut self, content: &mut PackContent) -> Result<(), FormatError> {
        let Some(mut rest) = self.file.take() else { return Ok(()) };
        let bound = part_bound(rest.file.len);
        let (starts, offset) = (rest.part_done == 0, rest.done);
        // A part with several packs is read as one upload part: it may not be split over volumes.
        let volume = content.pack.place.map(|place| place.volume);
        let is_split = rest.part_volume.zip(volume).is_some_and(|(first, own)| first != own);
        self.rule(!is_split, "F-53", "the packs of a part lie in two volumes")?;
        rest.part_volume = rest.part_volume.or(volume);
        let mut part_ends = false;
        while content.raw_len < PACK_RAW_LEN && !part_ends {
            let Some(Item::Row(_, row)) = self.items.pop_front() else {
                return self.rule(false, "F-53", "its rows are not those of a piece");
            };
            content.rows.push(row);
            content.raw_len += u64::from(row.len);
            rest.done += u64::from(row.len);
            rest.part_done += u64::from(row.len);
            part_ends = rest.part_done >= bound || rest.done == rest.file.len;
        }
        let exact = content.rows.len() == content.pack.row_count as usize;
        self.rule(exact, "F-53", "it does not end where a piece of its file ends")?;
        let is_last = rest.done == rest.file.len;
        let mut after = None;
        if part_ends && !is_last {
            let Some(Item::PartEnd(mark)) = self.items.pop_front() else {
                return self.rule(false, "F-53", "its part has no mark");
            };
            after = Some(mark);
        }
        let part = PartFacts {
            number: rest.part_number,
            starts,
            ends: part_ends,
            is_last,
            before: rest.before.clone(),
            after: after.clone(),
        };
        content.pieces.push(Piece {
            entry: rest.entry,
            path: rest.path.clone(),
            file: Some(rest.file),
            rows: 0..content.rows.len(),
            offset,
            part,
        });
        self.next_entry = rest.entry + 1;
        if is_last {
            return Ok(());
        }
        if after.is_some() {
            rest.before = after;
            rest.part_number += 1;
            rest.part_done = 0;
            rest.part_volume = None;
        }
        self.file = Some(rest);
        Ok(())
    }

    fn take_run(&mut self, content: &mut PackContent) -> Result<(), FormatError> {
        for _ in 0..content.pack.entry_count {
            if self.begins_large_file() {
                return self.rule(false, "F-52", "a run of entries has a file of several parts");
            }
            let Some(Item::Entry(Entry { index, path, file })) = self.items.pop_front() else {
                return self.rule(false, "F-52", "it has more entries than the manifest");
            };
            let first_row = content.rows.len();
            let mut done = 0;
            while let Some(Item::Row(_, row)) = self.items.front() {
                content.rows.push(*row);
                done += u64::from(row.len);
                self.items.pop_front();
            }
            content.raw_len += done;
            self.next_entry = index + 1;
            content.pieces.push(Piece {
                entry: index,
                path,
                file,
                rows: first_row..content.rows.len(),
                offset: 0,
                part: PartFacts::WHOLE,
            });
        }
        let exact = content.rows.len() == content.pack.row_count as usize;
        self.rule(exact, "F-52", "its rows are not those of its entries")?;
        self.rule(content.raw_len < PACK_RAW_LEN_END, "F-54", "it has 36 MiB or more")
    }

    fn check_place(&mut self, pack: &Pack) -> Result<(), FormatError> {
        let Some(place) = &pack.place else {
            return self.rule(self.is_repair, "F-56", "it is not carried, and this is no repair");
        };
        let (volume, end) = self.last_volume.unwrap_or((VolumeNumber::FIRST, 0));
        let is_first = self.last_volume.is_none();
        let continues = place.volume == volume && place.offset == end;
        let begins = !is_first && Some(place.volume) == volume.next() && place.offset == 0;
        self.rule(continues || begins, "F-55", "it does not lie behind the pack before it")?;
        if is_first || begins {
            let Some(left) = self.volumes_left.checked_sub(1) else {
                return self.rule(false, "F-55", "there are more volumes than the root states");
            };
            self.volumes_left = left;
        }
        self.volume_lens_sum = self.volume_lens_sum.saturating_add(place.stored_len());
        self.last_volume = Some((place.volume, place.end()));
        Ok(())
    }

    fn rule(&self, good: bool, rule: &'static str, why: &'static str) -> Result<(), FormatError> {
        if good { Ok(()) } else { Err(FormatError::Pack { pack: self.next_pack, rule, why }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::limits::FILE_LEN_MAX;
    use crate::format::manifest::Profile;
    use crate::format::packs::Place;
    use crate::format::{Digest, Sha256};

    const CHUNK_LEN: u32 = 4 << 20;

    /// Lays the first packs of one file over its rows. Each has its row count and its volume, which is
    /// 0 where a repair does not carry it.
    fn take(file_len: u64, packs: &[(u32, u32)]) -> Result<(), FormatError> {
        let facts = FileFacts { profile: Profile::Mincdc, len: file_len, sha256: Sha256::of(b"") };
        let path = EntryPath::parse(b"m/large").expect("a path");
        let mut items = vec![Item::Entry(Entry { index: 0, path, file: Some(facts) })];
        let mut done = 0;
        for ordinal in 0..100 {
            items.push(Item::Row(ordinal, Row { digest: Digest::of(b"chunk"), len: CHUNK_LEN }));
            done += u64::from(CHUNK_LEN);
            if done >= part_bound(file_len) {
                items.push(Item::PartEnd(Box::new(Mark::start())));
                done = 0;
            }
        }
        let mut cover = Cover::new(2, true);
        cover.feed(items);
        let (mut first_ordinal, mut last) = (0, (0, 0));
        for &(row_count, volume) in packs {
            let place = VolumeNumber::new(volume).map(|volume| {
                let offset = if volume.number() == last.0 { last.1 } else { 0 };
                Place { volume, offset, index_len: 16, payload_len: 0, index_digest: Digest::of(b"index") }
            });
            last = place.map_or(last, |place| (volume, place.end()));
            cover.take(Pack { first_entry: 0, entry_count: 1, first_ordinal, row_count, place })?;
            first_ordinal += u64::from(row_count);
        }
        Ok(())
    }

    /// Returns a file of 33 MiB in one part, whose last chunk lies on the 32nd, a directory, and two small files.
    fn run() -> Vec<Item> {
        let entry = |index, path: &str, len: Option<u64>| {
            let facts = |len| FileFacts { profile: Profile::Mincdc, len, sha256: Sha256::of(b"") };
            let path = EntryPath::parse(path.as_bytes()).expect("a path");
            Item::Entry(Entry { index, path, file: len.map(facts) })
        };
        let row = |ordinal, len| Item::Row(ordinal, Row { digest: Digest::of(b"chunk"), len });
        let mut items = vec![entry(0, "m/a", Some(33 << 20))];
        items.extend((0..7).map(|ordinal| row(ordinal, CHUNK_LEN)));
        items.extend([row(7, 3 << 20), row(8, 2 << 20)]);
        items.extend([
            entry(1, "m/b", None),
            entry(2, "m/c", Some(5)),
            row(9, 2),
            row(10, 3),
            entry(3, "m/d", Some(7)),
        ]);
        items.push(row(11, 7));
        items
    }

    fn place(volume: u32, offset: u64, payload_len: u32) -> Option<Place> {
        let volume = VolumeNumber::new(volume).expect("a number");
        Some(Place { volume, offset, index_len: 16, payload_len, index_digest: Digest::of(b"index") })
    }

    /// Returns packs for [`run`]: three entries, then one, in a volume each.
    fn packs() -> [Pack; 2] {
        [
            Pack { first_entry: 0, entry_count: 3, first_ordinal: 0, row_count: 11, place: place(1, 0, 10) },
            Pack { first_entry: 3, entry_count: 1, first_ordinal: 11, row_count: 1, place: place(2, 0, 20) },
        ]
    }

    fn laid_over_run(packs: &[Pack]) -> (Cover, Result<Vec<PackContent>, FormatError>) {
        let mut cover = Cover::new(2, false);
        cover.feed(run());
        let contents = packs.iter().map(|pack| cover.take(*pack)).collect();
        (cover, contents)
    }

    fn assert_breach<T: std::fmt::Debug>(found: Result<T, FormatError>, pack_number: u64, rule_broken: &str) {
        let Err(FormatError::Pack { pack, rule, .. }) = found else { panic!("not refused: {found:?}") };
        assert_eq!((pack, rule), (pack_number, rule_broken));
    }

    #[test]
    fn a_run_of_entries_has_each_with_its_rows() {
        let (_, contents) = laid_over_run(&packs());
        let contents = contents.expect("taken");
        let shape = |content: &PackContent| {
            let pieces = content.pieces.iter().map(|piece| {
                assert_eq!((piece.offset, &piece.part), (0, &PartFacts::WHOLE));
                (piece.entry, piece.path.to_string(), piece.rows.clone())
            });
            (content.number, content.rows.len(), content.raw_len, pieces.collect::<Vec<_>>())
        };
        let run = vec![(0, "m/a".to_owned(), 0..9), (1, "m/b".to_owned(), 9..9), (2, "m/c".to_owned(), 9..11)];
        assert_eq!(shape(&contents[0]), (0, 11, (33 << 20) + 5, run));
        assert_eq!(shape(&contents[1]), (1, 1, 7, vec![(3, "m/d".to_owned(), 0..1)]));
    }

    #[test]
    fn a_pack_begins_where_the_one_before_it_ends() {
        let [first, second] = packs();
        for wrong in [
            Pack { first_entry: 1, ..first },
            Pack { first_ordinal: 1, ..first },
            Pack { first_entry: 1, first_ordinal: 1, ..first },
        ] {
            assert_breach(laid_over_run(&[wrong]).1, 0, "F-52");
        }
        for wrong in [Pack { first_entry: 2, ..second }, Pack { first_ordinal: 10, ..second }] {
            assert_breach(laid_over_run(&[first, wrong]).1, 1, "F-52");
        }
    }

    #[test]
    fn the_end_is_that_of_manifest_and_volumes() {
        let lens = packs().iter().filter_map(|pack| Some(pack.place?.stored_len())).sum();
        let (cover, _) = laid_over_run(&packs());
        assert_eq!(cover.finish(lens), Ok(()));
        assert_breach(cover.finish(lens + 1), 2, "F-55");
        let mut cover = Cover::new(3, false);
        cover.feed(run());
        for pack in packs() {
            cover.take(pack).expect("taken");
        }
        assert_breach(cover.finish(lens), 2, "F-55");

        let mut cover = Cover::new(1, false);
        cover.feed(run());
        cover.take(packs()[0]).expect("taken");
        assert_breach(cover.finish(packs()[0].place.expect("carried").stored_len()), 1, "F-52");
    }

    #[test]
    fn a_file_of_several_parts_is_covered_to_its_end() {
        let facts = FileFacts { profile: Profile::Mincdc, len: 40 << 20, sha256: Sha256::of(b"") };
        let path = EntryPath::parse(b"m/large").expect("a path");
        let row = |ordinal| Item::Row(ordinal, Row { digest: Digest::of(b"chunk"), len: CHUNK_LEN });
        let mut items = vec![Item::Entry(Entry { index: 0, path, file: Some(facts) })];
        items.extend((0..8).map(row));
        items.push(Item::PartEnd(Box::new(Mark::start())));
        items.extend((8..10).map(row));
        let mut cover = Cover::new(1, false);
        cover.feed(items);
        let at = |offset| place(1, offset, 10);
        let end = at(0).map_or(0, |place| place.end());
        let first = Pack { first_entry: 0, entry_count: 1, first_ordinal: 0, row_count: 8, place: at(0) };
        let second = Pack { first_ordinal: 8, row_count: 2, place: at(end), ..first };
        let ends = |content: PackContent| {
            let piece = &content.pieces[0];
            let PartFacts { number, starts, ends, is_last, .. } = piece.part;
            (piece.offset, content.raw_len, number, starts, ends, is_last)
        };
        assert_eq!(ends(cover.take(first).expect("taken")), (0, 32 << 20, 1, true, true, false));
        assert_breach(cover.finish(end), 1, "F-52");
        assert_eq!(ends(cover.take(second).expect("taken")), (32 << 20, 8 << 20, 2, true, true, true));
        assert_eq!(cover.finish(2 * end), Ok(()));
    }

    #[test]
    fn asks_for_items_until_those_of_a_pack_and_the_two_behind_it_are_there() {
        let pack = Pack { first_entry: 0, entry_count: 3, first_ordinal: 0, row_count: 4, place: None };
        let mut cover = Cover::new(1, true);
        let item = || Item::Row(0, Row { digest: Digest::of(b"chunk"), len: 1 });
        for count in 0..9 {
            assert!(cover.needs_items(&pack), "{count} are enough");
            cover.feed(vec![item()]);
        }
        assert!(!cover.needs_items(&pack));
    }

    #[test]
    fn the_packs_of_a_part_that_are_carried_lie_in_one_volume() {
        // The bound of the longest file is above 1 GiB, so these packs are of one part.
        let one_part = |volumes: &[u32]| {
            let packs: Vec<_> = volumes.iter().map(|&volume| (8, volume)).collect();
            take(FILE_LEN_MAX, &packs)
        };
        for good in [&[1, 1, 1][..], &[0, 1, 1], &[1, 0, 1], &[0, 0, 0, 1]] {
            assert_eq!(one_part(good), Ok(()), "{good:?}");
        }
        for bad in [&[1, 2][..], &[1, 1, 2], &[1, 0, 2], &[0, 1, 2], &[0, 1, 0, 2]] {
            let found = one_part(bad);
            assert!(matches!(found, Err(FormatError::Pack { rule: "F-53", .. })), "{bad:?}: {found:?}");
        }
    }

    #[test]
    fn a_part_may_begin_a_volume_with_its_first_pack_that_is_carried() {
        // Parts of nine chunks, in packs of eight and one.
        let len = 9000 * (32 << 20) + 1;
        for good in [[1, 1, 2, 2], [1, 1, 0, 2], [1, 0, 2, 2], [1, 0, 0, 2], [0, 1, 2, 0]] {
            let packs: Vec<_> = good.iter().zip([8, 1, 8, 1]).map(|(&volume, rows)| (rows, volume)).collect();
            assert_eq!(take(len, &packs), Ok(()), "{good:?}");
        }
    }
}
