//! One file, from its source to its name: resumed where it was cut off, proven, durable.
//!
//! The bytes lie in a file of their own until all are there and proven; then it gets its name. What
//! lies there under its name is whole.

use super::remote::RemoteFile;
use crate::error::Class;
use crate::format::{Sha256, Shown};
use crate::machine::{Machine, MachineFile};
use crate::pipeline::progress::Progress;
use crate::tao::http::{Http, HttpError, Response};
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Read and written at once, in bytes.
const BUFFER_LEN: usize = 1 << 20;
/// An attempt that brings so many bytes, or this share of what is missing, was not in vain.
const GAIN_LEN: u64 = 16 << 10;
const GAIN_SHARE: u64 = 64;
/// Bytes between two notes of how far a file came.
const NOTE_STEP_LEN: u64 = 64 << 20;
/// Longest tag of a file that is gone on with, in bytes.
const TAG_LEN_MAX: usize = 1024;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The source gives no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The source gives another length than it says in its list.
    #[error("{shown} has {found} bytes, and its source lists {expected}", shown = Shown(.path))]
    OtherLen {
        /// The path of the file.
        path: String,
        /// As listed.
        expected: u64,
        /// As given.
        found: u64,
    },
    /// The bytes are not those that the source publishes.
    #[error("{shown} has SHA-256 {found}, and its source publishes {expected}", shown = Shown(.path))]
    OtherDigest {
        /// The path of the file.
        path: String,
        /// As published.
        expected: Sha256,
        /// As received.
        found: Sha256,
    },
    /// The connection broke again and again.
    #[error("{shown} broke off at byte {offset} again and again", shown = Shown(.path))]
    BrokenOff {
        /// The path of the file.
        path: String,
        /// Where.
        offset: u64,
    },
    /// A file of this machine fails.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileError {
    /// Returns whose problem it is: what a source gives wrongly may be right later.
    pub fn class(&self) -> Class {
        match self {
            FileError::Http(error) => error.class(),
            FileError::Io { source, .. } => Class::of_io(source),
            _ => Class::Unavailable,
        }
    }
}

/// Where a file goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name at the end.
    pub path: PathBuf,
    /// Where its bytes lie until then, on the same file system.
    pub part: PathBuf,
}

/// Fetches files to their places.
pub struct Fetcher<'a> {
    /// Who is asked.
    pub http: &'a Http<'a>,
    /// What is written on.
    pub machine: &'a Machine,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

/// The bytes that are here, and the state of their hash.
struct Part {
    file: MachineFile,
    len: u64,
    hasher: sha2::Sha256,
    /// What the source calls the bytes; without it they can't be gone on with.
    tag: Option<String>,
    /// How many of them were written down to be gone on with.
    noted_len: u64,
}

/// What is written down of a part, so that a power cut can't make wrong bytes of it.
#[derive(Deserialize, Serialize)]
struct Note {
    tag: String,
    len: u64,
    sha256: String,
}

