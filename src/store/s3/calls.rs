//! Tries a call until it is answered or the budget is used up (T01, T02), and says what failed
//! without repeating anything that was sent.

use super::watch::Patience;
use crate::store::{Call, Cause, StoreError};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The codes that are kept. Others are dropped: a code could repeat an access key.
const CODES: &[&str] = &[
    "AccessDenied",
    "BadDigest",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "ConditionalRequestConflict",
    "EntityTooLarge",
    "EntityTooSmall",
    "ExpiredToken",
    "IncompleteBody",
    "InsufficientCapacity",
    "InternalError",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidChecksum",
    "InvalidDigest",
    "InvalidPart",
    "InvalidPartOrder",
    "InvalidRange",
    "InvalidRequest",
    "KeyTooLongError",
    "MalformedXML",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchUpload",
    "NotFound",
    "NotImplemented",
    "OperationAborted",
    "PermanentRedirect",
    "PreconditionFailed",
    "QuotaExceeded",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
    "TemporaryRedirect",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
];

/// A call that failed once.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    retry_after: Option<Duration>,
}

/// An answer that says no, and whether an earlier attempt may have been carried out unheard.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<&'static str>,
    pub(super) may_be_done: bool,
}

/// Tries until there is an answer that counts. `recognise` names the answers that mean something
/// to the call; they end it at once.
pub(super) fn run<T>(
    patience: &Patience,
    call: Call,
    key: &str,
    recognise: impl Fn(Answer) -> Option<StoreError>,
    mut attempt: impl FnMut() -> Result<T, Failed>,
) -> Result<T, StoreError> {
    let mut may_be_done = false;
    for attempts in 1.. {
        let failed = match attempt() {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        if let Cause::Answer { status, code } = failed.cause {
            let recognised = recognise(Answer { status, code, may_be_done });
            if let Some(error) = recognised.or_else(|| failed.name(call, key)) {
                return Err(error);
            }
        } else if let Some(error) = failed.name(call, key) {
            return Err(error);
        }
        if !failed.may_pass() || attempts >= patience.attempt_count_max {
            return Err(failed.give_up(call, key, attempts));
        }
        may_be_done |= failed.may_be_done();
        std::thread::sleep(failed.pause(patience, attempts));
    }
    // The loop above has no other end; the range of attempts is longer than any budget.
    Err(StoreError::Unavailable { call, key: key.to_owned(), attempts: u32::MAX, cause: Cause::Unreadable })
}

impl Failed {
    /// Returns what a failed call of the client says, without what it carries.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Failed {
        match error {
            SdkError::ServiceError(service) => Failed::of_answer(service.raw(), service.err().code()),
            SdkError::ResponseError(response) => {
                let raw = response.raw();
                let code = raw.body().bytes().and_then(code_in);
                Failed::of_answer(raw, code)
            }
            SdkError::DispatchFailure(failure) => Failed {
                cause: Cause::Transport {
                    reason: failure.as_connector_error().map_or_else(String::new, |error| innermost(error)),
                },
                retry_after: None,
            },
            _ => Failed { cause: Cause::Unreadable, retry_after: None },
        }
    }

    pub(super) const fn because(cause: Cause) -> Failed {
        Failed { cause, retry_after: None }
    }

    fn of_answer(raw: &HttpResponse, code: Option<&str>) -> Failed {
        let code = code.and_then(|code| CODES.iter().find(|known| **known == code).copied());
        if code.is_none() && raw.status().is_success() {
            return Failed::because(Cause::Unreadable);
        }
        let seconds = raw.headers().get("retry-after").and_then(|text| text.trim().parse().ok());
        Failed {
            cause: Cause::Answer { status: raw.status().as_u16(), code },
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    /// Names a failure that means the same in every call.
    fn name(&self, call: Call, key: &str) -> Option<StoreError> {
        let key = || key.to_owned();
        match &self.cause {
            Cause::Answer { status: 300..400, .. } => Some(StoreError::Redirected { call, key: key() }),
            Cause::Answer { status: 507, .. }
            | Cause::Answer { code: Some("QuotaExceeded" | "InsufficientCapacity"), .. } => {
                Some(StoreError::NoSpace { key: key() })
            }
            Cause::Transport { reason } if reason.contains("invalid peer certificate") => {
                Some(StoreError::CertificateRefused { reason: reason.clone() })
            }
            _ => None,
        }
    }

    fn give_up(self, call: Call, key: &str, attempts: u32) -> StoreError {
        let key = key.to_owned();
        match self.cause {
            Cause::Answer { code: Some(code), .. } if is_checksum_refusal(code) => {
                StoreError::DamagedOnTheWay { key, attempts }
            }
            cause => StoreError::Unavailable { call, key, attempts, cause },
        }
    }

    /// Tells whether the same call may succeed a little later.
    fn may_pass(&self) -> bool {
        match &self.cause {
            Cause::Answer { code: Some(code), .. } if is_checksum_refusal(code) => true,
            Cause::Answer {
                code:
                    Some(
                        "InternalError"
                        | "SlowDown"
                        | "ServiceUnavailable"
                        | "OperationAborted"
                        | "RequestTimeout"
                        | "ConditionalRequestConflict"
                        | "IncompleteBody",
                    ),
                ..
            } => true,
            Cause::Answer { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            _ => true,
        }
    }

    /// Tells whether the server may have carried out the call all the same.
    fn may_be_done(&self) -> bool {
        !matches!(self.cause, Cause::Answer { status: 400..500, .. })
    }

    fn pause(&self, patience: &Patience, attempts: u32) -> Duration {
        if let Some(asked) = self.retry_after {
            return asked.min(Duration::from_millis(patience.retry_after_ms_max));
        }
        let doubled = patience.pause_first_ms.saturating_mul(1 << (attempts - 1).min(20));
        let longest_ms = doubled.min(patience.pause_ms_max);
        // Workers that failed together don't come back together: half of the pause is random.
        let random = RandomState::new().hash_one(attempts);
        Duration::from_millis(longest_ms / 2 + random % (longest_ms / 2 + 1))
    }
}

/// Tells whether the server says that it received other bytes than the checksum is of.
fn is_checksum_refusal(code: &str) -> bool {
    matches!(
        code,
        "BadDigest" | "InvalidDigest" | "InvalidChecksum" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch"
    )
}

/// Returns the code in an error document, which came with a status of success (T04).
fn code_in(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// Returns the last cause of an error: what the operating system or the TLS layer said.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    loop {
        // An io error's source is that of its payload, which would pass over the payload itself.
        let payload = last.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        match payload.map(|payload| payload as &(dyn Error + 'static)).or_else(|| last.source()) {
            Some(next) => last = next,
            None => return last.to_string(),
        }
    }
}
