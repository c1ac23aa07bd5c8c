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
use crate::format::{Name, Time};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;

/// One signature file: its number in the bundle and its bytes.
#[derive(Clone, Debug)]
pub struct SignatureFile {
    /// The number in its name, from 1.
    pub number: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

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
