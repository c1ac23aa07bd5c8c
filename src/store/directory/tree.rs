//! Steps through the tree of files, one component at a time and never through a link.

use super::AREA;
use crate::store::{Key, StoreError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const FRESH: &str = "new";
const LOCK: &str = "lock";
const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The tree under the root directory.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    root: OnceLock<OwnedFd>,
}

/// Excludes all other writers, of this process and others, while it lives.
pub(super) struct Lock {
    _file: OwnedFd,
}

/// A file that is not an object yet. Locked while it lives, so that a later run can tell the
/// leftovers of a killed one; removed unless it was renamed.
pub(super) struct Fresh {
    directory: OwnedFd,
    name: String,
    file: File,
    renamed: bool,
}

impl Tree {
    pub(super) fn new(path: PathBuf) -> Tree {
        Tree { path, root: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the root directory. The one link that is followed is the root's own path, which
    /// the user named.
    pub(super) fn root(&self) -> Result<BorrowedFd<'_>, StoreError> {
        if let Some(root) = self.root.get() {
            return Ok(root.as_fd());
        }
        match fs::open(&self.path, DIR_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty()) {
            Ok(root) => Ok(self.root.get_or_init(|| root).as_fd()),
            Err(Errno::NOENT) => Err(StoreError::BucketMissing { bucket: self.path.to_string_lossy().into_owned() }),
            Err(errno) => Err(self.failed("open", "", errno)),
        }
    }

    /// Opens the directory that an object's file is in, or nothing where there can be no such file.
    pub(super) fn find_parent<'k>(&self, key: &'k Key) -> Result<Option<(OwnedFd, &'k str)>, StoreError> {
        let (above, name) = split(key);
        match self.open_dir(above) {
            Ok(parent) => Ok(Some((parent, name))),
            Err(StoreError::Io { source, .. }) if is_absence(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory that an object's file goes to, creating what is missing above it.
    pub(super) fn make_parent<'k>(&self, key: &'k Key) -> Result<(OwnedFd, &'k str), StoreError> {
        let (above, name) = split(key);
        let mut here = self.reopen_root()?;
        let mut passed = 0;
        for segment in above.split('/').filter(|segment| !segment.is_empty()) {
            passed += segment.len() + 1;
            let shown = &above[..passed - 1];
            match fs::mkdirat(&here, segment, Mode::from_raw_mode(0o755)) {
                Ok(()) => fs::fsync(&here).map_err(|errno| self.failed("sync the directory of", shown, errno))?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed("create", shown, errno)),
            }
            here = match fs::openat(&here, segment, DIR_FLAGS, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(StoreError::InTheWay { key: key.clone(), other: shown.to_owned() });
                }
                Err(errno) => return Err(self.failed("open", shown, errno)),
            };
        }
        Ok((here, name))
    }

