//! Small bundles packed by hand: where each byte lies is known, and they may hold what the packer
//! would not make of such content, as several volumes, or refuse.

use crate::fixture::{STREAM, name, sign};
use airlift::codec::{Codec, Encoder, Kind};
use airlift::format::head::{FormatTag, ManifestFile, PacksFile, PlainFile, SuiteTag, Totals, Volumes};
use airlift::format::index::{CodecId, Frame, Index, RowSource};
use airlift::format::limits::FRAME_RAW_LEN_MAX;
use airlift::format::manifest::{FileFacts, ManifestEncoder, Profile, Row, part_bound};
use airlift::format::packs::{Pack, PackTableEncoder, Place, VolumeNumber};
use airlift::format::{Digest, EntryPath, Head, Mark, Sha256, Structure, Time};
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// A pack to be made: its volume, and whole files of at most one chunk, in manifest order. A file of
/// several parts stands alone: its last part is a pack in the next volume.
pub(crate) struct HandPack<'a> {
    pub(crate) volume: u32,
    pub(crate) files: Vec<(&'a str, Vec<u8>)>,
}

/// Where a pack lies in its volume.
#[derive(Clone, Debug)]
pub(crate) struct Lay {
    pub(crate) volume: u32,
    pub(crate) index: Range<u64>,
    pub(crate) frames: Vec<Range<u64>>,
    pub(crate) copy: Range<u64>,
}

/// How a chunk is stored as a frame of its own: the codec that the index names, and the bytes.
pub(crate) type Store<'a> = &'a dyn Fn(&[u8]) -> (CodecId, Vec<u8>);

