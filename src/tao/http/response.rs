//! What a server answers. A thread of its own waits for it, since nothing can end a call that waits: a
//! person who wants to stop is not made to wait with it, and the thread ends with the program.

use super::{HttpError, place_of};
use reqwest::blocking::RequestBuilder;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks whether a person asked to stop.
const STEP: Duration = Duration::from_millis(100);
/// Most bytes of an answer that are handed over at once.
const PIECE_LEN: usize = 256 << 10;
/// Most pieces of an answer that wait to be read.
const PIECE_COUNT: usize = 4;
/// Fewer bytes a second than this for as long as nothing may come are no answer.
const SLOW_LEN_PER_S: u64 = 1 << 10;

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
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// What was handed over last, and how much of it was read.
    piece: Vec<u8>,
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
    /// Asks, and returns what is answered. An answer that comes slower than [`SLOW_LEN_PER_S`] for `stall`
    /// is taken for broken.
    ///
    /// # Errors
    /// No answer begins, or a person asked to stop.
    pub fn to(
        request: RequestBuilder,
        stall: Duration,
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Response<'a>, HttpError> {
        let (head_sender, heads) = sync_channel(1);
        let (piece_sender, pieces) = sync_channel(PIECE_COUNT);
        thread::spawn(move || exchange(request, &head_sender, &piece_sender));
        let Head { url, status, headers } = loop {
            match heads.recv_timeout(STEP) {
                Ok(head) => break head?,
                Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
                Err(_) => return Err(HttpError::Stopped),
            }
        };
        let pace = Pace { window: stall, waited: Duration::ZERO, len: 0 };
        Ok(Response { url, status, headers, body: Body { pieces, piece: Vec::new(), read_len: 0, is_stopped, pace } })
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
    /// Returns the next piece; an empty one where the body ends.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if (self.is_stopped)() {
                return Err(io::Error::other(HttpError::Stopped));
            }
            let began = Instant::now();
            let received = self.pieces.recv_timeout(STEP);
            let came = if let Ok(Ok(piece)) = &received { piece.len() } else { 0 };
            self.pace.add(began.elapsed(), came)?;
            match received {
                Ok(piece) => return piece,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_len == self.piece.len() {
            (self.piece, self.read_len) = (self.next()?, 0);
        }
        let len = (&self.piece[self.read_len..]).read(buffer)?;
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

/// Asks, and hands over the answer as far as somebody reads it.
fn exchange(
    request: RequestBuilder,
    heads: &SyncSender<Result<Head, HttpError>>,
    pieces: &SyncSender<io::Result<Vec<u8>>>,
) {
    let mut response = match request.send() {
        Ok(response) => response,
        Err(error) => return drop(heads.send(Err(error.into()))),
    };
    let (url, status, headers) = (response.url().clone(), response.status(), response.headers().clone());
    if heads.send(Ok(Head { url, status, headers })).is_err() {
        return;
    }
    let mut buffer = vec![0; PIECE_LEN];
    loop {
        let piece = match response.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => Ok(buffer[..len].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = piece.is_err();
        if pieces.send(piece).is_err() || is_last {
            return;
        }
    }
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
