//! The volumes that are at hand, and packs read from them.

use crate::format::packs::{Place, VolumeNumber};
use crate::media::{MediaError, Medium, MediumFile};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most volumes that are kept open.
const OPEN_COUNT_MAX: usize = 64;

/// The volumes on some media, opened when they are first asked for.
pub struct Volumes {
    media: Vec<Arc<Medium>>,
    open: Mutex<HashMap<VolumeNumber, Vec<Arc<MediumFile>>>>,
}

impl Volumes {
    /// Returns the volumes of these media.
    pub fn new(media: Vec<Arc<Medium>>) -> Volumes {
        Volumes { media, open: Mutex::default() }
    }

    /// Returns the media.
    pub fn media(&self) -> &[Arc<Medium>] {
        &self.media
    }

    /// Returns every copy of a volume that is at hand; none where it is not.
    ///
    /// # Errors
    /// A medium fails, or something else stands where the volume should be.
    pub fn copies(&self, number: VolumeNumber) -> Result<Vec<Arc<MediumFile>>, MediaError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copies) = open.get(&number) {
            return Ok(copies.clone());
        }
        let mut copies = Vec::new();
        for medium in &self.media {
            copies.extend(medium.volume(number)?.map(Arc::new));
        }
        if open.len() >= OPEN_COUNT_MAX {
            open.clear();
        }
        open.insert(number, copies.clone());
        Ok(copies)
    }
}

/// Where the stored bytes of one pack can be read.
pub trait PackSource: Send + Sync {
    /// Fills `buffer` with the bytes at `offset` in the pack, not proven yet.
    ///
    /// # Errors
    /// The source ends too soon or fails.
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), super::unpack::SourceError>;

    /// Returns how to name the source in a message.
    fn describe(&self) -> String;
}

/// A pack in a volume.
#[derive(Clone, Debug)]
pub struct PackInVolume {
    file: Arc<MediumFile>,
    place: Place,
}

impl PackInVolume {
    /// Returns the pack at `place` of an open volume.
    pub fn new(file: Arc<MediumFile>, place: Place) -> PackInVolume {
        PackInVolume { file, place }
    }
}

impl PackSource for PackInVolume {
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), super::unpack::SourceError> {
        Ok(self.file.read_at(buffer, self.place.offset + offset)?)
    }

    fn describe(&self) -> String {
        self.file.path().display().to_string()
    }
}
