//! Public keys, their signatures, and the one place that calls the cryptography.

use super::base64;
use super::wire::{Reader, WireError, lossy, put_integer, put_string};
use crate::format::{Sha256, Shown};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use std::fmt;

/// Longest application of a security key, in bytes.
const APPLICATION_LEN_MAX: usize = 255;
/// The bit that a security key sets when somebody touched it.
const USER_PRESENT: u8 = 0x01;

/// The accepted types of keys (T-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// `ssh-ed25519`
    Ed25519,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`
    EcdsaP384,
    /// `sk-ssh-ed25519@openssh.com`
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`
    SkEcdsaP256,
}

/// A public key of an accepted type.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    key_type: KeyType,
    point: Vec<u8>,
    /// Of a security key: the relying party that it signs for. Empty for the other types.
    application: String,
}

/// The signature of one key: its numbers at their full length, and a security key's own words.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    key_type: KeyType,
    fixed: Vec<u8>,
    /// Of a security key: its flags and its counter.
    touch: Option<(u8, u32)>,
}

/// The SHA-256 of a public key's wire form; the name by which people compare keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(Sha256);

/// Why bytes are not an accepted key or signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The type is not one of T-20.
    #[error("type {found} is not accepted; accepted are {accepted}", found = Shown(.found), accepted = KeyType::names())]
    TypeNotAccepted {
        /// The type found.
        found: String,
    },
    /// The curve's name is not the one of the type (T-21).
    #[error("the curve is {found} in a key of type {key_type}", found = Shown(.found), key_type = .key_type.name())]
    WrongCurve {
        /// The type of the key.
        key_type: KeyType,
        /// The curve found.
        found: String,
    },
    /// The public point has another length or is compressed (T-21).
    #[error("the public point is not a plain point of {key_type}", key_type = .key_type.name())]
    BadPoint {
        /// The type of the key.
        key_type: KeyType,
    },
    /// The application of a security key does not follow T-22.
    #[error(
        "the application of the security key does not begin with 'ssh:' or is not at most 255 printable characters"
    )]
    BadApplication,
    /// The signature's algorithm is not the key's type (T-11).
    #[error("the signature is of type {found} by a key of type {key_type}", found = Shown(.found), key_type = .key_type.name())]
    WrongAlgorithm {
        /// The type of the key.
        key_type: KeyType,
        /// The algorithm found.
        found: String,
    },
    /// An Ed25519 signature is not 64 bytes long (T-23).
    #[error("the signature has {found_len} bytes instead of 64")]
    WrongLength {
        /// The length found, in bytes.
        found_len: usize,
    },
    /// Nobody touched the security key (T-24).
    #[error("the security key does not say that somebody touched it")]
    NotTouched,
    /// The fields are not as the type says.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl KeyType {
    /// The accepted types, in the order of T-20.
    pub const ALL: [KeyType; 5] =
        [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::SkEd25519, KeyType::SkEcdsaP256];

    /// Returns the type's name in SSH.
    pub const fn name(self) -> &'static str {
        match self {
            KeyType::Ed25519 => "ssh-ed25519",
            KeyType::EcdsaP256 => "ecdsa-sha2-nistp256",
            KeyType::EcdsaP384 => "ecdsa-sha2-nistp384",
            KeyType::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            KeyType::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn names() -> String {
        KeyType::ALL.map(KeyType::name).join(", ")
    }

    pub(super) fn from_name(name: &[u8]) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|key_type| key_type.name().as_bytes() == name)
    }

    const fn curve(self) -> Option<&'static str> {
        match self {
            KeyType::Ed25519 | KeyType::SkEd25519 => None,
            KeyType::EcdsaP256 | KeyType::SkEcdsaP256 => Some("nistp256"),
            KeyType::EcdsaP384 => Some("nistp384"),
        }
    }

    const fn is_security_key(self) -> bool {
        matches!(self, KeyType::SkEd25519 | KeyType::SkEcdsaP256)
    }

    const fn point_len(self) -> usize {
        match self {
            KeyType::Ed25519 | KeyType::SkEd25519 => 32,
            KeyType::EcdsaP256 | KeyType::SkEcdsaP256 => 65,
            KeyType::EcdsaP384 => 97,
        }
    }

    const fn signature_len(self) -> usize {
        match self {
            KeyType::EcdsaP384 => 96,
            _ => 64,
        }
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            KeyType::Ed25519 | KeyType::SkEd25519 => &ED25519,
            KeyType::EcdsaP256 | KeyType::SkEcdsaP256 => &ECDSA_P256_SHA256_FIXED,
            KeyType::EcdsaP384 => &ECDSA_P384_SHA384_FIXED,
        }
    }
}

