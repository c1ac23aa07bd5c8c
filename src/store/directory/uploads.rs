//! Uploads in parts: a directory for each, a file for each part, joined when they are finished.

use super::AREA;
use super::tree::{Fresh, Tree, is_absence};
use crate::format::{Digest, Proven};
use crate::store::local::{PAGE_COUNT_MAX, check_order, page_of, part_tag};
use crate::store::{
    Attributes, Key, ListedPart, OpenUpload, Page, PageToken, PartNumber, PartTag, StoreError, UploadId, UploadedPart,
};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, BinaryHeap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const UPLOADS: &str = "uploads";
const RECORD: &str = "upload.json";
const RECORD_LEN_MAX: u64 = 64 << 10;
const ID_LEN: usize = 32;

/// What is kept of an upload besides its parts.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    attributes: Attributes,
    opened_at_ms: u64,
}

pub(super) fn open(tree: &Tree, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
    let opened_at_ms = now_ms();
    let record = Record { key: key.as_str().to_owned(), attributes: attributes.clone(), opened_at_ms };
    let failed = |source| tree.failed_io("open an upload for", key.as_str(), source);
    let bytes = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
    let all = tree.make_area(UPLOADS)?;
    let id = new_id(key, opened_at_ms);
    // A sweep takes a directory without a record for what an abort left.
    let _lock = tree.lock()?;
    fs::mkdirat(&all, &id, Mode::from_raw_mode(0o700)).map_err(|errno| failed(errno.into()))?;
    let directory = tree.make_area(&format!("{UPLOADS}/{id}"))?;
    let mut fresh = tree.create_fresh()?;
    fresh.file_mut().write_all(&bytes).map_err(failed)?;
    land(fresh, &directory, RECORD).map_err(|errno| failed(errno.into()))?;
    fs::fsync(&all).map_err(|errno| failed(errno.into()))?;
    Ok(UploadId::new(id))
}

pub(super) fn put_part(
    tree: &Tree,
    key: &Key,
    upload: &UploadId,
    number: PartNumber,
    body: &Proven,
) -> Result<PartTag, StoreError> {
    let (directory, _) = find(tree, key, upload)?;
    let failed = |source| tree.failed_io("write a part of", key.as_str(), source);
    let part = UploadedPart { number, tag: part_tag(body.bytes()) };
    let mut fresh = tree.create_fresh()?;
    fresh.file_mut().write_all(body.bytes()).map_err(failed)?;
    let name = name_of(&part);
    land(fresh, &directory, &name).map_err(|errno| failed(errno.into()))?;
    for older in part_names(tree, &directory)? {
        if parse_name(&older).is_some_and(|older| older.number == number) && older != name {
            remove_file(tree, &directory, &older)?;
        }
    }
    Ok(part.tag)
}

pub(super) fn list_parts(
    tree: &Tree,
    key: &Key,
    upload: &UploadId,
    after: Option<&PageToken>,
) -> Result<Page<ListedPart>, StoreError> {
    let (directory, _) = find(tree, key, upload)?;
    let mut items = Vec::new();
    for name in part_names(tree, &directory)? {
        if items.len() > PAGE_COUNT_MAX {
            break;
        }
        let is_behind = after.is_none_or(|token| name.as_str() > token.as_str());
        if let Some(part) = parse_name(&name)
            && is_behind
            && let Ok(meta) = fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)
        {
            items.push(ListedPart { part, len: super::len_of(&meta) });
        }
    }
    Ok(page_of(items, |last| PageToken::new(name_of(&last.part))))
}