/// Writes a signed bundle of these packs. A chunk that an earlier file has is not carried again.
pub(crate) fn write(out: &Path, counter: u64, packs: &[HandPack<'_>]) -> Vec<Lay> {
    write_as(out, counter, packs, &|chunk| (Codec::Stored.id(), chunk.to_vec()))
}

/// Does the same with frames that `store` makes, which need not be what their codec would make.
pub(crate) fn write_as(out: &Path, counter: u64, packs: &[HandPack<'_>], store: Store<'_>) -> Vec<Lay> {
    let mut hand = Hand::new(store);
    let lays = packs.iter().map(|pack| match &pack.files[..] {
        [(path, bytes)] if bytes.len() as u64 > part_bound(bytes.len() as u64) => {
            hand.add_large(pack.volume, path, bytes)
        }
        _ => hand.add(pack),
    });
    let lays = lays.collect();
    hand.finish(out, counter);
    sign(out);
    lays
}

/// A bundle on its way.
struct Hand<'a> {
    store: Store<'a>,
    manifest: ManifestEncoder,
    table: PackTableEncoder,
    volumes: Vec<Vec<u8>>,
    entry_count: u64,
    row_count: u64,
    total_len: u64,
    listing: String,
    /// Root and digest of every carried chunk, and its ordinal.
    carried: HashMap<(String, Digest), u64>,
}

impl<'a> Hand<'a> {
    fn new(store: Store<'a>) -> Hand<'a> {
        Hand {
            store,
            manifest: ManifestEncoder::new(),
            table: PackTableEncoder::new(),
            volumes: Vec::new(),
            entry_count: 0,
            row_count: 0,
            total_len: 0,
            listing: String::new(),
            carried: HashMap::new(),
        }
    }

    fn add(&mut self, pack: &HandPack<'_>) -> Lay {
        let (first_entry, first_ordinal) = (self.entry_count, self.row_count);
        let mut index = Index { frames: Vec::new(), sources: Vec::new() };
        let mut payload = Vec::new();
        let mut rows: Vec<Digest> = Vec::new();
        for (path, bytes) in &pack.files {
            let path = EntryPath::parse(path.as_bytes()).expect("a path");
            let (digest, len) = (Digest::of(bytes), bytes.len() as u64);
            let facts = FileFacts { profile: Profile::Single, len, sha256: Sha256::of(bytes) };
            self.listing.push_str(&format!("{}  {path}\n", facts.sha256));
            assert!(self.manifest.push_file(path.clone(), &facts).is_none(), "one page is enough");
            self.entry_count += 1;
            self.total_len += len;
            if bytes.is_empty() {
                continue;
            }
            assert!(self.manifest.push_row(&Row { digest, len: len as u32 }).is_none(), "one page is enough");
            let chunk = (path.root().to_owned(), digest);
            let source = if let Some(row) = rows.iter().position(|earlier| *earlier == digest) {
                RowSource::Repeat { row: row as u32 }
            } else if let Some(&ordinal) = self.carried.get(&chunk) {
                RowSource::Reference { ordinal }
            } else {
                let (codec, stored) = (self.store)(bytes);
                let (stored_len, raw_len) = (stored.len() as u32, len as u32);
                index.frames.push(Frame { stored_len, raw_len, codec, digest: Digest::of(&stored) });
                payload.extend(stored);
                self.carried.insert(chunk, self.row_count);
                RowSource::New { frame: index.frames.len() as u32 - 1 }
            };
            index.sources.push(source);
            rows.push(digest);
            self.row_count += 1;
        }
        let (entry_count, row_count) = ((self.entry_count - first_entry) as u32, rows.len() as u32);
        let made = Pack { first_entry, entry_count, first_ordinal, row_count, place: None };
        self.put(pack.volume, (made, index, payload))
    }

    /// Adds a file of several parts, in chunks of 4 MiB.
    fn add_large(&mut self, volume: u32, path: &str, bytes: &[u8]) -> Lay {
        let path = EntryPath::parse(path.as_bytes()).expect("a path");
        let facts = FileFacts { profile: Profile::Mincdc, len: bytes.len() as u64, sha256: Sha256::of(bytes) };
        self.listing.push_str(&format!("{}  {path}\n", facts.sha256));
        assert!(self.manifest.push_file(path.clone(), &facts).is_none(), "one page is enough");
        self.total_len += facts.len;
        let mut mark = Mark::start();
        let mut carried = Vec::new();
        let parts: Vec<&[u8]> = bytes.chunks(part_bound(facts.len) as usize).collect();
        let mut lays = Vec::new();
        for (number, part) in (1..).zip(&parts) {
            let is_last = number == parts.len();
            let pack = self.add_part(path.root(), part, &mut carried);
            mark.update(part);
            if !is_last {
                assert!(self.manifest.push_mark(&mark).is_none(), "one page is enough");
            }
            lays.push(self.put(volume + u32::from(is_last), pack));
        }
        self.entry_count += 1;
        self.carried.extend(carried.into_iter().map(|(digest, ordinal)| ((path.root().to_owned(), digest), ordinal)));
        lays.swap_remove(0)
    }

    /// Makes the pack of one part. What it carries counts for references once the file is whole.
    fn add_part(&mut self, root: &str, part: &[u8], carried: &mut Vec<(Digest, u64)>) -> (Pack, Index, Vec<u8>) {
        let mut encoder = Encoder::new().expect("an encoder");
        let mut index = Index { frames: Vec::new(), sources: Vec::new() };
        let (mut payload, mut rows) = (Vec::new(), Vec::new());
        for chunk in part.chunks(FRAME_RAW_LEN_MAX as usize) {
            let digest = Digest::of(chunk);
            assert!(self.manifest.push_row(&Row { digest, len: chunk.len() as u32 }).is_none(), "one page is enough");
            let source = if let Some(row) = rows.iter().position(|earlier| *earlier == digest) {
                RowSource::Repeat { row: row as u32 }
            } else if let Some(&ordinal) = self.carried.get(&(root.to_owned(), digest)) {
                RowSource::Reference { ordinal }
            } else {
                let start = payload.len();
                let codec = encoder.encode(chunk, Kind::Zstd, &mut payload).expect("encoded").id();
                let stored = &payload[start..];
                let (stored_len, raw_len) = (stored.len() as u32, chunk.len() as u32);
                index.frames.push(Frame { stored_len, raw_len, codec, digest: Digest::of(stored) });
                carried.push((digest, self.row_count));
                RowSource::New { frame: index.frames.len() as u32 - 1 }
            };
            index.sources.push(source);
            rows.push(digest);
            self.row_count += 1;
        }
        let first_ordinal = self.row_count - rows.len() as u64;
        let (first_entry, row_count) = (self.entry_count, rows.len() as u32);
        (Pack { first_entry, entry_count: 1, first_ordinal, row_count, place: None }, index, payload)
    }

    /// Puts a pack into its volume and the table.
    fn put(&mut self, volume: u32, (pack, index, payload): (Pack, Index, Vec<u8>)) -> Lay {
        let place = self.place(volume, &index, &payload);
        assert!(self.table.push(&Pack { place: Some(place), ..pack }).is_none(), "one page is enough");
        lay(&place, &index)
    }

    /// Puts index, payload and index behind what the volume has.
    fn place(&mut self, volume: u32, index: &Index, payload: &[u8]) -> Place {
        let index = index.encode();
        self.volumes.resize((volume as usize).max(self.volumes.len()), Vec::new());
        let bytes = &mut self.volumes[volume as usize - 1];
        let offset = bytes.len() as u64;
        [&index, payload, &index].into_iter().for_each(|part| bytes.extend_from_slice(part));
        Place {
            volume: VolumeNumber::new(volume).expect("in range"),
            offset,
            index_len: index.len() as u32,
            payload_len: payload.len() as u32,
            index_digest: Index::digest_of(&index),
        }
    }

    fn finish(self, out: &Path, counter: u64) {
        let (root, page) = self.manifest.finish();
        let root = root.encode();
        let content_id = Digest::of_structure(Structure::ManifestRoot, &root);
        let manifest = [&root[..], &page.expect("a page")].concat();
        let (table_root, page) = self.table.finish();
        let table_root = table_root.encode();
        let packs = [&table_root[..], &page.expect("a page")].concat();
        let readme = b"packed by hand\n";
        let plain = |bytes: &[u8]| (bytes.len() as u64, Digest::of(bytes), Sha256::of(bytes));
        let (length, blake3, sha256) = plain(&manifest);
        let manifest_file = ManifestFile { length, root_length: root.len() as u64, blake3, sha256 };
        let (length, blake3, sha256) = plain(&packs);
        let root = Digest::of_structure(Structure::PackRoot, &table_root);
        let packs_file = PacksFile { root, length, root_length: table_root.len() as u64, blake3, sha256 };
        let (length, blake3, sha256) = plain(readme);
        let volumes_len = self.volumes.iter().map(|volume| volume.len() as u64).sum();
        let head = Head {
            format: FormatTag::Airlift1,
            suite: SuiteTag::Blake3Sha256,
            stream: name(STREAM),
            counter,
            previous: None,
            created_at: Time::from_unix(1_790_000_000),
            not_after: None,
            audience: None,
            content_id,
            tree_id: Sha256::of(self.listing.as_bytes()),
            manifest: manifest_file,
            packs: packs_file,
            readme: PlainFile { length, blake3, sha256 },
            volumes: Volumes { count: self.volumes.len() as u32, length: volumes_len },
            totals: Totals { files: self.entry_count, directories: 0, bytes: self.total_len },
            bases: Vec::new(),
            repairs: None,
            attachments: Vec::new(),
            critical: Vec::new(),
            ext: BTreeMap::new(),
        };
        head.check().expect("a head");
        let head = head.encode();
        fs::create_dir_all(out.join("volumes")).expect("made");
        for (file, bytes) in
            [("head.json", &head[..]), ("manifest", &manifest), ("packs", &packs), ("README.txt", readme)]
        {
            fs::write(out.join(file), bytes).expect("written");
        }
        for (number, bytes) in (1..).zip(&self.volumes) {
            fs::write(out.join(format!("volumes/{number:06}.vol")), bytes).expect("written");
        }
    }
}

fn lay(place: &Place, index: &Index) -> Lay {
    let starts = index.frames.iter().scan(place.payload_offset(), |start, frame| {
        let range = *start..*start + u64::from(frame.stored_len);
        *start = range.end;
        Some(range)
    });
    Lay {
        volume: place.volume.number(),
        index: place.offset..place.payload_offset(),
        frames: starts.collect(),
        copy: place.copy_offset()..place.end(),
    }
}
