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
        let head = Head::decode(authentic.bytes()).map_err(TrustError::Head)?;
        // The clock takes no part: a wrong one must not outlaw honest bundles for ever.
        let floor = terms.installed_at.map_or(head.created_at, |installed| installed.max(head.created_at));
        let trusted = authentic.accept(Moment { now: terms.now, floor }, terms.threshold)?;
        check_namespace(&trusted, &head)?;
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
        Ok(TrustedHead { trusted, head, floor })
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

fn check_namespace(trusted: &TrustedBytes, head: &Head) -> Result<(), TrustError> {
    let namespace = trusted.namespace();
    if namespace.purpose == Purpose::Head && namespace.stream == head.stream {
        return Ok(());
    }
    Err(TrustError::WrongStream { expected: namespace.stream.clone(), found: head.stream.clone() })
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
