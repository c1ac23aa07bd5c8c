//! What an image is called.

use crate::format::{Sha256, Shown};
use std::fmt;

/// Longest name of an image, in bytes.
pub const REFERENCE_LEN_MAX: usize = 512;
/// Longest repository, in bytes.
const REPOSITORY_LEN_MAX: usize = 255;
/// Longest tag, in bytes.
const TAG_LEN_MAX: usize = 128;
/// The registry of names without one.
const USUAL_REGISTRY: &str = "docker.io";

/// The full name of an image: registry, repository, and tag or digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Sha256>,
}

/// Why a text is no name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is no name of an image: {rule}", shown = Shown(.text))]
pub struct ImageNameError {
    /// The text, cut where it is too long.
    pub text: String,
    /// The rule that it breaks.
    pub rule: ImageNameRule,
}

/// The rules of names of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageNameRule {
    /// A limit of length.
    #[error("it is too long")]
    TooLong,
    /// The registry is a host, perhaps with a port.
    #[error("its registry is no host")]
    Registry,
    /// The repository has parts of small letters and digits.
    #[error("its repository is not made of small letters and digits, with '.', '_' or '-' between them")]
    Repository,
    /// The tag has letters, digits, dots and dashes.
    #[error("its tag has a character that no tag has")]
    Tag,
    /// Only SHA-256 is known.
    #[error("its digest is not sha256: and 64 small hex digits")]
    Digest,
}

