//! The images that a bundle carries: found in its manifest, and proven before a byte of a blob leaves
//!

use super::image_name::ImageName;
use super::layout::{INDEX_NAME, Image, IndexError, MARK_NAME, blob_path, parse_index};
use super::manifest::{CONFIG_LEN_MAX, Document, MANIFEST_LEN_MAX, Manifest, ManifestError};
use crate::error::Class;
use crate::format::cover::Piece;
use crate::format::manifest::FileFacts;
use crate::format::walk::Item;
use crate::format::{EntryPath, Sha256};
use crate::pipeline::bundle::{Bundle, BundleError};
use crate::pipeline::contents::{ReadReport, Step, Taker, read_contents};
use crate::pipeline::lookup::Lookup;
use crate::pipeline::progress::{Progress, Quiet};
use crate::pipeline::volumes::Volumes;
use std::collections::{BTreeMap, BTreeSet};

/// Most layouts in one bundle.
const LAYOUT_COUNT_MAX: usize = 64;
/// Most bytes of manifests that are held at once.
const HELD_LEN_MAX: u64 = 256 << 20;

/// Why the images of a bundle can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarriedError {
    /// Manifest or pack table can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no layout in it.
    #[error("the bundle has no layout of images")]
    NoLayout,
    /// There is too much of something.
    #[error("the bundle has too many {what}; {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: u64,
    },
    /// A small file that everything else hangs on can't be read.
    #[error("{path} can't be had")]
    Unreadable {
        /// The file.
        path: EntryPath,
        /// What reading came to.
        read: ReadReport,
    },
    /// An index is not accepted.
    #[error("{path} is not accepted")]
    Index {
        /// The file.
        path: EntryPath,
        /// Why.
        source: IndexError,
    },
    /// A manifest is not accepted.
    #[error("the manifest of {image_name} is not accepted")]
    Manifest {
        /// The image.
        image_name: String,
        /// Why.
        source: ManifestError,
    },
    /// Something that an image needs is not in the bundle.
    #[error("{image_name} needs {path}, which the bundle does not have as it should")]
    Lacks {
        /// The image.
        image_name: String,
        /// The file.
        path: String,
    },
    /// Two layouts name different images alike.
    #[error("two images in the bundle are called {image_name}")]
    Twice {
        /// The name.
        image_name: String,
    },
}

impl CarriedError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            CarriedError::Bundle(error) => error.class(),
            CarriedError::NoLayout => Class::Usage,
            CarriedError::Unreadable { read, .. } if !read.findings.is_empty() => Class::Damaged,
            CarriedError::Unreadable { read, .. } if read.is_cancelled => Class::Interrupted,
            CarriedError::Unreadable { .. } => Class::Incomplete,
            _ => Class::Refused,
        }
    }
}

/// An image that a bundle carries.
#[derive(Clone, Debug)]
pub struct CarriedImage {
    /// What it is called, and its manifest.
    pub image: Image,
    /// The bytes of its manifest.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
}

/// A blob that a bundle carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedBlob {
    /// Where it lies in the bundle.
    pub path: EntryPath,
    /// Its length, in bytes.
    pub len: u64,
}

/// The images that a bundle carries.
#[derive(Clone, Debug, Default)]
pub struct CarriedImages {
    /// The images, in the order of their names.
    pub images: Vec<CarriedImage>,
    /// What they need, manifests left out.
    pub blobs: BTreeMap<Sha256, CarriedBlob>,
}

