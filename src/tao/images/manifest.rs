//! Manifests of images, and lists of them.

use super::image_name::parse_digest;
use crate::error::Class;
use crate::format::limits::FILE_LEN_MAX;
use crate::format::{Sha256, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Longest manifest or list of manifests, in bytes.
pub const MANIFEST_LEN_MAX: u64 = 4 << 20;
/// Longest configuration of an image, in bytes.
pub const CONFIG_LEN_MAX: u64 = 8 << 20;
/// Most layers of an image.
pub const LAYER_COUNT_MAX: usize = 512;
/// Most manifests of a list.
pub const LISTED_COUNT_MAX: usize = 1024;

/// The media type of a list of manifests.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an image's configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a layer that is not compressed.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_INDEX_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";

/// What a registry is asked for.
pub(super) const ACCEPTED_TYPES: [&str; 4] = [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE];

/// Why a document is no manifest that can be carried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is too long.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// How long it may be.
        max: u64,
    },
    /// It is no JSON of this form.
    #[error("it is not the JSON of a manifest")]
    NotJson(#[source] serde_json::Error),
    /// Its media type is none that is known.
    #[error("its media type {shown} is none of a manifest", shown = Shown(.media_type))]
    OtherType {
        /// The type.
        media_type: String,
    },
    /// It is a manifest and a list of manifests at once.
    #[error("it has layers and manifests at once")]
    Ambiguous,
    /// It has no configuration or no layers where it should.
    #[error("it has no {what}")]
    Lacks {
        /// What.
        what: &'static str,
    },
    /// It has too much.
    #[error("it has {found} {what}, and {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A digest is none of SHA-256.
    #[error("{shown} is no digest of SHA-256", shown = Shown(.digest))]
    BadDigest {
        /// The text.
        digest: String,
    },
    /// A length is beyond what can be carried.
    #[error("{digest} is said to have {len} bytes, which is too long")]
    BadLen {
        /// The digest.
        digest: Sha256,
        /// As said.
        len: u64,
    },
    /// One digest has two lengths.
    #[error("{digest} is said to have two lengths")]
    TwoLens {
        /// The digest.
        digest: Sha256,
    },
    /// A layer is not in the registry but somewhere on the web.
    #[error("layer {digest} is to be had elsewhere, and its licence may not let it be carried")]
    Foreign {
        /// The layer.
        digest: Sha256,
    },
}

impl ManifestError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        Class::Refused
    }
}

/// What is said of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Sha256,
    /// Its length, in bytes.
    pub len: u64,
}

