//! From registries into a layout.

use super::image_name::{ImageName, digest_text};
use super::layout::{Image, Layout, LayoutError};
use super::manifest::{
    Descriptor, Document, ImageConfig, Listed, Manifest, ManifestError, Platform, is_config_of_image,
};
use super::registry::{Registry, RegistryError};
use crate::error::Class;
use crate::format::Sha256;
use crate::pipeline::progress::Progress;
use crate::tao::fetch::file::{Fetcher, FileError, Target};
use crate::tao::fetch::remote::RemoteFile;
use crate::tao::http::{Http, HttpError};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Its registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A blob of it was not fetched.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its manifest can't be carried.
    #[error("the manifest of {target} is not accepted")]
    Manifest {
        /// The tag or digest.
        target: String,
        /// Why.
        source: ManifestError,
    },
    /// The registry gives another manifest than the digest says.
    #[error("the registry gives manifest {found}, and {expected} is due")]
    OtherManifest {
        /// As named.
        expected: Sha256,
        /// As given.
        found: Sha256,
    },
    /// A list has no image for the platform.
    #[error("there is no image for {platform}; there are some for {found}")]
    NoPlatform {
        /// As wanted.
        platform: String,
        /// What there is.
        found: String,
    },
    /// The image is one for another platform.
    #[error("the image is for {found}, and one for {platform} is wanted")]
    OtherPlatform {
        /// As wanted.
        platform: String,
        /// As its configuration says.
        found: String,
    },
    /// The layout can't be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl ImageError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            ImageError::Registry(error) => error.class(),
            ImageError::File(error) => error.class(),
            ImageError::Manifest { source, .. } => source.class(),
            ImageError::OtherManifest { .. } => Class::Unavailable,
            ImageError::NoPlatform { .. } | ImageError::OtherPlatform { .. } => Class::Refused,
            ImageError::Layout(error) => error.class(),
        }
    }
}

/// An image that will be fetched.
#[derive(Clone, Debug)]
pub struct PlannedImage {
    /// What it will be called.
    pub image_name: ImageName,
    /// The bytes of its manifest.
    pub bytes: Vec<u8>,
    /// What the manifest is.
    pub descriptor: Descriptor,
    /// What it says.
    pub manifest: Manifest,
    /// What it runs on, where a list says so.
    pub platform: Option<Platform>,
    /// Set where the name has the digest of a list, of which only one image travels.
    pub is_of_list: bool,
}

impl PlannedImage {
    /// Returns the length of all that it needs, in bytes.
    pub fn total_len(&self) -> u64 {
        let lens: BTreeMap<Sha256, u64> = self.manifest.blobs().map(|blob| (blob.digest, blob.len)).collect();
        lens.values().sum::<u64>() + self.descriptor.len
    }
}

/// Asks a registry what an image is made of.
///
/// # Errors
/// It does not say, or says what can't be carried.
pub fn plan(registry: &Registry<'_>, image_name: &ImageName, platform: &Platform) -> Result<PlannedImage, ImageError> {
    let first = asked(registry, image_name, &image_name.target(), image_name.digest())?;
    let is_list = matches!(first.document, Document::List(_));
    let (one, found) = match first.document {
        Document::Image(_) => (first, None),
        Document::List(listed) => {
            let listed = choose(&listed, platform)?;
            let digest = listed.manifest.digest;
            (asked(registry, image_name, &digest_text(digest), Some(digest))?, listed.platform)
        }
    };
    let Asked { bytes, descriptor, document } = one;
    let Document::Image(manifest) = document else {
        let source = ManifestError::Lacks { what: "layers" };
        return Err(ImageError::Manifest { target: digest_text(descriptor.digest), source });
    };
    let is_of_list = is_list && image_name.digest().is_some();
    let image_name = if is_of_list { image_name.with_digest(descriptor.digest) } else { image_name.clone() };
    Ok(PlannedImage { image_name, bytes, descriptor, manifest, platform: found, is_of_list })
}

