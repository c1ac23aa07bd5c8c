//! A store that is a tree of files: the object `a/b` is the file `a/b` under the root.
//!
//! Everything of ours lies in [`AREA`] under the root, on the same file system, so that an object
//! appears by one rename. An object `a` and an object `a/b` can't both exist here, and nothing is
//! ever written through a link, so nothing lands outside the root.

mod about;
mod listing;
mod tree;
mod uploads;

use super::local::{PAGE_COUNT_MAX, page_of};
use super::{
    Attributes, Condition, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken, PartNumber,
    PartTag, Stat, Store, StoreError, Stored, Tag, UploadId, UploadedPart,
};
use crate::format::{Digest, Proven};
use about::About;
use bytes::Bytes;
use rustix::fs::{self, FileType, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tree::{Fresh, Tree};

/// The directory under the root that holds what is not an object: unfinished files, uploads, and
/// what is known about objects.
pub const AREA: &str = ".airlift-tmp";

/// A store that is a tree of files under a root directory.
#[derive(Debug)]
pub struct DirectoryStore {
    tree: Tree,
}

/// A file that is an object.
struct Found {
    file: File,
    meta: fs::Stat,
}

impl DirectoryStore {
    /// Returns the store under `root`. Nothing is opened or written yet.
    pub fn new(root: impl Into<PathBuf>) -> DirectoryStore {
        DirectoryStore { tree: Tree::new(root.into()) }
    }

    /// Returns the root directory.
    pub fn root(&self) -> &Path {
        self.tree.path()
    }

    fn find(&self, key: &Key) -> Result<Option<Found>, StoreError> {
        check_reserved(key)?;
        let Some((parent, name)) = self.tree.find_parent(key)? else { return Ok(None) };
        let Some(file) = self.tree.open_object(&parent, name, key)? else { return Ok(None) };
        let meta = fs::fstat(&file).map_err(|errno| self.tree.failed("stat", key.as_str(), errno))?;
        let is_file = FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some(Found { file, meta }))
    }

    fn find_or_fail(&self, key: &Key) -> Result<Found, StoreError> {
        self.find(key)?.ok_or_else(|| StoreError::NotFound { key: key.clone() })
    }

    /// Returns what is known about a file; reads and hashes it all where nothing is.
    fn about(&self, key: &Key, found: &Found) -> Result<About, StoreError> {
        match self.known_about(key, found)? {
            Some(about) => Ok(about),
            None => {
                let mut hasher = blake3::Hasher::new();
                hasher
                    .update_reader(&found.file)
                    .map_err(|source| self.tree.failed_io("read", key.as_str(), source))?;
                let tag = Tag::new(hasher.finalize().to_hex().to_string());
                Ok(About::new(key, &found.meta, tag, Attributes::default(), None))
            }
        }
    }

    fn known_about(&self, key: &Key, found: &Found) -> Result<Option<About>, StoreError> {
        let about = about::read(&self.tree, key)?;
        Ok(about.filter(|about| about.is_of(key, &found.meta)))
    }

    /// Makes a finished file the object, if the condition holds.
    fn publish(
        &self,
        key: &Key,
        fresh: Fresh,
        about: impl FnOnce(&fs::Stat) -> About,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let failed = |action| move |errno| self.tree.failed(action, key.as_str(), errno);
        fs::fsync(fresh.file()).map_err(failed("sync"))?;
        let meta = fs::fstat(fresh.file()).map_err(failed("stat"))?;
        // One writer at a time from the look at the condition to the rename, in all processes.
        let lock = self.tree.lock()?;
        if !self.holds(key, condition)? {
            return Err(StoreError::ConditionFailed { key: key.clone() });
        }
        let (parent, name) = self.tree.make_parent(key)?;
        self.tree.check_replaceable(&parent, name, key)?;
        let about = about(&meta);
        about::write(&self.tree, key, &about)?;
        let flags = if *condition == Condition::Absent { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
        match fresh.rename_to(&parent, name, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(StoreError::ConditionFailed { key: key.clone() }),
            Err(Errno::ISDIR) => {
                return Err(StoreError::InTheWay { key: key.clone(), other: key.as_str().to_owned() });
            }
            Err(errno) => return Err(self.tree.failed("rename into place", key.as_str(), errno)),
        }
        drop(lock);
        fs::fsync(&parent).map_err(failed("sync the directory of"))?;
        Ok(Stored { tag: about.tag })
    }

    fn holds(&self, key: &Key, condition: &Condition) -> Result<bool, StoreError> {
        match (condition, self.find(key)?) {
            (Condition::Any, _) => Ok(true),
            (_, None) => Ok(condition.holds_for(None)),
            (Condition::Absent, Some(_)) => Ok(false),
            (_, Some(found)) => Ok(condition.holds_for(Some(&self.about(key, &found)?.tag))),
        }
    }
}

impl Store for DirectoryStore {
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        if if_missing == IfMissing::Create {
            std::fs::create_dir_all(self.root()).map_err(|source| StoreError::Io {
                action: "create",
                path: self.root().to_owned(),
                source,
            })?;
        }
        self.tree.sweep()?;
        uploads::sweep(&self.tree)
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        check_reserved(key)?;
        let mut fresh = self.tree.create_fresh()?;
        let written = fresh.file_mut().write_all(body.bytes());
        written.map_err(|source| self.tree.failed_io("write", key.as_str(), source))?;
        let tag = Tag::new(Digest::of(body.bytes()).to_string());
        self.publish(key, fresh, |meta| About::new(key, meta, tag, attributes.clone(), None), condition)
    }

    /// Reads and hashes the object where another program wrote it.
    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        let about = self.about(key, &found)?;
        Ok(Some(Stat { len: len_of(&found.meta), tag: about.tag, attributes: about.attributes }))
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let found = self.find_or_fail(key)?;
        self.read_range(key, &found, range)
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        let len = len_of(&found.meta);
        if len > len_max {
            return Err(StoreError::TooLong { key: key.clone(), len_max });
        }
        let bytes = self.read_range(key, &found, 0..len)?;
        let tag = match self.known_about(key, &found)? {
            Some(about) => about.tag,
            None => Tag::new(Digest::of(&bytes).to_string()),
        };
        Ok(Some(Loaded { bytes, tag }))
    }

    /// Reads each directory once for every 1000 objects in it.
    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        let names = listing::names(&self.tree, prefix, after.map(PageToken::as_str), PAGE_COUNT_MAX + 1)?;
        let page = page_of(names, |last| PageToken::new(last));
        let mut items = Vec::with_capacity(page.items.len());
        for key in page.items {
            items.extend(self.listed(key)?);
        }
        Ok(Page { items, next: page.next })
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let _lock = self.tree.lock()?;
        if self.find(key)?.is_none() {
            return Ok(());
        }
        self.tree.remove(key)?;
        about::remove(&self.tree, key)
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        check_reserved(key)?;
        uploads::open(&self.tree, key, attributes)
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        uploads::put_part(&self.tree, key, upload, number, body)
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        uploads::list_parts(&self.tree, key, upload, after)
    }

    /// Copies the parts into one file, so it needs room for both until it is done.
    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let tag = super::local::finished_tag(parts);
        if let Some(found) = self.find(key)?
            && let Some(about) = self.known_about(key, &found)?
            && about.upload.as_deref() == Some(upload.as_str())
            && about.tag == tag
        {
            uploads::abort(&self.tree, key, upload)?;
            return Ok(Stored { tag });
        }
        let (fresh, attributes) = uploads::join(&self.tree, key, upload, parts)?;
        let about = |meta: &fs::Stat| About::new(key, meta, tag, attributes, Some(upload));
        let stored = self.publish(key, fresh, about, condition)?;
        uploads::abort(&self.tree, key, upload)?;
        Ok(stored)
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        uploads::abort(&self.tree, key, upload)
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        uploads::list(&self.tree, prefix, after)
    }
}

