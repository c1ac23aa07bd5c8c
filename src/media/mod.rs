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
use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How often a failing read is tried before it counts (V10).
const READ_TRIES: u32 = 4;

/// One bundle directory on a medium.
#[derive(Debug)]
pub struct Medium {
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
    machine: Machine,
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
        Ok(Medium { machine: machine.clone(), path: path.to_owned(), directory })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes of `head.json`, not proven yet.
    ///
    /// # Errors
    /// Refuses a head that is missing, no regular file, or longer than the limit.
    pub fn head(&self) -> Result<Vec<u8>, MediaError> {
        let file = self.open_file("head.json")?;
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
                return Err(MediaError::TooManySignatures { path: self.path.join("signatures") });
            }
        }
        numbers.sort_unstable();
        let read = |number| {
            let path = self.path.join("signatures").join(format!("{number}.sig"));
            let file = MediumFile::open_at(&self.machine, directory.as_fd(), &format!("{number}.sig"), path)?;
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
        let path = self.path.join("attachments").join(&name);
        absent_is_none(MediumFile::open_at(&self.machine, directory.as_fd(), &name, path))
    }

    /// Opens a volume; nothing where this medium does not carry it.
    ///
    /// # Errors
    /// Refuses what is no regular file.
    pub fn volume(&self, number: VolumeNumber) -> Result<Option<MediumFile>, MediaError> {
        let Some(directory) = self.open_directory("volumes")? else { return Ok(None) };
        let name = number.file_name();
        let path = self.path.join("volumes").join(&name);
        absent_is_none(MediumFile::open_at(&self.machine, directory.as_fd(), &name, path))
    }

    fn open_file(&self, name: &str) -> Result<MediumFile, MediaError> {
        MediumFile::open_at(&self.machine, self.directory.as_fd(), name, self.path.join(name))
    }

    fn open_directory(&self, name: &str) -> Result<Option<OwnedFd>, MediaError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(directory) => Ok(Some(directory)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                Err(MediaError::NotDirectory { path: self.path.join(name) })
            }
            Err(error) => Err(MediaError::open(&self.path.join(name), error)),
        }
    }

    fn failed(&self, name: &str, error: rustix::io::Errno) -> MediaError {
        MediaError::Read { path: self.path.join(name), offset: 0, source: error.into() }
    }
}

impl MediumFile {
    /// Opens without following a link and without waiting for a writer of a FIFO (V13, V14).
    fn open_at(machine: &Machine, directory: impl AsFd, name: &str, path: PathBuf) -> Result<MediumFile, MediaError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::empty()).map_err(|error| MediaError::open(&path, error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| MediaError::open(&path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(MediaError::NotRegular { path });
        }
        Ok(MediumFile { machine: machine.clone(), path, file: File::from(file), len: stat.st_size as u64 })
    }

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
    /// [`MediaError::Short`] where the file ends too soon, [`MediaError::Read`] where the medium fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), MediaError> {
        let mut done = 0;
        let mut tries = 0;
        while done < buffer.len() {
            match self.machine.read_at(&self.file, &self.path, &mut buffer[done..], offset + done as u64) {
                Ok(0) => return Err(MediaError::Short { path: self.path.clone(), len: offset + done as u64 }),
                Ok(len) => done += len,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) if tries + 1 < READ_TRIES => tries += 1,
                Err(source) => {
                    return Err(MediaError::Read { path: self.path.clone(), offset: offset + done as u64, source });
                }
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
        let advice = rustix::fs::Advice::WillNeed;
        // Only speed depends on it.
        let _ = rustix::fs::fadvise(&self.file, offset, std::num::NonZeroU64::new(len), advice);
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