impl ImageName {
    /// Returns the name that `text` spells, as Docker reads it: without a registry it is of
    /// `docker.io`, and without tag and digest the tag is `latest`.
    ///
    /// # Errors
    /// Names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<ImageName, ImageNameError> {
        ImageName::read(text).map_err(|rule| {
            let text = text.chars().take(REFERENCE_LEN_MAX).collect();
            ImageNameError { text, rule }
        })
    }

    fn read(text: &str) -> Result<ImageName, ImageNameRule> {
        if text.len() > REFERENCE_LEN_MAX {
            return Err(ImageNameRule::TooLong);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(parse_digest(digest).ok_or(ImageNameRule::Digest)?)),
            None => (text, None),
        };
        // A colon before the last slash is that of a port.
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ImageNameRule::Tag);
        }
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => (USUAL_REGISTRY, path.to_owned()),
            None => (USUAL_REGISTRY, format!("library/{path}")),
        };
        let registry = if registry == "index.docker.io" { USUAL_REGISTRY } else { registry };
        if !is_host(registry) {
            return Err(ImageNameRule::Registry);
        }
        check_repository(&repository)?;
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(ImageName { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Returns the registry, as it stands in names.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest of the manifest or list of manifests that is meant.
    pub fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// Returns the same name with another digest.
    #[must_use]
    pub fn with_digest(&self, digest: Sha256) -> ImageName {
        ImageName { digest: Some(digest), ..self.clone() }
    }

    /// Returns the name without the digest, by which container engines tag an image; nothing where
    /// there is only a digest.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}/{}:{tag}", self.registry, self.repository))
    }

    /// Returns what stands behind `manifests/` in the address of its manifest.
    pub fn target(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest_text(digest),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// Tells whether another image may have this name tomorrow: there is no digest, and the tag has no
    /// digit.
    pub fn is_floating(&self) -> bool {
        self.digest.is_none() && !self.tag.as_ref().is_some_and(|tag| tag.bytes().any(|byte| byte.is_ascii_digit()))
    }

    /// Returns the name of the file that the vendor's script saves it to.
    pub fn saved_name(&self) -> String {
        let mut parts = vec![self.registry.clone()];
        parts.extend(self.repository.split('/').map(str::to_owned));
        match (self.digest, &self.tag) {
            (Some(digest), _) => parts.push(format!("d-sha256-{digest}")),
            (None, Some(tag)) => parts.push(format!("t-{tag}")),
            (None, None) => {}
        }
        let name = parts.join("__");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        format!("{name}.tar")
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@sha256:{digest}"))
    }
}

/// Returns the digest that `sha256:` and 64 small hex digits spell.
pub fn parse_digest(text: &str) -> Option<Sha256> {
    text.strip_prefix("sha256:").and_then(Sha256::from_hex)
}

/// Returns a digest as registries write it.
pub fn digest_text(digest: Sha256) -> String {
    format!("sha256:{digest}")
}

/// Tells whether a text is a host, perhaps with a port.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Refuses what is no repository.
pub(super) fn check_repository(text: &str) -> Result<(), ImageNameRule> {
    if text.len() > REPOSITORY_LEN_MAX {
        return Err(ImageNameRule::TooLong);
    }
    if text.split('/').all(is_part) { Ok(()) } else { Err(ImageNameRule::Repository) }
}

/// Tells whether a text is a part of a repository: runs of letters and digits, and between them one
/// dot, one or two underscores, or dashes.
fn is_part(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_between = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(is_inner)
        && text.ends_with(is_inner)
        && text.split(is_inner).filter(|between| !between.is_empty()).all(is_between)
}

fn is_tag(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.len() <= TAG_LEN_MAX && text.chars().all(is_inner) && !text.is_empty() && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_references_as_docker_does() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:alpine", "docker.io/library/nginx:alpine"),
            ("chrislusf/seaweedfs:3.97", "docker.io/chrislusf/seaweedfs:3.97"),
            ("index.docker.io/library/mongo:7", "docker.io/library/mongo:7"),
            ("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt", "nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt"),
            ("localhost/a", "localhost/a:latest"),
            ("127.0.0.1:5000/a/b__c/d-e:V1", "127.0.0.1:5000/a/b__c/d-e:V1"),
            (&format!("a/b@{digest}"), &format!("docker.io/a/b@{digest}")),
            (&format!("a/b:c@{digest}"), &format!("docker.io/a/b:c@{digest}")),
        ] {
            let image_name = ImageName::parse(text).expect(text);
            assert_eq!(image_name.to_string(), expected);
            assert_eq!(ImageName::parse(expected), Ok(image_name), "what is written is read again");
        }
    }

    #[test]
    fn refuses_paths_and_addresses_that_pose_as_names() {
        for (text, rule) in [
            ("", ImageNameRule::Repository),
            ("a/../b", ImageNameRule::Repository),
            ("reg.io/../../etc/passwd:1", ImageNameRule::Repository),
            ("reg.io//a", ImageNameRule::Repository),
            ("https://reg.io/a", ImageNameRule::Registry),
            ("reg.io/a%2f..", ImageNameRule::Repository),
            ("reg.io/A", ImageNameRule::Repository),
            ("reg.io/a?x=y", ImageNameRule::Repository),
            ("reg.io/a..b", ImageNameRule::Repository),
            ("user@reg.io/a", ImageNameRule::Digest),
            ("reg.io:99999/a", ImageNameRule::Registry),
            ("-reg.io/a", ImageNameRule::Registry),
            ("reg.io/a:../b", ImageNameRule::Repository),
            ("reg.io/a:b c", ImageNameRule::Tag),
            ("reg.io/a:.b", ImageNameRule::Tag),
            ("reg.io/a@sha512:00", ImageNameRule::Digest),
            (&"a".repeat(600), ImageNameRule::TooLong),
        ] {
            assert_eq!(ImageName::parse(text).expect_err(text).rule, rule, "{text}");
        }
    }

    #[test]
    fn names_files_as_the_vendors_script_does() {
        let saved = |text| ImageName::parse(text).expect("a name").saved_name();
        assert_eq!(
            saved("nvcr.io/nvidia/tao/tao-toolkit:6.26.3-pyt"),
            "nvcr.io__nvidia__tao__tao-toolkit__t-6.26.3-pyt.tar"
        );
        assert_eq!(saved("127.0.0.1:5000/a:1"), "127.0.0.1-5000__a__t-1.tar");
    }

    #[test]
    fn a_tag_without_a_digit_floats() {
        for (text, is_floating) in [("nginx:alpine", true), ("mongo", true), ("mongo:7", false)] {
            assert_eq!(ImageName::parse(text).expect("a name").is_floating(), is_floating, "{text}");
        }
    }
}
