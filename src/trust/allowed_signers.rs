//! The allowed_signers file: who may sign what, in a strict profile of the file that ssh-keygen reads.

use super::base64;
use super::key::{KeyError, KeyType, PublicKey};
use super::pattern::matches_list;
use super::sshsig::Namespace;
use super::validity::{Validity, parse_time};
use crate::error::Class;
use crate::format::{Shown, Time};
use std::collections::BTreeMap;
use std::fmt;

/// Longest allowed_signers file, in bytes.
pub const ALLOWED_SIGNERS_LEN_MAX: u64 = 1 << 20;
/// Longest principal, in bytes.
const PRINCIPAL_LEN_MAX: usize = 255;

/// A signer as a person or role: the first field of a line, taken literally (T-32).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(String);

/// The keys that may sign, each with its principal, namespaces and time (T-30 to T-38).
#[derive(Clone, Debug)]
pub struct AllowedSigners(BTreeMap<PublicKey, Signer>);

/// What the file says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Whose key it is.
    pub principal: Principal,
    /// When it is valid.
    pub validity: Validity,
    /// The pattern list of the namespaces that it may sign in.
    namespaces: String,
}

/// Why a file of allowed signers is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignersError {
    /// T-30: at most 1 MiB.
    #[error("the allowed signers are longer than {ALLOWED_SIGNERS_LEN_MAX} bytes")]
    TooLong,
    /// T-30: UTF-8 without control characters.
    #[error("line {line_number} of the allowed signers is not UTF-8 or has a control character")]
    NotText {
        /// Line, from 1.
        line_number: usize,
    },
    /// T-31: at least one signer.
    #[error("the allowed signers name nobody")]
    Empty,
    /// T-32 to T-37: a line that breaks a rule.
    #[error("line {line_number} of the allowed signers is not accepted")]
    Line {
        /// Line, from 1.
        line_number: usize,
        /// The rule that it breaks.
        #[source]
        rule: SignerRule,
    },
    /// T-38: a key on two lines.
    #[error("line {line_number} of the allowed signers repeats the key of {principal}")]
    KeyRepeated {
        /// The later line, from 1.
        line_number: usize,
        /// The principal of the earlier line.
        principal: Principal,
    },
}

/// The rules of a line, one for each way to break it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerRule {
    /// T-32: one literal principal.
    #[error("{found} is not one literal principal", found = Shown(.found))]
    BadPrincipal {
        /// The first field.
        found: String,
    },
    /// T-33: `namespaces=` is there.
    #[error("no namespaces= limits what the key may sign")]
    NoNamespaces,
    /// T-34: only known options, each once.
    #[error("option {found} is unknown, repeated or malformed", found = Shown(.found))]
    BadOption {
        /// The option.
        found: String,
    },
    /// T-35: no certificates.
    #[error("certificate authorities are not accepted")]
    CertAuthority,
    /// T-36: a namespace pattern.
    #[error("{found} is not a list of namespace patterns", found = Shown(.found))]
    BadNamespaces {
        /// The value.
        found: String,
    },
    /// T-37: a time in UTC.
    #[error("{found} is not a time like 20261231Z or 20261231235959Z", found = Shown(.found))]
    BadTime {
        /// The value.
        found: String,
    },
    /// T-37: an end after the beginning.
    #[error("valid-before is not later than valid-after")]
    NeverValid,
    /// T-39: a key in base64.
    #[error("the key is missing or is not base64")]
    NoKey,
    /// T-39: the type in front is the key's own.
    #[error("the type in front of the key is not the key's")]
    WrongType,
    /// T-39: a key of an accepted type.
    #[error("the key is not accepted")]
    Key(#[source] KeyError),
}

impl SignersError {
    /// Returns the class: a policy that can't be read trusts nobody.
    pub const fn class(&self) -> Class {
        Class::Untrusted
    }
}

