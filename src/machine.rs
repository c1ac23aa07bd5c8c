//! The machine that a pipeline runs on: its files, and its waiting.
//!
//! What is written so that it outlives a crash is written through a [`Machine`], step by step. A [`Gate`]
//! in front of it lets a test see every step and fail any of them, and so know every state in which a
//! power cut can leave a disk.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Files and waiting, as the operating system gives them.
#[derive(Clone, Default)]
pub struct Machine {
    gate: Option<Arc<dyn Gate>>,
}

/// Asked before each step of a [`Machine`]. Calls come from any thread.
pub trait Gate: Send + Sync {
    /// Lets the step be done, or refuses it; nothing of a refused step is done.
    ///
    /// # Errors
    /// The error becomes that of the step.
    fn before(&self, step: &Step<'_>) -> io::Result<()>;

    /// Returns how many of `len` bytes a read gives at most; 0 is the end of the file.
    ///
    /// # Errors
    /// The error becomes that of the read.
    fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<usize> {
        let _ = (path, offset);
        Ok(len)
    }

    /// Returns how long a wait of this length takes.
    fn pace(&self, duration: Duration) -> Duration {
        duration
    }
}

/// Something that is done to a file or directory. Paths are those that files were opened with.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// An empty file is made, or the one that is there is emptied.
    Create(&'a Path),
    /// A file is made unless one is there.
    Open(&'a Path),
    /// Bytes are written.
    Write {
        /// The file.
        path: &'a Path,
        /// Where in it.
        offset: u64,
        /// The bytes.
        slices: &'a [IoSlice<'a>],
    },
    /// A file is cut or grown to this length.
    SetLen(&'a Path, u64),
    /// What was written to a file is made durable.
    Sync(&'a Path),
    /// A file takes another name, in place of what has it.
    Rename(&'a Path, &'a Path),
    /// A file is removed.
    RemoveFile(&'a Path),
    /// A directory is made.
    MakeDirectory(&'a Path),
    /// An empty directory is removed.
    RemoveDirectory(&'a Path),
    /// The names in a directory are made durable.
    SyncDirectory(&'a Path),
}

impl Machine {
    /// Returns the machine behind a gate.
    pub fn behind(gate: Arc<dyn Gate>) -> Machine {
        Machine { gate: Some(gate) }
    }

    /// Returns how long a wait of this length takes.
    pub fn pace(&self, duration: Duration) -> Duration {
        self.gate.as_ref().map_or(duration, |gate| gate.pace(duration))
    }

    /// Creates a file for reading and writing, or empties the one that is there.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn create(&self, path: &Path, mode: u32) -> io::Result<MachineFile> {
        self.before(&Step::Create(path))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(mode).open(path)?;
        Ok(self.file(file, path, 0))
    }

    /// Opens a file for reading and writing at its end; creates it unless it is there.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn open(&self, path: &Path, mode: u32) -> io::Result<MachineFile> {
        self.before(&Step::Open(path))?;
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(mode).open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        Ok(self.file(file, path, len))
    }

    /// Opens a file that is there for reading and writing at its end.
    ///
    /// # Errors
    /// The file is not there, or the operating system refuses.
    pub fn open_existing(&self, path: &Path) -> io::Result<MachineFile> {
        self.may_read(path)?;
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        Ok(self.file(file, path, len))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The file is not there, or the operating system refuses.
    pub fn open_to_read(&self, path: &Path) -> io::Result<File> {
        self.may_read(path)?;
        File::open(path)
    }

    /// Returns the bytes of a file, or nothing where there is none.
    ///
    /// # Errors
    /// It is there and can't be read.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.may_read(path)?;
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads at an offset of a file, as [`read_at`](std::os::unix::fs::FileExt::read_at) does.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn read_at(&self, file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = match &self.gate {
            Some(gate) => gate.read(path, offset, buffer.len())?.min(buffer.len()),
            None => buffer.len(),
        };
        file.read_at(&mut buffer[..len], offset)
    }

    /// Writes a file by way of `new`, which lies on the same file system: afterwards the file is there,
    /// whole and durable.
    ///
    /// # Errors
    /// The operating system refuses; the file is then as it was, or whole.
    pub fn write_durably(&self, new: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create(new, 0o666)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync()?;
        self.rename(new, path)?;
        path.parent().map_or(Ok(()), |directory| self.sync_directory(directory))
    }

    /// Gives a file another name, in place of what has it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(&Step::Rename(from, to))?;
        fs::rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The file is not there, or the operating system refuses.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.before(&Step::RemoveFile(path))?;
        fs::remove_file(path)
    }

    /// Creates a directory unless it is there, and makes its name durable.
    ///
    /// # Errors
    /// The operating system refuses, or something else has the name.
    pub fn make_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.before(&Step::MakeDirectory(path))?;
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        // Also where it is there already: whoever made it may have been stopped before this.
        match self.sync_directory(parent_of(path)) {
            // Names can be made in a directory that can't be read, but nobody can sync it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        }
    }

    /// Creates a directory and all above it that are missing, and makes their names durable.
    ///
    /// # Errors
    /// The operating system refuses, or something else has a name.
    pub fn make_directories(&self, path: &Path, mode: u32) -> io::Result<()> {
        let parent = parent_of(path);
        if !parent.is_dir() {
            self.make_directories(parent, mode)?;
        }
        self.make_directory(path, mode)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The directory is not there or not empty, or the operating system refuses.
    pub fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.before(&Step::RemoveDirectory(path))?;
        fs::remove_dir(path)
    }

    /// Removes a directory and all below it, following no link; removing what is not there is done.
    ///
    /// # Errors
    /// The operating system refuses; some may be left.
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let listing = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for item in listing {
            let item = item?;
            if item.file_type()?.is_dir() {
                self.remove_tree(&item.path())?;
            } else {
                self.remove_file(&item.path())?;
            }
        }
        self.remove_directory(path)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.before(&Step::SyncDirectory(path))?;
        File::open(path)?.sync_all()
    }

    /// Locks a file, which is created unless it is there, for as long as the result lives; nothing where
    /// another process or value holds it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let MachineFile { file, .. } = self.open(path, 0o600)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Locks a directory for as long as the result lives, without a file in it; nothing where another process
    /// or value holds it. Where the file system has no locks, a person sees to it.
    ///
    /// # Errors
    /// The directory can't be opened, or the operating system refuses.
    pub fn lock_directory(&self, path: &Path) -> io::Result<Option<Lock>> {
        let options = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(path, options, Mode::empty())?);
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(Some(Lock(directory))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns a file that has no name, and so nothing that outlives a crash.
    pub fn nameless(&self, file: File) -> MachineFile {
        Machine::default().file(file, Path::new(""), 0)
    }

    fn file(&self, file: File, path: &Path, offset: u64) -> MachineFile {
        MachineFile { machine: self.clone(), file, path: path.to_owned(), offset }
    }

    fn may_read(&self, path: &Path) -> io::Result<()> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.read(path, 0, usize::MAX).map(drop))
    }

    fn before(&self, step: &Step<'_>) -> io::Result<()> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.before(step))
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.gate.is_some() { "Machine behind a gate" } else { "Machine" })
    }
}

/// Reads one byte more than the limit at most: the parser of the bytes then says that the file is too long.
///
/// # Errors
/// The file can't be opened or read.
pub fn read_limited(path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(len_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A locked file or directory; free again when this is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a program that is just being started holds a copy until it runs.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Returns the directory that a name is in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file of a [`Machine`], open for reading and writing.
#[derive(Debug)]
pub struct MachineFile {
    machine: Machine,
    file: File,
    path: PathBuf,
    /// Where the next write goes.
    offset: u64,
}

impl MachineFile {
    /// Returns the file, to read from.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// Returns the file, to read from.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Fills the buffer with the bytes at an offset.
    ///
    /// # Errors
    /// The file ends too soon, or the operating system refuses.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.machine.may_read(&self.path)?;
        self.file.read_exact_at(buffer, offset)
    }

    /// Writes all bytes at an offset, wherever the next write goes.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.before_write(offset, &[IoSlice::new(bytes)])?;
        self.file.write_all_at(bytes, offset)
    }

    /// Cuts or grows the file; the next write goes to its end.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.machine.before(&Step::SetLen(&self.path, len))?;
        self.file.set_len(len)?;
        self.offset = self.file.seek(SeekFrom::Start(len))?;
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.machine.before(&Step::Sync(&self.path))?;
        self.file.sync_all()
    }

    fn before_write(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.machine.before(&Step::Write { path: &self.path, offset, slices })
    }
}

impl io::Write for MachineFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.before_write(self.offset, slices)?;
        let len = self.file.write_vectored(slices)?;
        self.offset += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
