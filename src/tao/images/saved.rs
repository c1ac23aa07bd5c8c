//! From what `docker save` and the vendor's script have written into a layout (A-93, A-94).

use super::fetch::{ImageError, choose};
use super::image_name::{ImageName, ImageNameError, parse_digest};
use super::layout::{CONTAINERD_ANNOTATION, INDEX_NAME, Image, Layout, LayoutError, MARK_NAME, blob_path};
use super::manifest::{
    CONFIG_LEN_MAX, CONFIG_TYPE, Descriptor, Document, INDEX_TYPE, ImageConfig, LAYER_COUNT_MAX, LAYER_TYPE, Listed,
    MANIFEST_LEN_MAX, MANIFEST_TYPE, Manifest, ManifestError, Platform,
};
use super::tarball::{Members, TarError};
use crate::error::Class;
use crate::format::{Sha256, Shown};
use crate::pipeline::progress::Progress;
use serde::Deserialize;
use sha2::Digest as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The file beside the archives of the vendor's script, and the one inside each archive.
pub const SAVED_NAME: &str = "manifest.json";
/// Most archives in one directory, and most images in one archive.
const SAVED_COUNT_MAX: usize = 1000;
/// Read and written at once, in bytes.
const BUFFER_LEN: usize = 1 << 20;

/// Why a saved image is not in the layout.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// A file of this machine fails.
    #[error("cannot {action} {path}", path = Shown(.path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive is no tar.
    #[error("it is no archive that docker save wrote")]
    Tar(#[from] TarError),
    /// A document in it is not accepted.
    #[error("{name} is not accepted")]
    Manifest {
        /// The document.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] ImageNameError),
    /// It lacks something.
    #[error("it has no {shown}", shown = Shown(.path))]
    Lacks {
        /// The member.
        path: String,
    },
    /// Bytes are not those that their digest says.
    #[error("{shown} has digest {found}, and {expected} is due", shown = Shown(.path))]
    OtherDigest {
        /// The member.
        path: String,
        /// As named.
        expected: Sha256,
        /// As found.
        found: Sha256,
    },
    /// The archive does not have the image that is said to be in it.
    #[error("it does not have {image_name}")]
    OtherImage {
        /// The image.
        image_name: String,
    },
    /// Nobody says what an image is called.
    #[error("an image in it has no name")]
    Nameless,
    /// A list of images has none for the platform.
    #[error(transparent)]
    Platform(#[from] ImageError),
    /// The layout can't be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A person asked to stop.
    #[error("stopped by a signal")]
    Stopped,
}

impl SavedError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            SavedError::Io { source, .. } => Class::of_io(source),
            SavedError::Tar(TarError::Unreadable { source, .. }) => Class::of_io(source),
            SavedError::Tar(_) | SavedError::Lacks { .. } | SavedError::OtherDigest { .. } => Class::Damaged,
            SavedError::Platform(error) => error.class(),
            SavedError::Layout(error) => error.class(),
            SavedError::Stopped => Class::Interrupted,
            _ => Class::Refused,
        }
    }
}

/// An archive, and the image that it is said to hold; without one, all that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// The image.
    pub image_name: Option<ImageName>,
}

/// The archives of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedDirectory {
    /// Those that its `manifest.json` names.
    pub archives: Vec<Archive>,
    /// Archives that it does not name: the vendor's loader would leave them.
    pub unnamed: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct SavedEntry {
    file: String,
    #[serde(rename = "ref")]
    image_name: String,
}

/// One image of the `manifest.json` inside an archive.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The path of its configuration.
    #[serde(rename = "Config")]
    pub config: String,
    /// What it is called.
    #[serde(rename = "RepoTags", default)]
    pub tags: Option<Vec<String>>,
    /// The paths of its layers, the lowest first.
    #[serde(rename = "Layers")]
    pub layers: Vec<String>,
}

