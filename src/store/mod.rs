//! Where objects land: one small blocking interface and its three implementations.
//!
//! Read [`Store`] first; [`Key`], [`Attributes`] and [`Condition`] are its words. [`memory`] serves
//! tests, [`directory`] a tree of files, `s3` SeaweedFS and what speaks like it. [`watched`] lets a
//! test stop or fail any call, [`paced`] lets bodies go no faster than they may. [`paging`] turns pages into iterators that refuse a looping server.
//!
//! A tag, a length and attributes are what the store says, not proof: any writer can forge them.

pub mod content_type;
pub mod directory;
pub mod error;
pub mod key;
pub mod keys;
mod local;
pub mod memory;
pub mod paced;
pub mod paging;
pub mod probe;
#[cfg(feature = "s3")]
pub mod s3;
pub mod watched;

pub use content_type::{Compressibility, content_type_for};
pub use directory::DirectoryStore;
pub use error::{Call, Cause, StoreError};
pub use key::{Key, KeyError};
pub use keys::Keys;
pub use memory::MemoryStore;
pub use paced::{Paced, Pause};
pub use probe::probe_conditions;
#[cfg(feature = "s3")]
pub use s3::{S3Options, S3Store};
pub use watched::Watched;

use crate::format::Proven;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// A place for objects. Every call blocks until the store has answered, and a call that returned
/// without error is durable.
///
/// Objects appear whole or not at all. Calls may come from any number of threads at once. No body is
/// held when its call has returned: its bytes may lie in a buffer that is waited for.
pub trait Store: Send + Sync {
    /// Makes sure that the bucket (the root directory) is there.
    ///
    /// # Errors
    /// [`StoreError::BucketMissing`] where it is not and may not be created.
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError>;

    /// Puts a whole object.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] leaves the object as it was.
    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError>;

    /// Returns what the store says about an object, or nothing where there is none.
    ///
    /// # Errors
    /// Only for a failing store: absence is an answer.
    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError>;

    /// Returns the bytes of a range, all of them. The caller bounds the memory by the range.
    ///
    /// # Errors
    /// [`StoreError::ShortAnswer`] where the object has fewer bytes (T07), [`StoreError::NotFound`]
    /// where there is none.
    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Returns a whole small object and its tag from one answer, or nothing where there is none.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] where the object has more than `len_max` bytes; no more are read.
    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError>;

    /// Returns a page of the objects whose keys start with `prefix`, in no promised order.
    ///
    /// [`paging::objects`] walks all pages.
    ///
    /// # Errors
    /// [`StoreError::MisplacedKey`] where the answer is outside the prefix.
    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError>;

    /// Removes an object; removing what is not there is done.
    ///
    /// # Errors
    /// Only for a failing store.
    fn remove(&self, key: &Key) -> Result<(), StoreError>;

    /// Opens an upload in parts; nothing of it is visible until it is finished.
    ///
    /// # Errors
    /// Only for a failing store.
    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError>;

    /// Puts one part. A number may be sent again; the tag named at the end says which counts.
    ///
    /// # Errors
    /// [`StoreError::UploadMissing`] where the store has dropped the upload (R11).
    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError>;

    /// Returns a page of the parts of an upload. A number that was sent again may come twice, in
    /// any order and with the same tag where the bytes were the same: SeaweedFS keeps both until
    /// the upload is finished with one of their tags.
    ///
    /// # Errors
    /// [`StoreError::UploadMissing`] where the store has dropped the upload (R11).
    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError>;

    /// Makes the object of the parts, given in ascending order, and closes the upload.
    ///
    /// Finishing again with the same parts gives the same answer.
    ///
    /// # Errors
    /// [`StoreError::PartsRefused`] where a part is not what the store has; the upload stays open.
    /// [`StoreError::ConditionFailed`] leaves object and upload as they were.
    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError>;

    /// Drops an upload and its parts; dropping what is not there is done.
    ///
    /// # Errors
    /// Only for a failing store.
    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError>;

    /// Returns a page of the open uploads whose keys start with `prefix`.
    ///
    /// # Errors
    /// [`StoreError::MisplacedKey`] where the answer is outside the prefix.
    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError>;
}

/// What to do about a bucket that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Create it.
    Create,
    /// Refuse with [`StoreError::BucketMissing`].
    Refuse,
}

/// What must hold for an object to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// There is no object of this key.
    Absent,
    /// The object has this tag. A store may give equal bytes equal tags, so what is guarded this
    /// way must never return to bytes that it had.
    IfTag(Tag),
}

impl Condition {
    /// Tells whether the condition holds for an object of this tag, or for none.
    pub fn holds_for(&self, found: Option<&Tag>) -> bool {
        match self {
            Condition::Any => true,
            Condition::Absent => found.is_none(),
            Condition::IfTag(tag) => found == Some(tag),
        }
    }
}

/// What travels with an object and proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attributes {
    /// The media type; empty leaves it to the store.
    pub content_type: String,
    /// Names of lower-case letters, digits and `-`, values of printable ASCII.
    pub metadata: BTreeMap<String, String>,
}

impl Attributes {
    /// Returns attributes with this media type and no metadata.
    pub fn of_type(content_type: &str) -> Attributes {
        Attributes { content_type: content_type.to_owned(), metadata: BTreeMap::new() }
    }

    /// Returns the attributes with one more pair of metadata.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Attributes {
        self.metadata.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// The store's name for one state of an object. Kept as it came, whatever its form (T08).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

/// The store's name for one part of an upload. Kept as it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartTag(String);

/// The store's name for an upload. Kept as it came.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(String);

/// Where the next page starts; means something to the store that gave it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageToken(String);

macro_rules! opaque {
    ($type:ident) => {
        impl $type {
            /// Returns the value with this text.
            pub fn new(text: impl Into<String>) -> $type {
                $type(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                crate::format::Shown(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
opaque!(Tag);
opaque!(PartTag);
opaque!(UploadId);
opaque!(PageToken);

/// The number of a part: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The largest number.
    pub const MAX: u16 = 10_000;

    /// Returns the part with this number, or nothing outside 1 to 10,000.
    pub const fn new(number: u16) -> Option<PartNumber> {
        if number >= 1 && number <= PartNumber::MAX { Some(PartNumber(number)) } else { None }
    }

    /// Returns the number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// An object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The tag of its new state.
    pub tag: Tag,
}

/// What the store says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Length in bytes.
    pub len: u64,
    /// The tag of its state.
    pub tag: Tag,
    /// What travels with it.
    pub attributes: Attributes,
}

/// A whole small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its bytes, unproven.
    pub bytes: Bytes,
    /// The tag of the state that was read.
    pub tag: Tag,
}

/// Some of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on this page; may be empty.
    pub items: Vec<T>,
    /// Where the next page starts, or nothing after the last.
    pub next: Option<PageToken>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key as the store spells it: other writers' keys need not be a [`Key`].
    pub key: String,
    /// Length in bytes.
    pub len: u64,
    /// The tag of its state; nothing where the store would have to read the object to know it.
    pub tag: Option<Tag>,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number.
    pub number: PartNumber,
    /// The tag that the store gave it.
    pub tag: PartTag,
}

/// A part in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// The part.
    pub part: UploadedPart,
    /// Length in bytes.
    pub len: u64,
}

/// An upload that was opened and neither finished nor dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The key it will have, as the store spells it.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// When it was opened by the store's clock, in milliseconds since 1970; nothing where the
    /// store does not say.
    pub opened_at_ms: Option<u64>,
}
