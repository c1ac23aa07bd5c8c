//! The directory that an export writes: the work directory in it, and the way to every parent.

use super::ExportError;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Where files are until they are whole. No root can have this name (F-30).
pub(super) const WORK: &str = ".airlift-export";
const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory that is written.
pub(super) struct Destination {
    pub(super) path: PathBuf,
    pub(super) root: OwnedFd,
    /// Locked: no other export writes here.
    pub(super) work: OwnedFd,
}

impl Destination {
    /// Opens the directory, which is created where it is not there, with an empty work directory.
    pub(super) fn open(path: &Path) -> Result<Destination, ExportError> {
        let failed = |action| move |source| ExportError::Io { action, path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed("create"))?;
        // The one link that is followed is the path that the person named.
        let root = fs::open(path, DIR_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|error| failed("open")(error.into()))?;
        match fs::mkdirat(&root, WORK, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("write to")(error.into())),
        }
        let work = fs::openat(&root, WORK, DIR_FLAGS, Mode::empty());
        let work = work.map_err(|error| failed("open the work directory of")(error.into()))?;
        if fs::flock(&work, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(ExportError::InUse { path: path.to_owned() });
        }
        let destination = Destination { path: path.to_owned(), root, work };
        destination.clear_work()?;
        Ok(destination)
    }

    /// Removes what a killed run has left.
    fn clear_work(&self) -> Result<(), ExportError> {
        let failed = |error: Errno| self.failed("clear", WORK, error);
        for item in fs::Dir::read_from(&self.work).map_err(failed)? {
            let item = item.map_err(failed)?;
            if !matches!(item.file_name().to_bytes(), b"." | b"..") {
                fs::unlinkat(&self.work, item.file_name(), AtFlags::empty()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Ends the work: what is whole stays, what is not goes.
    pub(super) fn close(self) -> Result<(), ExportError> {
        self.clear_work()?;
        fs::unlinkat(&self.root, WORK, AtFlags::REMOVEDIR).map_err(|error| self.failed("remove", WORK, error))?;
        fs::syncfs(&self.root).map_err(|error| self.failed("sync", "", error))
    }

    fn make_directory(&self, below: &str) -> Result<OwnedFd, ExportError> {
        let mut here =
            fs::openat(&self.root, ".", DIR_FLAGS, Mode::empty()).map_err(|error| self.failed("open", "", error))?;
        for segment in below.split('/') {
            match fs::mkdirat(&here, segment, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(self.failed("create", below, error)),
            }
            here = match fs::openat(&here, segment, DIR_FLAGS, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(ExportError::InTheWay { path: self.path.join(below) });
                }
                Err(error) => return Err(self.failed("open", below, error)),
            };
        }
        Ok(here)
    }

    pub(super) fn failed(&self, action: &'static str, below: &str, error: Errno) -> ExportError {
        ExportError::Io { action, path: self.path.join(below), source: error.into() }
    }
}

/// Opens the directories that entries belong to, and keeps the last.
pub(super) struct Parents<'a> {
    to: &'a Destination,
    last: Option<(String, OwnedFd)>,
}

impl Parents<'_> {
    pub(super) fn new(to: &Destination) -> Parents<'_> {
        Parents { to, last: None }
    }

    /// Opens a directory one segment at a time, never through a link, and creates what is missing.
    /// A segment is neither `..` nor has it a slash (F-34), so nothing leads out.
    pub(super) fn directory(&mut self, below: &str) -> Result<&OwnedFd, ExportError> {
        let (path, last) = match self.last.take() {
            Some((path, last)) if path == below => (path, last),
            _ => (below.to_owned(), self.to.make_directory(below)?),
        };
        Ok(&self.last.insert((path, last)).1)
    }
}
