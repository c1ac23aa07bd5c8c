//! The volumes that are at hand, and packs read from them.

use super::unpack::SourceError;
use crate::format::packs::{Place, VolumeNumber};
use crate::media::{MediaError, Medium, MediumFile};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most volumes that are kept open.
const OPEN_COUNT_MAX: usize = 64;

/// The volumes on some media, opened when they are first asked for.
pub struct Volumes {
    media: Vec<Arc<Medium>>,
    open: Mutex<HashMap<VolumeNumber, Vec<VolumeCopy>>>,
}

/// What stands on a medium under the name of a volume.
#[derive(Clone, Debug)]
pub enum VolumeCopy {
    /// A file, its bytes not proven yet.
    Open(Arc<MediumFile>),
    /// Something that is refused: a copy whose every byte is damaged.
    Refused(Arc<MediaError>),
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
    pub fn copies(&self, number: VolumeNumber) -> Vec<VolumeCopy> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copies) = open.get(&number) {
            return copies.clone();
        }
        let copy_on = |medium: &Arc<Medium>| match medium.volume(number) {
            Ok(file) => file.map(|file| VolumeCopy::Open(Arc::new(file))),
            Err(error) => Some(VolumeCopy::Refused(Arc::new(error))),
        };
        let copies: Vec<VolumeCopy> = self.media.iter().filter_map(copy_on).collect();
        if open.len() >= OPEN_COUNT_MAX {
            open.clear();
        }
        open.insert(number, copies.clone());
        copies
    }
}

/// Where the stored bytes of one pack can be read.
pub trait PackSource: Send + Sync {
    /// Fills `buffer` with the bytes at `offset` in the pack, not proven yet.
    ///
    /// # Errors
    /// The source ends too soon or fails.
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError>;

    /// Returns how to name the source in a message.
    fn describe(&self) -> String;
}

/// A pack in a volume.
#[derive(Clone, Debug)]
pub struct PackInVolume {
    copy: VolumeCopy,
    place: Place,
}

impl PackInVolume {
    /// Returns the pack at `place` of a copy of its volume.
    pub fn new(copy: VolumeCopy, place: Place) -> PackInVolume {
        PackInVolume { copy, place }
    }
}

impl PackSource for PackInVolume {
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        match &self.copy {
            VolumeCopy::Open(file) => file.read_at(buffer, self.place.offset + offset).map_err(Arc::new),
            VolumeCopy::Refused(error) => Err(Arc::clone(error)),
        }
        .map_err(SourceError::Media)
    }

    fn describe(&self) -> String {
        let path = match &self.copy {
            VolumeCopy::Open(file) => file.path(),
            VolumeCopy::Refused(error) => error.path(),
        };
        path.display().to_string()
    }
}
