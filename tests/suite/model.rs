//! A slow, plain reader of bundles: everything in memory, every rule that ties the files of a bundle
//! together checked. It shares nothing with the flows but the format, so it can prove their output.

use airlift::codec::{Codec, Decoder};
use airlift::format::cover::{Cover, PackContent};
use airlift::format::head::Head;
use airlift::format::index::{Index, RowSource};
use airlift::format::manifest::ManifestRoot;
use airlift::format::packs::{Pack, PackRoot, Place, decode_page};
use airlift::format::walk::{Item, ManifestWalk};
use airlift::format::{Digest, Mark, Sha256, Structure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a bundle holds, proven.
pub(crate) struct Content {
    pub(crate) head: Head,
    /// Path to bytes; nothing for an empty directory.
    pub(crate) entries: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) packs: Vec<PackContent>,
}

impl Content {
    /// Returns where the rows of a file come from, in order.
    pub(crate) fn sources_of(&self, path: &str) -> Vec<RowSource> {
        let of_pack = |(content, index): (&PackContent, &Index)| {
            let pieces = content.pieces.iter().filter(|piece| piece.path.as_str() == path);
            pieces.flat_map(|piece| index.sources[piece.rows.clone()].to_vec()).collect::<Vec<_>>()
        };
        self.packs.iter().zip(&self.indexes).flat_map(of_pack).collect()
    }

    /// Returns how many rows there are of each kind: new, repeat, reference.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let all = || self.indexes.iter().flat_map(|index| &index.sources);
        let count = |is: fn(&RowSource) -> bool| all().filter(|source| is(source)).count();
        (
            count(|source| matches!(source, RowSource::New { .. })),
            count(|source| matches!(source, RowSource::Repeat { .. })),
            count(|source| matches!(source, RowSource::Reference { .. })),
        )
    }
}

/// A row that was read, and what may be said of it.
struct Read {
    bytes: Vec<u8>,
    digest: Digest,
    pack: u64,
    entry: u64,
    root: String,
    is_reference: bool,
}

/// Reads a bundle and proves all of it; panics at the first breach.
pub(crate) fn read(dir: &Path) -> Content {
    let head = Head::decode(&fs::read(dir.join("head.json")).unwrap()).unwrap();
    check_names(dir, &head);
    let (manifest, pack_table) = (fs::read(dir.join("manifest")).unwrap(), fs::read(dir.join("packs")).unwrap());
    check_files(dir, &head, &manifest, &pack_table);
    let items = manifest_items(&head, &manifest);
    let packs = covered(&head, &pack_table, &items);
    let (mut rows, mut indexes): (Vec<Read>, Vec<Index>) = (Vec::new(), Vec::new());
    let mut decoder = Decoder::new();
    for content in &packs {
        let place = content.pack.place.unwrap();
        let bytes = pack_bytes(dir, &place);
        let index = proven_index(&bytes, &place, content);
        read_rows(content, &index, &bytes[place.index_len as usize..], &mut decoder, &mut rows);
        indexes.push(index);
    }
    let entries = joined(&head, &items, &packs, &rows);
    Content { head, entries, indexes, packs }
}

/// F-01 to F-04: nothing else lies there.
fn check_names(dir: &Path, head: &Head) {
    let names = |dir: &Path| -> BTreeSet<String> {
        fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut expected: BTreeSet<String> =
        ["head.json", "signatures", "manifest", "packs", "volumes", "README.txt"].map(String::from).into();
    if !head.attachments.is_empty() {
        expected.insert("attachments".into());
        let numbers = (1..=head.attachments.len()).map(|number| format!("{number:02}")).collect();
        assert_eq!(names(&dir.join("attachments")), numbers);
    }
    assert_eq!(names(dir), expected);
    let volumes = (1..=head.volumes.count).map(|number| format!("{number:06}.vol")).collect();
    assert_eq!(names(&dir.join("volumes")), volumes);
    let len: u64 =
        (1..=head.volumes.count).map(|n| fs::metadata(dir.join(format!("volumes/{n:06}.vol"))).unwrap().len()).sum();
    assert_eq!(len, head.volumes.length);
}

/// F-06.
fn check_files(dir: &Path, head: &Head, manifest: &[u8], packs: &[u8]) {
    let facts = |bytes: &[u8]| (bytes.len() as u64, Digest::of(bytes), Sha256::of(bytes));
    assert_eq!(facts(manifest), (head.manifest.length, head.manifest.blake3, head.manifest.sha256));
    assert_eq!(facts(packs), (head.packs.length, head.packs.blake3, head.packs.sha256));
    let readme = fs::read(dir.join("README.txt")).unwrap();
    assert_eq!(facts(&readme), (head.readme.length, head.readme.blake3, head.readme.sha256));
    for (number, attachment) in (1..).zip(&head.attachments) {
        let bytes = fs::read(dir.join(format!("attachments/{number:02}"))).unwrap();
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (attachment.length, attachment.sha256));
    }
}

fn manifest_items(head: &Head, manifest: &[u8]) -> Vec<Item> {
    let (root_bytes, mut pages) = manifest.split_at(head.manifest.root_length as usize);
    assert_eq!(Digest::of_structure(Structure::ManifestRoot, root_bytes), head.content_id);
    let root = ManifestRoot::decode(root_bytes).unwrap();
    let totals = (root.file_count, root.entry_count - root.file_count, root.total_len);
    assert_eq!(totals, (head.totals.files, head.totals.directories, head.totals.bytes));
    let mut walk = ManifestWalk::new(root);
    let mut items = Vec::new();
    while let Some(len) = walk.wants().map(|facts| facts.len as usize) {
        items.extend(walk.feed(&pages[..len]).unwrap());
        pages = &pages[len..];
    }
    assert!(pages.is_empty());
    items
}