/// A manifest, proven where its digest is known.
struct Asked {
    bytes: Vec<u8>,
    descriptor: Descriptor,
    document: Document,
}

fn asked(
    registry: &Registry<'_>,
    image_name: &ImageName,
    target: &str,
    expected: Option<Sha256>,
) -> Result<Asked, ImageError> {
    let given = registry.manifest(image_name.repository(), target)?;
    let found = Sha256::of(&given.bytes);
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(ImageError::OtherManifest { expected, found });
    }
    let (document, media_type) = Document::parse_typed(&given.bytes, &given.media_type)
        .map_err(|source| ImageError::Manifest { target: target.to_owned(), source })?;
    let descriptor = Descriptor { media_type, digest: found, len: given.bytes.len() as u64 };
    Ok(Asked { bytes: given.bytes, descriptor, document })
}

/// Returns the manifest for a platform.
pub(super) fn choose(listed: &[Listed], platform: &Platform) -> Result<Listed, ImageError> {
    let is_taken = |one: &&Listed| one.platform.as_ref().is_some_and(|found| platform.takes(found));
    listed.iter().find(is_taken).cloned().ok_or_else(|| {
        let found: Vec<String> =
            listed.iter().filter_map(|one| one.platform.as_ref()).map(ToString::to_string).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        ImageError::NoPlatform { platform: platform.to_string(), found: found.chars().take(500).collect() }
    })
}

/// An image that is not there, and why.
#[derive(Debug)]
pub struct FailedImage {
    /// Which.
    pub image_name: ImageName,
    /// Why; one blob may cost several images.
    pub error: Arc<ImageError>,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub struct FetchedImages {
    /// Images that are there, whole and proven.
    pub images: Vec<Image>,
    /// Images that are not; none of them is named in the layout.
    pub failed: Vec<FailedImage>,
}

/// How to fetch.
pub struct Fetching<'a> {
    /// Who is asked.
    pub http: &'a Http<'a>,
    /// The registries, by the name that names have for them.
    pub registries: &'a HashMap<String, Registry<'a>>,
    /// Where the images go.
    pub layout: &'a Layout,
    /// What they have to run on.
    pub platform: &'a Platform,
    /// How many blobs at once.
    pub parallel: NonZeroUsize,
}

/// A blob to fetch, and the repository that has it.
struct Job<'a> {
    blob: &'a Descriptor,
    image_name: &'a ImageName,
}

/// Fetches images that were planned. A blob that several need is fetched once. The index is written
/// last; of those that it named before, all stay but the ones that failed.
///
/// # Errors
/// The layout can't be written. An image that fails is no error of the whole: it is named.
pub fn fetch(
    fetching: &Fetching<'_>,
    planned: &[PlannedImage],
    lost: &[ImageName],
    progress: &dyn Progress,
) -> Result<FetchedImages, LayoutError> {
    let mut jobs: BTreeMap<Sha256, Job<'_>> = BTreeMap::new();
    for one in planned {
        for blob in one.manifest.blobs() {
            jobs.entry(blob.digest).or_insert(Job { blob, image_name: &one.image_name });
        }
    }
    let jobs: Vec<Job<'_>> = jobs.into_values().collect();
    let total_len = jobs.iter().map(|job| job.blob.len).sum();
    progress.begin("fetch", total_len, jobs.len() as u64);
    let failures = fetching.all_blobs(&jobs, progress);
    let mut fetched = FetchedImages::default();
    for one in planned {
        let failure = one.manifest.blobs().find_map(|blob| failures.get(&blob.digest));
        let ended = failure.map_or_else(|| fetching.end(one).map_err(Arc::new), |error| Err(Arc::clone(error)));
        match ended {
            Ok(image) => fetched.images.push(image),
            Err(error) => fetched.failed.push(FailedImage { image_name: one.image_name.clone(), error }),
        }
    }
    fetching.name(&fetched, lost)?;
    Ok(fetched)
}

