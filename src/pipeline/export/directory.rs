//! All files into a directory, never outside it and never over anything.

use super::{ExportError, ExportReport};
use crate::format::cover::Piece;
use crate::format::manifest::FileFacts;
use crate::format::walk::Item;
use crate::format::{EntryPath, Sha256};
use crate::pipeline::bundle::Bundle;
use crate::pipeline::contents::{Step, Taker, read_contents};
use crate::pipeline::progress::Progress;
use crate::pipeline::volumes::Volumes;
use crate::pipeline::walk::twins::{self, Twins};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::Digest as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where files are until they are whole. No root can have this name (F-30).
const WORK: &str = ".airlift-export";
/// Memory for the names while twins are looked for, in bytes.
const SORT_LEN: usize = 64 << 20;
const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Writes all files and empty directories below `to`, which is created where it is not there. Files
/// that are there already with the same bytes are left: a repeated call resumes.
///
/// # Errors
/// Names are twins of others (F-37), or something else is where an entry belongs, or the disk fails.
/// Damage and missing volumes are no errors: the report names them, and their files are left out.
pub fn write_directory(
    bundle: &Bundle,
    volumes: &Volumes,
    to: &Path,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    let mut tree = Tree::open(to)?;
    refuse_twins(bundle, &to.join(WORK), progress)?;
    progress.begin("export", bundle.head().totals.bytes, bundle.head().totals.files);
    let read = read_contents(bundle, volumes, &mut tree, progress)?;
    let report = ExportReport { read, ..std::mem::take(&mut tree.report) };
    tree.close()?;
    Ok(report)
}

/// Refuses names that some file systems take for one (F-37), before anything is written.
fn refuse_twins(bundle: &Bundle, work: &Path, progress: &dyn Progress) -> Result<(), ExportError> {
    progress.begin("names", 0, bundle.manifest().entry_count);
    let mut names = Twins::new(work, SORT_LEN);
    each_new_name(bundle, |dir, name| names.add(&twins::key_of_dir(dir), name).map_err(ExportError::from))?;
    let found = names.finish()?;
    if found.count == 0 {
        return Ok(());
    }
    let mut first = None;
    each_new_name(bundle, |dir, name| {
        if first.is_none() && found.has(&twins::key_of_name(&twins::key_of_dir(dir), name)) {
            first = Some(format!("{}/{name}", String::from_utf8_lossy(dir)));
        }
        Ok(())
    })?;
    Err(ExportError::Twins { path: first.unwrap_or_default(), count: found.count })
}

fn each_new_name(
    bundle: &Bundle,
    mut each: impl FnMut(&[u8], &str) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut last: Vec<u8> = Vec::new();
    for item in bundle.items() {
        let Item::Entry(entry) = item? else { continue };
        let path = entry.path.as_bytes();
        twins::new_names(&last, path).try_for_each(|(dir, name)| each(dir, name))?;
        last.clear();
        last.extend_from_slice(path);
    }
    Ok(())
}

/// The directory that is written.
struct Tree {
    path: PathBuf,
    root: OwnedFd,
    work: OwnedFd,
    /// The directory of the last entry.
    parent: Option<(String, OwnedFd)>,
    /// Whole files that are still in the work directory: name there, and their place.
    whole: Vec<(String, EntryPath)>,
    /// The file of several pieces that was wanted last.
    wanted: Option<u64>,
    large: Option<Large>,
    next_name: u64,
    report: ExportReport,
}

/// A file of several pieces on its way.
struct Large {
    name: String,
    file: File,
}

