//! From signature files to trusted bytes: first the cryptography, then, when the floor is known, the
//! time and the threshold.

use super::allowed_signers::{AllowedSigners, Principal};
use super::key::Fingerprint;
use super::revoked::Revoked;
use super::sshsig::{Namespace, Purpose, Sshsig, SshsigError};
use super::validity::Validity;
use crate::error::Class;
use crate::format::head::HeadError;
use crate::format::limits::SIGNATURE_COUNT_MAX;
use crate::format::{Name, SignatureFile, Time};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

/// What the signatures must be for.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What they speak about.
    pub purpose: Purpose,
    /// The stream; without it the signatures say which.
    pub stream: Option<Name>,
}

/// Who may sign: the caller's own lists, never anything from a medium.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// The keys that count.
    pub signers: &'a AllowedSigners,
    /// The keys that no longer count.
    pub revoked: &'a Revoked,
}

/// When keys are judged: by the later of the two times (T-57).
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock of this machine, which may be wrong.
    pub now: Time,
    /// The latest time that accepted signatures vouch for.
    pub floor: Time,
}

/// Bytes that at least one listed key has signed in its scope; time and threshold are still to be judged.
#[derive(Clone, Debug)]
pub struct Authentic {
    bytes: Bytes,
    namespace: Namespace,
    signatures: Vec<GoodSignature>,
    uncounted: Vec<Uncounted>,
}

/// A signature that passed the cryptography, by a listed key in its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodSignature {
    /// The number of its file.
    pub number: u32,
    /// Whose it is.
    pub principal: Principal,
    /// The key that made it.
    pub fingerprint: Fingerprint,
    /// When the key is valid.
    pub validity: Validity,
}

/// A well-formed signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// The number of its file.
    pub number: u32,
    /// The key that it names.
    pub fingerprint: Fingerprint,
    /// Why it does not count.
    pub reason: UncountedReason,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UncountedReason {
    /// The key is not among the allowed signers.
    UnknownKey,
    /// The key is revoked.
    RevokedKey,
    /// The key may not sign in this namespace.
    OutOfScope(Principal),
    /// The key is not yet valid, or no longer.
    OutOfTime(Principal),
}

/// Bytes that enough principals have signed.
#[derive(Clone, Debug)]
pub struct TrustedBytes {
    bytes: Bytes,
    namespace: Namespace,
    principals: BTreeSet<Principal>,
    uncounted: Vec<Uncounted>,
}

/// Why signatures do not make bytes acceptable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// T-50: no signature file.
    #[error("there is no signature")]
    NoSignatures,
    /// T-50: more than 16 signature files.
    #[error("there are {found_count} signatures; the limit is {SIGNATURE_COUNT_MAX}")]
    TooManySignatures {
        /// How many there are.
        found_count: usize,
    },
    /// T-51: a signature file outside the strict profile.
    #[error("signature {number} is not accepted")]
    BadSignature {
        /// The number of the file.
        number: u32,
        /// The rule that it breaks.
        source: SshsigError,
    },
    /// T-53: a listed key did not sign these bytes.
    #[error("signature {number} names the key {fingerprint} of {principal}, which did not sign these bytes")]
    NotSigned {
        /// The number of the file.
        number: u32,
        /// Whose key it names.
        principal: Principal,
        /// The key.
        fingerprint: Fingerprint,
    },
    /// T-54: a listed key signed for something else.
    #[error("signature {number} of {principal} is for {found} instead of {expected}")]
    WrongNamespace {
        /// The number of the file.
        number: u32,
        /// Whose it is.
        principal: Principal,
        /// What is expected: a namespace, or the purpose's part of it.
        expected: String,
        /// The namespace found.
        found: Namespace,
    },
    /// T-55, T-58: too few principals.
    #[error(
        "{principal_count} of {threshold} needed principals signed{uncounted}",
        principal_count = .principals.len(),
        uncounted = UncountedList(.uncounted)
    )]
    TooFewPrincipals {
        /// How many are needed.
        threshold: NonZeroUsize,
        /// Who signed.
        principals: BTreeSet<Principal>,
        /// The signatures that do not count.
        uncounted: Vec<Uncounted>,
    },
    /// T-54: signed as something else than a head.
    #[error("the bytes are not signed as a head")]
    WrongPurpose,
    /// T-61: signed bytes that are no head.
    #[error("the signed head breaks a rule")]
    Head(#[source] HeadError),
    /// T-62: the head of another stream.
    #[error("the head is of stream {found}, signed and expected as {expected}")]
    WrongStream {
        /// The stream of the signatures.
        expected: Name,
        /// The stream of the head.
        found: Name,
    },
    /// T-63: meant for somebody else.
    #[error("the bundle is for audience {found}{}", .expected.as_ref().map(|name| format!(", this is {name}")).unwrap_or_default())]
    WrongAudience {
        /// Who this is.
        expected: Option<Name>,
        /// Whom it is for.
        found: Name,
    },
    /// T-64: past its end.
    #[error("the bundle was to be imported until {not_after}; what is installed is from {floor}")]
    PastEnd {
        /// Its end.
        not_after: Time,
        /// The time floor.
        floor: Time,
    },
    /// T-65: a feature that this version lacks.
    #[error("the bundle needs feature {name}, which this version does not have")]
    UnknownCritical {
        /// The feature.
        name: Name,
    },
}

