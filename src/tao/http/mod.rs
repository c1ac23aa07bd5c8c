//! Questions to a server, asked again where that may help.

mod error;
mod response;

pub use error::HttpError;
pub use response::Response;

use response::SLOW_LEN_PER_S;

use crate::machine::Machine;
use reqwest::Certificate;
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Longest answer that is no file, in bytes.
const ANSWER_LEN_MAX: u64 = 64 << 20;
/// Longest wait that a server may ask for, in seconds.
const RETRY_AFTER_S_MAX: u64 = 600;
/// Most places that an answer may point to, one after the other.
const REDIRECT_COUNT_MAX: usize = 10;
/// Between two looks whether a person asked to stop.
pub(in crate::tao) const STEP: Duration = Duration::from_millis(100);

/// How long to wait, and how often to ask.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, in milliseconds.
    pub connect_ms: u64,
    /// For the next bytes of an answer, in milliseconds; for as long it may come slower than 1 KiB a second.
    pub stall_ms: u64,
    /// How often a question is asked at most, the first time included.
    pub attempt_count: u32,
    /// Before the second attempt, in milliseconds; doubled each time, up to a minute.
    pub pause_ms: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect_ms: 15_000, stall_ms: 120_000, attempt_count: 8, pause_ms: 500 }
    }
}

/// Returns a client that trusts the machine's authorities and those of a file.
///
/// # Errors
/// The file can't be read or holds no certificate.
pub fn client(ca_file: Option<&Path>, patience: &Patience) -> Result<Client, HttpError> {
    builder(ca_file, patience)?.build().map_err(HttpError::Setup)
}

/// Returns what makes such a client, for one that is to behave otherwise as well.
///
/// # Errors
/// As [`client`].
pub fn builder(ca_file: Option<&Path>, patience: &Patience) -> Result<ClientBuilder, HttpError> {
    // One provider of cryptography serves the whole program; that it is there already is no failure.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("airlift/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(patience.connect_ms))
        .timeout(Duration::from_millis(patience.stall_ms))
        .redirect(Policy::custom(follow))
        // An address may have a signature in it.
        .referer(false)
        .tls_backend_rustls();
    match ca_file {
        None => Ok(builder),
        Some(path) => {
            let failed = |source| HttpError::Authorities { path: path.to_owned(), source };
            let pem = std::fs::read(path).map_err(failed)?;
            Ok(builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(HttpError::Setup)?))
        }
    }
}

/// A value that a server answered with.
#[derive(Debug)]
pub struct Document<T> {
    /// The value.
    pub value: T,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// How long it was, in bytes.
    pub len: u64,
}

/// A client that asks again.
pub struct Http<'a> {
    client: Client,
    machine: Machine,
    patience: Patience,
    /// Whether a person asked to stop.
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    /// Who is told of questions that are asked again and again.
    note: Option<&'a (dyn Fn(&str) + Sync)>,
}

impl<'a> Http<'a> {
    /// Returns a client around one that is set up.
    pub fn new(client: Client, patience: Patience, is_stopped: &'a (dyn Fn() -> bool + Sync)) -> Http<'a> {
        Http { client, machine: Machine::default(), patience, is_stopped, note: None }
    }

    /// Returns the same client, which notes each attempt after the second: all of them may take minutes.
    #[must_use]
    pub fn with_note(self, note: &'a (dyn Fn(&str) + Sync)) -> Http<'a> {
        Http { note: Some(note), ..self }
    }

    /// Returns the value that a server answers with.
    ///
    /// # Errors
    /// There is no answer, or none of the type that was asked for.
    pub fn value<T: DeserializeOwned>(&self, ask: &dyn Fn(&Client) -> RequestBuilder) -> Result<T, HttpError> {
        Ok(self.document(ask)?.value)
    }

    /// Returns the value that a server answers with, and what came with it.
    ///
    /// # Errors
    /// As [`value`](Http::value).
    pub fn document<T: DeserializeOwned>(
        &self,
        ask: &dyn Fn(&Client) -> RequestBuilder,
    ) -> Result<Document<T>, HttpError> {
        let mut vain_count = 0;
        loop {
            let response = self.success_counting(ask, &mut vain_count)?;
            let (place, headers) = (response.place(), response.headers().clone());
            match response.bytes(ANSWER_LEN_MAX) {
                Ok(bytes) => {
                    let value = serde_json::from_slice(&bytes);
                    let value = value.map_err(|error| HttpError::not_answer(place, &error))?;
                    return Ok(Document { value, headers, len: bytes.len() as u64 });
                }
                Err(error @ HttpError::BrokenOff { .. }) if vain_count + 1 < self.patience.attempt_count => {
                    vain_count += 1;
                    self.note_again(vain_count, &error);
                }
                Err(error) => return Err(error),
            }
            self.wait_after(vain_count)?;
        }
    }

    /// Returns a response of success, asking again where that may help; its body is not read yet.
    /// `vain_count` is how often in a row nothing came: it is raised by what is asked here in vain, and who
    /// reads the body goes on counting.
    ///
    /// # Errors
    /// The server can't be reached or refuses, or a person asked to stop.
    pub fn success_counting(
        &self,
        ask: &dyn Fn(&Client) -> RequestBuilder,
        vain_count: &mut u32,
    ) -> Result<Response<'a>, HttpError> {
        let response = self.response_counting(ask, vain_count)?;
        if response.status().is_success() { Ok(response) } else { Err(refused(&response)) }
    }

    /// Returns a response of any status, asking again where that may help; its body is not read yet.
    ///
    /// # Errors
    /// The server can't be reached or refuses, or a person asked to stop.
    pub fn response(&self, ask: &dyn Fn(&Client) -> RequestBuilder) -> Result<Response<'a>, HttpError> {
        self.response_counting(ask, &mut 0)
    }

