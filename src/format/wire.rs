//! Fixed-width little-endian fields: the cursor that decoders read with.

use super::FormatError;

/// A cursor over the bytes of one structure. Every read is checked against what is left.
pub(super) struct Reader<'a> {
    structure: &'static str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(structure: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader { structure, bytes, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.offset == self.bytes.len()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let rest = &self.bytes[self.offset..];
        if rest.len() < len {
            return Err(FormatError::Truncated {
                structure: self.structure,
                offset: self.offset as u64,
                missing: (len - rest.len()) as u64,
            });
        }
        self.offset += len;
        Ok(&rest[..len])
    }

    pub(super) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], FormatError> {
        let mut array = [0; LEN];
        array.copy_from_slice(self.take(LEN)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Returns an error unless every byte was read.
    pub(super) fn finish(self) -> Result<(), FormatError> {
        if self.is_at_end() { Ok(()) } else { Err(self.breach("F-40", "bytes follow the end")) }
    }

    /// Returns the breach of `rule` at the place reached.
    pub(super) fn breach(&self, rule: &'static str, why: &'static str) -> FormatError {
        FormatError::Breach { structure: self.structure, offset: self.offset as u64, rule, why }
    }

    /// Returns an error unless `good`.
    pub(super) fn rule(&self, good: bool, rule: &'static str, why: &'static str) -> Result<(), FormatError> {
        if good { Ok(()) } else { Err(self.breach(rule, why)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_early_says_where_and_how_much_is_due() {
        let mut reader = Reader::new("index", b"abcde");
        assert_eq!(reader.take(3), Ok(&b"abc"[..]));
        assert!(!reader.is_at_end());
        assert_eq!(reader.take(9), Err(FormatError::Truncated { structure: "index", offset: 3, missing: 7 }));
        assert_eq!(reader.take(2), Ok(&b"de"[..]));
        assert!(reader.is_at_end());
    }
}
