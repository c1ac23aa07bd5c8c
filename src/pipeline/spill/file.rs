//! Private files without a name.

use crate::error::Class;
use crate::format::Shown;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why something could not be kept outside memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpillError {
    /// The operating system refused.
    #[error("cannot {action} a spill file in {dir}", dir = Shown(.dir.to_string_lossy()))]
    Io {
        /// What was tried: create, read or write.
        action: &'static str,
        /// The directory of the file.
        dir: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A record to sort is longer than [`RECORD_LEN_MAX`](super::RECORD_LEN_MAX).
    #[error("a record of {len} bytes is too long to sort")]
    RecordTooLong {
        /// The length of the record, in bytes.
        len: usize,
    },
}

impl SpillError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            SpillError::Io { source, .. } => Class::of_io(source),
            SpillError::RecordTooLong { .. } => Class::Bug,
        }
    }
}

/// A file that only this process can reach: created with mode 0600 where nothing was, its name
/// removed at once, so that nothing is left behind wherever the process ends.
pub(super) struct SpillFile {
    file: File,
    dir: PathBuf,
    len: u64,
}

impl SpillFile {
    pub(super) fn create(dir: &Path) -> Result<SpillFile, SpillError> {
        match create_private(dir) {
            Ok(file) => Ok(SpillFile { file, dir: dir.to_owned(), len: 0 }),
            Err(source) => Err(SpillError::Io { action: "create", dir: dir.to_owned(), source }),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), SpillError> {
        self.file.write_all_at(bytes, self.len).map_err(|source| self.error("write", source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), SpillError> {
        self.file.read_exact_at(bytes, offset).map_err(|source| self.error("read", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> SpillError {
        SpillError::Io { action, dir: self.dir.clone(), source }
    }
}

fn create_private(dir: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("spill-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // A process with this id was killed before it could remove the name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