impl Fetching<'_> {
    /// Fetches every blob, many at once, and returns those that failed.
    fn all_blobs(&self, jobs: &[Job<'_>], progress: &dyn Progress) -> HashMap<Sha256, Arc<ImageError>> {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
        let worker = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.blob(job, progress) {
                    failures.lock().unwrap_or_else(PoisonError::into_inner).insert(job.blob.digest, Arc::new(error));
                }
            }
        };
        let worker_count = self.parallel.get().min(jobs.len());
        thread::scope(|scope| (0..worker_count).for_each(|_| drop(scope.spawn(worker))));
        failures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, job: &Job<'_>, progress: &dyn Progress) -> Result<(), ImageError> {
        if progress.is_cancelled() {
            return Err(RegistryError::from(HttpError::Stopped).into());
        }
        let digest = job.blob.digest;
        progress.now_at(&job.image_name.to_string());
        let registry = self.registries.get(job.image_name.registry());
        let registry = registry.ok_or(RegistryError::OtherLogin { place: job.image_name.registry().to_owned() })?;
        let file = RemoteFile { path: digest_text(digest), len: job.blob.len, sha256: Some(digest), is_fixed: true };
        let target = Target { path: self.layout.blob(digest), part: self.layout.part(digest) };
        let fetcher = Fetcher { http: self.http, machine: self.layout.machine(), progress };
        let is_refused =
            |error: &ImageError| matches!(error, ImageError::File(FileError::Http(HttpError::AccessRefused { .. })));
        registry.with_blob(job.image_name.repository(), digest, is_refused, |ask| {
            fetcher.fetch(&file, &target, ask).map(drop).map_err(ImageError::from)
        })
    }

    /// Looks at the platform of an image whose blobs are there, and keeps its manifest.
    fn end(&self, planned: &PlannedImage) -> Result<Image, ImageError> {
        let found = self.platform_of(planned)?;
        if let Some(found) = found.as_ref().filter(|found| !self.platform.takes(found)) {
            return Err(ImageError::OtherPlatform { platform: self.platform.to_string(), found: found.to_string() });
        }
        self.layout.keep(&planned.bytes)?;
        let (image_name, manifest) = (planned.image_name.clone(), planned.descriptor.clone());
        Ok(Image { image_name, manifest, platform: found.or_else(|| planned.platform.clone()) })
    }

    fn platform_of(&self, planned: &PlannedImage) -> Result<Option<Platform>, ImageError> {
        let config = &planned.manifest.config;
        if !is_config_of_image(&config.media_type) || config.len > super::manifest::CONFIG_LEN_MAX {
            return Ok(None);
        }
        let path = self.layout.blob(config.digest);
        let bytes = std::fs::read(&path).map_err(|source| LayoutError::Io { action: "read", path, source })?;
        let read = ImageConfig::parse(&bytes);
        let read = read.map_err(|source| ImageError::Manifest { target: digest_text(config.digest), source })?;
        Ok(Some(read.platform()).filter(|platform| !platform.os.is_empty()))
    }

    /// Writes the index; what was on the way is removed where nothing is to be gone on with.
    fn name(&self, fetched: &FetchedImages, lost: &[ImageName]) -> Result<(), LayoutError> {
        let mut images = self.layout.images()?;
        let is_new = |image: &Image| fetched.images.iter().any(|new| new.image_name == image.image_name);
        let is_lost = |image: &Image| {
            let failed = fetched.failed.iter().map(|failed| &failed.image_name);
            failed.chain(lost).any(|lost| *lost == image.image_name)
        };
        images.retain(|image| !is_new(image) && !is_lost(image));
        images.extend(fetched.images.iter().cloned());
        images.sort_by(|a, b| a.image_name.cmp(&b.image_name));
        self.layout.name(&images)?;
        if fetched.failed.is_empty() && lost.is_empty() { self.layout.tidy() } else { Ok(()) }
    }
}
