//! What is known about the file of an object: its tag and attributes, in a file of its own.
//!
//! It counts only while the object's file is the one it was written for, so whatever another
//! program or a power cut does to either, no tag is believed that the bytes do not have.

use super::tree::Tree;
use crate::format::Digest;
use crate::store::{Attributes, Key, StoreError, Tag, UploadId};
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};

const ABOUT: &str = "about";
const LEN_MAX: u64 = 64 << 10;

/// What is known about the file of an object.
#[derive(Debug)]
pub(super) struct About {
    pub(super) tag: Tag,
    pub(super) attributes: Attributes,
    pub(super) upload: Option<String>,
    key: String,
    identity: Identity,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    inode: u64,
    len: i64,
    changed_s: i64,
    changed_ns: i64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    key: String,
    tag: String,
    attributes: Attributes,
    upload: Option<String>,
    identity: Identity,
}

impl About {
    pub(super) fn new(
        key: &Key,
        meta: &fs::Stat,
        tag: Tag,
        attributes: Attributes,
        upload: Option<&UploadId>,
    ) -> About {
        let upload = upload.map(|upload| upload.as_str().to_owned());
        About { tag, attributes, upload, key: key.as_str().to_owned(), identity: Identity::of(meta) }
    }

    /// Tells whether this was written for the file with this metadata.
    pub(super) fn is_of(&self, key: &Key, meta: &fs::Stat) -> bool {
        self.key == key.as_str() && self.identity == Identity::of(meta)
    }
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between architectures")]
    fn of(meta: &fs::Stat) -> Identity {
        Identity {
            inode: meta.st_ino as u64,
            len: meta.st_size as i64,
            changed_s: meta.st_mtime as i64,
            changed_ns: meta.st_mtime_nsec as i64,
        }
    }
}

/// Reads what is known about an object; nothing where the file is missing or unreadable as such.
pub(super) fn read(tree: &Tree, key: &Key) -> Result<Option<About>, StoreError> {
    let Some(directory) = tree.find_area(ABOUT)? else { return Ok(None) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match fs::openat(&directory, name_of(key), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(tree.failed("read what is known about", key.as_str(), errno)),
    };
    let mut bytes = Vec::new();
    let read = file.take(LEN_MAX).read_to_end(&mut bytes);
    read.map_err(|source| tree.failed_io("read what is known about", key.as_str(), source))?;
    let written: Option<Written> = serde_json::from_slice(&bytes).ok();
    Ok(written.map(|written| About {
        tag: Tag::new(written.tag),
        attributes: written.attributes,
        upload: written.upload,
        key: written.key,
        identity: written.identity,
    }))
}

/// Writes what is known about an object. Not synced: a lost one costs reading the object.
pub(super) fn write(tree: &Tree, key: &Key, about: &About) -> Result<(), StoreError> {
    let written = Written {
        key: about.key.clone(),
        tag: about.tag.as_str().to_owned(),
        attributes: about.attributes.clone(),
        upload: about.upload.clone(),
        identity: Identity { ..about.identity },
    };
    let failed = |source| tree.failed_io("write what is known about", key.as_str(), source);
    let bytes = serde_json::to_vec(&written).map_err(|error| failed(error.into()))?;
    let directory = tree.make_area(ABOUT)?;
    let mut fresh = tree.create_fresh()?;
    fresh.file_mut().write_all(&bytes).map_err(failed)?;
    let renamed = fresh.rename_to(&directory, &name_of(key), RenameFlags::empty());
    renamed.map_err(|errno| failed(errno.into()))
}

/// Removes what is known about an object.
pub(super) fn remove(tree: &Tree, key: &Key) -> Result<(), StoreError> {
    let Some(directory) = tree.find_area(ABOUT)? else { return Ok(()) };
    match fs::unlinkat(&directory, name_of(key), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(tree.failed("remove what is known about", key.as_str(), errno)),
    }
}

/// A key can be longer than the name of a file: the file is named by its digest.
fn name_of(key: &Key) -> String {
    Digest::of(key.as_str().as_bytes()).to_string()
}