impl DirectoryStore {
    fn read_range(&self, key: &Key, found: &Found, range: Range<u64>) -> Result<Bytes, StoreError> {
        let expected_len = range.end.saturating_sub(range.start);
        let found_len = len_of(&found.meta).saturating_sub(range.start).min(expected_len);
        let short =
            |found_len| StoreError::ShortAnswer { key: key.clone(), offset: range.start, expected_len, found_len };
        if found_len < expected_len || range.start > len_of(&found.meta) {
            return Err(short(found_len));
        }
        let mut bytes = vec![0; expected_len as usize];
        match found.file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            Err(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => Err(short(0)),
            Err(source) => Err(self.tree.failed_io("read", key.as_str(), source)),
        }
    }

    /// Returns what a listing says of a file; nothing where it has gone since.
    fn listed(&self, text: String) -> Result<Option<Listed>, StoreError> {
        // Other programs may have files here whose names are no keys: they are listed as they are.
        let Ok(key) = Key::parse(&text) else {
            let meta = self.root().join(&text).symlink_metadata();
            return Ok(meta.ok().map(|meta| Listed { key: text, len: meta.len(), tag: None }));
        };
        let Some(found) = self.find(&key)? else { return Ok(None) };
        let tag = self.known_about(&key, &found)?.map(|about| about.tag);
        Ok(Some(Listed { key: text, len: len_of(&found.meta), tag }))
    }
}

fn check_reserved(key: &Key) -> Result<(), StoreError> {
    if key.segments().next() == Some(AREA) {
        return Err(StoreError::Reserved { key: key.clone(), area: AREA });
    }
    Ok(())
}

/// A regular file's length is never negative.
fn len_of(meta: &fs::Stat) -> u64 {
    u64::try_from(meta.st_size).unwrap_or_default()
}

#[cfg(test)]
mod tests;