/// Returns what the `manifest.json` inside an archive says.
///
/// # Errors
/// It is none, or says too much.
pub fn parse_archive_manifest(bytes: &[u8]) -> Result<Vec<ArchiveEntry>, ManifestError> {
    if bytes.len() as u64 > MANIFEST_LEN_MAX {
        return Err(ManifestError::TooLong { max: MANIFEST_LEN_MAX });
    }
    let entries: Vec<ArchiveEntry> = serde_json::from_slice(bytes).map_err(ManifestError::NotJson)?;
    let too_many = |what, found, max| Err(ManifestError::TooMany { what, found, max });
    if entries.len() > SAVED_COUNT_MAX {
        return too_many("images", entries.len(), SAVED_COUNT_MAX);
    }
    match entries.iter().map(|entry| entry.layers.len()).find(|count| *count > LAYER_COUNT_MAX) {
        Some(count) => too_many("layers", count, LAYER_COUNT_MAX),
        None => Ok(entries),
    }
}

/// Returns the archives and names that the vendor's script wrote down.
///
/// # Errors
/// It is no such list, or a file of it would lie elsewhere.
pub fn parse_saved(bytes: &[u8]) -> Result<Vec<(String, ImageName)>, SavedError> {
    let failed = |source| SavedError::Manifest { name: SAVED_NAME.to_owned(), source };
    if bytes.len() as u64 > MANIFEST_LEN_MAX {
        return Err(failed(ManifestError::TooLong { max: MANIFEST_LEN_MAX }));
    }
    let entries: Vec<SavedEntry> =
        serde_json::from_slice(bytes).map_err(|error| failed(ManifestError::NotJson(error)))?;
    if entries.len() > SAVED_COUNT_MAX {
        return Err(failed(ManifestError::TooMany { what: "images", found: entries.len(), max: SAVED_COUNT_MAX }));
    }
    let one = |entry: SavedEntry| {
        let is_name = !entry.file.is_empty() && !entry.file.contains(['/', '\0']) && entry.file != "..";
        match is_name {
            true => Ok((entry.file, ImageName::parse(&entry.image_name)?)),
            false => Err(SavedError::Lacks { path: entry.file }),
        }
    };
    entries.into_iter().map(one).collect()
}

impl SavedDirectory {
    /// Returns the archives of a directory that the vendor's script wrote.
    ///
    /// # Errors
    /// It has no list of them, or one that is not accepted.
    pub fn read(path: &Path) -> Result<SavedDirectory, SavedError> {
        let list = path.join(SAVED_NAME);
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| SavedError::Io { action, path, source }
        };
        let mut bytes = Vec::new();
        let read = File::open(&list).and_then(|file| file.take(MANIFEST_LEN_MAX + 1).read_to_end(&mut bytes));
        read.map_err(failed("read", &list))?;
        let named = parse_saved(&bytes)?;
        let mut saved = SavedDirectory::default();
        for item in std::fs::read_dir(path).map_err(failed("list", path))? {
            let item = item.map_err(failed("list", path))?.path();
            let name = item.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end));
            if is_archive && !named.iter().any(|(file, _)| *file == name) {
                saved.unnamed.push(item);
            }
        }
        saved.unnamed.sort();
        let archive = |(file, image_name)| Archive { path: path.join(file), image_name: Some(image_name) };
        saved.archives = named.into_iter().map(archive).collect();
        Ok(saved)
    }
}

