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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::authenticator::{Record, TestKey, armour, base64, string};
    use std::sync::LazyLock;

    const MODELS: &str = "airlift-head@v1/models-eu";
    const MESSAGE: &[u8] = b"{\"a\": 1}\n";

    /// Decodes the record of `key` after `change`, armoured as ssh-keygen does.
    fn refusal(key: &TestKey, change: impl FnOnce(&mut Record)) -> Option<String> {
        let mut record = key.record(MODELS, MESSAGE);
        change(&mut record);
        Sshsig::decode(&armour(&record.bytes())).err().map(|error| chain(&error))
    }

    fn chain(error: &dyn std::error::Error) -> String {
        error.source().map_or(error.to_string(), |source| format!("{error}: {}", chain(source)))
    }

    #[test]
    fn reads_every_key_type_and_writes_the_same_bytes() {
        for key in TestKey::one_of_each() {
            let file = key.sign(MODELS, MESSAGE);
            let sshsig = Sshsig::decode(&file).expect(key.type_name);
            assert_eq!(sshsig.encode().as_bytes(), file);
            assert_eq!(sshsig.key.to_string(), key.line());
            assert!(sshsig.verifies(MESSAGE), "{}", key.type_name);
            assert!(!sshsig.verifies(b"{\"a\": 2}\n"), "{}", key.type_name);
        }
    }

    #[test]
    fn every_length_of_name_keeps_the_armour_exact() {
        for len in 1..=64 {
            let namespace = format!("airlift-receipt@v1/{}", "x".repeat(len));
            let file = TestKey::ed25519(1).sign(&namespace, MESSAGE);
            assert!(Sshsig::decode(&file).expect("good").verifies(MESSAGE));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_or_does_not_verify() {
        for key in TestKey::one_of_each() {
            let record = key.record(MODELS, MESSAGE).bytes();
            for bit in 0..record.len() * 8 {
                let mut flipped = record.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(sshsig) = Sshsig::decode_blob(&flipped) {
                    assert_eq!(sshsig.encode_blob(), flipped);
                    assert!(!sshsig.verifies(MESSAGE), "{} bit {bit}", key.type_name);
                }
            }
        }
    }

    #[test]
    fn every_prefix_is_refused() {
        for key in TestKey::one_of_each() {
            let record = key.record(MODELS, MESSAGE).bytes();
            let file = key.sign(MODELS, MESSAGE);
            assert!((0..record.len()).all(|len| Sshsig::decode_blob(&record[..len]).is_err()));
            assert!((0..file.len()).all(|len| Sshsig::decode(&file[..len]).is_err()));
        }
    }

    #[test]
    fn the_armour_is_exactly_what_ssh_keygen_writes() {
        let file = String::from_utf8(TestKey::ed25519(1).sign(MODELS, MESSAGE)).expect("ASCII");
        let (begin, end) = (SshsigError::NoBegin, SshsigError::NoEnd);
        let lines: Vec<&str> = file.lines().collect();
        let body = lines[1..lines.len() - 1].concat();
        let wrapped = |width: usize| {
            let lines: Vec<&str> =
                (0..body.len()).step_by(width).map(|at| &body[at..body.len().min(at + width)]).collect();
            format!("{BEGIN}{}\n{END}", lines.join("\n"))
        };
        assert_eq!(wrapped(70), file);
        let cases = [
            (file.replace('\n', "\r\n"), begin.clone()),
            (format!("\n{file}"), begin.clone()),
            (format!(" {file}"), begin.clone()),
            (format!("{file}\n"), end.clone()),
            (format!("{file}x"), end.clone()),
            (file.trim_end().to_owned(), end),
            (format!("{file}{file}"), SshsigError::BadText),
            (wrapped(64), SshsigError::BadText),
            (wrapped(76), SshsigError::BadText),
            (file.replacen("U1NI", "U1N I", 1), SshsigError::BadText),
            (file.replacen(END, &format!("\n{END}"), 1), SshsigError::BadText),
            (format!("{BEGIN}{END}"), SshsigError::NoMagic),
            (format!("{BEGIN}{}\n{END}", "=".repeat(4)), SshsigError::BadText),
            ("x".repeat(16 * 1024), begin),
            ("x".repeat(16 * 1024 + 1), SshsigError::TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(Sshsig::decode(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn each_field_of_the_record_is_checked() {
        let key = TestKey::ed25519(1);
        type Change = fn(&mut Record);
        let cases: [(Change, &str); 12] = [
            (|record| record.magic = b"SSHSIF".to_vec(), "it is not an SSHSIG record"),
            (|record| record.version = 2, "its version is 2 instead of 1"),
            (|record| record.namespace = b"file".to_vec(), "its namespace \"file\" is not one of airlift"),
            (
                |record| record.namespace = b"airlift-head@v1/".to_vec(),
                "its namespace \"airlift-head@v1/\" is not one of airlift",
            ),
            (
                |record| record.namespace = b"airlift-head@v2/x".to_vec(),
                "its namespace \"airlift-head@v2/x\" is not one of airlift",
            ),
            (
                |record| record.namespace = b"airlift-head@v1/X".to_vec(),
                "its namespace \"airlift-head@v1/X\" is not one of airlift",
            ),
            (
                |record| record.namespace.push(0),
                "its namespace \"airlift-head@v1/models-eu\\u{0}\" is not one of airlift",
            ),
            (|record| record.reserved = vec![0], "its reserved field is not empty"),
            (|record| record.hash = b"sha256".to_vec(), "its hash is \"sha256\" instead of sha512"),
            (|record| record.tail = vec![0], "its record is malformed: bytes follow its last field"),
            (|record| record.key.push(0), "its public key is not accepted: bytes follow its last field"),
            (
                |record| record.signature.push(0),
                "its signature is not one that the key makes: bytes follow its last field",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(refusal(&key, change).as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_key_types_are_refused_by_name() {
        let names = [
            "ssh-rsa",
            "rsa-sha2-512",
            "ssh-dss",
            "ecdsa-sha2-nistp521",
            "ssh-ed25519-cert-v01@openssh.com",
            "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        ];
        for name in names {
            let found =
                refusal(&TestKey::ed25519(1), |record| record.key = [string(name.as_bytes()), string(b"x")].concat());
            let expected = format!(
                "its public key is not accepted: type \"{name}\" is not accepted; accepted are ssh-ed25519, \
                 ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, sk-ssh-ed25519@openssh.com, \
                 sk-ecdsa-sha2-nistp256@openssh.com"
            );
            assert_eq!(found.as_deref(), Some(&expected[..]));
        }
    }

    #[test]
    fn keys_have_one_spelling() {
        let curve =
            |curve: &[u8], point: &[u8]| [string(b"ecdsa-sha2-nistp256"), string(curve), string(point)].concat();
        let point = TestKey::p256().point();
        let mut hybrid = point.clone();
        hybrid[0] = 6;
        let compressed = [&[2], &point[1..33]].concat();
        let bad = [
            curve(b"nistp384", &point),
            curve(b"nistp256", &compressed),
            curve(b"nistp256", &hybrid),
            curve(b"nistp256", &point[..64]),
            curve(b"nistp256", b""),
            [string(b"ssh-ed25519"), string(&[1; 33])].concat(),
            [string(b"sk-ssh-ed25519@openssh.com"), string(&[1; 32]), string(b"https://x")].concat(),
            [string(b"sk-ssh-ed25519@openssh.com"), string(&[1; 32]), string(b"ssh:\n")].concat(),
            [string(b"sk-ssh-ed25519@openssh.com"), string(&[1; 32])].concat(),
        ];
        for blob in bad {
            assert!(PublicKey::decode(&blob).is_err(), "{}", base64(&blob));
        }
        assert!(PublicKey::decode(&curve(b"nistp256", &point)).is_ok());
    }

    #[test]
    fn the_signature_is_of_the_kind_that_the_key_makes() {
        let (ed25519, p256, p384) = (TestKey::ed25519(1), TestKey::p256(), TestKey::p384());
        let foreign = refusal(&ed25519, |record| record.signature = p256.signature(b"x", 1));
        assert!(
            foreign.is_some_and(|text| text.contains("of type \"ecdsa-sha2-nistp256\" by a key of type ssh-ed25519"))
        );
        // A key of one curve with the signature numbers of the longer one.
        let long = [string(b"ecdsa-sha2-nistp256"), string(&p384.numbers(b"x"))].concat();
        assert!(refusal(&p256, |record| record.signature = long).is_some_and(|text| text.contains("minimal positive")));
        for len in [0, 63, 65] {
            let short = [string(b"ssh-ed25519"), string(&vec![1; len])].concat();
            let found = refusal(&ed25519, |record| record.signature = short);
            assert!(found.is_some_and(|text| text.contains(&format!("{len} bytes instead of 64"))));
        }
        // The form of web browsers: one algorithm name more, and a plain ECDSA signature behind it.
        let web = [string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"), string(&p256.numbers(b"x"))].concat();
        assert!(refusal(&TestKey::sk_p256(), |record| record.signature = web).is_some());
    }

    #[test]
    fn a_security_key_must_have_been_touched() {
        for key in [TestKey::sk_ed25519(2), TestKey::sk_p256()] {
            for (flags, good) in [(0, false), (1, true), (4, false), (5, true), (0xfe, false)] {
                let found =
                    refusal(&key, |record| record.signature = key.signature(&record.signed_data(MESSAGE), flags));
                let expected = (!good).then_some("its signature is not one that the key makes: the security key does not say that somebody touched it");
                assert_eq!(found.as_deref(), expected);
            }
        }
    }

    #[test]
    fn a_touch_can_not_be_added_afterwards() {
        for key in [TestKey::sk_ed25519(2), TestKey::sk_p256()] {
            let mut record = key.record(MODELS, MESSAGE);
            record.signature = key.signature(&record.signed_data(MESSAGE), 0);
            let flags_at = record.signature.len() - 5;
            record.signature[flags_at] = 1;
            let sshsig = Sshsig::decode(&armour(&record.bytes())).expect("well-formed");
            assert!(!sshsig.verifies(MESSAGE));
        }
    }

    #[test]
    fn a_signature_holds_in_its_own_namespace_only() {
        let mut record = TestKey::ed25519(1).record(MODELS, MESSAGE);
        record.namespace = b"airlift-receipt@v1/models-eu".to_vec();
        assert!(!Sshsig::decode_blob(&record.bytes()).expect("well-formed").verifies(MESSAGE));
    }

    /// Our authenticator takes a tenth of a second for a signature on a curve.
    static RECORD: LazyLock<Vec<u8>> = LazyLock::new(|| TestKey::sk_p256().record(MODELS, MESSAGE).bytes());

    proptest::proptest! {
        #[test]
        fn arbitrary_records_never_panic_and_have_one_encoding(
            tail in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            keep in 0usize..200,
        ) {
            let mut record = RECORD.clone();
            record.truncate(keep);
            record.extend(tail);
            if let Ok(sshsig) = Sshsig::decode_blob(&record) {
                proptest::prop_assert_eq!(sshsig.encode_blob(), record);
            }
        }
    }
}
