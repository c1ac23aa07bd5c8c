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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"a file of two parts";

    fn mark_at(len: usize) -> Mark {
        let mut mark = Mark::start();
        mark.update(&FILE[..len]);
        mark
    }

    #[test]
    fn content_is_proven_by_what_leads_to_it_alone() {
        let bytes = |range: std::ops::Range<usize>| Bytes::from_static(&FILE[range]);
        let (whole, len) = (Sha256::of(FILE), FILE.len());
        for proven in [
            Proven::file(bytes(0..len), &whole).ok(),
            Proven::part(bytes(0..len), mark_at(0), &mark_at(len)).ok(),
            Proven::last_part(bytes(0..len), mark_at(0), &whole).ok(),
            Proven::stored(bytes(0..len), &Digest::of(FILE)).ok(),
        ] {
            let proven = proven.expect("proven");
            assert!(proven.bytes() == FILE && !proven.is_record());
        }
        assert!(Proven::part(bytes(2..7), mark_at(2), &mark_at(7)).is_ok());
        assert!(Proven::last_part(bytes(7..len), mark_at(7), &whole).is_ok());

        assert_eq!(Proven::file(bytes(1..len), &whole).err(), Some(Sha256::of(&FILE[1..])));
        assert_eq!(Proven::stored(bytes(1..len), &Digest::of(FILE)).err(), Some(Digest::of(&FILE[1..])));
        assert_eq!(Proven::part(bytes(2..6), mark_at(2), &mark_at(7)).err(), Some(mark_at(6)));
        assert!(Proven::part(bytes(2..7), mark_at(1), &mark_at(7)).is_err());
        assert!(Proven::last_part(bytes(7..len), mark_at(6), &whole).is_err());
        assert!(Proven::last_part(bytes(8..len), mark_at(7), &whole).is_err());
    }

    #[test]
    fn a_record_is_no_content() {
        let record = Proven::record(&b"a receipt"[..]);
        assert!(record.is_record() && record.bytes() == &b"a receipt"[..]);
    }
}
