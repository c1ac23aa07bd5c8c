//! A release whose roots are proven: its pages, its packs, and what they hold.

use crate::error::Class;
use crate::format::cover::{Cover, PackContent};
use crate::format::error::prove;
use crate::format::head::Head;
use crate::format::manifest::ManifestRoot;
use crate::format::packs::{PAGE_ROW_COUNT, Pack, PackRoot, decode_page};
use crate::format::walk::{Item, ManifestWalk};
use crate::format::{Digest, FormatError, Structure};
use crate::media::{MediaError, Medium, MetaFile};
use crate::store::StoreError;
use crate::trust::{TrustedHead, UntrustedHead};
use std::sync::Arc;

/// Where `manifest` and `packs` can be read: a medium, or the copy in the store's state prefix.
pub trait MetaSource: Send + Sync {
    /// Returns `len` bytes at `offset`, not proven yet.
    ///
    /// # Errors
    /// The source does not have the file, or not so much of it, or fails.
    fn read_meta(&self, file: MetaFile, offset: u64, len: usize) -> Result<Vec<u8>, BundleError>;

    /// Returns how to name the file in a message.
    fn describe(&self, file: MetaFile) -> String;
}

impl MetaSource for Medium {
    fn read_meta(&self, file: MetaFile, offset: u64, len: usize) -> Result<Vec<u8>, BundleError> {
        let Some(open) = self.meta_file(file)? else {
            return Err(BundleError::Missing { name: self.describe(file) });
        };
        Ok(open.read(offset, len)?)
    }

    fn describe(&self, file: MetaFile) -> String {
        self.path().join(file.name()).display().to_string()
    }
}

/// Why the manifest or the pack table of a release can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file of the bundle is not there.
    #[error("{name} is missing")]
    Missing {
        /// The file.
        name: String,
    },
    /// Bytes that are not those that the head leads to, or that break a rule.
    #[error("{name} can't be used from byte {offset}")]
    Damaged {
        /// The file.
        name: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        source: FormatError,
    },
    /// The head states other lengths than the roots give.
    #[error("{name} does not have the length that the head states")]
    OtherLen {
        /// The file.
        name: &'static str,
    },
    /// A medium fails.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The store's copy can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BundleError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            BundleError::Missing { .. } => Class::Incomplete,
            BundleError::Damaged { source, .. } => source.class(),
            // Both sides of the comparison were signed (F-11).
            BundleError::OtherLen { .. } => Class::Untrusted,
            BundleError::Media(error) => error.class(),
            BundleError::Store(error) => error.class(),
        }
    }
}

/// A release with proven roots. Pages are read when they are needed and proven each time.
pub struct Bundle {
    head: Head,
    manifest: Arc<ManifestRoot>,
    manifest_starts: Vec<u64>,
    packs: PackRoot,
    sources: Vec<Arc<dyn MetaSource>>,
}

/// A release that trust vouches for; nothing else is imported.
pub struct TrustedBundle {
    head: TrustedHead,
    bundle: Bundle,
}

impl TrustedBundle {
    /// Reads and proves the roots of a release.
    ///
    /// # Errors
    /// No source has them whole.
    pub fn open(head: TrustedHead, sources: Vec<Arc<dyn MetaSource>>) -> Result<TrustedBundle, BundleError> {
        let bundle = Bundle::open(head.head().clone(), sources)?;
        Ok(TrustedBundle { head, bundle })
    }

    /// Returns the trusted head.
    pub fn trusted_head(&self) -> &TrustedHead {
        &self.head
    }
}

impl std::ops::Deref for TrustedBundle {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        &self.bundle
    }
}

impl Bundle {
    /// Reads the roots of a release that is only looked at.
    ///
    /// # Errors
    /// No source has them whole.
    pub fn open_untrusted(head: &UntrustedHead, sources: Vec<Arc<dyn MetaSource>>) -> Result<Bundle, BundleError> {
        Bundle::open(head.head().clone(), sources)
    }

    /// Reads the roots of a release that landed before; the caller has proven the head.
    pub(super) fn open_installed(head: Head, sources: Vec<Arc<dyn MetaSource>>) -> Result<Bundle, BundleError> {
        Bundle::open(head, sources)
    }