impl TrustError {
    /// Returns the class of the error.
    pub const fn class(&self) -> Class {
        match self {
            TrustError::UnknownCritical { .. } => Class::Refused,
            _ => Class::Untrusted,
        }
    }
}

/// Checks every signature over `message` (T-50 to T-55).
///
/// # Errors
/// One file outside the strict profile, or one listed key whose signature does not hold, refuses all;
/// so does the absence of any signature by a listed, unrevoked key in its scope.
pub fn authenticate(
    message: Bytes,
    files: &[SignatureFile],
    expected: &Expected,
    authority: Authority<'_>,
) -> Result<Authentic, TrustError> {
    if files.is_empty() {
        return Err(TrustError::NoSignatures);
    }
    if files.len() > SIGNATURE_COUNT_MAX {
        return Err(TrustError::TooManySignatures { found_count: files.len() });
    }
    let mut stream = expected.stream.clone();
    let (mut signatures, mut uncounted) = (Vec::new(), Vec::new());
    for file in files {
        let number = file.number;
        let sshsig = Sshsig::decode(&file.bytes).map_err(|source| TrustError::BadSignature { number, source })?;
        let fingerprint = sshsig.fingerprint();
        match judge_key(number, &sshsig, &message, authority)? {
            Ok(good) => {
                check_namespace(&good, &sshsig.namespace, expected.purpose, stream.as_ref())?;
                stream = Some(sshsig.namespace.stream);
                signatures.push(good);
            }
            Err(reason) => uncounted.push(Uncounted { number, fingerprint, reason }),
        }
    }
    match stream {
        Some(stream) if !signatures.is_empty() => {
            let namespace = Namespace { purpose: expected.purpose, stream };
            Ok(Authentic { bytes: message, namespace, signatures, uncounted })
        }
        _ => Err(TrustError::TooFewPrincipals { threshold: NonZeroUsize::MIN, principals: BTreeSet::new(), uncounted }),
    }
}

impl Authentic {
    /// Returns the signed bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns what all counted signatures are for.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the signatures by listed keys in their scope.
    pub fn signatures(&self) -> &[GoodSignature] {
        &self.signatures
    }

    /// Returns the signatures that do not count.
    pub fn uncounted(&self) -> &[Uncounted] {
        &self.uncounted
    }

    /// Judges time and threshold (T-57, T-58).
    ///
    /// # Errors
    /// Fewer than `threshold` principals signed with a key that is valid at `moment`.
    pub fn accept(self, moment: Moment, threshold: NonZeroUsize) -> Result<TrustedBytes, TrustError> {
        let at = moment.now.max(moment.floor);
        let mut principals = BTreeSet::new();
        let mut uncounted = self.uncounted;
        for GoodSignature { number, principal, fingerprint, validity } in self.signatures {
            if validity.holds_at(at) {
                principals.insert(principal);
            } else {
                uncounted.push(Uncounted { number, fingerprint, reason: UncountedReason::OutOfTime(principal) });
            }
        }
        if principals.len() < threshold.get() {
            return Err(TrustError::TooFewPrincipals { threshold, principals, uncounted });
        }
        Ok(TrustedBytes { bytes: self.bytes, namespace: self.namespace, principals, uncounted })
    }
}

