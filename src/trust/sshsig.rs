//! The SSHSIG armour and blob: with directory names and tar headers, the only unproven bytes that
//! are ever parsed.

use super::base64;
use super::key::{Fingerprint, KeyError, PublicKey, Signature};
use super::wire::{Reader, WireError, lossy, put_string};
use crate::error::Class;
use crate::format::limits::SIGNATURE_LEN_MAX;
use crate::format::{Name, Shown};
use std::fmt;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";
const LINE_LEN: usize = 70;
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &[u8] = b"sha512";

/// What a signature speaks about; a signature for one purpose never counts for another (T-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// The head of a bundle.
    Head,
    /// The receipt of an import.
    Receipt,
}

/// The namespace of a signature: `airlift-head@v1/<stream>` or `airlift-receipt@v1/<stream>` (T-08).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    /// What the signature speaks about.
    pub purpose: Purpose,
    /// The stream that it is for.
    pub stream: Name,
}

/// A signature in the strict profile of SSHSIG (T-01 to T-24).
///
/// Decoding proves nothing: only [`Sshsig::verifies`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sshsig {
    /// The key that the signature says it is by.
    pub key: PublicKey,
    /// What it is for.
    pub namespace: Namespace,
    /// The numbers.
    pub signature: Signature,
}

/// Why bytes are not a signature in the strict profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshsigError {
    /// T-01: at most 16 KiB.
    #[error("it is longer than {SIGNATURE_LEN_MAX} bytes")]
    TooLong,
    /// T-02: the first line.
    #[error("it does not begin with the line of an SSH signature")]
    NoBegin,
    /// T-03: the last line and nothing after it.
    #[error("it does not end with the one closing line of an SSH signature")]
    NoEnd,
    /// T-04: base64 in lines of 70.
    #[error("its text is not base64 in lines of {LINE_LEN} as ssh-keygen writes them")]
    BadText,
    /// T-05: the six bytes `SSHSIG`.
    #[error("it is not an SSHSIG record")]
    NoMagic,
    /// T-06: version 1.
    #[error("its version is {found} instead of {VERSION}")]
    WrongVersion {
        /// The version found.
        found: u32,
    },
    /// T-07: an accepted key.
    #[error("its public key is not accepted")]
    Key(#[source] KeyError),
    /// T-08: a namespace of ours.
    #[error("its namespace {found} is not one of airlift", found = Shown(.found))]
    ForeignNamespace {
        /// The namespace found.
        found: String,
    },
    /// T-09: reserved is empty.
    #[error("its reserved field is not empty")]
    ReservedUsed,
    /// T-09: hash sha512.
    #[error("its hash is {found} instead of sha512", found = Shown(.found))]
    WrongHash {
        /// The hash found.
        found: String,
    },
    /// T-10: the fields of the record, and nothing after them.
    #[error("its record is malformed")]
    Wire(#[from] WireError),
    /// T-11, T-23, T-24: a signature as the key makes it.
    #[error("its signature is not one that the key makes")]
    Signature(#[source] KeyError),
}

impl SshsigError {
    /// Returns the class: no other copy of the medium mends what was signed like this.
    pub const fn class(&self) -> Class {
        Class::Untrusted
    }
}

impl Purpose {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Purpose::Head => "airlift-head@v1/",
            Purpose::Receipt => "airlift-receipt@v1/",
        }
    }
}

impl Namespace {
    /// Returns the namespace that `text` spells, or nothing for a foreign one.
    pub fn parse(text: &str) -> Option<Namespace> {
        [Purpose::Head, Purpose::Receipt].into_iter().find_map(|purpose| {
            let stream = Name::parse(text.strip_prefix(purpose.prefix())?).ok()?;
            Some(Namespace { purpose, stream })
        })
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.purpose.prefix(), self.stream)
    }
}

