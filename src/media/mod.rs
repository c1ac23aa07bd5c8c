//! Bundle directories and volumes on disk, read-only and never through a link.
//!
//! A [`Medium`] is one bundle directory: on a stick, a disc or a disk. [`find`] looks for them in the
//! places that a person names. Bytes read here are unproven.

mod error;
mod find;
mod strays;

pub use error::MediaError;
pub use find::{Found, find};
pub use strays::Strays;

use crate::format::SignatureFile;
use crate::format::limits::{HEAD_LEN_MAX, SIGNATURE_COUNT_MAX, SIGNATURE_LEN_MAX};
use crate::format::packs::VolumeNumber;
use crate::machine::Machine;
use rustix::fs::{Advice, CWD, FileType, Mode, OFlags, ResolveFlags, fadvise, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEAD: &str = "head.json";
/// How often a failing read is tried before it counts (V10).
const READ_TRIES: u32 = 4;

/// One bundle directory on a medium.
#[derive(Debug)]
pub struct Medium {
    top: Arc<Top>,
}

/// The directory itself, which its files hold too.
#[derive(Debug)]
struct Top {
    machine: Machine,
    path: PathBuf,
    directory: OwnedFd,
}

/// The files of a bundle beside its head, signatures, attachments and volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaFile {
    /// `manifest`.
    Manifest,
    /// `packs`.
    Packs,
    /// `README.txt`.
    Readme,
}

impl MetaFile {
    /// Returns its name in the bundle directory.
    pub const fn name(self) -> &'static str {
        match self {
            MetaFile::Manifest => "manifest",
            MetaFile::Packs => "packs",
            MetaFile::Readme => "README.txt",
        }
    }
}

/// A regular file of a bundle, open for reading at any offset.
#[derive(Debug)]
pub struct MediumFile {
    top: Arc<Top>,
    path: PathBuf,
    file: File,
    len: u64,
}

impl Medium {
    /// Opens a bundle directory.
    ///
    /// # Errors
    /// Refuses what is not a directory, or is a link to one.
    pub fn open(path: &Path) -> Result<Medium, MediaError> {
        Medium::open_on(&Machine::default(), path)
    }

