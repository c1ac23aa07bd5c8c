//! One question and its answer, whatever it is.

use super::error::{ApiError, MESSAGE_COUNT_MAX};
use super::{STALL_MS, Version, hidden};
use crate::store::Keys;
use crate::tao::http::{HttpError, Response};
use reqwest::blocking::RequestBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Longest answer, in bytes: the list of all models with their specifications.
const ANSWER_LEN_MAX: u64 = 256 << 20;

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
    /// What the platform was sent and may repeat.
    sent: Option<Keys>,
}

impl Answer {
    /// Asks, and returns the answer, of which no more is read than it may have.
    /// `sent` is shown in no message.
    pub(super) fn of(
        request: RequestBuilder,
        sent: Option<Keys>,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer, ApiError> {
        let response = Response::to(request, Duration::from_millis(STALL_MS), is_stopped)?;
        let (place, status) = (response.place(), response.status().as_u16());
        Ok(Answer { place, status, bytes: response.bytes(ANSWER_LEN_MAX)?, sent })
    }

    /// Returns the answer if it is one of success.
    pub(super) fn success(self) -> Result<Answer, ApiError> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.refused()) }
    }

    /// Returns the value of the answer.
    pub(super) fn value<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.bytes).map_err(|error| HttpError::not_answer(self.place, &error).into())
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
        let message = said.chars().take(MESSAGE_COUNT_MAX).collect();
        match &self.sent {
            Some(keys) => hidden(keys, message),
            None => message,
        }
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
