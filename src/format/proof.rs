//! Bytes that may enter a store: proven content, or our own records.

use super::{Digest, Mark, Sha256};
use bytes::Bytes;

/// Bytes that were compared with a digest that trust leads to, or a record that this program made.
///
/// A store takes nothing else, so unproven bytes can't become visible.
#[derive(Clone, Debug)]
pub struct Proven {
    bytes: Bytes,
    is_record: bool,
}

impl Proven {
    /// Returns the whole content of a file, proven by the file's SHA-256.
    ///
    /// # Errors
    /// Returns the SHA-256 found where it differs.
    pub fn file(bytes: Bytes, expected: &Sha256) -> Result<Proven, Sha256> {
        Proven::last_part(bytes, Mark::start(), expected)
    }

    /// Returns a part of a file that is not its last, proven by the marks before and after it.
    ///
    /// # Errors
    /// Returns the mark found where it differs.
    pub fn part(bytes: Bytes, before: Mark, after: &Mark) -> Result<Proven, Mark> {
        let mut mark = before;
        mark.update(&bytes);
        if mark == *after { Ok(Proven::content(bytes)) } else { Err(mark) }
    }

    /// Returns the last part of a file, proven by the mark before it and the file's SHA-256.
    ///
    /// # Errors
    /// Returns the SHA-256 found where it differs.
    pub fn last_part(bytes: Bytes, before: Mark, expected: &Sha256) -> Result<Proven, Sha256> {
        let mut mark = before;
        mark.update(&bytes);
        let found = mark.digest();
        if found == *expected { Ok(Proven::content(bytes)) } else { Err(found) }
    }

    /// Returns stored bytes (a frame, a chunk), proven by their BLAKE3 digest.
    ///
    /// # Errors
    /// Returns the digest found where it differs.
    pub fn stored(bytes: Bytes, expected: &Digest) -> Result<Proven, Digest> {
        let found = Digest::of(&bytes);
        if found == *expected { Ok(Proven::content(bytes)) } else { Err(found) }
    }

    /// Returns a record that this program made: a lease, a receipt, a journal page.
    pub fn record(bytes: impl Into<Bytes>) -> Proven {
        Proven { bytes: bytes.into(), is_record: true }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Tells whether this is a record that this program made, and no content.
    pub fn is_record(&self) -> bool {
        self.is_record
    }

    fn content(bytes: Bytes) -> Proven {
        Proven { bytes, is_record: false }
    }
}
