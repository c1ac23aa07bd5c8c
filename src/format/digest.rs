//! Content hashes: plain BLAKE3 for chunks and frames, derive-key BLAKE3 for structures, SHA-256 for files.

use std::fmt;

/// A BLAKE3-256 digest: of a chunk, a frame, or a structure under its own context (F-20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// The structures whose digests are taken under a context of their own, so that data can never
/// pose as structure (F-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// The root of the manifest; its digest is the content id.
    ManifestRoot,
    /// A page of the manifest.
    ManifestPage,
    /// The root of the pack table.
    PackRoot,
    /// A page of the pack table.
    PackPage,
    /// The index of a pack.
    PackIndex,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::ManifestRoot => "root of the manifest",
            Structure::ManifestPage => "page of the manifest",
            Structure::PackRoot => "root of the pack table",
            Structure::PackPage => "page of the pack table",
            Structure::PackIndex => "index of the pack",
        })
    }
}

impl Structure {
    const fn context(self) -> &'static str {
        match self {
            Structure::ManifestRoot => "airlift 1 manifest-root",
            Structure::ManifestPage => "airlift 1 manifest-page",
            Structure::PackRoot => "airlift 1 pack-root",
            Structure::PackPage => "airlift 1 pack-page",
            Structure::PackIndex => "airlift 1 pack-index",
        }
    }
}

impl Digest {
    /// Returns the digest of content: a chunk or a frame's stored bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// Returns the digest of a structure under its context.
    pub fn of_structure(structure: Structure, bytes: &[u8]) -> Digest {
        Digest(blake3::derive_key(structure.context(), bytes))
    }

    /// Returns the digest with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the digest written as 64 lower-case hex digits, or nothing for any other text.
    pub fn from_hex(text: &str) -> Option<Digest> {
        hex_decode(text).map(Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_encode(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_encode(&self.0, f)
    }
}

/// A SHA-256 digest: of a file, of a listing, of an attachment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Returns the SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Sha256 {
        use sha2::Digest as _;
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// Returns the digest with these 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Sha256 {
        Sha256(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the digest written as 64 lower-case hex digits, or nothing for any other text.
    pub fn from_hex(text: &str) -> Option<Sha256> {
        hex_decode(text).map(Sha256)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_encode(&self.0, f)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_encode(&self.0, f)
    }
}

fn hex_encode(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn hex_decode(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? * 16 + hex_digit(pair[1])?;
    }
    Some(bytes)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_lower_case_and_exact() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_string().to_uppercase()), None);
        assert_eq!(Digest::from_hex(&digest.to_string()[1..]), None);
    }

    #[test]
    fn data_never_has_the_digest_of_a_structure() {
        let all = [
            Digest::of(b"x"),
            Digest::of_structure(Structure::ManifestRoot, b"x"),
            Digest::of_structure(Structure::ManifestPage, b"x"),
            Digest::of_structure(Structure::PackRoot, b"x"),
            Digest::of_structure(Structure::PackPage, b"x"),
            Digest::of_structure(Structure::PackIndex, b"x"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
