//! Volumes: packs back to back, each file whole before it has its name.

use super::error::PackError;
use super::state::State;
use crate::format::packs::VolumeNumber;
use crate::machine::{Machine, MachineFile};
use rustix::fs::Advice;
use std::io::{self, IoSlice, Write as _};
use std::path::PathBuf;

/// Bytes after which the system is told to begin writing, so that the end of a volume need not wait
/// for all of it.
const WRITE_BACK_LEN: u64 = 64 << 20;
/// Most slices in one call; the system takes 1024.
const SLICE_COUNT_MAX: usize = 512;

/// Writes one volume after the other.
pub(super) struct VolumeWriter {
    machine: Machine,
    dir: PathBuf,
    part_path: PathBuf,
    number: VolumeNumber,
    volume_len_max: u64,
    file: Option<MachineFile>,
    len: u64,
    /// Bytes that the system was told to write.
    written_back_len: u64,
}

impl VolumeWriter {
    /// Returns a writer of volumes from `number` on of the output.
    pub(super) fn new(state: &State, number: VolumeNumber, volume_len_max: u64) -> VolumeWriter {
        VolumeWriter {
            machine: state.machine.clone(),
            dir: state.out.join("volumes"),
            part_path: state.path("volume.part"),
            number,
            volume_len_max,
            file: None,
            len: 0,
            written_back_len: 0,
        }
    }

    /// Returns the number of the current volume.
    pub(super) fn number(&self) -> VolumeNumber {
        self.number
    }

    /// Returns the length of the current volume so far, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether the current volume has room for `len` more bytes.
    pub(super) fn has_room(&self, len: u64) -> bool {
        self.len + len <= self.volume_len_max
    }

    /// Appends the bytes of a pack.
    pub(super) fn append<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) -> Result<(), PackError> {
        let failed = PackError::io("write", &self.part_path);
        let file = match self.file.take() {
            Some(file) => file,
            None => self.machine.create(&self.part_path, 0o666).map_err(&failed)?,
        };
        let file = self.file.insert(file);
        let mut io_slices: Vec<IoSlice<'_>> = slices.filter(|slice| !slice.is_empty()).map(IoSlice::new).collect();
        self.len += io_slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        for group in io_slices.chunks_mut(SLICE_COUNT_MAX) {
            write_all(file, group).map_err(&failed)?;
        }
        if self.len - self.written_back_len >= WRITE_BACK_LEN {
            // Only a hint, which for bytes not yet written means to begin with it.
            let _ = rustix::fs::fadvise(file.as_file(), 0, None, Advice::DontNeed);
            self.written_back_len = self.len;
        }
        Ok(())
    }

    /// Makes the current volume durable and gives it its name; returns its length in bytes.
    pub(super) fn finish(&mut self) -> Result<u64, PackError> {
        if let Some(file) = self.file.take() {
            file.sync().map_err(PackError::io("write", &self.part_path))?;
        }
        let path = self.dir.join(self.number.file_name());
        self.machine.rename(&self.part_path, &path).map_err(PackError::io("rename to", &path))?;
        self.machine.sync_directory(&self.dir).map_err(PackError::io("write", &self.dir))?;
        self.written_back_len = 0;
        Ok(std::mem::take(&mut self.len))
    }

    /// Begins the next volume.
    pub(super) fn begin_next(&mut self) -> Result<(), PackError> {
        let none_left = PackError::TooManyVolumes { volume_len: self.volume_len_max };
        self.number = self.number.next().ok_or(none_left)?;
        Ok(())
    }
}

fn write_all(file: &mut MachineFile, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