impl Tree {
    fn open(path: &Path) -> Result<Tree, ExportError> {
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
        let tree = Tree {
            path: path.to_owned(),
            root,
            work,
            parent: None,
            whole: Vec::new(),
            wanted: None,
            large: None,
            next_name: 0,
            report: ExportReport::default(),
        };
        tree.clear_work()?;
        Ok(tree)
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
    fn close(mut self) -> Result<(), ExportError> {
        self.large = None;
        self.clear_work()?;
        fs::unlinkat(&self.root, WORK, AtFlags::REMOVEDIR).map_err(|error| self.failed("remove", WORK, error))?;
        fs::syncfs(&self.root).map_err(|error| self.failed("sync", "", error))
    }

    fn failed(&self, action: &'static str, below: &str, error: Errno) -> ExportError {
        ExportError::Io { action, path: self.path.join(below), source: error.into() }
    }

    /// Opens a directory one segment at a time, never through a link, and creates what is missing.
    /// A segment is neither `..` nor has it a slash (F-34), so nothing leads out.
    fn directory(&mut self, below: &str) -> Result<&OwnedFd, ExportError> {
        let (path, last) = match self.parent.take() {
            Some((path, last)) if path == below => (path, last),
            _ => (below.to_owned(), self.make_directory(below)?),
        };
        Ok(&self.parent.insert((path, last)).1)
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

    /// Tells whether the file is there already with the bytes that are due.
    fn is_there(&mut self, path: &EntryPath, due: &FileFacts) -> Result<bool, ExportError> {
        let (above, name) = split(path);
        let in_the_way = ExportError::InTheWay { path: self.path.join(path.as_str()) };
        let shown = self.path.join(path.as_str());
        let directory = self.directory(above)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match fs::openat(directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::LOOP | Errno::NXIO) => return Err(in_the_way),
            Err(error) => return Err(ExportError::Io { action: "open", path: shown, source: error.into() }),
        };
        let read = |source| ExportError::Io { action: "read", path: shown.clone(), source };
        let metadata = file.metadata().map_err(read)?;
        let is_file = FileType::from_raw_mode(metadata.mode()) == FileType::RegularFile;
        if !is_file || metadata.len() != due.len {
            return Err(in_the_way);
        }
        let (mut hasher, mut buffer) = (sha2::Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(read)? {
                0 => break,
                len => hasher.update(&buffer[..len]),
            }
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if found == due.sha256 { Ok(true) } else { Err(in_the_way) }
    }

    /// Creates a file in the work directory.
    fn create(&mut self) -> Result<(String, File), ExportError> {
        let name = self.next_name.to_string();
        self.next_name += 1;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.work, &name, flags, Mode::from_raw_mode(0o666));
        let file = file.map_err(|error| self.failed("create a file in", WORK, error))?;
        Ok((name, File::from(file)))
    }

    fn write(&self, mut file: &File, piece: &Piece, bytes: &[u8]) -> Result<(), ExportError> {
        let path = || self.path.join(piece.path.as_str());
        file.write_all(bytes).map_err(|source| ExportError::Io { action: "write", path: path(), source })
    }

    /// Moves a whole file to its place, where nothing may be.
    fn settle(&mut self, name: &str, path: &EntryPath) -> Result<(), ExportError> {
        let (above, last) = split(path);
        let shown = self.path.join(path.as_str());
        self.directory(above)?;
        let Some((_, directory)) = &self.parent else { return Ok(()) };
        let work = &self.work;
        let moved = match fs::renameat_with(work, name, directory, last, RenameFlags::NOREPLACE) {
            // Some file systems can't tell whether they would replace something, but can link.
            Err(Errno::INVAL | Errno::NOSYS) => fs::linkat(work, name, directory, last, AtFlags::empty())
                .and_then(|()| fs::unlinkat(work, name, AtFlags::empty())),
            moved => moved,
        };
        match moved {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(ExportError::InTheWay { path: shown }),
            Err(error) => Err(ExportError::Io { action: "write", path: shown, source: error.into() }),
        }
    }

    fn take_large(&mut self, piece: &Piece, bytes: &[u8]) -> Result<(), ExportError> {
        if piece.offset == 0 {
            let (name, file) = self.create()?;
            self.large = Some(Large { name, file });
        }
        let Some(large) = self.large.take() else { return Ok(()) };
        self.write(&large.file, piece, bytes)?;
        if piece.part.is_last {
            self.whole.push((large.name, piece.path.clone()));
        } else {
            self.large = Some(large);
        }
        Ok(())
    }
}

impl Taker for Tree {
    type Error = ExportError;

    fn wants(&mut self, piece: &Piece) -> Result<bool, ExportError> {
        let Some(file) = &piece.file else {
            // A directory needs no bytes, so no pack is read for it.
            self.directory(piece.path.as_str())?;
            return Ok(false);
        };
        if piece.offset > 0 {
            return Ok(self.wanted == Some(piece.entry));
        }
        if self.is_there(&piece.path, file)? {
            self.report.already_count += 1;
            return Ok(false);
        }
        if !piece.part.is_last {
            self.wanted = Some(piece.entry);
        }
        Ok(true)
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8]) -> Result<Step, ExportError> {
        let Some(file) = &piece.file else { return Ok(Step::On) };
        if piece.offset == 0 && piece.part.is_last {
            let (name, new) = self.create()?;
            self.write(&new, piece, bytes)?;
            self.whole.push((name, piece.path.clone()));
        } else {
            self.take_large(piece, bytes)?;
        }
        if piece.part.is_last {
            self.report.file_count += 1;
            self.report.file_len += file.len;
        }
        Ok(Step::On)
    }

    fn lose(&mut self, piece: &Piece) -> Result<Step, ExportError> {
        self.report.lost_count += 1;
        if piece.offset > 0 || !piece.part.is_last {
            self.large = None;
        }
        Ok(Step::On)
    }

    /// Files get their names when their bytes are on the disk, many at a time.
    fn end_pack(&mut self) -> Result<(), ExportError> {
        if self.whole.is_empty() {
            return Ok(());
        }
        fs::syncfs(&self.work).map_err(|error| self.failed("sync", "", error))?;
        for (name, path) in std::mem::take(&mut self.whole) {
            self.settle(&name, &path)?;
        }
        Ok(())
    }
}

/// Returns the directory and the name of a file; F-36 gives every file at least two segments.
fn split(path: &EntryPath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))
}