impl TrustedBytes {
    /// Returns the bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns what they were signed for.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns who signed them.
    pub const fn principals(&self) -> &BTreeSet<Principal> {
        &self.principals
    }

    /// Returns the signatures that do not count.
    pub fn uncounted(&self) -> &[Uncounted] {
        &self.uncounted
    }
}

/// Tells whether the signature's key counts, and if it does, that it signed `message`.
fn judge_key(
    number: u32,
    sshsig: &Sshsig,
    message: &[u8],
    authority: Authority<'_>,
) -> Result<Result<GoodSignature, UncountedReason>, TrustError> {
    if authority.revoked.contains(&sshsig.key) {
        return Ok(Err(UncountedReason::RevokedKey));
    }
    let Some(signer) = authority.signers.signer(&sshsig.key) else {
        return Ok(Err(UncountedReason::UnknownKey));
    };
    let (principal, fingerprint) = (signer.principal.clone(), sshsig.fingerprint());
    if !sshsig.verifies(message) {
        return Err(TrustError::NotSigned { number, principal, fingerprint });
    }
    if !signer.may_sign(&sshsig.namespace) {
        return Ok(Err(UncountedReason::OutOfScope(principal)));
    }
    Ok(Ok(GoodSignature { number, principal, fingerprint, validity: signer.validity }))
}

fn check_namespace(
    good: &GoodSignature,
    found: &Namespace,
    purpose: Purpose,
    stream: Option<&Name>,
) -> Result<(), TrustError> {
    if found.purpose == purpose && stream.is_none_or(|stream| found.stream == *stream) {
        return Ok(());
    }
    let expected = format!("{}{}", purpose.prefix(), stream.map_or("", Name::as_str));
    let principal = good.principal.clone();
    Err(TrustError::WrongNamespace { number: good.number, principal, expected, found: found.clone() })
}

struct UncountedList<'a>(&'a [Uncounted]);