    fn open(head: Head, sources: Vec<Arc<dyn MetaSource>>) -> Result<Bundle, BundleError> {
        let manifest_place = Place { file: MetaFile::Manifest, offset: 0, len: head.manifest.root_length as usize };
        let expected = head.content_id;
        let manifest = read_proven(&sources, &manifest_place, |bytes| {
            prove(Structure::ManifestRoot, &bytes, &expected)?;
            ManifestRoot::decode(&bytes)
        })?;
        let packs_place = Place { file: MetaFile::Packs, offset: 0, len: head.packs.root_length as usize };
        let expected = head.packs.root;
        let packs = read_proven(&sources, &packs_place, |bytes| {
            prove(Structure::PackRoot, &bytes, &expected)?;
            PackRoot::decode(&bytes)
        })?;
        let manifest_starts = manifest.page_starts(head.manifest.root_length);
        if manifest_starts.last() != Some(&head.manifest.length) {
            return Err(BundleError::OtherLen { name: "manifest" });
        }
        if packs.file_len(head.packs.root_length) != head.packs.length {
            return Err(BundleError::OtherLen { name: "packs" });
        }
        let totals = &head.totals;
        let directories = manifest.entry_count - manifest.file_count;
        let same = (totals.files, totals.directories, totals.bytes)
            == (manifest.file_count, directories, manifest.total_len)
            && head.volumes.count == packs.volume_count;
        if !same {
            return Err(BundleError::OtherLen { name: "the sum of files, bytes or volumes" });
        }
        Ok(Bundle { head, manifest: Arc::new(manifest), manifest_starts, packs, sources })
    }

    /// Returns the head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the root of the manifest.
    pub fn manifest(&self) -> &ManifestRoot {
        &self.manifest
    }

    /// Returns the root of the pack table.
    pub fn packs(&self) -> &PackRoot {
        &self.packs
    }

    /// Returns the bytes of a page of the manifest, proven.
    ///
    /// # Errors
    /// No source has it whole.
    pub fn manifest_page(&self, index: usize) -> Result<Vec<u8>, BundleError> {
        let Some(facts) = self.manifest.pages.get(index) else {
            return Err(BundleError::Missing { name: format!("page {index} of the manifest") });
        };
        let place = Place { file: MetaFile::Manifest, offset: self.manifest_starts[index], len: facts.len as usize };
        read_proven(&self.sources, &place, |bytes| {
            prove(Structure::ManifestPage, &bytes, &facts.digest)?;
            Ok(bytes)
        })
    }

    /// Returns the packs on a page of the pack table.
    ///
    /// # Errors
    /// No source has it whole.
    pub fn pack_page(&self, index: usize) -> Result<Vec<Pack>, BundleError> {
        let Some(facts) = self.packs.pages.get(index) else {
            return Err(BundleError::Missing { name: format!("page {index} of the pack table") });
        };
        let offset = self.packs.page_start(self.head.packs.root_length, index);
        let place = Place { file: MetaFile::Packs, offset, len: facts.len as usize };
        read_proven(&self.sources, &place, |bytes| decode_page(facts, &bytes))
    }

    /// Returns the bytes of `manifest` or `packs` in order, piece by piece, each proven.
    pub fn meta_pieces(&self, file: MetaFile) -> impl Iterator<Item = Result<Vec<u8>, BundleError>> + '_ {
        let is_manifest = file == MetaFile::Manifest;
        let root = if is_manifest { self.manifest.encode() } else { self.packs.encode() };
        let page_count = if is_manifest { self.manifest.pages.len() } else { self.packs.pages.len() };
        let pages = (0..page_count)
            .map(move |index| if is_manifest { self.manifest_page(index) } else { self.pack_page_bytes(index) });
        let sections = (!is_manifest).then(|| self.sections());
        std::iter::once(Ok(root)).chain(pages).chain(sections.into_iter().flatten())
    }

    /// Returns the contents of the extra sections of the pack table in order, each proven (F-58).
    pub fn sections(&self) -> impl Iterator<Item = Result<Vec<u8>, BundleError>> + '_ {
        (0..self.packs.sections.len()).map(|index| self.section_bytes(index))
    }

    fn pack_page_bytes(&self, index: usize) -> Result<Vec<u8>, BundleError> {
        let facts = &self.packs.pages[index];
        let offset = self.packs.page_start(self.head.packs.root_length, index);
        let place = Place { file: MetaFile::Packs, offset, len: facts.len as usize };
        read_proven(&self.sources, &place, |bytes| {
            prove(Structure::PackPage, &bytes, &facts.digest)?;
            Ok(bytes)
        })
    }

    fn section_bytes(&self, index: usize) -> Result<Vec<u8>, BundleError> {
        let sections = &self.packs.sections;
        let section = &sections[index];
        let behind: u64 = sections[index..].iter().map(|section| u64::from(section.len)).sum();
        let offset = self.head.packs.length - behind;
        let place = Place { file: MetaFile::Packs, offset, len: section.len as usize };
        read_proven(&self.sources, &place, |bytes| {
            let is_due = Digest::of(&bytes) == section.digest;
            is_due.then_some(bytes).ok_or(FormatError::SectionDigest { structure: "pack table", offset })
        })
    }

    /// Returns the packs in order, each with what the manifest says of it.
    pub fn contents(&self) -> Contents<'_> {
        let walk = ManifestWalk::new((*self.manifest).clone());
        let cover = Cover::new(self.packs.volume_count, self.head.repairs.is_some());
        Contents { bundle: self, walk, cover, next_item_page: 0, packs: Vec::new().into_iter(), next_pack_page: 0 }
    }

    /// Returns the entries and rows in order, without the packs.
    pub fn items(&self) -> Items<'_> {
        let walk = ManifestWalk::new((*self.manifest).clone());
        Items { bundle: self, walk, next_page: 0, items: Vec::new().into_iter(), has_failed: false }
    }

    /// Returns the pack that holds the row with this ordinal, and its index in the pack table.
    ///
    /// # Errors
    /// The page of the pack table can't be read.
    pub fn pack_of(&self, ordinal: u64) -> Result<Option<(u64, Pack)>, BundleError> {
        let after = self.packs.pages.partition_point(|page| page.first_ordinal <= ordinal);
        // Packs without rows share their ordinal with the next: the pack may end on an earlier page
        // only if the ordinal is this page's first, and then this page begins with its pack.
        let Some(page) = after.checked_sub(1) else { return Ok(None) };
        let packs = self.pack_page(page)?;
        let place = packs.iter().position(|pack| (pack.first_ordinal..pack.end_ordinal()).contains(&ordinal));
        Ok(place.map(|place| ((page * PAGE_ROW_COUNT + place) as u64, packs[place])))
    }
}

