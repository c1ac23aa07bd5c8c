//! One medium that is written: nothing has its name there before it is whole, durable and read again.

use super::WriteError;
use crate::format::packs::VolumeNumber;
use crate::format::{Digest, Head};
use crate::machine::{Lock, Machine, MachineFile};
use crate::media::{MediaError, Medium};
use crate::pipeline::progress::Progress;
use crate::plan::media::Room;
use rustix::fs::{Advice, fadvise, fstat, statvfs};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The one name of a file that is not whole yet. It is no name of a bundle (F-01), so nobody reads it.
const UNFINISHED: &str = ".airlift-write";
/// Bytes after which the system is told to begin writing: what is written stays near what is counted.
const WRITE_BACK_LEN: u64 = 16 << 20;
/// Bytes that are read back at once.
const PIECE_LEN: usize = 1 << 20;

/// What tells a file or directory from every other.
pub(super) type Identity = (u64, u64);

/// Returns what tells a directory from others; nothing where it is not there.
pub(super) fn identity_of(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|about| (about.dev(), about.ino()))
}

/// Locks a directory for as long as the result lives.
///
/// # Errors
/// It is not there, or another call has locked it.
pub(super) fn lock(path: &Path) -> Result<Lock, WriteError> {
    let locked = Machine::default().lock_directory(path);
    let locked = locked.map_err(|source| WriteError::NoMedium { path: path.to_owned(), source })?;
    locked.ok_or_else(|| WriteError::InUse { path: path.to_owned() })
}

/// A medium that is to carry the bundle.
pub(super) struct Target {
    machine: Machine,
    /// Where it is mounted, as it was named.
    pub(super) place: PathBuf,
    /// The bundle directory on it.
    pub(super) directory: PathBuf,
    /// The bundle that is there already; nothing where there is no head.
    pub(super) medium: Option<Medium>,
    /// Which file system it is on.
    pub(super) device: u64,
    lock: Lock,
}

/// The volumes that a medium has already.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Those with the length that is due.
    pub(super) whole: BTreeSet<VolumeNumber>,
    /// Those with another.
    pub(super) broken: BTreeMap<VolumeNumber, u64>,
}

impl Target {
    /// Opens a medium, and the bundle directory on it where there is one: its top, or the directory with
    /// the name of the release (F-05).
    ///
    /// # Errors
    /// It is not there, is in use, or holds something else where the bundle belongs.
    pub(super) fn open(machine: &Machine, place: &Path, head: &Head) -> Result<Target, WriteError> {
        let lock = lock(place)?;
        let stat = fstat(&lock).map_err(|error| WriteError::io("look at", place)(error.into()))?;
        let is_top = place.join("head.json").symlink_metadata().is_ok();
        let name = format!("{}-{}", head.stream, head.counter);
        let directory = if is_top { place.to_owned() } else { place.join(name) };
        let medium = open_bundle(machine, &directory, head)?;
        let (machine, place) = (machine.clone(), place.to_owned());
        Ok(Target { machine, place, directory, medium, device: stat.st_dev, lock })
    }

    /// Returns the room on it.
    pub(super) fn room(&self) -> Result<Room, WriteError> {
        let about = statvfs(&self.place).map_err(|error| WriteError::io("look at", &self.place)(error.into()))?;
        let block_len = about.f_frsize.max(1);
        Ok(Room { free_len: about.f_bavail.saturating_mul(block_len), block_len })
    }

    /// Returns which of these volumes it has, by their lengths.
    pub(super) fn present(&self, lens: &BTreeMap<VolumeNumber, u64>) -> Result<Present, WriteError> {
        let mut present = Present::default();
        let Some(medium) = &self.medium else { return Ok(present) };
        for (&number, &len) in lens {
            match medium.volume(number)? {
                Some(file) if file.len() == len => drop(present.whole.insert(number)),
                Some(file) => drop(present.broken.insert(number, file.len())),
                None => {}
            }
        }
        Ok(present)
    }

    /// Removes what a killed call has left unfinished.
    pub(super) fn clear(&self) -> Result<(), WriteError> {
        // A medium that is read-only may be whole already: nothing is asked of it then.
        if self.directory.join(UNFINISHED).symlink_metadata().is_ok() { self.remove(UNFINISHED) } else { Ok(()) }
    }

    /// Removes a file of the bundle that is not whole.
    pub(super) fn remove(&self, below: &str) -> Result<(), WriteError> {
        let path = self.directory.join(below);
        self.machine.remove_file(&path).map_err(WriteError::io("remove", &path))
    }

    /// Writes a file of the bundle: `fill` gives its bytes. It has its name when all of them are durable and
    /// were read again from the medium. Returns its length in bytes.
    ///
    /// # Errors
    /// Those of `fill`, and those of the medium. Then nothing has the name that had not before.
    pub(super) fn land(
        &self,
        below: &str,
        meter: &mut Meter<'_>,
        fill: impl FnOnce(&mut NewFile<'_, '_>) -> Result<(), WriteError>,
    ) -> Result<u64, WriteError> {
        let path = self.directory.join(below);
        let parent = path.parent().unwrap_or(&self.directory);
        self.make_directory(&self.directory)?;
        if parent != self.directory {
            self.make_directory(parent)?;
        }
        let unfinished = self.directory.join(UNFINISHED);
        let landed = self.write(&unfinished, &path, meter, fill).and_then(|len| {
            self.machine.rename(&unfinished, &path).map_err(WriteError::io("rename to", &path))?;
            self.machine.sync_directory(parent).map_err(WriteError::io("write", parent))?;
            Ok(len)
        });
        if landed.is_err() {
            // What can't be removed either is told by the same error, and the next call removes it.
            let _ = self.machine.remove_file(&unfinished);
        }
        landed
    }

