//! The wire forms of SSH: counted strings and multiple-precision integers.

/// Why bytes are not the expected run of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A field is longer than what is left (T-10).
    #[error("it ends inside a field")]
    EndsEarly,
    /// Bytes follow the last field (T-10).
    #[error("bytes follow its last field")]
    BytesAfterEnd,
    /// A number is zero, negative or not minimal, or has more bytes than the curve (T-23).
    #[error("a number of the signature is not a minimal positive integer of the curve's length")]
    BadInteger,
}

/// Reads fields from the front of a slice; borrows, never allocates.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::EndsEarly)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(WireError::EndsEarly)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.u32()?;
        self.take(usize::try_from(len).map_err(|_| WireError::EndsEarly)?)
    }

    /// Reads a positive integer and writes it big-endian over the whole of `fixed`.
    pub(super) fn integer(&mut self, fixed: &mut [u8]) -> Result<(), WireError> {
        let digits = match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|&byte| byte >= 0x80) => rest,
            whole @ [1..0x80, ..] => whole,
            _ => return Err(WireError::BadInteger),
        };
        let start = fixed.len().checked_sub(digits.len()).ok_or(WireError::BadInteger)?;
        fixed[..start].fill(0);
        fixed[start..].copy_from_slice(digits);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::BytesAfterEnd) }
    }
}

/// Appends a counted string.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Appends a big-endian positive integer in its minimal form.
pub(super) fn put_integer(out: &mut Vec<u8>, fixed: &[u8]) {
    let zeros = fixed.iter().take_while(|&&byte| byte == 0).count();
    let digits = &fixed[zeros..];
    let sign: &[u8] = if digits.first().is_some_and(|&byte| byte >= 0x80) { &[0] } else { &[] };
    put_string(out, &[sign, digits].concat());
}

/// Returns the start of foreign bytes as text for a message.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(content: &[u8]) -> Result<[u8; 4], WireError> {
        let mut bytes = Vec::new();
        put_string(&mut bytes, content);
        let mut fixed = [0xaa; 4];
        let mut reader = Reader::new(&bytes);
        reader.integer(&mut fixed)?;
        reader.finish().map(|()| fixed)
    }

    #[test]
    fn integers_have_one_form() {
        assert_eq!(integer(&[1]), Ok([0, 0, 0, 1]));
        assert_eq!(integer(&[0, 0x80]), Ok([0, 0, 0, 0x80]));
        assert_eq!(integer(&[0, 0xff, 2, 3, 4]), Ok([0xff, 2, 3, 4]));
        let bad: [&[u8]; 7] = [&[], &[0], &[0, 1], &[0x80], &[0, 0, 0x80], &[1, 2, 3, 4, 5], &[0, 0x80, 2, 3, 4, 5]];
        for content in bad {
            assert_eq!(integer(content), Err(WireError::BadInteger), "{content:?}");
        }
    }

    #[test]
    fn integers_come_back_as_they_were() {
        for fixed in [[0, 0, 0, 1], [0, 0, 0, 0x80], [0x80, 0, 0, 0], [0x7f, 1, 2, 3]] {
            let mut bytes = Vec::new();
            put_integer(&mut bytes, &fixed);
            let mut found = [0; 4];
            assert_eq!(Reader::new(&bytes).integer(&mut found), Ok(()));
            assert_eq!(found, fixed);
        }
    }

    #[test]
    fn a_length_beyond_the_end_ends_early() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), Err(WireError::EndsEarly));
        assert_eq!(Reader::new(&[0, 0, 0]).string(), Err(WireError::EndsEarly));
        assert_eq!(Reader::new(&[1]).finish(), Err(WireError::BytesAfterEnd));
    }
}
