//! A bundle whose digests lead on but whose counts and places may lie: looked at without trust, it is
//! refused or all of its parts agree.
//!
//! Input: lengths of manifest root, manifest pages and pack-table root (u32 each), these, and the pages
//! of the pack table.
#![no_main]

use airlift::format::head::{FormatTag, ManifestFile, PacksFile, PlainFile, SuiteTag, Totals, Volumes};
use airlift::format::limits::TOTAL_LEN_MAX;
use airlift::format::manifest::ManifestRoot;
use airlift::format::packs::{PackRoot, decode_page};
use airlift::format::walk::Item;
use airlift::format::{Digest, Head, Name, Sha256, Structure, Time};
use airlift::media::MetaFile;
use airlift::pipeline::bundle::{Bundle, BundleError, MetaSource};
use airlift::pipeline::lookup::Lookup;
use airlift::trust::UntrustedHead;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Files {
    manifest: Vec<u8>,
    packs: Vec<u8>,
}

impl MetaSource for Files {
    fn read_meta(&self, file: MetaFile, offset: u64, len: usize) -> Result<Vec<u8>, BundleError> {
        let bytes = match file {
            MetaFile::Manifest => &self.manifest,
            MetaFile::Packs => &self.packs,
            MetaFile::Readme => return Err(BundleError::Missing { name: self.describe(file) }),
        };
        let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)?.get(..len));
        from.map(<[u8]>::to_vec).ok_or_else(|| BundleError::Missing { name: self.describe(file) })
    }

    fn describe(&self, file: MetaFile) -> String {
        file.name().to_owned()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some(bundle) = bundle(bytes) else { return };
    let lookup = Lookup::new();
    for pack in bundle.packs().pages.iter().map(|page| page.first_ordinal).chain([0, 1, 7, u64::MAX]) {
        let _ = bundle.pack_of(pack);
        let _ = lookup.row(&bundle, pack);
        let _ = lookup.rows(&bundle, pack, 3);
    }
    for page in &bundle.manifest().pages {
        let _ = lookup.row(&bundle, page.first_ordinal);
        let _ = lookup.rows(&bundle, page.first_ordinal.saturating_sub(1), 5);
        let _ = lookup.entry(&bundle, &page.first_path);
    }
    let Ok(items) = bundle.items().collect::<Result<Vec<Item>, _>>() else { return };
    for item in &items {
        match item {
            Item::Entry(entry) => {
                let found = lookup.entry(&bundle, &entry.path).expect("read").expect("found");
                assert_eq!((found.entry, found.file), (entry.index, entry.file));
            }
            Item::Row(ordinal, row) => {
                assert_eq!(lookup.row(&bundle, *ordinal).expect("read").expect("found").row, *row);
            }
            Item::PartEnd(_) => {}
        }
    }
    let Ok(packs) = bundle.contents().collect::<Result<Vec<_>, _>>() else { return };
    assert_eq!(packs.iter().map(|content| content.rows.len() as u64).sum::<u64>(), bundle.manifest().row_count);
    assert_eq!(packs.iter().map(|content| content.raw_len).sum::<u64>(), bundle.head().totals.bytes);
    for content in &packs {
        for ordinal in content.pack.first_ordinal..content.pack.end_ordinal() {
            assert_eq!(bundle.pack_of(ordinal).expect("read"), Some((content.number, content.pack)));
        }
        let rows = lookup.rows(&bundle, content.pack.first_ordinal, content.pack.row_count);
        assert_eq!(rows.expect("read"), content.rows);
    }
});

/// Returns the bundle of these bytes, every digest and length as they give them.
fn bundle(bytes: &[u8]) -> Option<Bundle> {
    let (lens, mut rest) = bytes.split_first_chunk::<12>()?;
    let mut next = |place: usize| {
        let len = u32::from_le_bytes([lens[place], lens[place + 1], lens[place + 2], lens[place + 3]]);
        let (taken, behind) = rest.split_at_checked(len as usize)?;
        rest = behind;
        Some(taken)
    };
    let (manifest_root, mut manifest_pages, pack_root) = (next(0)?, next(4)?, next(8)?);
    let mut pack_pages = rest;
    let mut manifest = ManifestRoot::decode(manifest_root).ok()?;
    let (mut manifest_bytes, mut pack_bytes) = (Vec::new(), Vec::new());
    for page in &mut manifest.pages {
        let (bytes, behind) = manifest_pages.split_at_checked(page.len as usize)?;
        page.digest = Digest::of_structure(Structure::ManifestPage, bytes);
        manifest_bytes.extend_from_slice(bytes);
        manifest_pages = behind;
    }
    let mut packs = PackRoot::decode(pack_root).ok()?;
    packs.sections.clear();
    let mut volumes_len = 0u64;
    for page in &mut packs.pages {
        let (bytes, behind) = pack_pages.split_at_checked(page.len as usize)?;
        page.digest = Digest::of_structure(Structure::PackPage, bytes);
        let places = decode_page(page, bytes).ok()?.into_iter().filter_map(|pack| pack.place);
        volumes_len += places.map(|place| place.stored_len()).sum::<u64>();
        pack_bytes.extend_from_slice(bytes);
        pack_pages = behind;
    }
    let (manifest_root, pack_root) = (manifest.encode(), packs.encode());
    let lens = (manifest_bytes.len() as u64, pack_bytes.len() as u64, volumes_len);
    let head = head_of((&manifest, &manifest_root), (&packs, &pack_root), lens);
    head.check().ok()?;
    let head = UntrustedHead::decode(&head.encode()).expect("an own head");
    let files = Files { manifest: [manifest_root, manifest_bytes].concat(), packs: [pack_root, pack_bytes].concat() };
    Some(Bundle::open_untrusted(&head, vec![Arc::new(files)]).expect("every digest and sum is right"))
}

/// Returns a head for these roots and the lengths of the pages and of all volumes.
fn head_of(
    (manifest, manifest_root): (&ManifestRoot, &[u8]),
    (packs, pack_root): (&PackRoot, &[u8]),
    (manifest_len, packs_len, volumes_len): (u64, u64, u64),
) -> Head {
    Head {
        format: FormatTag::Airlift1,
        suite: SuiteTag::Blake3Sha256,
        stream: Name::parse("s").expect("a name"),
        counter: 1,
        previous: None,
        created_at: Time::from_unix(0),
        not_after: None,
        audience: None,
        content_id: Digest::of_structure(Structure::ManifestRoot, manifest_root),
        tree_id: Sha256::of(b""),
        manifest: ManifestFile {
            length: manifest_root.len() as u64 + manifest_len,
            root_length: manifest_root.len() as u64,
            blake3: Digest::of(b""),
            sha256: Sha256::of(b""),
        },
        packs: PacksFile {
            root: Digest::of_structure(Structure::PackRoot, pack_root),
            length: pack_root.len() as u64 + packs_len,
            root_length: pack_root.len() as u64,
            blake3: Digest::of(b""),
            sha256: Sha256::of(b""),
        },
        readme: PlainFile { length: 1, blake3: Digest::of(b""), sha256: Sha256::of(b"") },
        volumes: Volumes { count: packs.volume_count, length: volumes_len.clamp(1, TOTAL_LEN_MAX) },
        totals: Totals {
            files: manifest.file_count,
            directories: manifest.entry_count - manifest.file_count,
            bytes: manifest.total_len,
        },
        bases: Vec::new(),
        repairs: None,
        attachments: Vec::new(),
        critical: Vec::new(),
        ext: BTreeMap::new(),
    }
}