/// Returns the joined bytes of the parts as a file, and the attributes of the upload.
pub(super) fn join(
    tree: &Tree,
    key: &Key,
    upload: &UploadId,
    parts: &[UploadedPart],
) -> Result<(Fresh, Attributes), StoreError> {
    let last = check_order(key, parts)?;
    let (directory, record) = find(tree, key, upload)?;
    let failed = |source| tree.failed_io("join the parts of", key.as_str(), source);
    let mut fresh = tree.create_fresh()?;
    for part in parts {
        // The tag comes from outside and is part of a file's name here.
        if Digest::from_hex(part.tag.as_str()).is_none() {
            return Err(StoreError::PartsRefused { key: key.clone(), last });
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = match fs::openat(&directory, name_of(part), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(StoreError::PartsRefused { key: key.clone(), last }),
            Err(errno) => return Err(failed(errno.into())),
        };
        std::io::copy(&mut file, fresh.file_mut()).map_err(failed)?;
    }
    Ok((fresh, record.attributes))
}

/// Removes an upload, its record first: without it there is no upload.
pub(super) fn abort(tree: &Tree, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
    let directory = match find(tree, key, upload) {
        Ok((directory, _)) => directory,
        Err(StoreError::UploadMissing { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    remove_file(tree, &directory, RECORD)?;
    for name in part_names(tree, &directory)? {
        remove_file(tree, &directory, &name)?;
    }
    let Some(all) = tree.find_area(UPLOADS)? else { return Ok(()) };
    remove_directory(tree, &all, upload.as_str())
}

/// Removes the uploads that have no record: a run was killed while it opened or dropped them, or a
/// part landed in them just then.
pub(super) fn sweep(tree: &Tree) -> Result<(), StoreError> {
    let Some(all) = tree.find_area(UPLOADS)? else { return Ok(()) };
    let _lock = tree.lock()?;
    let mut ids = Vec::new();
    tree.each_name(&all, |name, _| {
        if is_id(name) {
            ids.push(name.to_owned());
        }
        Ok(())
    })?;
    for id in ids {
        if find_record(tree, &id)?.is_some() {
            continue;
        }
        let Some(directory) = tree.find_area(&format!("{UPLOADS}/{id}"))? else { continue };
        for name in part_names(tree, &directory)? {
            remove_file(tree, &directory, &name)?;
        }
        remove_directory(tree, &all, &id)?;
    }
    Ok(())
}

pub(super) fn list(tree: &Tree, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
    tree.root()?;
    let Some(all) = tree.find_area(UPLOADS)? else { return Ok(Page { items: Vec::new(), next: None }) };
    let mut heap: BinaryHeap<String> = BinaryHeap::new();
    tree.each_name(&all, |name, kind| {
        if kind == FileType::Directory && is_id(name) && after.is_none_or(|token| name > token.as_str()) {
            heap.push(name.to_owned());
            if heap.len() > PAGE_COUNT_MAX + 1 {
                heap.pop();
            }
        }
        Ok(())
    })?;
    let page = page_of(heap.into_sorted_vec(), |last| PageToken::new(last));
    let mut items = Vec::new();
    for id in page.items {
        if let Some((_, record)) = find_record(tree, &id)?
            && record.key.starts_with(prefix)
        {
            let opened_at_ms = Some(record.opened_at_ms);
            items.push(OpenUpload { key: record.key, upload: UploadId::new(id), opened_at_ms });
        }
    }
    Ok(Page { items, next: page.next })
}

fn find(tree: &Tree, key: &Key, upload: &UploadId) -> Result<(OwnedFd, Record), StoreError> {
    match find_record(tree, upload.as_str())? {
        Some((directory, record)) if record.key == key.as_str() => Ok((directory, record)),
        _ => Err(StoreError::UploadMissing { key: key.clone(), upload: upload.clone() }),
    }
}

fn find_record(tree: &Tree, id: &str) -> Result<Option<(OwnedFd, Record)>, StoreError> {
    if !is_id(id) {
        return Ok(None);
    }
    let Some(directory) = tree.find_area(&format!("{UPLOADS}/{id}"))? else { return Ok(None) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match fs::openat(&directory, RECORD, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) if is_absence(&errno.into()) => return Ok(None),
        Err(errno) => return Err(tree.failed("read the record of an upload in", AREA, errno)),
    };
    let mut bytes = Vec::new();
    let read = file.take(RECORD_LEN_MAX).read_to_end(&mut bytes);
    read.map_err(|source| tree.failed_io("read the record of an upload in", AREA, source))?;
    Ok(serde_json::from_slice(&bytes).ok().map(|record| (directory, record)))
}

/// Returns the names of the files of an upload other than its record, sorted; at most two for each
/// part number.
fn part_names(tree: &Tree, directory: &OwnedFd) -> Result<BTreeSet<String>, StoreError> {
    let mut names = BTreeSet::new();
    tree.each_name(directory, |name, _| {
        if name != RECORD {
            names.insert(name.to_owned());
        }
        Ok(())
    })?;
    Ok(names)
}

fn name_of(part: &UploadedPart) -> String {
    format!("{:05}.{}", part.number.number(), part.tag.as_str())
}

fn parse_name(name: &str) -> Option<UploadedPart> {
    let (number, tag) = name.split_once('.')?;
    let number = PartNumber::new(number.parse().ok()?)?;
    Digest::from_hex(tag).map(|_| UploadedPart { number, tag: PartTag::new(tag) })
}

/// Makes a written file durable under its name.
fn land(fresh: Fresh, directory: &OwnedFd, name: &str) -> Result<(), Errno> {
    fs::fsync(fresh.file())?;
    fresh.rename_to(directory, name, RenameFlags::empty())?;
    fs::fsync(directory)
}

fn remove_directory(tree: &Tree, all: &OwnedFd, id: &str) -> Result<(), StoreError> {
    match fs::unlinkat(all, id, AtFlags::REMOVEDIR) {
        // A part that another thread was just putting: the next sweep finds it.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(errno) => Err(tree.failed("remove an upload in", AREA, errno)),
    }
}

fn remove_file(tree: &Tree, directory: &OwnedFd, name: &str) -> Result<(), StoreError> {
    match fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(tree.failed("remove a file of an upload in", AREA, errno)),
    }
}

/// Returns an id that no other upload has: of this process or another, now or before.
fn new_id(key: &Key, opened_at_ms: u64) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let process = rustix::process::getpid().as_raw_nonzero();
    let mut id = Digest::of(format!("{opened_at_ms} {process} {number} {key}").as_bytes()).to_string();
    id.truncate(ID_LEN);
    id
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
