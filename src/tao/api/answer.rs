//! One question and its answer, whatever it is.

use super::Version;
use super::error::{ApiError, MESSAGE_COUNT_MAX};
use crate::tao::http::place_of;
use reqwest::blocking::RequestBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Longest answer, in bytes: the list of all models with their specifications.
const ANSWER_LEN_MAX: u64 = 256 << 20;
/// Between two looks whether a person asked to stop.
const STEP: Duration = Duration::from_millis(100);

/// A question.
#[derive(Clone, Default)]
pub(super) struct Asked<'a> {
    /// Behind the version, and the organisation where it is of one.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(&'a str, &'a str)>,
    /// Sent by POST where there is one.
    pub(super) body: Option<Value>,
    pub(super) bearer: Option<&'a str>,
    pub(super) is_of_org: bool,
    /// Another version than the API's.
    pub(super) version: Option<Version>,
}

impl<'a> Asked<'a> {
    pub(super) fn post(path: &[&'a str], body: Value) -> Asked<'a> {
        Asked { path: path.to_vec(), body: Some(body), ..Asked::default() }
    }

    pub(super) fn get(path: &[&'a str], query: &[(&'a str, &'a str)]) -> Asked<'a> {
        Asked { path: path.to_vec(), query: query.to_vec(), ..Asked::default() }
    }
}

/// An answer of any status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) place: String,
    pub(super) status: u16,
    bytes: Vec<u8>,
}

impl Answer {
    /// Asks, and returns the answer, of which no more is read than it may have.
    pub(super) fn of(request: RequestBuilder, is_stopped: &dyn Fn() -> bool) -> Result<Answer, ApiError> {
        let (sender, receiver) = sync_channel(1);
        // The platform may think for minutes, and nothing can end a call that waits. A person who
        // wants to stop is not made to wait with it: the thread ends with the program.
        thread::spawn(move || sender.send(exchange(request)));
        loop {
            match receiver.recv_timeout(STEP) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
                Err(_) => return Err(ApiError::Stopped),
            }
        }
    }

    /// Returns the answer if it is one of success.
    pub(super) fn success(self) -> Result<Answer, ApiError> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.refused()) }
    }

    /// Returns the value of the answer.
    pub(super) fn value<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.bytes).map_err(|source| ApiError::NotAnswer { place: self.place, source })
    }

    /// Returns the refusal that the answer is.
    pub(super) fn refused(self) -> ApiError {
        let message = self.message();
        match self.is_disk_full() {
            true => ApiError::DiskFull { place: self.place, message },
            false => ApiError::Refused { place: self.place, status: self.status, message },
        }
    }

    /// Returns what the answer says, cut to its limit: the first field that is a sentence.
    pub(super) fn message(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let fields = ["error_desc", "message", "error", "description"];
        let said = fields.iter().find_map(|field| body.get(field)?.as_str()).unwrap_or("without a word of its own");
        said.chars().take(MESSAGE_COUNT_MAX).collect()
    }

    /// Returns the number that a refusal has in its body.
    pub(super) fn error_code(&self) -> Option<u64> {
        serde_json::from_slice::<Value>(&self.bytes).ok()?.get("error_code")?.as_u64()
    }

    /// Tells whether the platform does nothing since its disk is nearly full.
    pub(super) fn is_disk_full(&self) -> bool {
        self.status == 500 && self.message().starts_with("Disk space is nearly full")
    }
}

fn exchange(request: RequestBuilder) -> Result<Answer, ApiError> {
    let response = request.send().map_err(|error| {
        let place = error.url().map(place_of).unwrap_or_default();
        ApiError::Unreachable { place, source: error.without_url() }
    })?;
    let (place, status) = (place_of(response.url()), response.status().as_u16());
    let mut bytes = Vec::new();
    match response.take(ANSWER_LEN_MAX + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > ANSWER_LEN_MAX => Err(ApiError::TooLong { place, max: ANSWER_LEN_MAX }),
        Ok(_) => Ok(Answer { place, status, bytes }),
        Err(source) => Err(ApiError::BrokenOff { place, source }),
    }
}