impl Principal {
    /// Returns the text of the principal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the principal that `text` spells, or nothing where T-32 is broken.
    pub fn parse(text: &str) -> Option<Principal> {
        let good = |byte: u8| byte.is_ascii_graphic() && !b"*?!,\"'\\#".contains(&byte);
        (1..=PRINCIPAL_LEN_MAX).contains(&text.len()).then_some(())?;
        text.bytes().all(good).then(|| Principal(text.to_owned()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AllowedSigners {
    /// Returns the signers of a file.
    ///
    /// # Errors
    /// Names the first broken rule of T-30 to T-39; one bad line refuses the file.
    pub fn parse(file: &[u8]) -> Result<AllowedSigners, SignersError> {
        if file.len() as u64 > ALLOWED_SIGNERS_LEN_MAX {
            return Err(SignersError::TooLong);
        }
        let mut signers: BTreeMap<PublicKey, Signer> = BTreeMap::new();
        for (line, line_number) in file.split(|&byte| byte == b'\n').zip(1..) {
            let line = text_line(line).ok_or(SignersError::NotText { line_number })?;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, signer) = parse_line(line).map_err(|rule| SignersError::Line { line_number, rule })?;
            if let Some(earlier) = signers.get(&key) {
                return Err(SignersError::KeyRepeated { line_number, principal: earlier.principal.clone() });
            }
            signers.insert(key, signer);
        }
        if signers.is_empty() { Err(SignersError::Empty) } else { Ok(AllowedSigners(signers)) }
    }

    /// Returns what the file says of `key`.
    pub fn signer(&self, key: &PublicKey) -> Option<&Signer> {
        self.0.get(key)
    }

    /// Returns every key with its signer, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Signer)> {
        self.0.iter()
    }
}

impl Signer {
    /// Tells whether the key may sign in `namespace`.
    pub fn may_sign(&self, namespace: &Namespace) -> bool {
        matches_list(&self.namespaces, &namespace.to_string())
    }
}

/// Returns the line without blanks around it, or nothing where it holds what is no text.
pub(super) fn text_line(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?;
    let good = !text.contains(|c: char| c.is_control() && c != '\t');
    good.then(|| text.trim_matches(BLANKS))
}

/// Splits off the first field, ended by a run of blanks.
pub(super) fn split_field(line: &str) -> (&str, &str) {
    line.split_once(BLANKS).map_or((line, ""), |(field, rest)| (field, rest.trim_start_matches(BLANKS)))
}

const BLANKS: [char; 2] = [' ', '\t'];

fn parse_line(line: &str) -> Result<(PublicKey, Signer), SignerRule> {
    let (principal, rest) = split_field(line);
    let principal =
        Principal::parse(principal).ok_or_else(|| SignerRule::BadPrincipal { found: principal.to_owned() })?;
    let (options, key) = split_field(rest);
    if KeyType::from_name(options.as_bytes()).is_some() {
        return Err(SignerRule::NoNamespaces);
    }
    let (namespaces, validity) = parse_options(options)?;
    Ok((PublicKey::parse(key)?, Signer { principal, validity, namespaces }))
}

fn parse_options(options: &str) -> Result<(String, Validity), SignerRule> {
    let mut namespaces = None;
    let mut validity = Validity::default();
    let mut rest = options;
    loop {
        let bad = || SignerRule::BadOption { found: rest.to_owned() };
        if rest == "cert-authority" || rest.starts_with("cert-authority,") {
            return Err(SignerRule::CertAuthority);
        }
        let (name, quoted) = rest.split_once("=\"").ok_or_else(bad)?;
        let (value, after) = quoted.split_once('"').ok_or_else(bad)?;
        match name {
            "namespaces" if namespaces.is_none() => namespaces = Some(parse_namespaces(value)?),
            "valid-after" if validity.after.is_none() => validity.after = Some(parse_limit(value)?),
            "valid-before" if validity.before.is_none() => validity.before = Some(parse_limit(value)?),
            _ => return Err(bad()),
        }
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix(',').ok_or_else(bad)?;
    }
    if let (Some(after), Some(before)) = (validity.after, validity.before)
        && after >= before
    {
        return Err(SignerRule::NeverValid);
    }
    Ok((namespaces.ok_or(SignerRule::NoNamespaces)?, validity))
}

fn parse_namespaces(value: &str) -> Result<String, SignerRule> {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let list_good = value.split(',').all(|pattern| {
        let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
        !pattern.is_empty() && !pattern.contains('!') && pattern.bytes().all(good)
    });
    if list_good { Ok(value.to_owned()) } else { Err(SignerRule::BadNamespaces { found: value.to_owned() }) }
}

fn parse_limit(value: &str) -> Result<Time, SignerRule> {
    // Stock ssh takes second 0 for an error, so it is one here too.
    parse_time(value).filter(|time| time.unix() > 0).ok_or_else(|| SignerRule::BadTime { found: value.to_owned() })
}

impl PublicKey {
    /// Returns the key of `TYPE BASE64 [comment]`, the line of a `.pub` file (T-39).
    ///
    /// # Errors
    /// Names the first broken rule.
    pub fn parse(line: &str) -> Result<PublicKey, SignerRule> {
        let (name, blob) = parse_key_blob(line).ok_or(SignerRule::NoKey)?;
        let key = PublicKey::decode(&blob).map_err(SignerRule::Key)?;
        if key.key_type().name() == name { Ok(key) } else { Err(SignerRule::WrongType) }
    }
}

/// Returns type and wire form of `TYPE BASE64 [comment]`, whatever the type.
pub(super) fn parse_key_blob(text: &str) -> Option<(&str, Vec<u8>)> {
    let (name, rest) = split_field(text);
    let (digits, _comment) = split_field(rest);
    let blob = base64::decode(digits.as_bytes()).filter(|blob| !blob.is_empty())?;
    Some((name, blob))
}