impl Fetcher<'_> {
    /// Fetches a file unless it is there, and returns its SHA-256.
    ///
    /// # Errors
    /// The source does not give the bytes that it lists, or this machine can't keep them. What is here
    /// stays, and the next call goes on from it.
    pub fn fetch(
        &self,
        file: &RemoteFile,
        target: &Target,
        ask: &dyn Fn(&Client) -> RequestBuilder,
    ) -> Result<Sha256, FileError> {
        if let Some(found) = self.proven(file, &target.path)? {
            return Ok(found);
        }
        let found = match self.fill(file, target, ask) {
            // What is here may be of two versions of the file: once more, from the start.
            Err(FileError::OtherDigest { .. }) => self.fill(file, target, ask)?,
            other => other?,
        };
        let named = self.machine.make_directories(parent(&target.path), 0o777);
        let named = named.and_then(|()| self.machine.rename(&target.part, &target.path));
        let named = named.and_then(|()| self.machine.sync_directory(parent(&target.path)));
        named.map_err(|source| failed("name", &target.path, source))?;
        self.forget(&note_path(&target.part))?;
        Ok(found)
    }

    /// Returns the SHA-256 of what has the name already, where it is what the source lists.
    fn proven(&self, file: &RemoteFile, path: &Path) -> Result<Option<Sha256>, FileError> {
        let mut there = match self.machine.open_to_read(path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", path, source)),
        };
        let len = there.metadata().map_err(|source| failed("read", path, source))?.len();
        if len != file.len {
            return Ok(None);
        }
        let mut hasher = sha2::Sha256::new();
        self.hash(&mut there, path, &mut hasher)?;
        let found = Sha256::from_bytes(hasher.finalize().into());
        let is_proven = file.sha256.map_or(file.is_fixed, |expected| expected == found);
        if is_proven {
            self.progress.advance(len, 1);
        }
        Ok(is_proven.then_some(found))
    }

    /// Brings all bytes into the part, proven and durable.
    fn fill(
        &self,
        file: &RemoteFile,
        target: &Target,
        ask: &dyn Fn(&Client) -> RequestBuilder,
    ) -> Result<Sha256, FileError> {
        let mut part = self.open(file, &target.part)?;
        let (mut vain_count, mut reached_len) = (0, part.len);
        // An empty file is asked for as well: it has to be there.
        while part.len < file.len || file.len == 0 {
            let missing = file.len - reached_len;
            let is_slow = self.receive(file, target, &mut part, ask, &mut vain_count)?;
            if part.len == file.len {
                break;
            }
            if self.progress.is_cancelled() {
                return Err(HttpError::Stopped.into());
            }
            // Only what was never there before counts: who breaks off here and there brings nothing.
            let gained = part.len.saturating_sub(reached_len);
            reached_len = reached_len.max(part.len);
            let wanted = if is_slow { self.http.slow_len() } else { GAIN_LEN.min(missing.div_ceil(GAIN_SHARE)) };
            vain_count = if gained < wanted { vain_count + 1 } else { 0 };
            if vain_count >= self.http.attempt_count() {
                return Err(FileError::BrokenOff { path: file.path.clone(), offset: part.len });
            }
            self.http.note_again(vain_count, &format_args!("{} broke off at byte {}", Shown(&file.path), part.len));
            self.http.wait_after(vain_count.max(1))?;
        }
        let found = Sha256::from_bytes(part.hasher.finalize().into());
        if let Some(expected) = file.sha256.filter(|expected| *expected != found) {
            self.forget(&target.part)?;
            return Err(FileError::OtherDigest { path: file.path.clone(), expected, found });
        }
        part.file.sync().map_err(|source| failed("sync", &target.part, source))?;
        self.progress.advance(0, 1);
        Ok(found)
    }

    /// Receives bytes until they end or the connection breaks; tells whether they came too slowly.
    fn receive(
        &self,
        file: &RemoteFile,
        target: &Target,
        part: &mut Part,
        ask: &dyn Fn(&Client) -> RequestBuilder,
        vain_count: &mut u32,
    ) -> Result<bool, FileError> {
        let (offset, tag) = (part.len, part.tag.clone());
        let ask = |client: &Client| {
            let request = ask(client).header(ACCEPT_ENCODING, "identity");
            match &tag {
                Some(tag) if offset > 0 => request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, tag),
                _ => request,
            }
        };
        let mut response = self.http.success_counting(&ask, vain_count)?;
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT && begins_at(&response, offset, file.len);
        if !goes_on {
            self.restart(file, target, part, &response)?;
        }
        let mut buffer = vec![0; BUFFER_LEN];
        let mut is_slow = false;
        loop {
            let len = match response.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The connection broke: what came is kept.
                Err(error) => {
                    is_slow = error.kind() == io::ErrorKind::TimedOut;
                    break;
                }
            };
            if part.len + len as u64 > file.len {
                self.forget(&target.part)?;
                let found = part.len + len as u64;
                return Err(FileError::OtherLen { path: file.path.clone(), expected: file.len, found });
            }
            part.hasher.update(&buffer[..len]);
            part.file.write_all(&buffer[..len]).map_err(|source| failed("write", &target.part, source))?;
            part.len += len as u64;
            self.progress.advance(len as u64, 0);
            if part.len - part.noted_len >= NOTE_STEP_LEN {
                self.note(target, part)?;
            }
            if self.progress.is_cancelled() {
                self.note(target, part)?;
                return Err(HttpError::Stopped.into());
            }
        }
        if part.len < file.len {
            self.note(target, part)?;
        }
        Ok(is_slow)
    }

    /// Writes down how far a part came, once its bytes are durable.
    fn note(&self, target: &Target, part: &mut Part) -> Result<(), FileError> {
        let Some(tag) = part.tag.clone() else { return Ok(()) };
        part.file.sync().map_err(|source| failed("sync", &target.part, source))?;
        let sha256 = Sha256::from_bytes(part.hasher.clone().finalize().into()).to_string();
        let note = serde_json::to_vec(&Note { tag, len: part.len, sha256 }).unwrap_or_default();
        let path = note_path(&target.part);
        let written = self.machine.write_durably(&path.with_extension("new"), &path, &note);
        written.map_err(|source| failed("write", &path, source))?;
        part.noted_len = part.len;
        Ok(())
    }

    /// Begins again at the first byte, with what this response calls the file.
    fn restart(
        &self,
        file: &RemoteFile,
        target: &Target,
        part: &mut Part,
        response: &Response<'_>,
    ) -> Result<(), FileError> {
        let found = response.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        if let Some(found) = found.filter(|found| *found != file.len) {
            return Err(FileError::OtherLen { path: file.path.clone(), expected: file.len, found });
        }
        // The note first: it must never be about other bytes than those that lie there.
        self.forget(&note_path(&target.part))?;
        part.file.set_len(0).map_err(|source| failed("empty", &target.part, source))?;
        (part.len, part.noted_len, part.hasher) = (0, 0, sha2::Sha256::new());
        part.tag = response.headers().get(ETAG).and_then(|tag| strong(tag.to_str().ok()?));
        Ok(())
    }

    /// Opens the part, with as many of its bytes as were written down and are still those.
    fn open(&self, file: &RemoteFile, path: &Path) -> Result<Part, FileError> {
        let note = self.read_note(&note_path(path))?.filter(|note| note.len <= file.len);
        self.machine.make_directories(parent(path), 0o777).map_err(|source| failed("make", parent(path), source))?;
        let mut opened = self.machine.open(path, 0o666).map_err(|source| failed("open", path, source))?;
        let mut hasher = sha2::Sha256::new();
        let (mut len, mut tag) = (0, None);
        if let Some(note) = note {
            let there = self.machine.open_to_read(path).map_err(|source| failed("open", path, source))?;
            self.hash(&mut there.take(note.len), path, &mut hasher)?;
            if Sha256::from_bytes(hasher.clone().finalize().into()).to_string() == note.sha256 {
                (len, tag) = (note.len, Some(note.tag));
            } else {
                hasher = sha2::Sha256::new();
            }
        }
        opened.set_len(len).map_err(|source| failed("cut", path, source))?;
        self.progress.advance(len, 0);
        Ok(Part { file: opened, len, hasher, tag, noted_len: len })
    }

    fn read_note(&self, path: &Path) -> Result<Option<Note>, FileError> {
        let bytes = self.machine.read(path).map_err(|source| failed("read", path, source))?;
        let note: Option<Note> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(note.filter(|note| note.tag.len() <= TAG_LEN_MAX && strong(&note.tag).is_some()))
    }

    fn hash(&self, file: &mut impl io::Read, path: &Path, hasher: &mut sha2::Sha256) -> Result<(), FileError> {
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => hasher.update(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed("read", path, source)),
            }
            if self.progress.is_cancelled() {
                return Err(HttpError::Stopped.into());
            }
        }
    }

    fn forget(&self, path: &Path) -> Result<(), FileError> {
        match self.machine.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
            _ => Ok(()),
        }
    }
}

/// Returns a tag that names exact bytes; a weak one does not.
fn strong(tag: &str) -> Option<String> {
    let is_strong = tag.len() >= 2
        && tag.starts_with('"')
        && tag.ends_with('"')
        && tag.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    is_strong.then(|| tag.to_owned())
}

/// Tells whether a response goes on at an offset of a file of this length.
fn begins_at(response: &Response<'_>, offset: u64, len: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")) && range.ends_with(&format!("/{len}")))
}

fn note_path(part: &Path) -> PathBuf {
    part.with_extension("note")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError::Io { action, path: path.to_owned(), source }
}
