//! Heads: trusted ones, and those that are only looked at.

use super::allowed_signers::Principal;
use super::policy::{Authentic, Moment, TrustError, TrustedBytes, Uncounted};
use super::sshsig::Purpose;
use crate::error::Class;
use crate::format::head::{HeadError, Release};
use crate::format::limits::COUNTER_JUMP_MAX;
use crate::format::{Digest, Head, Name, Time};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// A head that enough principals have signed, for this receiver, in time.
///
/// Its only constructor is [`TrustedHead::accept`]: who takes a `TrustedHead` needs no further check.
#[derive(Clone, Debug)]
pub struct TrustedHead {
    authentic: Authentic,
    terms: Terms,
    trusted: TrustedBytes,
    head: Head,
    floor: Time,
}

/// A head that nobody vouches for: for looking at, never for importing.
#[derive(Clone, Debug)]
pub struct UntrustedHead(Head);

/// What the receiver demands of a head.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How many principals must have signed.
    pub threshold: NonZeroUsize,
    /// The name of this enclave, if it has one.
    pub audience: Option<Name>,
    /// The clock of this machine.
    pub now: Time,
    /// When the installed release was made, if one is.
    pub installed_at: Option<Time>,
}

impl TrustedHead {
    /// Parses the signed bytes and judges them by `terms` (T-60 to T-65).
    ///
    /// # Errors
    /// Names the first broken rule.
    pub fn accept(authentic: Authentic, terms: &Terms) -> Result<TrustedHead, TrustError> {
        if authentic.namespace().purpose != Purpose::Head {
            return Err(TrustError::WrongPurpose);
        }
        let head = Head::decode(authentic.bytes()).map_err(TrustError::Head)?;
        // The clock takes no part: a wrong one must not outlaw honest bundles for ever.
        let floor = terms.installed_at.map_or(head.created_at, |installed| installed.max(head.created_at));
        let trusted = authentic.clone().accept(Moment { now: terms.now, floor }, terms.threshold)?;
        check_stream(&trusted, &head)?;
        if let Some(audience) = &head.audience
            && terms.audience.as_ref() != Some(audience)
        {
            return Err(TrustError::WrongAudience { expected: terms.audience.clone(), found: audience.clone() });
        }
        if let Some(not_after) = head.not_after.filter(|&not_after| not_after < floor) {
            return Err(TrustError::PastEnd { not_after, floor });
        }
        if let Some(name) = head.unknown_critical() {
            return Err(TrustError::UnknownCritical { name: name.clone() });
        }
        Ok(TrustedHead { authentic, terms: terms.clone(), trusted, head, floor })
    }

    /// Judges the head once more, now that it is known when the installed release was made (T-60).
    ///
    /// # Errors
    /// Names the first rule that is broken at the later floor.
    pub fn accept_after(&self, installed_at: Time) -> Result<TrustedHead, TrustError> {
        TrustedHead::accept(self.authentic.clone(), &Terms { installed_at: Some(installed_at), ..self.terms.clone() })
    }

    /// Returns the head.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the signed bytes.
    pub const fn bytes(&self) -> &Bytes {
        self.trusted.bytes()
    }

    /// Returns who signed it.
    pub const fn principals(&self) -> &BTreeSet<Principal> {
        self.trusted.principals()
    }

    /// Returns the signatures that do not count.
    pub fn uncounted(&self) -> &[Uncounted] {
        self.trusted.uncounted()
    }

    /// Returns the time floor: the later creation of this and the installed release (T-60).
    pub const fn floor(&self) -> Time {
        self.floor
    }
}

impl UntrustedHead {
    /// Returns the head that unproven `bytes` spell.
    ///
    /// # Errors
    /// The bytes are no head.
    pub fn decode(bytes: &[u8]) -> Result<UntrustedHead, HeadError> {
        Head::decode(bytes).map(UntrustedHead)
    }