/// A manifest: one image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// One of a list of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The manifest, or another list.
    pub manifest: Descriptor,
    /// What it runs on, where that is said.
    pub platform: Option<Platform>,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Image(Manifest),
    /// A list of manifests.
    List(Vec<Listed>),
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Platform {
    /// The processor, such as `amd64`.
    pub architecture: String,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform that `os/architecture` or `os/architecture/variant` spells.
    pub fn parse(text: &str) -> Option<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return None,
        };
        let is_good = parts.iter().all(is_word);
        is_good.then(|| Platform { architecture: architecture.to_owned(), os: os.to_owned(), variant })
    }

    /// Tells whether an image for `other` is one for this; without a variant, any will do.
    pub fn takes(&self, other: &Platform) -> bool {
        let is_variant = self.variant.is_none() || self.variant == other.variant;
        self.os == other.os && self.architecture == other.architecture && is_variant
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[derive(Deserialize)]
struct RawDescriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawDocument {
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
}

impl RawDescriptor {
    fn check(&self) -> Result<Descriptor, ManifestError> {
        let Some(digest) = parse_digest(&self.digest) else {
            return Err(ManifestError::BadDigest { digest: self.digest.chars().take(200).collect() });
        };
        if self.size > FILE_LEN_MAX {
            return Err(ManifestError::BadLen { digest, len: self.size });
        }
        let is_elsewhere = self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        let is_foreign = ["foreign", "nondistributable"].iter().any(|word| self.media_type.contains(word));
        if is_elsewhere || is_foreign {
            return Err(ManifestError::Foreign { digest });
        }
        Ok(Descriptor { media_type: self.media_type.clone(), digest, len: self.size })
    }
}

impl Document {
    /// Returns what the bytes say. `media_type` is what they are said to be, and what they say of
    /// themselves counts more.
    ///
    /// # Errors
    /// They are no manifest that can be carried.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document, ManifestError> {
        Document::parse_typed(bytes, media_type).map(|(document, _)| document)
    }

    /// Returns what the bytes say, and what they are.
    ///
    /// # Errors
    /// As [`parse`](Document::parse).
    pub fn parse_typed(bytes: &[u8], media_type: &str) -> Result<(Document, String), ManifestError> {
        if bytes.len() as u64 > MANIFEST_LEN_MAX {
            return Err(ManifestError::TooLong { max: MANIFEST_LEN_MAX });
        }
        let raw: RawDocument = serde_json::from_slice(bytes).map_err(ManifestError::NotJson)?;
        let media_type = raw.media_type.as_deref().filter(|own| !own.is_empty()).unwrap_or(media_type);
        let document = match (media_type, &raw.layers, &raw.manifests) {
            // What one reader takes for an image and another for a list is neither.
            (_, Some(_), Some(_)) => Err(ManifestError::Ambiguous),
            (MANIFEST_TYPE | DOCKER_MANIFEST_TYPE, Some(layers), None) => Document::image(&raw, layers),
            (MANIFEST_TYPE | DOCKER_MANIFEST_TYPE, _, _) => Err(ManifestError::Lacks { what: "layers" }),
            (INDEX_TYPE | DOCKER_INDEX_TYPE, None, Some(listed)) => Document::list(listed),
            (INDEX_TYPE | DOCKER_INDEX_TYPE, _, _) => Err(ManifestError::Lacks { what: "manifests" }),
            _ => Err(ManifestError::OtherType { media_type: media_type.chars().take(200).collect() }),
        };
        document.map(|document| (document, media_type.to_owned()))
    }

    fn image(raw: &RawDocument, layers: &[RawDescriptor]) -> Result<Document, ManifestError> {
        let Some(config) = &raw.config else { return Err(ManifestError::Lacks { what: "configuration" }) };
        if layers.len() > LAYER_COUNT_MAX {
            return Err(ManifestError::TooMany { what: "layers", found: layers.len(), max: LAYER_COUNT_MAX });
        }
        let config = config.check()?;
        let layers = layers.iter().map(RawDescriptor::check).collect::<Result<Vec<_>, _>>()?;
        let manifest = Manifest { config, layers };
        let mut lens = BTreeMap::new();
        for blob in manifest.blobs() {
            if lens.insert(blob.digest, blob.len).is_some_and(|len| len != blob.len) {
                return Err(ManifestError::TwoLens { digest: blob.digest });
            }
        }
        Ok(Document::Image(manifest))
    }

    fn list(listed: &[RawDescriptor]) -> Result<Document, ManifestError> {
        if listed.len() > LISTED_COUNT_MAX {
            return Err(ManifestError::TooMany { what: "manifests", found: listed.len(), max: LISTED_COUNT_MAX });
        }
        let one = |raw: &RawDescriptor| {
            let annotations = raw.annotations.clone().unwrap_or_default();
            Ok(Listed { manifest: raw.check()?, platform: raw.platform.clone(), annotations })
        };
        Ok(Document::List(listed.iter().map(one).collect::<Result<_, ManifestError>>()?))
    }
}

impl Manifest {
    /// Returns everything that it needs: its configuration, then its layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// Returns the bytes of a manifest of this configuration and these layers.
    pub fn encode(&self) -> Vec<u8> {
        let one = |blob: &Descriptor| {
            serde_json::json!({
                "mediaType": blob.media_type,
                "digest": super::image_name::digest_text(blob.digest),
                "size": blob.len,
            })
        };
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": one(&self.config),
            "layers": self.layers.iter().map(one).collect::<Vec<_>>(),
        });
        document.to_string().into_bytes()
    }
}

/// Tells whether a configuration of this type says what the image runs on.
pub(super) fn is_config_of_image(media_type: &str) -> bool {
    matches!(media_type, CONFIG_TYPE | DOCKER_CONFIG_TYPE)
}

/// What the configuration of an image says of its layers and of what it runs on.
#[derive(Debug, Deserialize)]
pub struct ImageConfig {
    /// The processor.
    #[serde(default)]
    pub architecture: String,
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// The variant of the processor.
    #[serde(default)]
    pub variant: Option<String>,
    /// Its layers before compression.
    #[serde(default)]
    pub rootfs: RootFs,
}

