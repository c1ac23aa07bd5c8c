//! Walks the roots: every entry to pack, in byte order of its path, before any of it is read.

mod entries;
mod error;
mod link;
mod roots;
mod stat;
pub(in crate::pipeline) mod twins;

#[cfg(test)]
mod tests;

pub use entries::{EntryReader, SortedEntries, SourceEntry, SourceKind, Totals};
pub use error::{NAMED_COUNT_MAX, Reason, Refusal, Refusals, WalkError};
pub use roots::{Links, Roots, SourceFile};
pub use stat::Stamp;

use crate::format::Name;
use crate::format::limits::{FILE_LEN_MAX, PATH_LEN_MAX, TOTAL_LEN_MAX};
use crate::format::path::{PathRule, check_segment};
use crate::machine::Machine;
use crate::pipeline::globs::{self, Glob};
use crate::pipeline::progress::Progress;
use crate::pipeline::spill::Sorter;
use link::{ResolveError, Resolved};
use roots::cannot_read;
use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use stat::{Identity, Stat};
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use twins::{Key, Twins};

/// Most links to directories on one path, so that few links can't stand for endless entries.
pub const LINK_DEPTH_MAX: usize = 8;

/// Names read at once from a directory, in bytes. A path has at most 512 directories, all open.
const LISTING_LEN: usize = 8 << 10;
/// Entries between two reports of progress.
const PROGRESS_STEP: u64 = 1024;

/// What is done with entries that cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// One report names them all, and nothing is packed.
    Refuse,
    /// They are named and left out, a directory with all below it. Twins are refused all the same:
    /// which of them is meant is not for a program to choose.
    Skip,
}

/// How to walk.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// What is done with entries that cannot be carried.
    pub unsupported: Unsupported,
    /// What is left out, a directory with all below it.
    pub exclude: Vec<Glob>,
    /// Directories that the packer writes; no root may hold one or lie in one.
    pub own_dirs: Vec<PathBuf>,
    /// Where the list of entries and spill files go.
    pub state_dir: PathBuf,
    /// What the list is written on.
    pub machine: Machine,
    /// Memory to sort in, in bytes; 64 KiB is enough for any number of entries.
    pub budget_len: usize,
}

/// What a walk found.
#[derive(Debug)]
pub struct Walked {
    /// The entries to pack.
    pub entries: SortedEntries,
    /// What can't be carried and was left out; empty unless that was asked for.
    pub skipped: Refusals,
    /// How many entries each glob has left out, in their order. A directory counts as one, and an entry
    /// for the first glob that matches.
    pub excluded: Vec<u64>,
}

/// Lists all entries of the roots: regular files, and directories with no entry below them.
///
/// Hard links are files of their own; mounts are followed.
///
/// # Errors
/// Refuses roots with entries that cannot be carried, all named in one report, and roots that hold
/// the packer's own directories. Fails where something cannot be read or changes meanwhile.
pub fn walk(roots: &Roots, options: &WalkOptions, progress: &dyn Progress) -> Result<Walked, WalkError> {
    let own = roots.check_own_dirs(&options.own_dirs)?;
    progress.begin("list", 0, 0);
    let entries = Sorter::new(&options.state_dir, options.budget_len / 4 * 3);
    let twins = Twins::new(&options.state_dir, options.budget_len / 4);
    let mut found = Collected {
        entries,
        twins,
        refusals: Refusals::default(),
        totals: Totals::default(),
        excluded: vec![0; options.exclude.len()],
    };
    for root in roots.iter() {
        let dir = root.dir.as_fd();
        let path = root.name.as_str().as_bytes().to_vec();
        let mut walker = Walker {
            roots,
            options,
            progress,
            own: &own,
            found: &mut found,
            name: &root.name,
            root: dir,
            path,
            real: Vec::new(),
            above: Vec::new(),
            link_depth: 0,
            record: Vec::new(),
            unreported: Totals::default(),
        };
        walker.enter(dir, c".")?;
        walker.report()?;
    }
    found.finish(options, progress)
}

/// What the walk has found so far.
struct Collected {
    entries: Sorter,
    twins: Twins,
    refusals: Refusals,
    totals: Totals,
    excluded: Vec<u64>,
}