    /// Returns the head; whoever shows it says that nobody vouches for it.
    pub const fn head(&self) -> &Head {
        &self.0
    }
}

fn check_stream(trusted: &TrustedBytes, head: &Head) -> Result<(), TrustError> {
    let stream = &trusted.namespace().stream;
    if head.stream == *stream {
        Ok(())
    } else {
        Err(TrustError::WrongStream { expected: stream.clone(), found: head.stream.clone() })
    }
}

/// What is known of the release that a stream has reached here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its counter and content.
    pub release: Release,
    /// When it was made.
    pub created_at: Time,
}

/// Whether a stream may be taken up for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrol {
    /// The caller asked for it.
    Allowed,
    /// Nobody asked for it.
    NotAsked,
}

/// How a head stands to what is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first release of the stream here.
    First,
    /// The installed release again: other volumes, or a repair.
    Same,
    /// A later release.
    Next,
}

/// Why a head may not follow what is installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// T-70: the stream is new here and nobody asked for it.
    #[error("stream {stream} has not been enrolled here")]
    NotEnrolled {
        /// The stream.
        stream: Name,
    },
    /// T-71: a lower counter.
    #[error("release {offered} is older than the installed {installed}")]
    Older {
        /// The counter of the head.
        offered: u64,
        /// The counter that is installed.
        installed: u64,
    },
    /// T-72: the same counter with another content.
    #[error("release {counter} has content {offered}, installed is {installed}")]
    Fork {
        /// The counter of both.
        counter: u64,
        /// The content of the head.
        offered: Digest,
        /// The content that is installed.
        installed: Digest,
    },
    /// T-73: further than the jump limit.
    #[error("release {offered} is more than {COUNTER_JUMP_MAX} after the installed {installed}")]
    Jump {
        /// The counter of the head.
        offered: u64,
        /// The counter that is installed.
        installed: u64,
    },
    /// T-74: the release before it is not the one that is installed.
    #[error(
        "the release follows {} with content {}, installed is {} with content {}",
        .previous.counter, .previous.content_id, .installed.counter, .installed.content_id
    )]
    OtherHistory {
        /// What the head follows.
        previous: Release,
        /// What is installed.
        installed: Release,
    },
}

impl ReleaseError {
    /// Returns the class of the error.
    pub const fn class(&self) -> Class {
        match self {
            ReleaseError::NotEnrolled { .. } => Class::Refused,
            _ => Class::Older,
        }
    }
}

