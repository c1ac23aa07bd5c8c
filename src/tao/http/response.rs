//! What a server answers. A thread of its own waits for it, since nothing can end a call that waits: a
//! person who wants to stop is not made to wait with it, and the thread ends with the program. It reads
//! when it is asked to alone, and ends when nobody can ask it any more.

use super::{HttpError, STEP, place_of};
use reqwest::blocking::{Client, Request, RequestBuilder};
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes of an answer that are handed over at once.
const BUFFER_LEN: usize = 256 << 10;
/// Fewer bytes a second than this, for as long as nothing may come, are no answer.
pub(super) const SLOW_LEN_PER_S: u64 = 1 << 10;

/// An answer, whose body comes as it is read.
pub struct Response<'a> {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
    body: Body<'a>,
}

/// The head of an answer, before its body.
struct Head {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
}

struct Body<'a> {
    /// Asks for more; without it the thread ends.
    wanted: Sender<()>,
    /// What comes then; empty at the end.
    buffers: Receiver<io::Result<Vec<u8>>>,
    is_over: bool,
    /// What was handed over last, and how much of it was read.
    buffer: Vec<u8>,
    read_len: usize,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    pace: Pace,
}

/// How much came while it was waited for.
struct Pace {
    window: Duration,
    waited: Duration,
    len: u64,
}

impl<'a> Response<'a> {
    /// Asks, and returns what is answered. One that comes too slowly for `stall` is taken for
    /// broken.
    ///
    /// # Errors
    /// No answer begins, or a person asked to stop.
    pub fn to(
        request: RequestBuilder,
        stall: Duration,
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Response<'a>, HttpError> {
        let (client, request) = request.build_split();
        let request = request?;
        let place = place_of(request.url());
        let (head_sender, heads) = channel();
        let (wanted, questions) = channel();
        let (buffer_sender, buffers) = channel();
        let exchange = move || exchange(&client, request, &head_sender, &questions, &buffer_sender);
        thread::Builder::new().name("http".to_owned()).spawn(exchange).map_err(HttpError::Thread)?;
        let Head { url, status, headers } = loop {
            match heads.recv_timeout(STEP) {
                Ok(head) => break head?,
                Err(RecvTimeoutError::Timeout) if is_stopped() => return Err(HttpError::Stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(HttpError::BrokenOff { place, source: lost() }),
            }
        };
        let pace = Pace { window: stall, waited: Duration::ZERO, len: 0 };
        let body = Body { wanted, buffers, is_over: false, buffer: Vec::new(), read_len: 0, is_stopped, pace };
        Ok(Response { url, status, headers, body })
    }

    /// Returns the address that answered, behind all redirections.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the address without what may be secret in it.
    pub fn place(&self) -> String {
        place_of(&self.url)
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// It is longer than `max`, breaks off, or a person asked to stop.
    pub fn bytes(mut self, max: u64) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        match (&mut self.body).take(max + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > max => Err(HttpError::TooLong { place: self.place(), max }),
            Ok(_) => Ok(bytes),
            Err(_) if (self.body.is_stopped)() => Err(HttpError::Stopped),
            Err(source) => Err(HttpError::BrokenOff { place: self.place(), source }),
        }
    }
}

impl Read for Response<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Body<'_> {
    /// Returns the next bytes; none at the end.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        if self.is_over {
            return Ok(Vec::new());
        }
        self.wanted.send(()).map_err(|_| lost())?;
        loop {
            if (self.is_stopped)() {
                return Err(io::Error::other(HttpError::Stopped));
            }
            let began = Instant::now();
            let received = self.buffers.recv_timeout(STEP);
            let came = if let Ok(Ok(buffer)) = &received { buffer.len() } else { 0 };
            self.is_over = received.as_ref().is_ok_and(|buffer| buffer.as_ref().is_ok_and(Vec::is_empty));
            if !self.is_over {
                self.pace.add(began.elapsed(), came)?;
            }
            match received {
                Ok(buffer) => return buffer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(lost()),
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_len == self.buffer.len() {
            (self.buffer, self.read_len) = (self.next()?, 0);
        }
        let len = (&self.buffer[self.read_len..]).read(buffer)?;
        self.read_len += len;
        Ok(len)
    }
}

impl Pace {
    /// Counts bytes and what they were waited for; the time that the reader takes for itself is not counted.
    fn add(&mut self, waited: Duration, len: usize) -> io::Result<()> {
        self.waited += waited;
        self.len += len as u64;
        if self.waited < self.window {
            return Ok(());
        }
        if u128::from(self.len) < self.waited.as_millis() * u128::from(SLOW_LEN_PER_S) / 1000 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it came too slowly"));
        }
        (self.waited, self.len) = (Duration::ZERO, 0);
        Ok(())
    }
}

/// Asks, and hands over the answer as far as somebody wants it.
fn exchange(
    client: &Client,
    request: Request,
    heads: &Sender<Result<Head, HttpError>>,
    wanted: &Receiver<()>,
    buffers: &Sender<io::Result<Vec<u8>>>,
) {
    let mut response = match client.execute(request) {
        Ok(response) => response,
        Err(error) => return drop(heads.send(Err(error.into()))),
    };
    let (url, status, headers) = (response.url().clone(), response.status(), response.headers().clone());
    if heads.send(Ok(Head { url, status, headers })).is_err() {
        return;
    }
    while wanted.recv().is_ok() {
        let mut buffer = vec![0; BUFFER_LEN];
        let read = loop {
            match response.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let handed = buffers.send(match read {
            Ok(len) => {
                buffer.truncate(len);
                Ok(buffer)
            }
            Err(error) => Err(with_timeout_kind(error)),
        });
        if handed.is_err() {
            return;
        }
    }
}

/// Returns an error of reading, told apart by its kind where the time was over.
fn with_timeout_kind(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<reqwest::Error>());
    match cause.is_some_and(reqwest::Error::is_timeout) {
        true => io::Error::new(io::ErrorKind::TimedOut, error),
        false => error,
    }
}

/// What is said where the thread ended before the answer did.
fn lost() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drips_is_no_answer_and_what_the_reader_does_meanwhile_is_not_counted() {
        let second = Duration::from_secs(1);
        let mut pace = Pace { window: 2 * second, waited: Duration::ZERO, len: 0 };
        pace.add(second, 1).expect("within the window");
        let error = pace.add(second, 2046).expect_err("a byte too few");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut pace = Pace { window: 2 * second, waited: Duration::ZERO, len: 0 };
        pace.add(2 * second, 2048).expect("as much as is wanted");
        pace.add(second, 0).expect("a window of its own");
        pace.add(second, 0).expect_err("nothing came");
    }
}