impl Collected {
    fn finish(mut self, options: &WalkOptions, progress: &dyn Progress) -> Result<Walked, WalkError> {
        let twins = self.twins.finish()?;
        let mut sorted = self.entries.finish()?;
        let mut refusals = match options.unsupported {
            Unsupported::Refuse => std::mem::take(&mut self.refusals),
            Unsupported::Skip => Refusals::default(),
        };
        if twins.count > 0 {
            twins.name(&mut sorted, &mut refusals)?;
        }
        if refusals.count() > 0 {
            return Err(WalkError::Refused { refusals });
        }
        let total_len = self.totals.total_len;
        if total_len > TOTAL_LEN_MAX {
            return Err(WalkError::TotalTooLong { total_len });
        }
        let entries = SortedEntries::write(&options.machine, &options.state_dir, sorted, progress)?;
        Ok(Walked { entries, skipped: self.refusals, excluded: self.excluded })
    }
}

/// The walk of one root, at one entry.
struct Walker<'a> {
    roots: &'a Roots,
    options: &'a WalkOptions,
    progress: &'a dyn Progress,
    own: &'a [Identity],
    found: &'a mut Collected,
    name: &'a Name,
    root: BorrowedFd<'a>,
    /// The path of the entry.
    path: Vec<u8>,
    /// The path of the directory that is listed, below the root and without links.
    real: Vec<u8>,
    /// The directories on the path.
    above: Vec<Identity>,
    /// How many of them were entered through a link.
    link_depth: usize,
    record: Vec<u8>,
    /// What was found since progress was reported.
    unreported: Totals,
}

