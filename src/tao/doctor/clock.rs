//! Whether a server answers, and what its clock says.

use super::finding::{Note, Outcome, Skew, Wrong};
use crate::format::Time;
use crate::tao::address::Endpoint;
use crate::tao::http::{Http, HttpError, Patience, builder};
use reqwest::header::DATE;
use reqwest::redirect::Policy;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Clocks that differ by more are named, in seconds.
const SKEW_S_NAMED: u64 = 60;
/// Clocks that differ by more make signatures fail, in seconds.
const SKEW_S_MAX: u64 = 15 * 60;
/// How long to wait, and how often to ask: a person waits for the answer.
const PATIENCE: Patience = Patience { connect_ms: 5_000, stall_ms: 30_000, attempt_count: 2, pause_ms: 500 };

/// Asks a server for anything, and returns how far its clock is from ours; nothing where it does not say.
/// Nothing secret is sent, and no proxy is asked.
///
/// # Errors
/// It does not answer.
pub(super) fn ask(
    endpoint: &Endpoint,
    ca_file: Option<&Path>,
    now: &dyn Fn() -> Time,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Skew>, HttpError> {
    let client = builder(ca_file, &PATIENCE)?.no_proxy().redirect(Policy::none()).build().map_err(HttpError::Setup)?;
    let url = endpoint.at([], &[]);
    let response = Http::new(client, PATIENCE, is_stopped).response(&|client| client.get(url.clone()))?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()).map(OffsetDateTime::unix_timestamp);
    let ours = i64::try_from(now().unix()).unwrap_or(i64::MAX);
    Ok(theirs.map(|theirs| Skew { ahead_s: theirs.saturating_sub(ours) }))
}

/// Judges how far a clock is from ours.
pub(super) fn judge(skew: Option<Skew>) -> Outcome {
    match skew {
        Some(skew) if skew.ahead_s.unsigned_abs() > SKEW_S_MAX => Outcome::Wrong(Wrong::Clock(skew)),
        Some(skew) if skew.ahead_s.unsigned_abs() > SKEW_S_NAMED => Outcome::Noted(Note::Clock(skew)),
        _ => Outcome::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_named_and_a_quarter_of_an_hour_refused() {
        for ahead_s in [60, -60] {
            assert!(matches!(judge(Some(Skew { ahead_s })), Outcome::Good), "{ahead_s}");
        }
        for ahead_s in [61, -61, 900, -900] {
            assert!(matches!(judge(Some(Skew { ahead_s })), Outcome::Noted(Note::Clock(_))), "{ahead_s}");
        }
        for ahead_s in [901, -901] {
            assert!(matches!(judge(Some(Skew { ahead_s })), Outcome::Wrong(Wrong::Clock(_))), "{ahead_s}");
        }
        assert!(matches!(judge(None), Outcome::Good));
    }

    #[test]
    fn the_date_of_a_server_is_read() {
        let date = OffsetDateTime::parse("Sun, 06 Nov 1994 08:49:37 GMT", &Rfc2822).expect("a date");
        assert_eq!(date.unix_timestamp(), 784_111_777);
    }
}