    /// Opens a bundle directory on a machine that a test may have put a gate before.
    ///
    /// # Errors
    /// As [`Medium::open`].
    pub fn open_on(machine: &Machine, path: &Path) -> Result<Medium, MediaError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).map_err(|error| MediaError::open(path, error))?;
        Ok(Medium { top: Arc::new(Top { machine: machine.clone(), path: path.to_owned(), directory }) })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.top.path
    }

    /// Returns the bytes of `head.json`, not proven yet.
    ///
    /// # Errors
    /// Refuses a head that is missing, no regular file, or longer than the limit.
    pub fn head(&self) -> Result<Vec<u8>, MediaError> {
        let file = self.open_file(HEAD)?;
        file.read_whole(HEAD_LEN_MAX)
    }

    /// Returns the signatures in order of number (F-02); other names in the directory are passed over.
    ///
    /// # Errors
    /// Refuses more than 16, and any that is no regular file or longer than the limit.
    pub fn signatures(&self) -> Result<Vec<SignatureFile>, MediaError> {
        let Some(directory) = self.open_directory("signatures")? else {
            return Ok(Vec::new());
        };
        let mut numbers = Vec::new();
        let listing = rustix::fs::Dir::read_from(&directory).map_err(|error| self.failed("signatures", error))?;
        for item in listing {
            let item = item.map_err(|error| self.failed("signatures", error))?;
            let number = item.file_name().to_str().ok().and_then(signature_number);
            numbers.extend(number);
            if numbers.len() > SIGNATURE_COUNT_MAX {
                return Err(MediaError::TooManySignatures { path: self.top.path.join("signatures") });
            }
        }
        numbers.sort_unstable();
        let read = |number| {
            let path = self.top.path.join("signatures").join(format!("{number}.sig"));
            let file = self.open_at(&directory, &format!("{number}.sig"), path)?;
            Ok(SignatureFile { number, bytes: file.read_whole(SIGNATURE_LEN_MAX)? })
        };
        numbers.into_iter().map(read).collect()
    }

    /// Opens `manifest`, `packs` or `README.txt`; nothing where this medium does not have it.
    ///
    /// # Errors
    /// Refuses what is no regular file.
    pub fn meta_file(&self, file: MetaFile) -> Result<Option<MediumFile>, MediaError> {
        absent_is_none(self.open_file(file.name()))
    }

    /// Opens an attachment, counted from 1; nothing where this medium does not have it.
    ///
    /// # Errors
    /// Refuses what is no regular file.
    pub fn attachment(&self, number: usize) -> Result<Option<MediumFile>, MediaError> {
        let Some(directory) = self.open_directory("attachments")? else { return Ok(None) };
        let name = format!("{number:02}");
        let path = self.top.path.join("attachments").join(&name);
        absent_is_none(self.open_at(&directory, &name, path))
    }

    /// Opens a volume; nothing where this medium does not carry it.
    ///
    /// # Errors
    /// Refuses what is no regular file.
    pub fn volume(&self, number: VolumeNumber) -> Result<Option<MediumFile>, MediaError> {
        let Some(directory) = self.open_directory("volumes")? else { return Ok(None) };
        let name = number.file_name();
        let path = self.top.path.join("volumes").join(&name);
        absent_is_none(self.open_at(&directory, &name, path))
    }

    fn open_file(&self, name: &str) -> Result<MediumFile, MediaError> {
        self.open_at(&self.top.directory, name, self.top.path.join(name))
    }

    /// Opens without waiting for a writer of a FIFO (V14).
    fn open_at(&self, directory: &OwnedFd, name: &str, path: PathBuf) -> Result<MediumFile, MediaError> {
        let file = open_inside(directory, name, OFlags::NONBLOCK).map_err(|error| MediaError::open(&path, error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| MediaError::open(&path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(MediaError::NotRegular { path });
        }
        Ok(MediumFile { top: Arc::clone(&self.top), path, file: File::from(file), len: stat.st_size as u64 })
    }

    fn open_directory(&self, name: &str) -> Result<Option<OwnedFd>, MediaError> {
        match open_inside(&self.top.directory, name, OFlags::DIRECTORY) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(MediaError::NotDirectory { path: self.top.path.join(name) }),
            Err(error) => Err(MediaError::open(&self.top.path.join(name), error)),
        }
    }

    fn failed(&self, name: &str, error: Errno) -> MediaError {
        MediaError::Read { path: self.top.path.join(name), offset: 0, source: error.into() }
    }
}