impl Walker<'_> {
    /// Lists a directory and all below it; the path is that of the directory.
    fn enter(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), WalkError> {
        // A name that was listed as a directory and is now a link or gone has changed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| self.failed(errno))?;
        let stat = Stat::of(&dir).map_err(|errno| self.failed(errno))?;
        let identity = stat.identity();
        if self.own.contains(&identity) {
            // A mount brought it here; the directories above it did not tell.
            return Err(self.own_dir(identity));
        }
        self.above.push(identity);
        let count_before = self.found.totals.entry_count();
        self.list(&dir)?;
        if self.found.totals.entry_count() == count_before {
            self.keep(SourceKind::Directory, &stat)?;
        }
        self.above.pop();
        Ok(())
    }

    fn list(&mut self, dir: &OwnedFd) -> Result<(), WalkError> {
        let key = twins::key_of_dir(&self.path);
        let path_len = self.path.len();
        let mut buffer = Vec::with_capacity(LISTING_LEN);
        let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(item) = listing.next() {
            let item = item.map_err(|errno| self.failed(errno))?;
            let name = item.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            self.item(dir.as_fd(), &key, name, item.file_type())?;
            self.path.truncate(path_len);
        }
        Ok(())
    }

    fn item(&mut self, dir: BorrowedFd<'_>, key: &Key, name: &CStr, hint: FileType) -> Result<(), WalkError> {
        // First of all: what could not be carried can be left out as well.
        if self.is_excluded() {
            return Ok(());
        }
        let text = match self.checked(name) {
            Ok(text) => text,
            Err(rule) => {
                self.refuse(Reason::Path(rule));
                // The report also names what is wrong below. A path that is too long gets no shorter there.
                let goes_on = self.options.unsupported == Unsupported::Refuse && rule != PathRule::TooLong;
                return if goes_on && hint == FileType::Directory { self.descend(dir, name) } else { Ok(()) };
            }
        };
        let stat = match hint {
            FileType::RegularFile | FileType::Unknown => {
                Some(Stat::of_name(dir, name).map_err(|errno| self.failed(errno))?)
            }
            _ => None,
        };
        let count_before = self.found.totals.entry_count();
        match (stat.as_ref().map_or(hint, |stat| stat.kind), &stat) {
            (FileType::RegularFile, Some(stat)) => self.file(stat)?,
            (FileType::Directory, _) => self.descend(dir, name)?,
            (FileType::Symlink, _) if self.roots.links() == Links::FollowInside => self.follow(name)?,
            (kind, _) => self.refuse(Reason::of_kind(kind)),
        }
        if self.found.totals.entry_count() > count_before {
            self.found.twins.add(key, text)?;
        }
        Ok(())
    }

    /// Tells whether the entry is to be left out, and counts it; the path is that of the entry.
    fn is_excluded(&mut self) -> bool {
        if self.options.exclude.is_empty() {
            return false;
        }
        let root = self.name.as_str();
        // Of a name that is no text, what is none matches '?' and '*'.
        let below = String::from_utf8_lossy(self.path.get(root.len() + 1..).unwrap_or_default());
        let found = globs::first_match(&self.options.exclude, root, &below);
        if let Some(count) = found.and_then(|position| self.found.excluded.get_mut(position)) {
            *count += 1;
        }
        found.is_some()
    }

    /// Returns the text of a name that an entry may have; the path is that of the entry.
    fn checked<'n>(&self, name: &'n CStr) -> Result<&'n str, PathRule> {
        if self.path.len() > PATH_LEN_MAX {
            return Err(PathRule::TooLong);
        }
        let text = name.to_str().map_err(|_| PathRule::NotUtf8)?;
        check_segment(text)?;
        Ok(text)
    }

    fn file(&mut self, stat: &Stat) -> Result<(), WalkError> {
        if stat.len > FILE_LEN_MAX {
            self.refuse(Reason::TooLong { len: stat.len });
            return Ok(());
        }
        self.keep(SourceKind::File, stat)
    }

    fn descend(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), WalkError> {
        let real_len = self.real.len();
        self.real.extend_from_slice(name.to_bytes());
        self.real.push(b'/');
        self.enter(dir, name)?;
        self.real.truncate(real_len);
        Ok(())
    }

    fn follow(&mut self, name: &CStr) -> Result<(), WalkError> {
        let link = [&self.real, name.to_bytes()].concat();
        match link::resolve(self.root, &link, Links::FollowInside) {
            Ok(target) => match target.stat.kind {
                FileType::RegularFile => self.file(&target.stat)?,
                FileType::Directory => self.descend_through_link(target)?,
                kind => self.refuse(Reason::of_kind(kind)),
            },
            Err(ResolveError::Refused(reason)) => self.refuse(reason),
            Err(ResolveError::Io(errno)) => return Err(self.failed(errno)),
        }
        Ok(())
    }

    fn descend_through_link(&mut self, target: Resolved) -> Result<(), WalkError> {
        if self.above.contains(&target.stat.identity()) {
            self.refuse(Reason::LinkLoop);
            return Ok(());
        }
        if self.link_depth == LINK_DEPTH_MAX {
            self.refuse(Reason::LinkTooDeep);
            return Ok(());
        }
        let mut real = target.path;
        real.push(b'/');
        std::mem::swap(&mut self.real, &mut real);
        self.link_depth += 1;
        self.enter(target.dir.as_fd(), &target.name)?;
        self.link_depth -= 1;
        self.real = real;
        Ok(())
    }

    fn keep(&mut self, kind: SourceKind, stat: &Stat) -> Result<(), WalkError> {
        entries::encode(&mut self.record, &self.path, kind, stat);
        self.found.entries.push(&self.record)?;
        let len = if kind == SourceKind::File { stat.len } else { 0 };
        self.found.totals.add(kind, len);
        self.unreported.add(kind, len);
        if self.unreported.entry_count() < PROGRESS_STEP { Ok(()) } else { self.report() }
    }

    fn report(&mut self) -> Result<(), WalkError> {
        let step = std::mem::take(&mut self.unreported);
        self.progress.advance(step.total_len, step.entry_count());
        if self.progress.is_cancelled() { Err(WalkError::Stopped) } else { Ok(()) }
    }

    fn refuse(&mut self, reason: Reason) {
        self.found.refusals.add(&self.path, reason);
    }

    fn failed(&self, errno: Errno) -> WalkError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => WalkError::Changed { path: self.path.clone() },
            other => cannot_read(&self.path, other),
        }
    }

    fn own_dir(&self, identity: Identity) -> WalkError {
        let position = self.own.iter().position(|own| *own == identity);
        let path = position.and_then(|position| self.options.own_dirs.get(position)).cloned().unwrap_or_default();
        WalkError::OwnDirectory { name: self.name.clone(), path }
    }
}