/// Brings the images of an archive into a layout, proven, and returns them; the index is not written.
///
/// # Errors
/// The archive is damaged or not accepted, or the layout can't be written.
pub fn add(
    archive: &Archive,
    layout: &Layout,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Vec<Image>, SavedError> {
    let failed = |source| SavedError::Io { action: "open", path: archive.path.clone(), source };
    let mut file = File::open(&archive.path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let members = Members::scan(&mut file, len)?;
    let mut reader = Reader { file, path: &archive.path, members, layout, platform, progress };
    let mut found = reader.found()?;
    if let Some(wanted) = &archive.image_name {
        let is_only = found.len() == 1;
        found.retain(|one| is_only || one.image_name.as_ref() == Some(wanted));
        if found.is_empty() {
            return Err(SavedError::OtherImage { image_name: wanted.to_string() });
        }
        found.truncate(1);
        found[0].image_name = Some(wanted.clone());
    }
    found.iter().map(|one| reader.image(one)).collect()
}

/// An image in an archive.
struct Found {
    image_name: Option<ImageName>,
    source: Source,
}

/// How an archive holds an image.
enum Source {
    /// As a manifest, or a list of them.
    Oci(Descriptor),
    /// As a configuration and layers without a manifest.
    Docker(ArchiveEntry),
}

struct Reader<'a> {
    file: File,
    path: &'a Path,
    members: Members,
    layout: &'a Layout,
    platform: &'a Platform,
    progress: &'a dyn Progress,
}

impl Reader<'_> {
    /// Returns the images of the archive. What has manifests keeps them, and their digests.
    fn found(&mut self) -> Result<Vec<Found>, SavedError> {
        if self.members.file(MARK_NAME).is_some() && self.members.file(INDEX_NAME).is_some() {
            let bytes = self.small(INDEX_NAME, MANIFEST_LEN_MAX)?;
            let named = |source| SavedError::Manifest { name: INDEX_NAME.to_owned(), source };
            let Document::List(listed) = Document::parse(&bytes, INDEX_TYPE).map_err(named)? else {
                return Err(named(ManifestError::Lacks { what: "manifests" }));
            };
            let one = |listed: Listed| {
                let name = listed.annotations.get(CONTAINERD_ANNOTATION);
                let image_name = name.map(|name| ImageName::parse(name)).transpose()?;
                Ok(Found { image_name, source: Source::Oci(listed.manifest) })
            };
            let found = listed.into_iter().map(one).collect::<Result<Vec<_>, SavedError>>()?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let bytes = self.small(SAVED_NAME, MANIFEST_LEN_MAX)?;
        let entries = parse_archive_manifest(&bytes)
            .map_err(|source| SavedError::Manifest { name: SAVED_NAME.to_owned(), source })?;
        let mut found = Vec::new();
        for entry in entries {
            let tags = entry.tags.clone().unwrap_or_default();
            if tags.is_empty() {
                found.push(Found { image_name: None, source: Source::Docker(entry.clone()) });
            }
            for tag in tags {
                let image_name = Some(ImageName::parse(&tag)?);
                found.push(Found { image_name, source: Source::Docker(entry.clone()) });
            }
        }
        Ok(found)
    }

    fn image(&mut self, found: &Found) -> Result<Image, SavedError> {
        let image_name = found.image_name.clone().ok_or(SavedError::Nameless)?;
        self.progress.now_at(&image_name.to_string());
        let (manifest, platform) = match &found.source {
            Source::Oci(descriptor) => self.oci(descriptor)?,
            Source::Docker(entry) => self.docker(entry)?,
        };
        if let Some(found) = platform.as_ref().filter(|found| !found.os.is_empty() && !self.platform.takes(found)) {
            let error = ImageError::OtherPlatform { platform: self.platform.to_string(), found: found.to_string() };
            return Err(error.into());
        }
        Ok(Image { image_name, manifest, platform })
    }

    fn oci(&mut self, descriptor: &Descriptor) -> Result<(Descriptor, Option<Platform>), SavedError> {
        let (mut descriptor, mut platform) = (descriptor.clone(), None);
        // A list of lists is none.
        for _ in 0..2 {
            let path = blob_path(descriptor.digest);
            let bytes = self.small(&path, MANIFEST_LEN_MAX)?;
            proven(&path, &bytes, descriptor.digest)?;
            let document = Document::parse(&bytes, &descriptor.media_type);
            match document.map_err(|source| SavedError::Manifest { name: path.clone(), source })? {
                Document::List(listed) => {
                    let one = choose(&listed, self.platform)?;
                    (descriptor, platform) = (one.manifest, one.platform);
                }
                Document::Image(manifest) => {
                    for blob in manifest.blobs() {
                        self.keep(&blob_path(blob.digest), Some(blob.digest))?;
                    }
                    let config = self.config(&blob_path(manifest.config.digest))?;
                    self.layout.keep(&bytes)?;
                    let found = config.map(|config| config.platform());
                    return Ok((descriptor, found.or(platform)));
                }
            }
        }
        Err(SavedError::Manifest { name: INDEX_NAME.to_owned(), source: ManifestError::Lacks { what: "layers" } })
    }

    /// Makes the manifest that an older archive does not have. Layers stay as they are.
    fn docker(&mut self, entry: &ArchiveEntry) -> Result<(Descriptor, Option<Platform>), SavedError> {
        let bytes = self.small(&entry.config, CONFIG_LEN_MAX)?;
        let named = entry.config.trim_end_matches(".json").rsplit('/').next().and_then(Sha256::from_hex);
        if let Some(expected) = named {
            proven(&entry.config, &bytes, expected)?;
        }
        let config = ImageConfig::parse(&bytes);
        let config = config.map_err(|source| SavedError::Manifest { name: entry.config.clone(), source })?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != entry.layers.len() {
            return Err(SavedError::Lacks { path: format!("one layer for each of {} diff_ids", diff_ids.len()) });
        }
        let digest = self.layout.keep(&bytes)?;
        let mut layers = Vec::with_capacity(entry.layers.len());
        for (path, diff_id) in entry.layers.iter().zip(diff_ids) {
            // Without it nothing would prove the layer.
            let diff_id = parse_digest(diff_id);
            let diff_id = diff_id.ok_or_else(|| SavedError::Lacks { path: format!("the digest of {path}") })?;
            layers.push(self.layer(path, Some(diff_id))?);
        }
        let config_blob = Descriptor { media_type: CONFIG_TYPE.to_owned(), digest, len: bytes.len() as u64 };
        let encoded = Manifest { config: config_blob, layers }.encode();
        let digest = self.layout.keep(&encoded)?;
        let manifest = Descriptor { media_type: MANIFEST_TYPE.to_owned(), digest, len: encoded.len() as u64 };
        Ok((manifest, Some(config.platform())))
    }

    fn layer(&mut self, path: &str, diff_id: Option<Sha256>) -> Result<Descriptor, SavedError> {
        let (offset, len) = self.place(path)?;
        let mut magic = [0; 4];
        let magic_len = self.read_at(offset, &mut magic[..len.min(4) as usize])?;
        let media_type = match &magic[..magic_len] {
            [0x1f, 0x8b, ..] => format!("{LAYER_TYPE}+gzip"),
            [0x28, 0xb5, 0x2f, 0xfd] => format!("{LAYER_TYPE}+zstd"),
            _ => LAYER_TYPE.to_owned(),
        };
        // What is compressed has another digest than what is in it.
        let expected = diff_id.filter(|_| media_type == LAYER_TYPE);
        let digest = self.keep(path, expected)?;
        Ok(Descriptor { media_type, digest, len })
    }

    fn config(&mut self, path: &str) -> Result<Option<ImageConfig>, SavedError> {
        let (_, len) = self.place(path)?;
        if len > CONFIG_LEN_MAX {
            return Ok(None);
        }
        let bytes = self.small(path, CONFIG_LEN_MAX)?;
        Ok(ImageConfig::parse(&bytes).ok())
    }

    fn place(&self, path: &str) -> Result<(u64, u64), SavedError> {
        self.members.file(path).ok_or_else(|| SavedError::Lacks { path: path.to_owned() })
    }

    fn small(&mut self, path: &str, len_max: u64) -> Result<Vec<u8>, SavedError> {
        let (offset, len) = self.place(path)?;
        if len > len_max {
            let source = ManifestError::TooLong { max: len_max };
            return Err(SavedError::Manifest { name: path.to_owned(), source });
        }
        let mut bytes = vec![0; len as usize];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> Result<usize, SavedError> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(bytes));
        let failed = |source| SavedError::Io { action: "read", path: self.path.to_owned(), source };
        read.map(|()| bytes.len()).map_err(failed)
    }

    /// Brings a member into the layout, and returns its digest.
    fn keep(&mut self, path: &str, expected: Option<Sha256>) -> Result<Sha256, SavedError> {
        let (offset, len) = self.place(path)?;
        if let Some(expected) = expected.filter(|expected| self.is_there(*expected, len)) {
            self.progress.advance(len, 1);
            return Ok(expected);
        }
        let part = self.layout.part(expected.unwrap_or_else(|| Sha256::of(path.as_bytes())));
        let found = self.copy(offset, len, &part)?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            // What is there is nobody's; that it can't be removed would be told by the next write.
            let _ = self.layout.machine().remove_file(&part);
            return Err(SavedError::OtherDigest { path: path.to_owned(), expected, found });
        }
        let to = self.layout.blob(found);
        let machine = self.layout.machine();
        let parent = to.parent().unwrap_or(&to).to_owned();
        let named = machine.rename(&part, &to).and_then(|()| machine.sync_directory(&parent));
        named.map_err(|source| SavedError::Io { action: "name", path: to, source })?;
        self.progress.advance(0, 1);
        Ok(found)
    }

    /// Tells whether the layout has a blob already; its bytes are read.
    fn is_there(&self, digest: Sha256, len: u64) -> bool {
        let Ok(file) = File::open(self.layout.blob(digest)) else { return false };
        if !file.metadata().is_ok_and(|facts| facts.len() == len) {
            return false;
        }
        let mut hasher = Hasher(sha2::Sha256::new());
        io::copy(&mut &file, &mut hasher).is_ok() && Sha256::from_bytes(hasher.0.finalize().into()) == digest
    }

    fn copy(&mut self, offset: u64, len: u64, part: &Path) -> Result<Sha256, SavedError> {
        let from = |source| SavedError::Io { action: "read", path: self.path.to_owned(), source };
        let to = |source| SavedError::Io { action: "write", path: part.to_owned(), source };
        self.file.seek(SeekFrom::Start(offset)).map_err(from)?;
        let mut out = self.layout.machine().create(part, 0o666).map_err(to)?;
        let (mut hasher, mut left, mut buffer) = (sha2::Sha256::new(), len, vec![0; BUFFER_LEN]);
        while left > 0 {
            if self.progress.is_cancelled() {
                return Err(SavedError::Stopped);
            }
            let piece = &mut buffer[..left.min(BUFFER_LEN as u64) as usize];
            self.file.read_exact(piece).map_err(from)?;
            hasher.update(&*piece);
            out.write_all(piece).map_err(to)?;
            left -= piece.len() as u64;
            self.progress.advance(piece.len() as u64, 0);
        }
        out.sync().map_err(to)?;
        Ok(Sha256::from_bytes(hasher.finalize().into()))
    }
}