impl PublicKey {
    /// Returns the key of the wire form `blob` (T-20 to T-22).
    ///
    /// # Errors
    /// Names the first broken rule.
    pub fn decode(blob: &[u8]) -> Result<PublicKey, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.string()?;
        let key_type = KeyType::from_name(name).ok_or_else(|| KeyError::TypeNotAccepted { found: lossy(name) })?;
        if let Some(curve) = key_type.curve() {
            let found = reader.string()?;
            if found != curve.as_bytes() {
                return Err(KeyError::WrongCurve { key_type, found: lossy(found) });
            }
        }
        let point = reader.string()?;
        // 4 marks an uncompressed point; a compressed one would be a second spelling of the same key.
        if point.len() != key_type.point_len() || key_type.curve().is_some() && point[0] != 4 {
            return Err(KeyError::BadPoint { key_type });
        }
        let application = if key_type.is_security_key() { decode_application(reader.string()?)? } else { "" };
        reader.finish()?;
        Ok(PublicKey { key_type, point: point.to_vec(), application: application.to_owned() })
    }

    /// Returns the wire form.
    pub fn encode(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put_string(&mut blob, self.key_type.name().as_bytes());
        if let Some(curve) = self.key_type.curve() {
            put_string(&mut blob, curve.as_bytes());
        }
        put_string(&mut blob, &self.point);
        if self.key_type.is_security_key() {
            put_string(&mut blob, self.application.as_bytes());
        }
        blob
    }

    /// Returns the key's type.
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Returns the key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_blob(&self.encode())
    }

    /// Tells whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        if signature.key_type != self.key_type {
            return false;
        }
        let key = UnparsedPublicKey::new(self.key_type.algorithm(), &self.point);
        let result = match signature.touch {
            None => key.verify(message, &signature.fixed),
            Some(touch) => key.verify(&self.authenticator_data(message, touch), &signature.fixed),
        };
        result.is_ok()
    }

    /// Returns what a security key signs: never the message, but its digest among its own words.
    fn authenticator_data(&self, message: &[u8], (flags, counter): (u8, u32)) -> Vec<u8> {
        let mut data = Sha256::of(self.application.as_bytes()).as_bytes().to_vec();
        data.push(flags);
        data.extend(counter.to_be_bytes());
        data.extend(Sha256::of(message).as_bytes());
        data
    }
}

/// `TYPE BASE64`, as they stand in a file of allowed signers and begin a `.pub` file.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type.name(), base64::encode(&self.encode()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type.name(), self.fingerprint())
    }
}

impl Signature {
    /// Returns the signature of the wire form `blob` by a key of type `key_type` (T-11, T-23, T-24).
    ///
    /// # Errors
    /// Names the first broken rule.
    pub fn decode(blob: &[u8], key_type: KeyType) -> Result<Signature, KeyError> {
        let mut reader = Reader::new(blob);
        let algorithm = reader.string()?;
        if algorithm != key_type.name().as_bytes() {
            return Err(KeyError::WrongAlgorithm { key_type, found: lossy(algorithm) });
        }
        let numbers = reader.string()?;
        let fixed = match key_type.curve() {
            None if numbers.len() == key_type.signature_len() => numbers.to_vec(),
            None => return Err(KeyError::WrongLength { found_len: numbers.len() }),
            Some(_) => decode_numbers(numbers, key_type.signature_len())?,
        };
        let touch = if key_type.is_security_key() { Some((reader.u8()?, reader.u32()?)) } else { None };
        reader.finish()?;
        if touch.is_some_and(|(flags, _)| flags & USER_PRESENT == 0) {
            return Err(KeyError::NotTouched);
        }
        Ok(Signature { key_type, fixed, touch })
    }

    /// Returns the wire form.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = if self.key_type.curve().is_some() {
            let (r, s) = self.fixed.split_at(self.fixed.len() / 2);
            let mut numbers = Vec::new();
            put_integer(&mut numbers, r);
            put_integer(&mut numbers, s);
            numbers
        } else {
            self.fixed.clone()
        };
        let mut blob = Vec::new();
        put_string(&mut blob, self.key_type.name().as_bytes());
        put_string(&mut blob, &numbers);
        if let Some((flags, counter)) = self.touch {
            blob.push(flags);
            blob.extend(counter.to_be_bytes());
        }
        blob
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature of type {}", self.key_type.name())
    }
}

impl Fingerprint {
    /// Returns the fingerprint of a key's wire form, of whatever type.
    pub(super) fn of_blob(blob: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::of(blob))
    }

    /// Returns the fingerprint written as `SHA256:` and 43 base64 digits, or nothing for any other text.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let digits = text.strip_prefix("SHA256:")?;
        let bytes = base64::decode(format!("{digits}=").as_bytes())?;
        Some(Fingerprint(Sha256::from_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", base64::encode(self.0.as_bytes()).trim_end_matches('='))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode_application(bytes: &[u8]) -> Result<&str, KeyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::BadApplication)?;
    let good = text.starts_with("ssh:")
        && text.len() <= APPLICATION_LEN_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text) } else { Err(KeyError::BadApplication) }
}

/// Reads r and s into the form of fixed length that the verifier takes.
fn decode_numbers(bytes: &[u8], len: usize) -> Result<Vec<u8>, KeyError> {
    let mut fixed = vec![0; len];
    let (r, s) = fixed.split_at_mut(len / 2);
    let mut reader = Reader::new(bytes);
    reader.integer(r)?;
    reader.integer(s)?;
    reader.finish()?;
    Ok(fixed)
}