/// Tells how `head` stands to what is installed of its stream (T-70 to T-75).
///
/// # Errors
/// It is older, a fork, too far ahead, or of a stream that was not enrolled.
pub fn judge_release(head: &Head, installed: Option<&Installed>, enrol: Enrol) -> Result<Step, ReleaseError> {
    let Some(installed) = installed.map(|installed| installed.release) else {
        return match enrol {
            Enrol::Allowed => Ok(Step::First),
            Enrol::NotAsked => Err(ReleaseError::NotEnrolled { stream: head.stream.clone() }),
        };
    };
    let offered = head.release();
    if offered.counter < installed.counter {
        return Err(ReleaseError::Older { offered: offered.counter, installed: installed.counter });
    }
    if offered.counter == installed.counter {
        let (offered, installed) = (offered.content_id, installed.content_id);
        let fork = || ReleaseError::Fork { counter: head.counter, offered, installed };
        return if offered == installed { Ok(Step::Same) } else { Err(fork()) };
    }
    if offered.counter - installed.counter > COUNTER_JUMP_MAX {
        return Err(ReleaseError::Jump { offered: offered.counter, installed: installed.counter });
    }
    match head.previous {
        Some(previous) if previous.counter <= installed.counter && previous != installed => {
            Err(ReleaseError::OtherHistory { previous, installed })
        }
        _ => Ok(Step::Next),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::{Authority, Expected, authenticate};
    use super::super::{AllowedSigners, Revoked};
    use super::*;
    use crate::format::SignatureFile;
    use crate::format::head::tests::full_head;
    use crate::trust::authenticator::TestKey;

    const CREATED: u64 = 1_790_000_000;

    fn plain_head() -> Head {
        let mut head = full_head();
        (head.critical, head.audience, head.not_after) = (Vec::new(), None, None);
        head
    }

    fn changed(change: impl FnOnce(&mut Head)) -> Head {
        let mut head = plain_head();
        change(&mut head);
        head
    }

    fn terms() -> Terms {
        Terms { threshold: NonZeroUsize::MIN, audience: None, now: Time::from_unix(0), installed_at: None }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    fn accept_signed(bytes: &[u8], stream: &str, options: &str, terms: &Terms) -> Result<TrustedHead, TrustError> {
        let key = TestKey::ed25519(1);
        let line = format!("alice namespaces=\"airlift-*\"{options} {}", key.line());
        let signers = AllowedSigners::parse(line.as_bytes()).expect("good");
        let file = SignatureFile { number: 1, bytes: key.sign(&format!("airlift-head@v1/{stream}"), bytes) };
        let expected = Expected { purpose: Purpose::Head, stream: Some(name(stream)) };
        let authority = Authority { signers: &signers, revoked: &Revoked::default() };
        let authentic = authenticate(Bytes::copy_from_slice(bytes), &[file], &expected, authority)?;
        TrustedHead::accept(authentic, terms)
    }

    fn accept(head: &Head, terms: &Terms) -> Result<TrustedHead, TrustError> {
        accept_signed(&head.encode(), "models-eu", "", terms)
    }

    #[test]
    fn a_signed_head_is_trusted_with_its_bytes() {
        let head = plain_head();
        let trusted = accept(&head, &terms()).expect("good");
        assert_eq!(trusted.head(), &head);
        assert_eq!(trusted.bytes(), &head.encode());
        assert_eq!(trusted.principals().len(), 1);
        assert_eq!(trusted.uncounted(), []);
        assert_eq!(UntrustedHead::decode(&head.encode()).expect("a head").head(), &head);
    }

    #[test]
    fn a_trusted_head_names_the_signatures_that_do_not_count() {
        let (bytes, listed, unknown) = (plain_head().encode(), TestKey::ed25519(1), TestKey::ed25519(2));
        let signers = AllowedSigners::parse(format!("alice namespaces=\"airlift-*\" {}", listed.line()).as_bytes());
        let sign =
            |number, key: &TestKey| SignatureFile { number, bytes: key.sign("airlift-head@v1/models-eu", &bytes) };
        let files = [sign(1, &listed), sign(2, &unknown)];
        let expected = Expected { purpose: Purpose::Head, stream: Some(name("models-eu")) };
        let authority = Authority { signers: &signers.expect("good"), revoked: &Revoked::default() };
        let authentic = authenticate(Bytes::copy_from_slice(&bytes), &files, &expected, authority).expect("signed");
        let trusted = TrustedHead::accept(authentic, &terms()).expect("good");
        assert_eq!(trusted.uncounted().iter().map(|one| one.number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn signed_bytes_that_are_no_head_are_untrusted() {
        for bytes in [&b"{}"[..], b"", b"\xff", &[plain_head().encode(), b"\n".to_vec()].concat()] {
            let error = accept_signed(bytes, "models-eu", "", &terms()).expect_err("no head");
            assert!(matches!(error, TrustError::Head(_)));
            assert_eq!(error.class(), Class::Untrusted);
        }
    }

    #[test]
    fn every_flipped_bit_of_the_head_is_untrusted() {
        let head = plain_head();
        let key = TestKey::ed25519(1);
        let signature = key.sign("airlift-head@v1/models-eu", &head.encode());
        let line = format!("alice namespaces=\"airlift-*\" {}", key.line());
        let signers = AllowedSigners::parse(line.as_bytes()).expect("good");
        let expected = Expected { purpose: Purpose::Head, stream: Some(name("models-eu")) };
        let files = [SignatureFile { number: 1, bytes: signature }];
        let authority = Authority { signers: &signers, revoked: &Revoked::default() };
        let bytes = head.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = authenticate(flipped.into(), &files, &expected, authority).expect_err("flipped");
            assert!(matches!(error, TrustError::NotSigned { .. }), "bit {bit}");
        }
    }

    #[test]
    fn the_head_is_of_the_stream_that_was_signed() {
        let head = plain_head();
        let error = accept_signed(&head.encode(), "models-us", "", &terms()).expect_err("other stream");
        assert_eq!(error.to_string(), "the head is of stream models-eu, signed and expected as models-us");
    }

    #[test]
    fn a_receipt_is_never_a_head() {
        let key = TestKey::ed25519(1);
        let line = format!("alice namespaces=\"airlift-*\" {}", key.line());
        let signers = AllowedSigners::parse(line.as_bytes()).expect("good");
        let bytes = plain_head().encode();
        let file = SignatureFile { number: 1, bytes: key.sign("airlift-receipt@v1/models-eu", &bytes) };
        let expected = Expected { purpose: Purpose::Receipt, stream: None };
        let authority = Authority { signers: &signers, revoked: &Revoked::default() };
        let authentic = authenticate(bytes.into(), &[file], &expected, authority).expect("a receipt");
        assert!(matches!(TrustedHead::accept(authentic, &terms()), Err(TrustError::WrongPurpose)));
    }

    #[test]
    fn a_named_audience_must_be_ours() {
        let head = changed(|head| head.audience = Some(name("enclave-1")));
        let to = |audience: Option<&str>| accept(&head, &Terms { audience: audience.map(name), ..terms() });
        assert!(to(Some("enclave-1")).is_ok());
        assert!(matches!(to(Some("enclave-2")), Err(TrustError::WrongAudience { .. })));
        assert!(matches!(to(None), Err(TrustError::WrongAudience { expected: None, .. })));
        assert!(accept(&plain_head(), &Terms { audience: Some(name("enclave-1")), ..terms() }).is_ok());
    }

    #[test]
    fn the_clock_never_raises_the_floor() {
        let head = plain_head();
        let floor = |now, installed_at: Option<u64>| {
            let terms = Terms { now: Time::from_unix(now), installed_at: installed_at.map(Time::from_unix), ..terms() };
            accept(&head, &terms).expect("good").floor().unix()
        };
        let in_2099 = 4_070_908_800;
        assert_eq!(floor(0, None), CREATED);
        assert_eq!(floor(in_2099, None), CREATED);
        assert_eq!(floor(0, Some(CREATED + 5)), CREATED + 5);
        assert_eq!(floor(in_2099, Some(CREATED - 5)), CREATED);
    }

    #[test]
    fn the_end_of_a_bundle_is_judged_by_the_floor_alone() {
        let head = changed(|head| head.not_after = Some(Time::from_unix(CREATED + 10)));
        let at = |now, installed_at: u64| {
            let installed_at = Some(Time::from_unix(installed_at));
            accept(&head, &Terms { now: Time::from_unix(now), installed_at, ..terms() })
        };
        assert!(at(0, CREATED + 10).is_ok());
        assert!(at(4_070_908_800, CREATED).is_ok());
        assert!(matches!(at(0, CREATED + 11), Err(TrustError::PastEnd { .. })));
        let accepted = at(0, CREATED).expect("good");
        assert!(accepted.accept_after(Time::from_unix(CREATED + 10)).is_ok());
        assert!(matches!(accepted.accept_after(Time::from_unix(CREATED + 11)), Err(TrustError::PastEnd { .. })));
    }

    #[test]
    fn a_key_past_its_end_by_the_floor_does_not_count_whatever_the_clock_says() {
        let bytes = plain_head().encode();
        // The head was made on 2026-09-21.
        let with = |options| accept_signed(&bytes, "models-eu", options, &terms());
        assert!(with(",valid-before=\"20260922Z\"").is_ok());
        assert!(matches!(with(",valid-before=\"20260921Z\""), Err(TrustError::TooFewPrincipals { .. })));
        assert!(with(",valid-after=\"20260921Z\"").is_ok());
        assert!(with(",valid-after=\"20260922Z\"").is_err());
    }

    #[test]
    fn an_unknown_critical_feature_refuses() {
        let head = changed(|head| head.critical = vec![name("parity")]);
        let error = accept(&head, &terms()).expect_err("unknown");
        assert_eq!(error.to_string(), "the bundle needs feature parity, which this version does not have");
        assert_eq!(error.class(), Class::Refused);
    }

    fn release(counter: u64, content: &str) -> Release {
        Release { counter, content_id: Digest::of(content.as_bytes()) }
    }

    fn judge(offered: Release, previous: Option<Release>, installed: Release) -> Result<Step, ReleaseError> {
        let head = changed(|head| {
            (head.counter, head.content_id, head.previous) = (offered.counter, offered.content_id, previous);
        });
        let installed = Installed { release: installed, created_at: Time::from_unix(0) };
        judge_release(&head, Some(&installed), Enrol::NotAsked)
    }

    #[test]
    fn a_stream_is_enrolled_by_asking_only() {
        let head = plain_head();
        assert_eq!(judge_release(&head, None, Enrol::Allowed), Ok(Step::First));
        let error = judge_release(&head, None, Enrol::NotAsked).expect_err("not asked");
        assert_eq!(error.class(), Class::Refused);
        let installed = Installed { release: head.release(), created_at: head.created_at };
        assert_eq!(judge_release(&head, Some(&installed), Enrol::Allowed), Ok(Step::Same));
    }

    #[test]
    fn a_lower_counter_is_older_and_the_same_one_the_same_or_a_fork() {
        let installed = release(7, "seven");
        let older = judge(release(6, "six"), None, installed).expect_err("older");
        assert_eq!((older.class(), older), (Class::Older, ReleaseError::Older { offered: 6, installed: 7 }));
        assert_eq!(judge(installed, None, installed), Ok(Step::Same));
        assert_eq!(judge(installed, Some(release(3, "elsewhere")), installed), Ok(Step::Same));
        let fork = judge(release(7, "other"), None, installed).expect_err("fork");
        assert!(matches!(fork, ReleaseError::Fork { counter: 7, offered, installed } if offered != installed));
        assert_eq!(fork.class(), Class::Older);
    }

    #[test]
    fn a_counter_jumps_up_to_its_limit() {
        let installed = release(7, "seven");
        assert_eq!(judge(release(7 + (1 << 20), "far"), None, installed), Ok(Step::Next));
        for counter in [8 + (1 << 20), (1 << 53) - 1] {
            let error = judge(release(counter, "far"), None, installed).expect_err("too far");
            assert_eq!((error.class(), error), (Class::Older, ReleaseError::Jump { offered: counter, installed: 7 }));
        }
    }

    #[test]
    fn the_release_before_must_be_ours_or_later() {
        let installed = release(7, "seven");
        let next = |previous| judge(release(9, "nine"), previous, installed);
        assert_eq!(next(None), Ok(Step::Next));
        assert_eq!(next(Some(installed)), Ok(Step::Next));
        assert_eq!(next(Some(release(8, "skipped"))), Ok(Step::Next));
        for previous in [release(7, "other"), release(6, "six")] {
            let error = next(Some(previous)).expect_err("other history");
            assert_eq!((error.class(), error), (Class::Older, ReleaseError::OtherHistory { previous, installed }));
        }
    }
}