/// The layers of an image before compression.
#[derive(Debug, Default, Deserialize)]
pub struct RootFs {
    /// Their digests, the lowest first.
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Returns what the bytes say.
    ///
    /// # Errors
    /// They are no configuration.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, ManifestError> {
        if bytes.len() as u64 > CONFIG_LEN_MAX {
            return Err(ManifestError::TooLong { max: CONFIG_LEN_MAX });
        }
        serde_json::from_slice(bytes).map_err(ManifestError::NotJson)
    }

    /// Returns what the image runs on.
    pub fn platform(&self) -> Platform {
        Platform { architecture: self.architecture.clone(), os: self.os.clone(), variant: self.variant.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn blob(media_type: &str, byte: &str, size: u64) -> serde_json::Value {
        json!({ "mediaType": media_type, "digest": format!("sha256:{}", byte.repeat(32)), "size": size })
    }

    fn parse(document: &serde_json::Value) -> Result<Document, ManifestError> {
        Document::parse(document.to_string().as_bytes(), MANIFEST_TYPE)
    }

    #[test]
    fn an_encoded_manifest_is_read_again() {
        let one = |byte: u8, media_type: &str| Descriptor {
            media_type: media_type.to_owned(),
            digest: Sha256::of(&[byte]),
            len: u64::from(byte),
        };
        let manifest = Manifest { config: one(1, CONFIG_TYPE), layers: vec![one(2, LAYER_TYPE), one(3, LAYER_TYPE)] };
        let found = Document::parse(&manifest.encode(), "").expect("a manifest");
        assert_eq!(found, Document::Image(manifest));
    }

    #[test]
    fn refuses_what_two_readers_could_take_for_two_things() {
        let layers = json!({ "config": blob(CONFIG_TYPE, "aa", 2), "layers": [], "manifests": [] });
        assert!(matches!(parse(&layers), Err(ManifestError::Ambiguous)));
        let two = json!({ "config": blob(CONFIG_TYPE, "aa", 2), "layers": [blob(LAYER_TYPE, "aa", 3)] });
        assert!(matches!(parse(&two), Err(ManifestError::TwoLens { .. })));
        let list = json!({ "mediaType": INDEX_TYPE, "config": blob(CONFIG_TYPE, "aa", 2), "layers": [] });
        assert!(matches!(parse(&list), Err(ManifestError::Lacks { what: "manifests" })));
        // What a document says of itself counts more than what is said of it.
        let own = json!({ "mediaType": MANIFEST_TYPE, "config": blob(CONFIG_TYPE, "aa", 2), "layers": [] });
        let (_, found) = Document::parse_typed(own.to_string().as_bytes(), INDEX_TYPE).expect("a manifest");
        assert_eq!(found, MANIFEST_TYPE);
    }

    #[test]
    fn refuses_layers_from_elsewhere_and_too_many_of_them() {
        let mut layer = blob(LAYER_TYPE, "bb", 3);
        layer["urls"] = json!(["https://elsewhere/layer"]);
        let foreign = json!({ "config": blob(CONFIG_TYPE, "aa", 2), "layers": [layer] });
        assert!(matches!(parse(&foreign), Err(ManifestError::Foreign { .. })));
        let many = vec![blob(LAYER_TYPE, "bb", 3); LAYER_COUNT_MAX + 1];
        let many = json!({ "config": blob(CONFIG_TYPE, "aa", 2), "layers": many });
        assert!(matches!(parse(&many), Err(ManifestError::TooMany { found: 513, .. })));
        let long = json!({ "config": blob(CONFIG_TYPE, "aa", u64::MAX), "layers": [] });
        assert!(matches!(parse(&long), Err(ManifestError::BadLen { .. })));
        let odd = json!({ "config": { "digest": "sha256:../../x", "size": 1 }, "layers": [] });
        assert!(matches!(parse(&odd), Err(ManifestError::BadDigest { .. })));
    }

    #[test]
    fn a_platform_without_variant_takes_any() {
        let wanted = Platform::parse("linux/arm64").expect("a platform");
        assert!(wanted.takes(&Platform::parse("linux/arm64/v8").expect("one")));
        assert!(!wanted.takes(&Platform::parse("linux/amd64").expect("one")));
        for text in ["linux", "linux/", "linux/a/b/c", "linux/../x"] {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
    }
}