    fn write(
        &self,
        unfinished: &Path,
        path: &Path,
        meter: &mut Meter<'_>,
        fill: impl FnOnce(&mut NewFile<'_, '_>) -> Result<(), WriteError>,
    ) -> Result<u64, WriteError> {
        meter.restart();
        let file = self.machine.create(unfinished, 0o666).map_err(WriteError::io("write", path))?;
        let mut new = NewFile { file, path, blake3: blake3::Hasher::new(), len: 0, written_back_len: 0, meter };
        fill(&mut new)?;
        new.file.sync().map_err(WriteError::io("write", path))?;
        let written = Digest::from_bytes(*new.blake3.finalize().as_bytes());
        if self.read_back(&new.file, new.len, (unfinished, path), new.meter)? == written {
            Ok(new.len)
        } else {
            Err(WriteError::ReadBack { path: path.to_owned() })
        }
    }

    /// Returns the digest of what the medium itself has of a file.
    fn read_back(
        &self,
        file: &MachineFile,
        len: u64,
        (unfinished, path): (&Path, &Path),
        meter: &mut Meter<'_>,
    ) -> Result<Digest, WriteError> {
        // What the system still has in memory says nothing of the medium.
        let _ = fadvise(file.as_file(), 0, None, Advice::DontNeed);
        let (mut blake3, mut piece) = (blake3::Hasher::new(), vec![0; PIECE_LEN.min(len as usize)]);
        let mut offset = 0;
        while offset < len {
            if meter.progress.is_cancelled() {
                return Err(WriteError::Stopped);
            }
            let wanted = piece.len().min((len - offset) as usize);
            match self.machine.read_at(file.as_file(), unfinished, &mut piece[..wanted], offset) {
                Ok(0) => break,
                Ok(read_len) => {
                    blake3.update(&piece[..read_len]);
                    meter.add(read_len as u64);
                    offset += read_len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WriteError::io("read back", path)(error)),
            }
        }
        Ok(Digest::from_bytes(*blake3.finalize().as_bytes()))
    }

    /// Makes a directory of the bundle; what leads elsewhere is not followed.
    fn make_directory(&self, path: &Path) -> Result<(), WriteError> {
        if path.symlink_metadata().is_ok_and(|about| !about.is_dir()) {
            return Err(WriteError::InTheWay { path: path.to_owned() });
        }
        self.machine.make_directory(path, 0o777).map_err(WriteError::io("make", path))
    }

    /// Tells whether one of these directories is the medium or the bundle directory on it.
    pub(super) fn is_one_of(&self, others: &[Identity]) -> bool {
        self.identities().iter().any(|own| others.contains(own))
    }

    /// Returns what tells the medium and the bundle directory on it from other directories.
    pub(super) fn identities(&self) -> Vec<Identity> {
        let place = fstat(&self.lock).ok().map(|stat| (stat.st_dev, stat.st_ino));
        place.into_iter().chain(identity_of(&self.directory)).collect()
    }
}

/// Opens the bundle on a medium; nothing where there is none, or only what a killed call has left.
fn open_bundle(machine: &Machine, directory: &Path, head: &Head) -> Result<Option<Medium>, WriteError> {
    match directory.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(WriteError::io("look at", directory)(error)),
        Ok(about) if !about.is_dir() => return Err(WriteError::InTheWay { path: directory.to_owned() }),
        Ok(_) => {}
    }
    let medium = Medium::open_on(machine, directory)?;
    let other = || WriteError::OtherBundle { path: directory.to_owned() };
    match medium.head() {
        Ok(found) if found == head.encode() => Ok(Some(medium)),
        Ok(_) => Err(other()),
        Err(MediaError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let listing = directory.read_dir().map_err(WriteError::io("list", directory))?;
            for item in listing {
                if item.map_err(WriteError::io("list", directory))?.file_name() != UNFINISHED {
                    return Err(other());
                }
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file on its way to its name.
pub(super) struct NewFile<'a, 'm> {
    file: MachineFile,
    /// The name that it will have.
    path: &'a Path,
    blake3: blake3::Hasher,
    len: u64,
    /// Bytes that the system was told to write.
    written_back_len: u64,
    meter: &'a mut Meter<'m>,
}

impl NewFile<'_, '_> {
    /// Appends bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.file.write_all(bytes).map_err(WriteError::io("write", self.path))?;
        self.blake3.update(bytes);
        self.len += bytes.len() as u64;
        self.meter.add(bytes.len() as u64);
        if self.len - self.written_back_len >= WRITE_BACK_LEN {
            // Only a hint, which for bytes not yet written means to begin with it.
            let _ = fadvise(self.file.as_file(), 0, None, Advice::DontNeed);
            self.written_back_len = self.len;
        }
        Ok(())
    }
}

/// Counts bytes that go to media: half when they are written, half when they were read again. What is
/// written once more, elsewhere, is not counted again.
pub(super) struct Meter<'a> {
    progress: &'a dyn Progress,
    /// Bytes of this file that were written, and bytes that were read.
    done_len: u64,
    counted_len: u64,
}

impl<'a> Meter<'a> {
    /// Returns a meter for one file.
    pub(super) fn new(progress: &'a dyn Progress) -> Meter<'a> {
        Meter { progress, done_len: 0, counted_len: 0 }
    }

    fn restart(&mut self) {
        self.done_len = 0;
    }

    fn add(&mut self, len: u64) {
        self.done_len += len;
        let new_len = (self.done_len / 2).saturating_sub(self.counted_len);
        self.counted_len += new_len;
        self.progress.advance(new_len, 0);
    }
}