impl CarriedImages {
    /// Finds the images of a bundle. Every blob that one needs is there, and the bundle says of its
    /// SHA-256 what its name says.
    ///
    /// # Errors
    /// There is no layout, or one that can't be used.
    pub fn find(bundle: &Bundle, volumes: &Volumes, progress: &dyn Progress) -> Result<CarriedImages, CarriedError> {
        let lookup = Lookup::new();
        let layouts = layouts(bundle)?;
        let indexes: Vec<EntryPath> = layouts.iter().filter_map(|top| below(top, INDEX_NAME)).collect();
        let mut found = small_files(bundle, volumes, &indexes, progress)?;
        let mut named: Vec<(String, Image)> = Vec::new();
        for (top, path) in layouts.iter().zip(&indexes) {
            let bytes = found.remove(path).unwrap_or_default();
            let images = parse_index(&bytes);
            let images = images.map_err(|source| CarriedError::Index { path: path.clone(), source })?;
            named.extend(images.into_iter().map(|image| (top.clone(), image)));
        }
        named.sort_by(|(_, a), (_, b)| a.image_name.cmp(&b.image_name));
        if let Some(pair) = named.windows(2).find(|pair| pair[0].1.image_name == pair[1].1.image_name) {
            return Err(CarriedError::Twice { image_name: pair[0].1.image_name.to_string() });
        }
        let finder = Finder { bundle, volumes, lookup: &lookup, progress };
        finder.images(&named)
    }

    /// Returns only the images with these names.
    ///
    /// # Errors
    /// Returns the first that is not carried.
    pub fn only(self, wanted: &[ImageName]) -> Result<CarriedImages, ImageName> {
        if wanted.is_empty() {
            return Ok(self);
        }
        let is_carried = |image_name: &&ImageName| self.images.iter().any(|one| one.image.image_name == **image_name);
        if let Some(missing) = wanted.iter().find(|image_name| !is_carried(image_name)) {
            return Err(missing.clone());
        }
        let CarriedImages { mut images, mut blobs } = self;
        images.retain(|one| wanted.contains(&one.image.image_name));
        let needed: BTreeSet<Sha256> =
            images.iter().flat_map(|one| one.manifest.blobs()).map(|blob| blob.digest).collect();
        blobs.retain(|digest, _| needed.contains(digest));
        Ok(CarriedImages { images, blobs })
    }
}

struct Finder<'a> {
    bundle: &'a Bundle,
    volumes: &'a Volumes,
    lookup: &'a Lookup,
    progress: &'a dyn Progress,
}

impl Finder<'_> {
    fn images(&self, named: &[(String, Image)]) -> Result<CarriedImages, CarriedError> {
        let mut paths = BTreeSet::new();
        for (top, image) in named {
            let lacks = || self.lacks(image, image.manifest.digest);
            let (path, file) = self.blob(top, image.manifest.digest)?.ok_or_else(lacks)?;
            if file.len != image.manifest.len {
                return Err(lacks());
            }
            paths.insert(path);
        }
        let paths: Vec<EntryPath> = paths.into_iter().collect();
        let found = small_files(self.bundle, self.volumes, &paths, self.progress)?;
        let mut carried = CarriedImages::default();
        for (top, image) in named {
            let path = below(top, &blob_path(image.manifest.digest));
            let bytes = path.and_then(|path| found.get(&path)).cloned().unwrap_or_default();
            let manifest = read_manifest(image, &bytes)?;
            for blob in manifest.blobs() {
                let there = self.blob(top, blob.digest)?.filter(|(_, file)| file.len == blob.len);
                let (path, file) = there.ok_or_else(|| self.lacks(image, blob.digest))?;
                carried.blobs.entry(blob.digest).or_insert(CarriedBlob { path, len: file.len });
            }
            carried.images.push(CarriedImage { image: image.clone(), bytes, manifest });
        }
        Ok(carried)
    }

    /// Returns a blob of a layout, where the bundle says of its bytes what its name says.
    fn blob(&self, top: &str, digest: Sha256) -> Result<Option<(EntryPath, FileFacts)>, CarriedError> {
        let Some(path) = below(top, &blob_path(digest)) else { return Ok(None) };
        let found = self.lookup.entry(self.bundle, &path)?.and_then(|found| found.file);
        Ok(found.filter(|file| file.sha256 == digest).map(|file| (path, file)))
    }

    fn lacks(&self, image: &Image, digest: Sha256) -> CarriedError {
        CarriedError::Lacks { image_name: image.image_name.to_string(), path: blob_path(digest) }
    }
}