impl Sshsig {
    /// Returns the signature of one signature file.
    ///
    /// # Errors
    /// Names the first broken rule of T-01 to T-24.
    pub fn decode(file: &[u8]) -> Result<Sshsig, SshsigError> {
        Sshsig::decode_blob(&decode_armour(file)?)
    }

    /// Returns the signature of the record within the armour.
    ///
    /// # Errors
    /// Names the first broken rule of T-05 to T-24.
    pub fn decode_blob(blob: &[u8]) -> Result<Sshsig, SshsigError> {
        let mut reader = Reader::new(blob);
        if reader.take(MAGIC.len()) != Ok(MAGIC) {
            return Err(SshsigError::NoMagic);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(SshsigError::WrongVersion { found: version });
        }
        let key = PublicKey::decode(reader.string()?).map_err(SshsigError::Key)?;
        let namespace = decode_namespace(reader.string()?)?;
        if !reader.string()?.is_empty() {
            return Err(SshsigError::ReservedUsed);
        }
        let hash = reader.string()?;
        if hash != HASH {
            return Err(SshsigError::WrongHash { found: lossy(hash) });
        }
        let signature = Signature::decode(reader.string()?, key.key_type()).map_err(SshsigError::Signature)?;
        reader.finish()?;
        Ok(Sshsig { key, namespace, signature })
    }

    /// Returns the one signature file of this signature.
    pub fn encode(&self) -> String {
        encode_armour(&self.encode_blob())
    }

    /// Returns the record within the armour.
    pub fn encode_blob(&self) -> Vec<u8> {
        let mut blob = MAGIC.to_vec();
        blob.extend(VERSION.to_be_bytes());
        put_string(&mut blob, &self.key.encode());
        put_string(&mut blob, self.namespace.to_string().as_bytes());
        put_string(&mut blob, b"");
        put_string(&mut blob, HASH);
        put_string(&mut blob, &self.signature.encode());
        blob
    }

    /// Tells whether the key made this signature over `message` in this namespace.
    pub fn verifies(&self, message: &[u8]) -> bool {
        self.key.verifies(&signed_data(&self.namespace, message), &self.signature)
    }

    /// Returns the fingerprint of the key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.key.fingerprint()
    }
}

/// Returns the bytes that a key signs for `message` (T-12).
pub fn signed_data(namespace: &Namespace, message: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    put_string(&mut data, namespace.to_string().as_bytes());
    put_string(&mut data, b"");
    put_string(&mut data, HASH);
    put_string(&mut data, ring::digest::digest(&ring::digest::SHA512, message).as_ref());
    data
}

/// Returns the armour of a record, byte for byte as ssh-keygen writes it.
pub fn encode_armour(blob: &[u8]) -> String {
    let text = base64::encode(blob);
    let mut armour = String::from(BEGIN);
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && index % LINE_LEN == 0 {
            armour.push('\n');
        }
        armour.push(digit);
    }
    if !text.is_empty() {
        armour.push('\n');
    }
    armour.push_str(END);
    armour
}

fn decode_armour(file: &[u8]) -> Result<Vec<u8>, SshsigError> {
    if file.len() as u64 > SIGNATURE_LEN_MAX {
        return Err(SshsigError::TooLong);
    }
    let rest = file.strip_prefix(BEGIN.as_bytes()).ok_or(SshsigError::NoBegin)?;
    let text = rest.strip_suffix(END.as_bytes()).ok_or(SshsigError::NoEnd)?;
    let digits: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'\n').collect();
    // Whoever ends the armour earlier has bytes after it, among them the dashes of the closing line.
    let blob = base64::decode(&digits).ok_or(SshsigError::BadText)?;
    if encode_armour(&blob).as_bytes() == file { Ok(blob) } else { Err(SshsigError::BadText) }
}

fn decode_namespace(bytes: &[u8]) -> Result<Namespace, SshsigError> {
    let foreign = || SshsigError::ForeignNamespace { found: lossy(bytes) };
    std::str::from_utf8(bytes).ok().and_then(Namespace::parse).ok_or_else(foreign)
}
