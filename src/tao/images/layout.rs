//! The OCI image layout: a directory of blobs, and the index that names the images (A-81, A-87).

use super::image_name::{ImageName, ImageNameError, digest_text};
use super::manifest::{Descriptor, Document, INDEX_TYPE, ManifestError, Platform};
use crate::error::Class;
use crate::format::{Sha256, Shown};
use crate::machine::Machine;
use serde_json::json;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The name of the file that makes a directory a layout.
pub const MARK_NAME: &str = "oci-layout";
/// The name of the file that names the images.
pub const INDEX_NAME: &str = "index.json";
/// What is in the file that makes a directory a layout.
pub const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Where an index says what an image is called.
pub const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// Where Docker and containerd look for what an image is called.
pub const CONTAINERD_ANNOTATION: &str = "io.containerd.image.name";

/// An image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called.
    pub image_name: ImageName,
    /// Its manifest.
    pub manifest: Descriptor,
    /// What it runs on, where that is known.
    pub platform: Option<Platform>,
}

/// Why the index of a layout is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It is no list of manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is a manifest itself.
    #[error("it is a manifest, not a list of them")]
    NotList,
    /// An image has no name.
    #[error("image {digest} has no {NAME_ANNOTATION}")]
    Nameless {
        /// Its digest.
        digest: Sha256,
    },
    /// An image has a name that is none.
    #[error("image {digest} has a bad {NAME_ANNOTATION}")]
    BadName {
        /// Its digest.
        digest: Sha256,
        /// Why.
        source: ImageNameError,
    },
    /// An image has only a part of a name, such as a tag.
    #[error("image {digest} is called {shown}, which is no full name", shown = Shown(.name))]
    NotFull {
        /// Its digest.
        digest: Sha256,
        /// What it is called.
        name: String,
    },
    /// Two images have one name.
    #[error("two images are called {image_name}")]
    Twice {
        /// The name.
        image_name: String,
    },
}

impl IndexError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        Class::Refused
    }
}

/// Why a layout on this machine can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A file or directory fails.
    #[error("cannot {action} {path}", path = Shown(.path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its index is not accepted.
    #[error("{path} is not accepted", path = Shown(.path.to_string_lossy()))]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IndexError,
    },
    /// Another command works on it.
    #[error("another command works on {path}", path = Shown(.path.to_string_lossy()))]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It is there, is not empty, and is no layout.
    #[error("{path} is not empty and no layout of images", path = Shown(.path.to_string_lossy()))]
    NoLayout {
        /// The directory.
        path: PathBuf,
    },
}

impl LayoutError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            LayoutError::Io { source, .. } => Class::of_io(source),
            LayoutError::Index { source, .. } => source.class(),
            LayoutError::InUse { .. } => Class::Unavailable,
            LayoutError::NoLayout { .. } => Class::Usage,
        }
    }
}

/// Returns the images that an index names.
///
/// # Errors
/// It is no index of a layout as this module writes it: each image has a name, and no name is there
/// twice.
pub fn parse_index(bytes: &[u8]) -> Result<Vec<Image>, IndexError> {
    let Document::List(listed) = Document::parse(bytes, INDEX_TYPE)? else { return Err(IndexError::NotList) };
    let mut images: Vec<Image> = Vec::with_capacity(listed.len());
    for one in listed {
        let digest = one.manifest.digest;
        let name = one.annotations.get(CONTAINERD_ANNOTATION).or_else(|| one.annotations.get(NAME_ANNOTATION));
        let name = name.ok_or(IndexError::Nameless { digest })?;
        let image_name = ImageName::parse(name).map_err(|source| IndexError::BadName { digest, source })?;
        // `1.0` would be read as an image of that name, where a tag is meant.
        if image_name.to_string() != *name {
            return Err(IndexError::NotFull { digest, name: name.clone() });
        }
        if images.iter().any(|image| image.image_name == image_name) {
            return Err(IndexError::Twice { image_name: image_name.to_string() });
        }
        images.push(Image { image_name, manifest: one.manifest, platform: one.platform });
    }
    Ok(images)
}

/// Returns the index that names these images.
pub fn encode_index<'a>(images: impl IntoIterator<Item = &'a Image>) -> Vec<u8> {
    let one = |image: &Image| {
        let name = image.image_name.to_string();
        let mut document = json!({
            "mediaType": image.manifest.media_type,
            "digest": digest_text(image.manifest.digest),
            "size": image.manifest.len,
            "annotations": { NAME_ANNOTATION: name, CONTAINERD_ANNOTATION: name },
        });
        if let Some(platform) = &image.platform {
            document["platform"] = json!(platform);
        }
        document
    };
    let document = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": images.into_iter().map(one).collect::<Vec<_>>(),
    });
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A layout on this machine, which nobody else writes meanwhile.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    machine: Machine,
    _lock: crate::machine::Lock,
}

