//! Which steps are done, and with what: a step is done again when its words or what it reads are others.

use crate::cli::failure::Failure;
use crate::cli::stores::state_directory;
use airlift::format::Digest;
use airlift::machine::Machine;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Longest record, in bytes.
const RECORD_LEN_MAX: u64 = 64 << 10;

/// What is written down of a file of steps, in the local state: the file may lie where nothing is written.
pub(super) struct Record {
    path: PathBuf,
    done: Map<String, Value>,
}

impl Record {
    /// Reads the record of a file of steps; one that can't be read as one says that nothing is done.
    ///
    /// # Errors
    /// It is there and can't be read, or it is not known where local state lies.
    pub(super) fn open(file: &Path) -> Result<Record, Failure> {
        let name = format!("{}.json", Digest::of(file.as_os_str().as_bytes()));
        let path = state_directory(None)?.join("steps").join(name);
        let failed = |error: std::io::Error| Failure::io("read", &path, &error);
        let is_short = |path: &Path| std::fs::metadata(path).is_ok_and(|there| there.len() <= RECORD_LEN_MAX);
        let bytes = if is_short(&path) { Machine::default().read(&path).map_err(failed)? } else { None };
        let done = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Ok(Record { path, done })
    }

    pub(super) fn is_done(&self, step: &str, digest: &Digest) -> bool {
        self.done.get(step).and_then(Value::as_str) == Some(digest.to_string().as_str())
    }

    /// Writes down that a step is done.
    ///
    /// # Errors
    /// The record can't be written.
    pub(super) fn set_done(&mut self, step: &str, digest: &Digest) -> Result<(), Failure> {
        self.done.insert(step.to_owned(), Value::String(digest.to_string()));
        let bytes = serde_json::to_vec_pretty(&self.done).unwrap_or_default();
        let machine = Machine::default();
        let made = self.path.parent().map_or(Ok(()), |directory| machine.make_directories(directory, 0o700));
        let written = made.and_then(|()| machine.write_durably(&self.path.with_extension("new"), &self.path, &bytes));
        written.map_err(|error| Failure::io("write", &self.path, &error))
    }
}

/// Returns what tells one doing of a step from another: its words, the step before, and the files it reads.
pub(super) fn digest(before: &Digest, words: &[OsString], inputs: &[PathBuf]) -> Digest {
    let mut bytes = before.to_string().into_bytes();
    for word in words {
        bytes.push(0);
        bytes.extend(word.as_bytes());
    }
    for input in inputs {
        bytes.push(0);
        bytes.extend(std::fs::read(input).map(|content| Digest::of(&content).to_string()).unwrap_or_default().bytes());
    }
    Digest::of(&bytes)
}
