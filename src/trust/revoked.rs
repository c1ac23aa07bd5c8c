//! The list of revoked keys.

use super::allowed_signers::{parse_key_blob, split_field, text_line};
use super::key::{Fingerprint, PublicKey};
use super::wire::Reader;
use crate::error::Class;
use std::collections::BTreeSet;

/// Longest list of revoked keys, in bytes.
pub const REVOKED_LEN_MAX: u64 = 16 << 20;
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// The keys whose signatures no longer count (T-40 to T-43).
#[derive(Clone, Debug, Default)]
pub struct Revoked(BTreeSet<Fingerprint>);

/// Why a list of revoked keys is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevokedError {
    /// T-40: at most 16 MiB.
    #[error("the list of revoked keys is longer than {REVOKED_LEN_MAX} bytes")]
    TooLong,
    /// T-41: a plain list.
    #[error("the list of revoked keys is a binary KRL; a plain list of keys or SHA256: fingerprints is needed")]
    BinaryKrl,
    /// T-42: each line is a key or a fingerprint.
    #[error("line {line_number} of the list of revoked keys is neither a public key nor a SHA256: fingerprint")]
    BadLine {
        /// Line, from 1.
        line_number: usize,
    },
}

impl RevokedError {
    /// Returns the class: without the list nobody can be told from a revoked signer.
    pub const fn class(&self) -> Class {
        Class::Untrusted
    }
}

impl Revoked {
    /// Returns the keys of a file.
    ///
    /// # Errors
    /// Names the first broken rule of T-40 to T-42; one bad line refuses the file.
    pub fn parse(file: &[u8]) -> Result<Revoked, RevokedError> {
        if file.len() as u64 > REVOKED_LEN_MAX {
            return Err(RevokedError::TooLong);
        }
        if file.starts_with(KRL_MAGIC) {
            return Err(RevokedError::BinaryKrl);
        }
        let mut revoked = BTreeSet::new();
        for (line, line_number) in file.split(|&byte| byte == b'\n').zip(1..) {
            let line = text_line(line).ok_or(RevokedError::BadLine { line_number })?;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            revoked.insert(parse_line(line).ok_or(RevokedError::BadLine { line_number })?);
        }
        Ok(Revoked(revoked))
    }

    /// Tells whether `key` is revoked.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains(&key.fingerprint())
    }
}

/// Reads a fingerprint or a key of any type: a list shared with ssh may name types that never count here.
fn parse_line(line: &str) -> Option<Fingerprint> {
    let line = line.strip_prefix("hash:").map_or(line, |rest| rest.trim_start_matches([' ', '\t']));
    let (first, _) = split_field(line);
    if first.starts_with("SHA256:") {
        return Fingerprint::parse(first);
    }
    let (name, blob) = parse_key_blob(line)?;
    let inner = Reader::new(&blob).string().ok()?;
    (inner == name.as_bytes()).then(|| Fingerprint::of_blob(&blob))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::authenticator::{TestKey, base64, string};

    fn key(test_key: &TestKey) -> PublicKey {
        PublicKey::decode(&test_key.blob()).expect("good")
    }

    #[test]
    fn revokes_by_key_and_by_fingerprint() {
        let [one, two, three, four] = [1, 2, 3, 4].map(TestKey::ed25519);
        let rsa = base64(&[string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[0x7f; 256])].concat());
        let file = format!(
            "# lost\n{} was alice\n\n{} was bob\nhash: {}\nssh-rsa {rsa}",
            one.line(),
            key(&two).fingerprint(),
            key(&three).fingerprint(),
        );
        let revoked = Revoked::parse(file.as_bytes()).expect("good");
        assert_eq!([&one, &two, &three, &four].map(|one| revoked.contains(&key(one))), [true, true, true, false]);
    }

    #[test]
    fn an_empty_list_revokes_nobody() {
        assert!(!Revoked::parse(b"").expect("good").contains(&key(&TestKey::ed25519(1))));
    }

    #[test]
    fn one_bad_line_refuses_the_list() {
        let fingerprint = key(&TestKey::ed25519(1)).fingerprint().to_string();
        let digits = base64(&TestKey::ed25519(1).blob());
        let bad = [
            "serial: 1".to_owned(),
            "SHA256:".to_owned(),
            format!("{fingerprint}="),
            fingerprint[..49].to_owned(),
            fingerprint.replace("SHA256", "sha256"),
            "MD5:00:11".to_owned(),
            format!("ssh-rsa {digits}"),
            "ssh-ed25519".to_owned(),
            "ssh-ed25519 AAAA!".to_owned(),
            format!("alice {}", TestKey::ed25519(1).line()),
            "\u{7f}".to_owned(),
        ];
        for line in bad {
            let found = Revoked::parse(format!("#\n{line}\n").as_bytes()).err();
            assert_eq!(found, Some(RevokedError::BadLine { line_number: 2 }), "{line}");
        }
        assert_eq!(Revoked::parse(b"SSHKRL\n\0\0\0\0\x01").err(), Some(RevokedError::BinaryKrl));
        assert_eq!(Revoked::parse(&vec![b'\n'; 16 << 20]).err(), None);
        assert_eq!(Revoked::parse(&vec![b'\n'; (16 << 20) + 1]).err(), Some(RevokedError::TooLong));
    }
}