struct Hasher(sha2::Sha256);

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn proven(path: &str, bytes: &[u8], expected: Sha256) -> Result<(), SavedError> {
    let found = Sha256::of(bytes);
    if found == expected { Ok(()) } else { Err(SavedError::OtherDigest { path: path.to_owned(), expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_list_of_the_vendors_script_and_refuses_files_elsewhere() {
        let good = br#"[{"file": "a.tar", "ref": "nvcr.io/a/b:1"}]"#;
        let found = parse_saved(good).expect("a list");
        assert_eq!(found[0].0, "a.tar");
        for bad in [r#"[{"file": "../a.tar", "ref": "a:1"}]"#, r#"[{"file": "/etc/passwd", "ref": "a:1"}]"#] {
            assert!(matches!(parse_saved(bad.as_bytes()), Err(SavedError::Lacks { .. })), "{bad}");
        }
        assert!(matches!(parse_saved(br#"[{"file": "a", "ref": "../a"}]"#), Err(SavedError::Name(_))));
        assert!(matches!(parse_saved(b"{}"), Err(SavedError::Manifest { .. })));
    }

    #[test]
    fn refuses_archives_that_say_too_much() {
        let layers = vec![r#""x""#; LAYER_COUNT_MAX + 1].join(",");
        let text = format!(r#"[{{"Config": "c", "RepoTags": null, "Layers": [{layers}]}}]"#);
        assert!(matches!(parse_archive_manifest(text.as_bytes()), Err(ManifestError::TooMany { .. })));
    }
}