impl Layout {
    /// Opens a layout, or makes one in a directory that is new or empty.
    ///
    /// # Errors
    /// Something else is there, or another command works on it.
    pub fn open(path: &Path, machine: &Machine) -> Result<Layout, LayoutError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Io { action, path, source }
        };
        machine.make_directories(path, 0o777).map_err(failed("make", path))?;
        let is_layout = path.join(MARK_NAME).is_file();
        let unfinished = path.join(crate::tao::fetch::UNFINISHED_NAME);
        if !is_layout && !unfinished.is_dir() {
            let mut listing = std::fs::read_dir(path).map_err(failed("list", path))?;
            if listing.next().is_some() {
                return Err(LayoutError::NoLayout { path: path.to_owned() });
            }
        }
        machine.make_directories(&unfinished, 0o777).map_err(failed("make", &unfinished))?;
        let lock = machine.lock(&unfinished.join("lock")).map_err(failed("lock", path))?;
        let lock = lock.ok_or_else(|| LayoutError::InUse { path: path.to_owned() })?;
        let layout = Layout { path: path.to_owned(), machine: machine.clone(), _lock: lock };
        let blobs = path.join("blobs/sha256");
        machine.make_directories(&blobs, 0o777).map_err(failed("make", &blobs))?;
        if !is_layout {
            layout.write(MARK_NAME, MARK.as_bytes())?;
        }
        Ok(layout)
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what it is written on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns where a blob lies.
    pub fn blob(&self, digest: Sha256) -> PathBuf {
        self.path.join(blob_path(digest))
    }

    /// Returns where the bytes of a blob lie until all are there.
    pub fn part(&self, digest: Sha256) -> PathBuf {
        self.path.join(crate::tao::fetch::UNFINISHED_NAME).join(format!("{digest}.part"))
    }

    /// Keeps a small blob, durably.
    ///
    /// # Errors
    /// This machine can't.
    pub fn keep(&self, bytes: &[u8]) -> Result<Sha256, LayoutError> {
        let digest = Sha256::of(bytes);
        let (part, path) = (self.part(digest), self.blob(digest));
        let written = self.machine.write_durably(&part, &path, bytes);
        written.map(|()| digest).map_err(|source| LayoutError::Io { action: "write", path, source })
    }

    /// Returns the images that it names; none where it has no index yet.
    ///
    /// # Errors
    /// The index is not accepted.
    pub fn images(&self) -> Result<Vec<Image>, LayoutError> {
        read_index(&self.path)
    }

    /// Names the images, in place of those that were named. All that they need must be there.
    ///
    /// # Errors
    /// This machine can't.
    pub fn name(&self, images: &[Image]) -> Result<(), LayoutError> {
        self.write(INDEX_NAME, &encode_index(images))
    }

    /// Removes what was only there for the way.
    ///
    /// # Errors
    /// This machine can't.
    pub fn tidy(&self) -> Result<(), LayoutError> {
        let path = self.path.join(crate::tao::fetch::UNFINISHED_NAME);
        let removed = self.machine.remove_tree(&path);
        removed.map_err(|source| LayoutError::Io { action: "remove", path, source })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let path = self.path.join(name);
        let new = self.path.join(crate::tao::fetch::UNFINISHED_NAME).join(name);
        let written = self.machine.write_durably(&new, &path, bytes);
        written.map_err(|source| LayoutError::Io { action: "write", path, source })
    }
}

/// Returns the images that the layout in a directory names; none where it has no index.
///
/// # Errors
/// The index can't be read or is not accepted.
pub fn read_index(path: &Path) -> Result<Vec<Image>, LayoutError> {
    let path = path.join(INDEX_NAME);
    let mut bytes = Vec::new();
    let limit = super::manifest::MANIFEST_LEN_MAX + 1;
    match std::fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => parse_index(&bytes).map_err(|source| LayoutError::Index { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LayoutError::Io { action: "read", path, source }),
    }
}

/// Returns the path of a blob below a layout.
pub fn blob_path(digest: Sha256) -> String {
    format!("blobs/sha256/{digest}")
}

#[cfg(test)]
mod tests {
    use super::super::manifest::MANIFEST_TYPE;
    use super::*;

    fn image(name: &str) -> Image {
        let manifest = Descriptor { media_type: MANIFEST_TYPE.to_owned(), digest: Sha256::of(b"m"), len: 1 };
        let image_name = ImageName::parse(name).expect("a name");
        Image { image_name, manifest, platform: Platform::parse("linux/amd64") }
    }

    #[test]
    fn an_encoded_index_is_read_again() {
        let images = [image("nvcr.io/a/b:1"), image("nvcr.io/a/b:2")];
        assert_eq!(parse_index(&encode_index(&images)).expect("an index"), images);
    }

    #[test]
    fn refuses_names_that_are_none_or_there_twice() {
        let twice = [image("a:1"), image("docker.io/library/a:1")];
        assert!(matches!(parse_index(&encode_index(&twice)), Err(IndexError::Twice { .. })));
        let text = String::from_utf8(encode_index(&[image("a:1")])).expect("UTF-8");
        let bad = text.replace("docker.io/library/a:1", "docker.io/../../a:1");
        assert!(matches!(parse_index(bad.as_bytes()), Err(IndexError::BadName { .. })));
        let tag = text.replace("docker.io/library/a:1", "1.0");
        assert!(matches!(parse_index(tag.as_bytes()), Err(IndexError::NotFull { .. })));
    }
}