fn read_manifest(image: &Image, bytes: &[u8]) -> Result<Manifest, CarriedError> {
    let failed = |source| CarriedError::Manifest { image_name: image.image_name.to_string(), source };
    match Document::parse(bytes, &image.manifest.media_type).map_err(failed)? {
        Document::Image(manifest) => Ok(manifest),
        Document::List(_) => Err(failed(ManifestError::Lacks { what: "layers" })),
    }
}

/// Returns the directories of a bundle that are layouts: they have the file that says so, and an index.
fn layouts(bundle: &Bundle) -> Result<Vec<String>, CarriedError> {
    let (mut marked, mut indexed) = (BTreeSet::new(), BTreeSet::new());
    for item in bundle.items() {
        let Item::Entry(entry) = item? else { continue };
        let Some((top, name)) = entry.path.as_str().rsplit_once('/') else { continue };
        match name {
            MARK_NAME => marked.insert(top.to_owned()),
            INDEX_NAME => indexed.insert(top.to_owned()),
            _ => false,
        };
    }
    let layouts: Vec<String> = marked.intersection(&indexed).cloned().collect();
    match layouts.len() {
        0 => Err(CarriedError::NoLayout),
        1..=LAYOUT_COUNT_MAX => Ok(layouts),
        _ => Err(CarriedError::TooMany { what: "layouts of images", max: LAYOUT_COUNT_MAX as u64 }),
    }
}

fn below(top: &str, path: &str) -> Option<EntryPath> {
    EntryPath::parse(format!("{top}/{path}").as_bytes()).ok()
}

/// Returns the bytes of small files of a bundle, all of them.
pub(super) fn small_files(
    bundle: &Bundle,
    volumes: &Volumes,
    paths: &[EntryPath],
    progress: &dyn Progress,
) -> Result<BTreeMap<EntryPath, Vec<u8>>, CarriedError> {
    let lookup = Lookup::new();
    let mut held_len = 0;
    for path in paths {
        let len = lookup.entry(bundle, path)?.and_then(|found| found.file).map_or(0, |file| file.len);
        held_len += len;
        if len > MANIFEST_LEN_MAX.max(CONFIG_LEN_MAX) || held_len > HELD_LEN_MAX {
            return Err(CarriedError::TooMany { what: "bytes of manifests", max: HELD_LEN_MAX });
        }
    }
    let mut taker = Held { wanted: paths.iter().cloned().collect(), files: BTreeMap::new() };
    let quiet = Stopped { progress };
    let read = read_contents(bundle, volumes, &mut taker, &quiet)?;
    match paths.iter().find(|path| !taker.files.contains_key(path)) {
        Some(path) => Err(CarriedError::Unreadable { path: path.clone(), read }),
        None => Ok(taker.files),
    }
}

/// Holds small files.
struct Held {
    wanted: BTreeSet<EntryPath>,
    files: BTreeMap<EntryPath, Vec<u8>>,
}

impl Taker for Held {
    type Error = CarriedError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, CarriedError> {
        Ok(piece.file.is_some() && self.wanted.contains(&piece.path))
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, CarriedError> {
        self.files.entry(piece.path.clone()).or_default().extend_from_slice(bytes);
        if piece.part.is_last {
            self.wanted.remove(&piece.path);
        }
        Ok(if self.wanted.is_empty() { Step::Stop } else { Step::On })
    }

    fn lose(&mut self, piece: &Piece) -> Result<Step, CarriedError> {
        self.files.remove(&piece.path);
        Ok(Step::Stop)
    }
}

/// Shows nothing, and passes on the wish to stop.
struct Stopped<'a> {
    progress: &'a dyn Progress,
}

impl Progress for Stopped<'_> {
    fn begin(&self, phase: &'static str, total_len: u64, total_count: u64) {
        Quiet.begin(phase, total_len, total_count);
    }

    fn advance(&self, _: u64, _: u64) {}

    fn now_at(&self, _: &str) {}

    fn note(&self, line: &str) {
        self.progress.note(line);
    }

    fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }
}