    /// Opens a directory below the root; the empty path is the root.
    pub(super) fn open_dir(&self, path: &str) -> Result<OwnedFd, StoreError> {
        let mut here = self.reopen_root()?;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            // Page tokens come here too, so the path need not have passed the grammar of keys.
            let next =
                if segment == ".." { Err(Errno::NOENT) } else { fs::openat(&here, segment, DIR_FLAGS, Mode::empty()) };
            here = next.map_err(|errno| self.failed("open", path, errno))?;
        }
        Ok(here)
    }

    /// Opens the file of an object, or nothing where there is none or it is no file.
    pub(super) fn open_object(&self, parent: &OwnedFd, name: &str, key: &Key) -> Result<Option<File>, StoreError> {
        // Not blocking, since a pipe could stand there.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match fs::openat(parent, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(errno) => Err(self.failed("open", key.as_str(), errno)),
        }
    }

    /// Refuses to put a file where something else than a file is.
    pub(super) fn check_replaceable(&self, parent: &OwnedFd, name: &str, key: &Key) -> Result<(), StoreError> {
        match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("stat", key.as_str(), errno)),
            Ok(meta) if FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile => Ok(()),
            Ok(_) => Err(StoreError::InTheWay { key: key.clone(), other: key.as_str().to_owned() }),
        }
    }

    /// Removes the file of an object, then the directories above it that are now empty, since a
    /// leftover one would be in the way of an object of its name.
    pub(super) fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let Some((parent, name)) = self.find_parent(key)? else { return Ok(()) };
        match fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed("remove", key.as_str(), errno)),
        }
        fs::fsync(&parent).map_err(|errno| self.failed("sync the directory of", key.as_str(), errno))?;
        let mut above = split(key).0;
        while !above.is_empty() {
            let (next, name) = above.rsplit_once('/').unwrap_or(("", above));
            let directory = self.open_dir(next)?;
            match fs::unlinkat(&directory, name, AtFlags::REMOVEDIR) {
                Ok(()) => above = next,
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => break,
                Err(errno) => return Err(self.failed("remove", above, errno)),
            }
        }
        Ok(())
    }

    /// Opens a directory of [`AREA`], or nothing where it was never made.
    pub(super) fn find_area(&self, name: &str) -> Result<Option<OwnedFd>, StoreError> {
        match self.open_dir(&format!("{AREA}/{name}")) {
            Ok(directory) => Ok(Some(directory)),
            Err(StoreError::Io { source, .. }) if is_absence(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a directory of [`AREA`], creating it where it is missing; only its owner may look in.
    pub(super) fn make_area(&self, name: &str) -> Result<OwnedFd, StoreError> {
        let mut here = self.reopen_root()?;
        for segment in std::iter::once(AREA).chain(name.split('/').filter(|segment| !segment.is_empty())) {
            match fs::mkdirat(&here, segment, Mode::from_raw_mode(0o700)) {
                Ok(()) => fs::fsync(&here).map_err(|errno| self.failed("sync", AREA, errno))?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed("create", AREA, errno)),
            }
            let next = fs::openat(&here, segment, DIR_FLAGS, Mode::empty());
            here = next.map_err(|errno| self.failed("open", AREA, errno))?;
        }
        Ok(here)
    }

    pub(super) fn lock(&self) -> Result<Lock, StoreError> {
        let area = self.make_area("")?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&area, LOCK, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| self.failed("open the lock in", AREA, errno))?;
        rustix::io::retry_on_intr(|| fs::flock(&file, FlockOperation::LockExclusive))
            .map_err(|errno| self.failed("lock", AREA, errno))?;
        Ok(Lock { _file: file })
    }

    pub(super) fn create_fresh(&self) -> Result<Fresh, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let directory = self.make_area(FRESH)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno| self.failed("create a file in", AREA, errno);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", rustix::process::getpid().as_raw_nonzero());
            let file = match fs::openat(&directory, &name, flags, Mode::from_raw_mode(0o644)) {
                Ok(file) => file,
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            rustix::io::retry_on_intr(|| fs::flock(&file, FlockOperation::LockExclusive)).map_err(failed)?;
            // A sweep that came between creation and lock has removed it: take another.
            if fs::fstat(&file).map_err(failed)?.st_nlink == 0 {
                continue;
            }
            return Ok(Fresh { directory, name, file: file.into(), renamed: false });
        }
    }

    /// Removes the unfinished files of runs that were killed: nobody holds their locks.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        self.root()?;
        let Some(directory) = self.find_area(FRESH)? else { return Ok(()) };
        self.each_name(&directory, |name, _| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            if let Ok(file) = fs::openat(&directory, name, flags, Mode::empty())
                && fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                match fs::unlinkat(&directory, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(self.failed("remove a file in", AREA, errno)),
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` with each name of a directory that is UTF-8, and whether it is a directory.
    pub(super) fn each_name(
        &self,
        directory: &OwnedFd,
        mut visit: impl FnMut(&str, FileType) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |errno| self.failed("list", "", errno);
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(meta) => FileType::from_raw_mode(meta.st_mode),
                    Err(_) => continue,
                },
                kind => kind,
            };
            visit(name, kind)?;
        }
        Ok(())
    }

    pub(super) fn failed(&self, action: &'static str, below: &str, errno: Errno) -> StoreError {
        self.failed_io(action, below, errno.into())
    }

    pub(super) fn failed_io(&self, action: &'static str, below: &str, source: std::io::Error) -> StoreError {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace { key: below.to_owned() }
            }
            _ => StoreError::Io { action, path: self.path.join(below), source },
        }
    }

    fn reopen_root(&self) -> Result<OwnedFd, StoreError> {
        fs::openat(self.root()?, ".", DIR_FLAGS, Mode::empty()).map_err(|errno| self.failed("open", "", errno))
    }
}

impl Fresh {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    pub(super) fn rename_to(mut self, parent: &OwnedFd, name: &str, flags: RenameFlags) -> Result<(), Errno> {
        let renamed = match fs::renameat_with(&self.directory, &self.name, parent, name, flags) {
            // The file system knows no flags; the lock alone keeps our own writers apart.
            Err(Errno::INVAL | Errno::NOSYS) => fs::renameat(&self.directory, &self.name, parent, name),
            outcome => outcome,
        };
        self.renamed = renamed.is_ok();
        renamed
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.renamed {
            // Where this fails the next sweep finds it, since its lock ends with this value.
            fs::unlinkat(&self.directory, &self.name, AtFlags::empty()).unwrap_or_default();
        }
    }
}

/// Tells whether an error means that there is nothing of this path.
pub(super) fn is_absence(error: &std::io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn split(key: &Key) -> (&str, &str) {
    key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()))
}
