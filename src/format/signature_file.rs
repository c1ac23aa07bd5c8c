//! A signature file as it lies in a bundle (F-02); what it means is for `trust`.

/// The bytes of one signature file, and the number in its name. Nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    /// N of `signatures/N.sig`, from 1.
    pub number: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}
