//! What a signer makes agree above a change: pages, roots and head.

use super::layout::{self, DIRECTORY, FILE, PACK_LEN, ROW, Record};
use airlift::format::{Digest, Head, Sha256, Structure};

/// Roots and pages of a bundle.
pub(crate) struct Structures<'a> {
    pub(crate) manifest_root: &'a [u8],
    pub(crate) manifest_pages: &'a [u8],
    pub(crate) pack_root: &'a [u8],
    pub(crate) pack_pages: &'a [u8],
}

/// Makes a head state the lengths and digests of these structures; returns `manifest` and `packs`.
pub(crate) fn restate(head: &mut Head, structures: &Structures<'_>) -> (Vec<u8>, Vec<u8>) {
    let Structures { manifest_root, manifest_pages, pack_root, pack_pages } = structures;
    let manifest = [*manifest_root, manifest_pages].concat();
    let packs = [*pack_root, pack_pages].concat();
    head.content_id = Digest::of_structure(Structure::ManifestRoot, manifest_root);
    head.manifest.length = manifest.len() as u64;
    head.manifest.root_length = manifest_root.len() as u64;
    (head.manifest.blake3, head.manifest.sha256) = (Digest::of(&manifest), Sha256::of(&manifest));
    head.packs.root = Digest::of_structure(Structure::PackRoot, pack_root);
    head.packs.length = packs.len() as u64;
    head.packs.root_length = pack_root.len() as u64;
    (head.packs.blake3, head.packs.sha256) = (Digest::of(&packs), Sha256::of(&packs));
    (manifest, packs)
}

pub(super) fn number(bytes: &[u8], record: &Record, field: usize) -> u64 {
    let bytes = record.fields.get(field).map_or(&[][..], |field| &bytes[field.clone()]);
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(super) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(field) = bytes.get_mut(offset..offset + value.len()) {
        field.copy_from_slice(value);
    }
}

/// Names the only page of a manifest in its root.
pub(super) fn name_manifest_page(root: &mut [u8], page: &[u8]) {
    put(root, 48, Digest::of_structure(Structure::ManifestPage, page).as_bytes());
    put(root, 80, &(page.len() as u32).to_le_bytes());
}

/// Makes the root of a manifest count what its only page has.
pub(super) fn count_manifest(root: &mut Vec<u8>, page: &[u8]) {
    let counts = Counts::of(page);
    for (offset, count) in [(16, counts.entries), (24, counts.files), (32, counts.rows), (40, counts.len)] {
        put(root, offset, &count.to_le_bytes());
    }
    if let Some(path) = counts.first_path
        && root.len() >= 102
    {
        put(root, 100, &(path.len() as u16).to_le_bytes());
        drop(root.splice(102.., path));
    }
}

/// Names the only page of a pack table in its root.
pub(super) fn name_pack_page(root: &mut [u8], page: &[u8]) {
    put(root, 32, Digest::of_structure(Structure::PackPage, page).as_bytes());
    put(root, 64, &(page.len() as u32).to_le_bytes());
}

/// Makes the root of a pack table count what its only page has.
pub(super) fn count_packs(root: &mut [u8], page: &[u8]) {
    put(root, 16, &((page.len() / PACK_LEN) as u64).to_le_bytes());
    let volumes = layout::pack_pages(page).iter().map(|pack| number(page, pack, 4) as u32).max();
    put(root, 24, &volumes.unwrap_or(0).to_le_bytes());
    if page.len() >= PACK_LEN {
        put(root, 68, &page[..8]);
        put(root, 76, &page[12..20]);
    }
}

/// Makes a head count what the manifest has.
pub(super) fn count_head(head: &mut Head, page: &[u8]) {
    let counts = Counts::of(page);
    let most = (1 << 53) - 1;
    head.totals.files = counts.files.clamp(1, most);
    head.totals.directories = counts.entries - counts.files;
    head.totals.bytes = counts.len.min(most);
    head.tree_id = Sha256::of(&counts.listing);
}

#[derive(Default)]
struct Counts {
    entries: u64,
    files: u64,
    rows: u64,
    len: u64,
    first_path: Option<Vec<u8>>,
    listing: Vec<u8>,
}

impl Counts {
    fn of(page: &[u8]) -> Counts {
        let mut counts = Counts::default();
        for record in layout::manifest_page(page) {
            let path = record.fields.last().map_or(&[][..], |field| &page[field.clone()]);
            match record.kind {
                FILE => {
                    let sha256 = page[record.fields[4].clone()].try_into().expect("32 bytes");
                    counts.files += 1;
                    counts.len = counts.len.saturating_add(number(page, &record, 3));
                    counts.listing.extend(format!("{}  ", Sha256::from_bytes(sha256)).into_bytes());
                    counts.listing.extend_from_slice(path);
                    counts.listing.push(b'\n');
                }
                DIRECTORY => {}
                ROW => {
                    counts.rows += 1;
                    continue;
                }
                _ => continue,
            }
            counts.entries += 1;
            counts.first_path.get_or_insert_with(|| path.to_vec());
        }
        counts
    }
}
