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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::authenticator::{TestKey, base64, string};

    const SCOPE: &str = "namespaces=\"airlift-head@v1/*\"";

    fn rule(line: &str) -> Option<SignerRule> {
        match AllowedSigners::parse(line.as_bytes()) {
            Ok(_) => None,
            Err(SignersError::Line { line_number: 1, rule }) => Some(rule),
            Err(error) => panic!("{error} for {line}"),
        }
    }

    fn signer(options: &str) -> Signer {
        let key = TestKey::ed25519(1);
        let file = format!("alice@example.org {options} {} a comment\n", key.line());
        let signers = AllowedSigners::parse(file.as_bytes()).expect(options);
        signers.signer(&PublicKey::decode(&key.blob()).expect("good")).expect("listed").clone()
    }

    #[test]
    fn reads_every_key_type_between_comments_and_blank_lines() {
        let keys = TestKey::one_of_each();
        let mut file = String::from("# who may sign\n\n \t\n");
        for (index, key) in keys.iter().enumerate() {
            file += &format!("\tteam-{index} \t{SCOPE}\t {} \n", key.line());
        }
        let signers = AllowedSigners::parse(file.trim_end().as_bytes()).expect("good");
        assert_eq!(signers.iter().count(), keys.len());
        for (index, key) in keys.iter().enumerate() {
            let key = PublicKey::decode(&key.blob()).expect("good");
            let signer = signers.signer(&key).expect("listed");
            assert_eq!(signer.principal.as_str(), format!("team-{index}"));
        }
    }

    #[test]
    fn each_broken_rule_refuses_the_file() {
        let key = TestKey::ed25519(1).line();
        let (type_name, digits) = key.split_once(' ').expect("two fields");
        let bad_principal = |found: &str| SignerRule::BadPrincipal { found: found.to_owned() };
        let bad_option = |found: &str| SignerRule::BadOption { found: found.to_owned() };
        let twice = |option: &str| SignerRule::BadOption { found: format!("{option}=\"20260101Z\"") };
        let bad_time = |found: &str| SignerRule::BadTime { found: found.to_owned() };
        let bad_scope = |found: &str| SignerRule::BadNamespaces { found: found.to_owned() };
        let cases = [
            (format!("* {SCOPE} {key}"), bad_principal("*")),
            (format!("a,b {SCOPE} {key}"), bad_principal("a,b")),
            (format!("!a {SCOPE} {key}"), bad_principal("!a")),
            (format!("\"a\" {SCOPE} {key}"), bad_principal("\"a\"")),
            (format!("é {SCOPE} {key}"), bad_principal("é")),
            (format!("a {key}"), SignerRule::NoNamespaces),
            (format!("a valid-after=\"20260101Z\" {key}"), SignerRule::NoNamespaces),
            (format!("a {SCOPE},valid-after=\"20260101Z\",valid-after=\"20260101Z\" {key}"), twice("valid-after")),
            (format!("a {SCOPE},valid-before=\"20260101Z\",valid-before=\"20260101Z\" {key}"), twice("valid-before")),
            (format!("a cert-authority,{SCOPE} {key}"), SignerRule::CertAuthority),
            (format!("a {SCOPE},cert-authority {key}"), SignerRule::CertAuthority),
            (format!("a {SCOPE},no-touch-required {key}"), bad_option("no-touch-required")),
            (format!("a {SCOPE},x=\"y\" {key}"), bad_option("x=\"y\"")),
            (format!("a {SCOPE},{SCOPE} {key}"), bad_option(SCOPE)),
            (format!("a {SCOPE}, {key}"), bad_option("")),
            (format!("a ,{SCOPE} {key}"), bad_option(&format!(",{SCOPE}"))),
            (format!("a Namespaces=\"x\" {key}"), bad_option("Namespaces=\"x\"")),
            (format!("a namespaces=x {key}"), bad_option("namespaces=x")),
            (format!("a namespaces=\"x {key}"), bad_option("namespaces=\"x")),
            (format!("a namespaces=\"x\"y {key}"), bad_option("namespaces=\"x\"y")),
            (format!("a namespaces=\"x y\" {key}"), bad_option("namespaces=\"x")),
            (format!("a namespaces=\"\" {key}"), bad_scope("")),
            (format!("a namespaces=\"x,\" {key}"), bad_scope("x,")),
            (format!("a namespaces=\"!\" {key}"), bad_scope("!")),
            (format!("a namespaces=\"!!x\" {key}"), bad_scope("!!x")),
            (format!("a namespaces=\"x\\\" {key}"), bad_scope("x\\")),
            (format!("a {SCOPE},valid-after=\"20260101\" {key}"), bad_time("20260101")),
            (format!("a {SCOPE},valid-before=\"19700101Z\" {key}"), bad_time("19700101Z")),
            (format!("a {SCOPE},valid-after=\"20260102Z\",valid-before=\"20260102Z\" {key}"), SignerRule::NeverValid),
            (format!("a {SCOPE}"), SignerRule::NoKey),
            (format!("a {SCOPE} {type_name}"), SignerRule::NoKey),
            (format!("a {SCOPE} {}", key.trim_end_matches('=').replacen("AAAA", "AAA", 1)), SignerRule::NoKey),
            (format!("a {SCOPE} ecdsa-sha2-nistp256 {digits}"), SignerRule::WrongType),
        ];
        for (line, expected) in cases {
            assert_eq!(rule(&line), Some(expected), "{line}");
        }
        let rsa = base64(&[string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[0x7f; 256])].concat());
        assert!(matches!(rule(&format!("a {SCOPE} ssh-rsa {rsa}")), Some(SignerRule::Key(_))));
    }

    #[test]
    fn one_bad_line_refuses_the_good_ones_with_it() {
        let good = format!("a {SCOPE} {}\n", TestKey::ed25519(1).line());
        let bad = format!("b {}\n", TestKey::ed25519(2).line());
        let found = AllowedSigners::parse(format!("{good}{bad}").as_bytes()).expect_err("the second line");
        assert_eq!(found, SignersError::Line { line_number: 2, rule: SignerRule::NoNamespaces });
    }

    #[test]
    fn a_key_stands_on_one_line_only() {
        let key = TestKey::ed25519(1).line();
        let file = format!("a {SCOPE} {key}\n# between\nb namespaces=\"x\" {key} other comment\n");
        let principal = Principal::parse("a").expect("good");
        assert_eq!(
            AllowedSigners::parse(file.as_bytes()).err(),
            Some(SignersError::KeyRepeated { line_number: 3, principal })
        );
    }

    #[test]
    fn a_file_without_signers_or_with_other_than_text_trusts_nobody() {
        let line = format!("a {SCOPE} {}", TestKey::ed25519(1).line());
        let not_text = |line_number| Some(SignersError::NotText { line_number });
        for (file, expected) in [
            (Vec::new(), Some(SignersError::Empty)),
            (b"# nobody\n\n".to_vec(), Some(SignersError::Empty)),
            (format!("{line}\r\n").into_bytes(), not_text(1)),
            (format!("#\n{line} \u{1b}[0m").into_bytes(), not_text(2)),
            (format!("{line}\0").into_bytes(), not_text(1)),
            ([line.as_bytes(), b" \xff"].concat(), not_text(1)),
            (vec![b'#'; 1 << 20], Some(SignersError::Empty)),
            (vec![b'#'; (1 << 20) + 1], Some(SignersError::TooLong)),
        ] {
            assert_eq!(AllowedSigners::parse(&file).err(), expected);
        }
    }

    #[test]
    fn patterns_scope_a_key_to_streams_and_purposes() {
        let allowed = |options: &str| {
            let signer = signer(options);
            ["head@v1/models-eu", "head@v1/datasets", "receipt@v1/models-eu"]
                .map(|tail| signer.may_sign(&Namespace::parse(&format!("airlift-{tail}")).expect("good")))
        };
        assert_eq!(allowed("namespaces=\"airlift-head@v1/models-*\""), [true, false, false]);
        assert_eq!(allowed("namespaces=\"airlift-*@v1/models-??\""), [true, false, true]);
        assert_eq!(allowed("namespaces=\"airlift-head@v1/*,!*datasets\""), [true, false, false]);
        assert_eq!(allowed("namespaces=\"*\""), [true, true, true]);
        assert_eq!(allowed("namespaces=\"file,git\""), [false, false, false]);
        assert_eq!(allowed("namespaces=\"!*datasets\""), [false, false, false]);
    }

    #[test]
    fn reads_times_in_utc() {
        let options = format!("valid-after=\"20260101Z\",{SCOPE},valid-before=\"202601010001Z\"");
        let at = |second: u64| Some(Time::from_unix(1_767_225_600 + second));
        assert_eq!(signer(&options).validity, Validity { after: at(0), before: at(60) });
        assert_eq!(signer(SCOPE).validity, Validity::default());
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[a!*,# =\"\\\\\tA-C\\n\u{80}]{0,80}") {
            let file = format!("a {SCOPE} {}\n{text}", TestKey::ed25519(1).line());
            if let Ok(signers) = AllowedSigners::parse(file.as_bytes()) {
                proptest::prop_assert!(signers.iter().count() >= 1);
            }
        }
    }
}
