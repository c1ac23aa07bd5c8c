//! A private directory that goes when its owner does.

use super::failure::Failure;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A directory that only this user can enter, removed with all in it when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a directory below the system's one for temporary files.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn new() -> Result<Scratch, Failure> {
        let top = std::env::temp_dir();
        let mut number = 0;
        loop {
            let path = top.join(format!("airlift-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch(path)),
                // A directory that was there before may be anybody's.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Failure::io("create", &path, &error)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is the system's to clear, as with every temporary file.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