impl fmt::Display for UncountedList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|uncounted| write!(f, "; {uncounted}"))
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature {} does not count: key {} ", self.number, self.fingerprint)?;
        match &self.reason {
            UncountedReason::UnknownKey => f.write_str("is unknown"),
            UncountedReason::RevokedKey => f.write_str("is revoked"),
            UncountedReason::OutOfScope(principal) => write!(f, "of {principal} may not sign for this stream"),
            UncountedReason::OutOfTime(principal) => write!(f, "of {principal} is not valid at this time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::authenticator::{TestKey, armour};

    const MODELS: &str = "airlift-head@v1/models-eu";
    const MESSAGE: &[u8] = b"{}\n";

    /// One line a key: `principal options key`.
    fn signers(lines: &[(&str, &str, &TestKey)]) -> AllowedSigners {
        let line = |(principal, options, key): &(&str, &str, &TestKey)| {
            format!("{principal} namespaces=\"airlift-head@v1/models-*\"{options} {}\n", key.line())
        };
        AllowedSigners::parse(lines.iter().map(line).collect::<String>().as_bytes()).expect("good")
    }

    fn files(all: &[Vec<u8>]) -> Vec<SignatureFile> {
        all.iter().zip(1..).map(|(bytes, number)| SignatureFile { number, bytes: bytes.clone() }).collect()
    }

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    fn check(all: &[Vec<u8>], signers: &AllowedSigners, revoked: &str) -> Result<Authentic, TrustError> {
        let expected = Expected { purpose: Purpose::Head, stream: Some(name("models-eu")) };
        let revoked = Revoked::parse(revoked.as_bytes()).expect("good");
        let message = Bytes::from_static(MESSAGE);
        authenticate(message, &files(all), &expected, Authority { signers, revoked: &revoked })
    }

    fn accept(authentic: Authentic, at: u64, threshold: usize) -> Result<TrustedBytes, TrustError> {
        let moment = Moment { now: Time::from_unix(at), floor: Time::from_unix(0) };
        authentic.accept(moment, NonZeroUsize::new(threshold).expect("not zero"))
    }

    fn reasons(found: Result<Authentic, TrustError>) -> Vec<UncountedReason> {
        match found {
            Err(TrustError::TooFewPrincipals { uncounted, principals, .. }) if principals.is_empty() => {
                uncounted.into_iter().map(|uncounted| uncounted.reason).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_signature_by_a_listed_key_makes_bytes_authentic() {
        for key in TestKey::one_of_each() {
            let signers = signers(&[("alice", "", &key)]);
            let authentic = check(&[key.sign(MODELS, MESSAGE)], &signers, "").expect(key.type_name);
            assert_eq!(authentic.bytes(), MESSAGE);
            assert_eq!(authentic.namespace().to_string(), MODELS);
            let trusted = accept(authentic, 0, 1).expect("one of one");
            assert_eq!(trusted.principals().iter().map(Principal::as_str).collect::<Vec<_>>(), ["alice"]);
        }
    }

    #[test]
    fn the_signatures_say_the_stream_where_none_is_expected() {
        let key = TestKey::ed25519(1);
        let signers = signers(&[("alice", "", &key), ("bob", "", &TestKey::ed25519(2))]);
        let none = Revoked::default();
        let expected = Expected { purpose: Purpose::Head, stream: None };
        let judge = |all: &[Vec<u8>]| {
            let authority = Authority { signers: &signers, revoked: &none };
            authenticate(Bytes::from_static(MESSAGE), &files(all), &expected, authority)
        };
        let one = key.sign("airlift-head@v1/models-us", MESSAGE);
        assert_eq!(judge(std::slice::from_ref(&one)).expect("good").namespace().stream, name("models-us"));
        let other = TestKey::ed25519(2).sign(MODELS, MESSAGE);
        assert!(matches!(judge(&[one, other]), Err(TrustError::WrongNamespace { number: 2, .. })));
    }

    #[test]
    fn no_signature_and_too_many_are_refused_before_any_is_read() {
        let key = TestKey::ed25519(1);
        let signers = signers(&[("alice", "", &key)]);
        assert!(matches!(check(&[], &signers, ""), Err(TrustError::NoSignatures)));
        let mut all = vec![key.sign(MODELS, MESSAGE)];
        all.resize(10_001, b"junk".to_vec());
        let started = std::time::Instant::now();
        assert!(matches!(check(&all, &signers, ""), Err(TrustError::TooManySignatures { found_count: 10_001 })));
        assert!(started.elapsed().as_millis() < 1_000);
        all.truncate(17);
        assert!(matches!(check(&all, &signers, ""), Err(TrustError::TooManySignatures { found_count: 17 })));
        all.truncate(16);
        assert!(matches!(check(&all, &signers, ""), Err(TrustError::BadSignature { number: 2, .. })));
        all.truncate(1);
        all.resize(16, all[0].clone());
        assert!(check(&all, &signers, "").is_ok());
    }

    #[test]
    fn an_unknown_key_is_named_and_does_not_count() {
        let (known, unknown) = (TestKey::ed25519(1), TestKey::ed25519(2));
        let signers = signers(&[("alice", "", &known)]);
        let error = check(&[unknown.sign(MODELS, MESSAGE)], &signers, "").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            format!(
                "0 of 1 needed principals signed; signature 1 does not count: key {} is unknown",
                fingerprint(&unknown)
            )
        );
        let both = [unknown.sign(MODELS, MESSAGE), known.sign(MODELS, MESSAGE)];
        let authentic = check(&both, &signers, "").expect("alice signed");
        assert_eq!(authentic.uncounted().len(), 1);
        assert_eq!(authentic.uncounted()[0].reason, UncountedReason::UnknownKey);
        assert_eq!(authentic.signatures().len(), 1);
    }

    fn fingerprint(key: &TestKey) -> String {
        super::super::PublicKey::decode(&key.blob()).expect("good").fingerprint().to_string()
    }

    #[test]
    fn an_invalid_signature_by_a_listed_key_refuses_all() {
        let (alice, bob) = (TestKey::ed25519(1), TestKey::ed25519(2));
        let signers = signers(&[("alice", "", &alice), ("bob", "", &bob)]);
        let all = [alice.sign(MODELS, MESSAGE), bob.sign(MODELS, b"other")];
        assert!(matches!(check(&all, &signers, ""), Err(TrustError::NotSigned { number: 2, .. })));
    }

    #[test]
    fn a_signature_by_another_key_does_not_count_for_the_named_one() {
        let (alice, mallory) = (TestKey::ed25519(1), TestKey::ed25519(2));
        let signers = signers(&[("alice", "", &alice)]);
        let mut record = mallory.record(MODELS, MESSAGE);
        record.key = alice.blob();
        let found = check(&[armour(&record.bytes())], &signers, "");
        assert!(matches!(found, Err(TrustError::NotSigned { number: 1, .. })));
    }

    #[test]
    fn the_threshold_counts_principals() {
        let [one, two, three] = [1, 2, 3].map(TestKey::ed25519);
        let signers = signers(&[("alice", "", &one), ("alice", "", &two), ("bob", "", &three)]);
        let [a, b, c] = [&one, &two, &three].map(|key| key.sign(MODELS, MESSAGE));
        let count = |all: &[Vec<u8>]| accept(check(all, &signers, "").expect("authentic"), 0, 2);
        for all in [vec![a.clone()], vec![a.clone(), a.clone()], vec![a.clone(), b.clone()]] {
            let error = count(&all).expect_err("one principal");
            assert!(matches!(&error, TrustError::TooFewPrincipals { principals, .. } if principals.len() == 1));
            assert_eq!(error.class(), Class::Untrusted);
        }
        assert_eq!(count(&[a, b, c]).expect("alice and bob").principals().len(), 2);
    }

    #[test]
    fn a_revoked_key_does_not_count() {
        let (alice, bob) = (TestKey::ed25519(1), TestKey::ed25519(2));
        let signers = signers(&[("alice", "", &alice), ("bob", "", &bob)]);
        let revoked = alice.line();
        let only = check(&[alice.sign(MODELS, MESSAGE)], &signers, &revoked);
        assert_eq!(reasons(only), [UncountedReason::RevokedKey]);
        let both = [alice.sign(MODELS, MESSAGE), bob.sign(MODELS, MESSAGE)];
        let trusted = accept(check(&both, &signers, &revoked).expect("bob signed"), 0, 1).expect("bob");
        assert_eq!(trusted.principals().len(), 1);
        assert_eq!(trusted.uncounted()[0].fingerprint.to_string(), fingerprint(&alice));
    }

    #[test]
    fn a_key_counts_in_its_scope_only() {
        let key = TestKey::ed25519(1);
        let signers = signers(&[("alice", "", &key)]);
        let found = check(&[key.sign("airlift-head@v1/datasets", MESSAGE)], &signers, "");
        assert_eq!(reasons(found), [UncountedReason::OutOfScope(Principal::parse("alice").expect("good"))]);
    }

    #[test]
    fn a_signature_for_another_stream_or_purpose_refuses_all() {
        let key = TestKey::ed25519(1);
        let line = format!("alice namespaces=\"airlift-*\" {}", key.line());
        let signers = AllowedSigners::parse(line.as_bytes()).expect("good");
        for namespace in ["airlift-head@v1/models-us", "airlift-receipt@v1/models-eu"] {
            let found = check(&[key.sign(namespace, MESSAGE)], &signers, "").expect_err(namespace);
            let text = format!("signature 1 of alice is for {namespace} instead of {MODELS}");
            assert_eq!(found.to_string(), text);
        }
    }

    #[test]
    fn keys_are_judged_by_the_later_of_clock_and_floor() {
        let key = TestKey::ed25519(1);
        let options = ",valid-after=\"19700101000010Z\",valid-before=\"19700101000020Z\"";
        let signers = signers(&[("alice", options, &key)]);
        let judge = |now, floor| {
            let moment = Moment { now: Time::from_unix(now), floor: Time::from_unix(floor) };
            let authentic = check(&[key.sign(MODELS, MESSAGE)], &signers, "").expect("authentic");
            authentic.accept(moment, NonZeroUsize::MIN).is_ok()
        };
        assert_eq!(
            [(0, 9), (0, 10), (0, 20), (0, 21)].map(|(now, floor)| judge(now, floor)),
            [false, true, true, false]
        );
        assert_eq!(
            [(9, 0), (10, 0), (20, 0), (21, 0)].map(|(now, floor)| judge(now, floor)),
            [false, true, true, false]
        );
        assert!(!judge(15, 21) && !judge(21, 15));
    }
}