struct Place {
    file: MetaFile,
    offset: u64,
    len: usize,
}

/// Reads a structure from the first source whose bytes prove and decode.
fn read_proven<T>(
    sources: &[Arc<dyn MetaSource>],
    place: &Place,
    decode: impl Fn(Vec<u8>) -> Result<T, FormatError>,
) -> Result<T, BundleError> {
    let mut worst = BundleError::Missing { name: place.file.name().to_owned() };
    for source in sources {
        let bytes = match source.read_meta(place.file, place.offset, place.len) {
            Ok(bytes) => bytes,
            Err(BundleError::Missing { .. }) => continue,
            Err(error) => {
                worst = error;
                continue;
            }
        };
        match decode(bytes) {
            Ok(value) => return Ok(value),
            Err(error) => {
                let is_signed = error.class() != Class::Damaged;
                let name = source.describe(place.file);
                worst = BundleError::Damaged { name, offset: place.offset, source: error };
                if is_signed {
                    // Every other copy with the digest that is due says the same.
                    break;
                }
            }
        }
    }
    Err(worst)
}

/// The packs of a release in order, each with what the manifest says of it.
pub struct Contents<'a> {
    bundle: &'a Bundle,
    walk: ManifestWalk,
    cover: Cover,
    next_item_page: usize,
    packs: std::vec::IntoIter<Pack>,
    next_pack_page: usize,
}

impl Contents<'_> {
    fn next_content(&mut self) -> Result<Option<PackContent>, BundleError> {
        let pack = match self.packs.next() {
            Some(pack) => pack,
            None if self.next_pack_page < self.bundle.packs.pages.len() => {
                self.packs = self.bundle.pack_page(self.next_pack_page)?.into_iter();
                self.next_pack_page += 1;
                return self.next_content();
            }
            None => return self.finish().map(|()| None),
        };
        while self.cover.needs_items(&pack) && self.walk.wants().is_some() {
            self.feed_page()?;
        }
        self.cover.take(pack).map(Some).map_err(|source| damaged(MetaFile::Packs, source))
    }

    fn feed_page(&mut self) -> Result<(), BundleError> {
        let page = self.bundle.manifest_page(self.next_item_page)?;
        self.next_item_page += 1;
        let items = self.walk.feed(&page).map_err(|source| damaged(MetaFile::Manifest, source))?;
        self.cover.feed(items);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), BundleError> {
        while self.walk.wants().is_some() {
            self.feed_page()?;
        }
        self.cover.finish(self.bundle.head.volumes.length).map_err(|source| damaged(MetaFile::Packs, source))
    }
}

impl Iterator for Contents<'_> {
    type Item = Result<PackContent, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_content().transpose()
    }
}

/// The entries and rows of a release in order.
pub struct Items<'a> {
    bundle: &'a Bundle,
    walk: ManifestWalk,
    next_page: usize,
    items: std::vec::IntoIter<Item>,
    has_failed: bool,
}

impl Iterator for Items<'_> {
    type Item = Result<Item, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(item));
            }
            if self.has_failed || self.walk.wants().is_none() {
                return None;
            }
            let page = self.bundle.manifest_page(self.next_page);
            self.next_page += 1;
            let fed = page.and_then(|page| self.walk.feed(&page).map_err(|source| damaged(MetaFile::Manifest, source)));
            match fed {
                Ok(items) => self.items = items.into_iter(),
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn damaged(file: MetaFile, source: FormatError) -> BundleError {
    BundleError::Damaged { name: file.name().to_owned(), offset: 0, source }
}

/// Returns the media as sources of `manifest` and `packs`.
pub fn sources_of(media: &[Arc<Medium>]) -> Vec<Arc<dyn MetaSource>> {
    media.iter().map(|medium| Arc::clone(medium) as Arc<dyn MetaSource>).collect()
}
