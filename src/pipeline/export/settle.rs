//! Names for whole files, given when their bytes are on the disk.

use super::ExportError;
use super::destination::{Destination, Parents};
use crate::format::EntryPath;
use crossbeam_channel::Receiver;
use rustix::fs::{self, AtFlags, RenameFlags};
use rustix::io::Errno;

/// A file of which every byte is written, and whose name is still one of the work directory.
pub(super) struct Whole {
    pub(super) work_name: String,
    pub(super) path: EntryPath,
}

/// Gives files their names on a thread of its own, while the next are written.
pub(super) struct Settler<'a> {
    to: &'a Destination,
    parents: Parents<'a>,
}

impl Settler<'_> {
    pub(super) fn new(to: &Destination) -> Settler<'_> {
        Settler { to, parents: Parents::new(to) }
    }

    /// Names files until no more can come. However many wait, the disk is made to write once.
    pub(super) fn run(mut self, written: &Receiver<Vec<Whole>>) -> Result<(), ExportError> {
        while let Ok(first) = written.recv() {
            // Taken before the sync: what is sent later may have been written behind it.
            let files: Vec<Whole> = first.into_iter().chain(written.try_iter().flatten()).collect();
            fs::syncfs(&self.to.work).map_err(|error| self.to.failed("sync", "", error))?;
            files.iter().try_for_each(|file| self.settle(file))?;
        }
        Ok(())
    }

    /// Moves a whole file to its place, where nothing may be.
    fn settle(&mut self, file: &Whole) -> Result<(), ExportError> {
        let (above, name) = split(&file.path);
        let (work, work_name) = (&self.to.work, &file.work_name);
        let directory = self.parents.directory(above)?;
        let moved = match fs::renameat_with(work, work_name, directory, name, RenameFlags::NOREPLACE) {
            // Some file systems can't tell whether they would replace something, but can link.
            Err(Errno::INVAL | Errno::NOSYS) => fs::linkat(work, work_name, directory, name, AtFlags::empty())
                .and_then(|()| fs::unlinkat(work, work_name, AtFlags::empty())),
            moved => moved,
        };
        moved.map_err(|error| match error {
            Errno::EXIST => ExportError::InTheWay { path: self.to.path.join(file.path.as_str()) },
            error => self.to.failed("write", file.path.as_str(), error),
        })
    }
}

/// Returns the directory and the name of a file; F-36 gives every file at least two segments.
pub(super) fn split(path: &EntryPath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))
}
