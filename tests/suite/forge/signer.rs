//! A hostile signer: one structure is changed, and what lies above it made to agree but for what is left.

use super::layout::{self, PACK_LEN, Record};
use super::seal::{self, Structures, number, put, restate};
use super::{Files, SIGNER_KINDS, Sign, Step, edit};
use airlift::format::index::Index;
use airlift::format::{Digest, Head};

/// What a step may leave as it was.
const FRAMES: u8 = 1;
const INDEX_COPY: u8 = 2;
const PLACES: u8 = 4;
const PAGES: u8 = 8;
const COUNTS: u8 = 16;
const HEAD_COUNTS: u8 = 32;
const VOLUMES: u8 = 64;

/// What a bundle is made of.
struct Parts {
    head: Head,
    manifest_root: Vec<u8>,
    manifest_page: Vec<u8>,
    pack_root: Vec<u8>,
    pack_page: Vec<u8>,
    /// Volumes by the name of their file.
    volumes: Files,
}

/// How many numbers of structures there are; those behind the head are packs.
const WHICH_COUNT: u8 = 16;
const HEAD: u8 = 4;

/// Tells whether the text of the head is what is changed.
pub(super) fn is_of_head(step: &Step) -> bool {
    step.which % WHICH_COUNT == HEAD
}

/// Returns the bundle as the signer makes it; nothing where it has no head to begin with.
pub(super) fn take(files: &Files, step: &Step, sign: Sign<'_>) -> Option<Files> {
    let operation = (step.kind - SIGNER_KINDS) % edit::OPERATION_COUNT;
    let mut parts = Parts::of(files)?;
    let change = |bytes: &mut Vec<u8>, layout: fn(&[u8]) -> Vec<Record>| {
        let records = layout(bytes);
        edit::edit(operation, bytes, &records, step);
    };
    // Who changes a root leaves what it says of its pages.
    let root_left = step.left | PAGES | COUNTS;
    let head = match step.which % WHICH_COUNT {
        0 => {
            change(&mut parts.manifest_root, layout::manifest_root);
            parts.head(root_left)
        }
        1 => {
            change(&mut parts.manifest_page, layout::manifest_page);
            parts.head(step.left)
        }
        2 => {
            change(&mut parts.pack_root, layout::pack_root);
            parts.head(root_left)
        }
        3 => {
            change(&mut parts.pack_page, layout::pack_pages);
            parts.head(step.left)
        }
        HEAD => {
            let mut text = parts.head.encode();
            change(&mut text, layout::lines);
            text
        }
        which => {
            parts.edit_pack(usize::from(which - HEAD - 1) / 2, which % 2 == 0, operation, step);
            parts.head(step.left)
        }
    };
    Some(parts.seal(files, head, sign))
}

impl Parts {
    fn of(files: &Files) -> Option<Parts> {
        let head = Head::decode(files.get("head.json")?).ok()?;
        let split = |name: &str, root_len: u64| {
            let bytes = files.get(name)?;
            let (root, pages) = bytes.split_at_checked(usize::try_from(root_len).ok()?)?;
            Some((root.to_vec(), pages.to_vec()))
        };
        let (manifest_root, manifest_page) = split("manifest", head.manifest.root_length)?;
        let (pack_root, pack_page) = split("packs", head.packs.root_length)?;
        let volumes = files.iter().filter(|(name, _)| name.starts_with("volumes/"));
        let volumes = volumes.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        Some(Parts { head, manifest_root, manifest_page, pack_root, pack_page, volumes })
    }