    fn response_counting(
        &self,
        ask: &dyn Fn(&Client) -> RequestBuilder,
        vain_count: &mut u32,
    ) -> Result<Response<'a>, HttpError> {
        loop {
            let is_last = *vain_count + 1 >= self.patience.attempt_count;
            let (wait, error) = match self.once(ask) {
                Ok(response) if is_last || response.status().is_success() => return Ok(response),
                Ok(response) => match refused(&response) {
                    error if error.may_pass() => (retry_after(response.headers()), error),
                    _ => return Ok(response),
                },
                Err(error) if is_last || !error.may_pass() => return Err(error),
                Err(error) => (None, error),
            };
            *vain_count += 1;
            self.note_again(*vain_count, &error);
            self.wait(wait.unwrap_or_else(|| self.pause(*vain_count)))?;
        }
    }

    /// Returns what a question is answered with that must not be asked twice.
    ///
    /// # Errors
    /// There is no answer.
    pub fn once(&self, ask: &dyn Fn(&Client) -> RequestBuilder) -> Result<Response<'a>, HttpError> {
        Response::to(ask(&self.client), Duration::from_millis(self.patience.stall_ms), self.is_stopped)
    }

    /// Notes that something is asked once more after so many attempts in vain.
    pub fn note_again(&self, vain_count: u32, why: &dyn fmt::Display) {
        if let Some(note) = self.note.filter(|_| vain_count > 1) {
            note(&format!("{why}; asking again, {} of {}", vain_count + 1, self.patience.attempt_count));
        }
    }

    /// Returns how long an answer is that comes too slowly and yet all the time that nothing may come, in bytes.
    pub fn slow_len(&self) -> u64 {
        SLOW_LEN_PER_S * self.patience.stall_ms / 1000
    }

    /// Returns how often a question is asked at most.
    pub fn attempt_count(&self) -> u32 {
        self.patience.attempt_count
    }

    /// Waits before an attempt with this number is repeated.
    ///
    /// # Errors
    /// A person asked to stop.
    pub fn wait_after(&self, attempt: u32) -> Result<(), HttpError> {
        self.wait(self.pause(attempt))
    }

    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.patience.pause_ms.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        Duration::from_millis(doubled.min(60_000))
    }

    fn wait(&self, duration: Duration) -> Result<(), HttpError> {
        let mut left = self.machine.pace(duration);
        loop {
            if (self.is_stopped)() {
                return Err(HttpError::Stopped);
            }
            if left.is_zero() {
                return Ok(());
            }
            let step = left.min(STEP);
            std::thread::sleep(step);
            left -= step;
        }
    }
}

/// Follows to another place, but not from where nobody listens to where somebody may.
fn follow(attempt: Attempt<'_>) -> Action {
    let is_weaker = attempt.url().scheme() == "http" && attempt.previous().iter().any(|url| url.scheme() == "https");
    if is_weaker || attempt.previous().len() > REDIRECT_COUNT_MAX { attempt.stop() } else { attempt.follow() }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_S_MAX)))
}

/// Returns why a response is none of success.
pub(in crate::tao) fn refused(response: &Response<'_>) -> HttpError {
    let place = response.place();
    match response.status().as_u16() {
        status @ (401 | 403) => HttpError::AccessRefused { place, status },
        404 => HttpError::NotFound { place },
        status => HttpError::Status { place, status },
    }
}

/// Returns an address without its user, query and fragment, which may be secret.
pub(in crate::tao) fn place_of(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}