fn covered(head: &Head, pack_table: &[u8], items: &[Item]) -> Vec<PackContent> {
    let (root_bytes, mut pages) = pack_table.split_at(head.packs.root_length as usize);
    assert_eq!(Digest::of_structure(Structure::PackRoot, root_bytes), head.packs.root);
    let root = PackRoot::decode(root_bytes).unwrap();
    assert_eq!(root.volume_count, head.volumes.count);
    let mut packs: Vec<Pack> = Vec::new();
    for facts in &root.pages {
        packs.extend(decode_page(facts, &pages[..facts.len as usize]).unwrap());
        pages = &pages[facts.len as usize..];
    }
    assert_eq!((packs.len() as u64, pages.len()), (root.pack_count, 0));
    let mut cover = Cover::new(root.volume_count, false);
    cover.feed(items.to_vec());
    let contents = packs.into_iter().map(|pack| cover.take(pack).unwrap()).collect();
    cover.finish(head.volumes.length).unwrap();
    contents
}

fn pack_bytes(dir: &Path, place: &Place) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let volume = fs::File::open(dir.join("volumes").join(place.volume.file_name())).unwrap();
    let mut bytes = vec![0; place.stored_len() as usize];
    volume.read_exact_at(&mut bytes, place.offset).unwrap();
    bytes
}

fn proven_index(bytes: &[u8], place: &Place, content: &PackContent) -> Index {
    let (first, copy) = (&bytes[..place.index_len as usize], &bytes[bytes.len() - place.index_len as usize..]);
    assert_eq!(first, copy);
    assert_eq!(Index::digest_of(first), place.index_digest);
    Index::decode(first, &content.rows, place.payload_len).unwrap()
}

fn read_rows(content: &PackContent, index: &Index, payload: &[u8], decoder: &mut Decoder, rows: &mut Vec<Read>) {
    let mut frames = Vec::new();
    let mut offset = 0;
    for frame in &index.frames {
        let stored = &payload[offset..offset + frame.stored_len as usize];
        assert_eq!(Digest::of(stored), frame.digest);
        let mut raw = vec![0; frame.raw_len as usize];
        decoder.decode(Codec::from_id(frame.codec).unwrap(), stored, &mut raw).unwrap();
        frames.push((raw, 0));
        offset += stored.len();
    }
    let first_row = rows.len();
    assert_eq!(first_row as u64, content.pack.first_ordinal);
    for piece in &content.pieces {
        for number in piece.rows.clone() {
            let row = content.rows[number];
            let root = piece.path.root();
            let bytes = match index.sources[number] {
                RowSource::New { frame } => {
                    let (raw, taken) = &mut frames[frame as usize];
                    *taken += row.len as usize;
                    raw[*taken - row.len as usize..*taken].to_vec()
                }
                RowSource::Repeat { row } => rows[first_row + row as usize].bytes.clone(),
                RowSource::Reference { ordinal } => {
                    let target = &rows[ordinal as usize];
                    assert!(target.pack < content.number && target.entry < piece.entry, "F-106");
                    assert!(target.root == root && !target.is_reference, "F-106");
                    assert_eq!(target.digest, row.digest, "F-107");
                    target.bytes.clone()
                }
                RowSource::Base { .. } => panic!("there is no base"),
            };
            assert_eq!((Digest::of(&bytes), bytes.len()), (row.digest, row.len as usize), "F-109");
            let is_reference = matches!(index.sources[number], RowSource::Reference { .. });
            let (pack, entry, root) = (content.number, piece.entry, root.to_owned());
            rows.push(Read { bytes, digest: row.digest, pack, entry, root, is_reference });
        }
    }
}

/// Joins rows to files, and proves each part by its marks and each file by its SHA-256.
fn joined(head: &Head, items: &[Item], packs: &[PackContent], rows: &[Read]) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut entries: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    for content in packs {
        for piece in &content.pieces {
            let first = content.pack.first_ordinal as usize;
            let bytes = rows[first + piece.rows.start..first + piece.rows.end].iter().flat_map(|row| &row.bytes);
            let entry = entries.entry(piece.path.as_str().to_owned());
            let entry = entry.or_insert_with(|| piece.file.map(|_| Vec::new()));
            if let Some(file) = entry {
                file.extend(bytes);
                let mut mark = Mark::start();
                mark.update(file);
                assert!(piece.part.after.as_ref().is_none_or(|after| **after == mark), "F-23");
            }
        }
    }
    let mut listing = String::new();
    for item in items {
        let Item::Entry(entry) = item else { continue };
        let Some(facts) = entry.file else { continue };
        let bytes = entries[entry.path.as_str()].as_ref().unwrap();
        assert_eq!((bytes.len() as u64, Sha256::of(bytes)), (facts.len, facts.sha256));
        listing.push_str(&format!("{}  {}\n", facts.sha256, entry.path));
    }
    assert_eq!(Sha256::of(listing.as_bytes()), head.tree_id, "F-24");
    entries
}