    /// Changes the index or the payload of a pack, and what its row in the table says.
    fn edit_pack(&mut self, which: usize, is_payload: bool, operation: u8, step: &Step) {
        let rows = layout::pack_pages(&self.pack_page);
        let Some(at) = which.checked_rem(rows.len()) else { return };
        let row = rows[at].clone();
        let [volume, offset, index_len, payload_len] = [4, 5, 6, 7].map(|field| number(&self.pack_page, &row, field));
        let Some(bytes) = self.volumes.get_mut(&format!("volumes/{volume:06}.vol")) else { return };
        let (start, index_len, payload_len) = (offset as usize, index_len as usize, payload_len as usize);
        let payload_at = start.saturating_add(index_len);
        let end = payload_at.saturating_add(payload_len).saturating_add(index_len);
        if end > bytes.len() {
            return;
        }
        let mut index = bytes[start..payload_at].to_vec();
        let mut payload = bytes[payload_at..payload_at + payload_len].to_vec();
        let mut copy = bytes[payload_at + payload_len..end].to_vec();
        let (edited, records) = match is_payload {
            true => (&mut payload, layout::plain(&bytes[payload_at..payload_at + payload_len])),
            false => (&mut index, layout::index(&bytes[start..payload_at])),
        };
        edit::edit(operation, edited, &records, step);
        if step.left & FRAMES == 0 {
            name_frames(&mut index, &payload);
        }
        if step.left & INDEX_COPY == 0 {
            copy.clone_from(&index);
        }
        let new = [&index[..], &payload, &copy].concat();
        let grown = new.len() as i64 - (end - start) as i64;
        drop(bytes.splice(start..end, new));
        if step.left & PLACES != 0 {
            return;
        }
        let place = row.range().start;
        put(&mut self.pack_page, place + 36, &(index.len() as u32).to_le_bytes());
        put(&mut self.pack_page, place + 40, &(payload.len() as u32).to_le_bytes());
        put(&mut self.pack_page, place + 44, Index::digest_of(&index).as_bytes());
        for later in &rows[at + 1..] {
            if number(&self.pack_page, later, 4) == volume {
                let moved = number(&self.pack_page, later, 5).wrapping_add_signed(grown);
                put(&mut self.pack_page, later.range().start + 28, &moved.to_le_bytes());
            }
        }
    }

    /// Returns the bytes of a head over these parts.
    fn head(&mut self, left: u8) -> Vec<u8> {
        if left & PAGES == 0 {
            seal::name_manifest_page(&mut self.manifest_root, &self.manifest_page);
            let page_len = self.pack_page.len() / PACK_LEN * PACK_LEN;
            seal::name_pack_page(&mut self.pack_root, &self.pack_page[..page_len]);
        }
        if left & COUNTS == 0 {
            seal::count_manifest(&mut self.manifest_root, &self.manifest_page);
            seal::count_packs(&mut self.pack_root, &self.pack_page);
        }
        if left & HEAD_COUNTS == 0 {
            seal::count_head(&mut self.head, &self.manifest_page);
        }
        if left & VOLUMES == 0 {
            let rows = layout::pack_pages(&self.pack_page);
            let count = rows.iter().map(|row| number(&self.pack_page, row, 4)).max().unwrap_or(1);
            self.head.volumes.count = count.clamp(1, 999_999) as u32;
            let lens = rows.iter().map(|row| {
                let [index_len, payload_len] = [6, 7].map(|field| number(&self.pack_page, row, field));
                2 * index_len + payload_len
            });
            self.head.volumes.length = lens.sum::<u64>().max(1);
        }
        let structures = Structures {
            manifest_root: &self.manifest_root,
            manifest_pages: &self.manifest_page,
            pack_root: &self.pack_root,
            pack_pages: &self.pack_page,
        };
        restate(&mut self.head, &structures);
        self.head.encode()
    }

    fn seal(self, files: &Files, head: Vec<u8>, sign: Sign<'_>) -> Files {
        let mut files = files.clone();
        files.extend(self.volumes);
        files.insert("manifest".to_owned(), [self.manifest_root, self.manifest_page].concat());
        files.insert("packs".to_owned(), [self.pack_root, self.pack_page].concat());
        files.insert("signatures/1.sig".to_owned(), sign(&head));
        files.insert("head.json".to_owned(), head);
        files
    }
}

/// Makes an index state the digests of the frames that its payload has.
fn name_frames(index: &mut [u8], payload: &[u8]) {
    let mut start = 0;
    for frame in layout::index(index).into_iter().skip(1).filter(|record| record.range().len() == 44) {
        let end = start + number(index, &frame, 0) as usize;
        let Some(stored) = payload.get(start..end) else { return };
        put(index, frame.range().end - 32, Digest::of(stored).as_bytes());
        start = end;
    }
}
