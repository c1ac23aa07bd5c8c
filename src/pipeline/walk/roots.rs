//! The directories that are packed, and their files opened without leaving them.

use super::entries::{SourceEntry, SourceKind};
use super::error::WalkError;
use super::link::{self, Resolved};
use super::stat::{Identity, Stamp, Stat};
use crate::format::{EntryPath, Name};
use rustix::fs::{Advice, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Files from this length on are announced to the system as read from start to end, in bytes.
const ADVISED_LEN_MIN: u64 = 256 << 10;

/// What is done with symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are entries that cannot be carried.
    Refuse,
    /// A relative link whose target is a file or directory of the same root stands for it.
    FollowInside,
}

/// The open directories of all roots.
#[derive(Debug)]
pub struct Roots {
    roots: Vec<Root>,
    links: Links,
}

#[derive(Debug)]
pub(super) struct Root {
    pub(super) name: Name,
    pub(super) dir: OwnedFd,
}

impl Roots {
    /// Opens the directory of each root. A directory that is given as a link is followed.
    ///
    /// # Errors
    /// Refuses a name given twice and a path that is no directory.
    pub fn open(named: &[(Name, PathBuf)], links: Links) -> Result<Roots, WalkError> {
        let mut roots: Vec<Root> = Vec::new();
        for (name, path) in named {
            if roots.iter().any(|root| root.name == *name) {
                return Err(WalkError::RootTwice { name: name.clone() });
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| WalkError::BadRoot {
                name: name.clone(),
                path: path.clone(),
                source: errno.into(),
            })?;
            roots.push(Root { name: name.clone(), dir });
        }
        roots.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Roots { roots, links })
    }

    /// Opens a file that was listed, without following a link that is not to be followed.
    ///
    /// # Errors
    /// Names a file that is not what it was when it was listed, and one that cannot be opened.
    pub fn open_file(&self, entry: &SourceEntry) -> Result<SourceFile, WalkError> {
        let changed = || WalkError::Changed { path: entry.path.as_bytes().to_vec() };
        let root = self.roots.iter().find(|root| root.name.as_str() == entry.path.root()).ok_or_else(changed)?;
        let failed = |errno| match errno {
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => changed(),
            other => cannot_read(entry.path.as_bytes(), other),
        };
        let fd = self.open_below(root.dir.as_fd(), entry.path.below_root()).map_err(failed)?;
        let file = SourceFile { file: File::from(fd), path: entry.path.clone(), len: entry.len, stamp: entry.stamp };
        file.confirm_unchanged()?;
        if file.len >= ADVISED_LEN_MIN {
            // Only a hint: not every file system takes it.
            let _ = rustix::fs::fadvise(&file.file, 0, None, Advice::Sequential);
        }
        Ok(file)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter()
    }

    pub(super) fn links(&self) -> Links {
        self.links
    }

    /// Refuses a root that one of `own_dirs` lies in, or that lies in one of them; returns which
    /// directories these are.
    pub(super) fn check_own_dirs(&self, own_dirs: &[PathBuf]) -> Result<Vec<Identity>, WalkError> {
        let mut identities = Vec::new();
        for path in own_dirs {
            let failed = |errno: Errno| WalkError::List { action: "open", path: path.clone(), source: errno.into() };
            let own = open_dir(path).map_err(failed)?;
            let identity = Stat::of(&own).map_err(failed)?.identity();
            let above_own = dirs_above(own).map_err(failed)?;
            for root in &self.roots {
                let root_identity = Stat::of(&root.dir).map_err(failed)?.identity();
                let root_dir = root.dir.try_clone().map_err(|source| cannot_read(root.name.as_str(), source))?;
                let above_root = dirs_above(root_dir).map_err(failed)?;
                if above_own.contains(&root_identity) || above_root.contains(&identity) {
                    return Err(WalkError::OwnDirectory { name: root.name.clone(), path: path.clone() });
                }
            }
            identities.push(identity);
        }
        Ok(identities)
    }

    fn open_below(&self, root: BorrowedFd<'_>, below: &str) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(root, below, file_flags(), Mode::empty(), resolve) {
            Err(Errno::LOOP) if self.links == Links::FollowInside => {}
            // Kernels before 5.6 and some sandboxes don't know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
        let Resolved { dir, name, .. } = match link::resolve(root, below.as_bytes(), self.links) {
            Ok(resolved) => resolved,
            Err(link::ResolveError::Refused(_)) => return Err(Errno::LOOP),
            Err(link::ResolveError::Io(errno)) => return Err(errno),
        };
        rustix::fs::openat(dir, &*name, file_flags(), Mode::empty())
    }
}

/// An open file of a root, with what was said of it when it was listed.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    path: EntryPath,
    len: u64,
    stamp: Stamp,
}

impl SourceFile {
    /// Returns the file, open for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the length that was listed, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether the file was listed as empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Compares the file with what was listed; to be asked again after its last byte was read.
    ///
    /// # Errors
    /// Names a file whose length, times or identity differ.
    pub fn confirm_unchanged(&self) -> Result<(), WalkError> {
        let path = self.path.as_bytes();
        let now = Stat::of(&self.file).map_err(|errno| cannot_read(path, errno))?;
        if (now.kind, now.len, now.stamp) == (FileType::RegularFile, self.len, self.stamp) {
            Ok(())
        } else {
            Err(WalkError::Changed { path: path.to_vec() })
        }
    }
}

impl SourceEntry {
    /// Tells whether an earlier list has this same file, so that its bytes need not be read again.
    pub fn is_unchanged_since(&self, earlier: &SourceEntry) -> bool {
        self.kind == SourceKind::File && self == earlier
    }
}

pub(super) fn cannot_read(path: impl AsRef<[u8]>, source: impl Into<io::Error>) -> WalkError {
    WalkError::CannotRead { path: path.as_ref().to_vec(), source: source.into() }
}

/// Opening must neither wait for a pipe that took the place of a file, nor follow a link.
fn file_flags() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

fn open_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Returns a directory and all directories above it.
fn dirs_above(mut dir: OwnedFd) -> rustix::io::Result<Vec<Identity>> {
    let mut found = Vec::new();
    loop {
        let identity = Stat::of(&dir)?.identity();
        // The directory above the topmost is itself.
        if found.last() == Some(&identity) {
            return Ok(found);
        }
        found.push(identity);
        dir = rustix::fs::openat(&dir, c"..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    }
}