impl MediumFile {
    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether it had no byte when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` with the bytes at `offset`. A failing read is tried again a few times.
    ///
    /// # Errors
    /// [`MediaError::Short`] where the file ends too soon, [`MediaError::Read`] where the medium fails,
    /// [`MediaError::Gone`] where it is not there any more.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), MediaError> {
        let mut done = 0;
        let mut tries = 0;
        while done < buffer.len() {
            match self.top.machine.read_at(&self.file, &self.path, &mut buffer[done..], offset + done as u64) {
                Ok(0) => return Err(MediaError::Short { path: self.path.clone(), len: offset + done as u64 }),
                Ok(len) => done += len,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) if tries + 1 < READ_TRIES => tries += 1,
                Err(source) => return Err(self.failed(offset + done as u64, source)),
            }
        }
        Ok(())
    }

    /// Returns `len` bytes at `offset`; compare `len` with its limit first.
    ///
    /// # Errors
    /// As [`MediumFile::read_at`].
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, MediaError> {
        if offset.saturating_add(len as u64) > self.len {
            return Err(MediaError::Short { path: self.path.clone(), len: self.len });
        }
        let mut buffer = vec![0; len];
        self.read_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    /// Returns the whole file.
    ///
    /// # Errors
    /// [`MediaError::TooLong`] above `len_max` bytes, before anything is read.
    pub fn read_whole(&self, len_max: u64) -> Result<Vec<u8>, MediaError> {
        if self.len > len_max {
            return Err(MediaError::TooLong { path: self.path.clone(), len: self.len, limit: len_max });
        }
        self.read(0, self.len as usize)
    }

    /// Tells the system that this range will be read soon.
    pub fn will_need(&self, offset: u64, len: u64) {
        // Only speed depends on it.
        let _ = fadvise(&self.file, offset, std::num::NonZeroU64::new(len), Advice::WillNeed);
    }

    /// Tells a bad place on a medium from a medium that was taken away (V11).
    fn failed(&self, offset: u64, source: std::io::Error) -> MediaError {
        let path = self.path.clone();
        if self.is_head_readable() {
            MediaError::Read { path, offset, source }
        } else {
            MediaError::Gone { path, source }
        }
    }

    fn is_head_readable(&self) -> bool {
        let Ok(head) = open_inside(&self.top.directory, HEAD, OFlags::NONBLOCK) else { return false };
        // What the system still has in memory says nothing of the medium.
        let _ = fadvise(&head, 0, None, Advice::DontNeed);
        let (head, path) = (File::from(head), self.top.path.join(HEAD));
        (0..READ_TRIES).any(|_| self.top.machine.read_at(&head, &path, &mut [0], 0).is_ok())
    }
}

/// Opens a name in a directory to be read: never a link (V13), and never on another file system than the
/// directory's, where the kernel can tell (5.6; V28).
fn open_inside(directory: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(directory, name, flags, Mode::empty(), ResolveFlags::NO_XDEV) {
        // Older kernels, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => openat(directory, name, flags, Mode::empty()),
        opened => opened,
    }
}

/// Returns N of `N.sig` where N is written without leading zeros.
fn signature_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".sig")?;
    let number: u32 = digits.parse().ok()?;
    (number >= 1 && number.to_string() == digits).then_some(number)
}

fn absent_is_none(result: Result<MediumFile, MediaError>) -> Result<Option<MediumFile>, MediaError> {
    match result {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn refuses_links_and_fifos_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        std::fs::write(path.join("target"), b"secret").expect("written");
        symlink(path.join("target"), path.join("manifest")).expect("linked");
        rustix::fs::mkfifoat(CWD, path.join("packs"), Mode::from_raw_mode(0o600)).expect("made");
        let medium = Medium::open(path).expect("a directory");
        assert!(matches!(medium.meta_file(MetaFile::Manifest), Err(MediaError::NotRegular { .. })));
        assert!(matches!(medium.meta_file(MetaFile::Packs), Err(MediaError::NotRegular { .. })));
        assert!(matches!(medium.meta_file(MetaFile::Readme), Ok(None)));
        std::fs::create_dir(path.join("elsewhere")).expect("made");
        symlink(path.join("elsewhere"), path.join("volumes")).expect("linked");
        std::fs::write(path.join("signatures"), b"no directory").expect("written");
        assert!(matches!(medium.volume(VolumeNumber::FIRST), Err(MediaError::NotDirectory { .. })));
        assert!(matches!(medium.signatures(), Err(MediaError::NotDirectory { .. })));
    }

    #[test]
    fn reads_nothing_of_another_file_system() {
        let medium = Medium::open(Path::new("/")).expect("a directory");
        let found = medium.open_directory("proc");
        assert!(matches!(&found, Err(MediaError::Mounted { path }) if path == Path::new("/proc")), "{found:?}");
        let proc = Medium::open(Path::new("/proc")).expect("what is named itself may be mounted");
        assert!(proc.open_file("version").is_ok());
    }

    #[test]
    fn reads_signatures_in_order_of_number() {
        let directory = tempfile::tempdir().expect("a directory");
        let signatures = directory.path().join("signatures");
        std::fs::create_dir(&signatures).expect("made");
        for name in ["10.sig", "2.sig", "02.sig", "x.sig", "0.sig", "3.txt"] {
            std::fs::write(signatures.join(name), name).expect("written");
        }
        let medium = Medium::open(directory.path()).expect("a directory");
        let numbers: Vec<u32> = medium.signatures().expect("read").iter().map(|file| file.number).collect();
        assert_eq!(numbers, [2, 10]);
        for number in 20..40 {
            std::fs::write(signatures.join(format!("{number}.sig")), b"x").expect("written");
        }
        assert!(matches!(medium.signatures(), Err(MediaError::TooManySignatures { .. })));
    }
}
