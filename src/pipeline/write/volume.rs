//! Volumes of the bundle, read once: each pack is proven before its bytes go anywhere.

use super::WriteError;
use super::target::NewFile;
use crate::format::cover::PackContent;
use crate::format::packs::{Place, VolumeNumber};
use crate::media::MediaError;
use crate::pipeline::bundle::{Bundle, BundleError, Contents};
use crate::pipeline::progress::Progress;
use crate::pipeline::reader::PackReader;
use crate::pipeline::unpack::{Carried, Damage, DamageFact, SourceError, room};
use crate::pipeline::volumes::{PackInVolume, PackSource, VolumeCopy, Volumes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Returns the length of every volume in bytes, as the pack table has it.
pub(super) fn lens_of(bundle: &Bundle) -> Result<BTreeMap<VolumeNumber, u64>, BundleError> {
    let mut lens: BTreeMap<VolumeNumber, u64> = BTreeMap::new();
    for page in 0..bundle.packs().pages.len() {
        for place in bundle.pack_page(page)?.iter().filter_map(|pack| pack.place) {
            let len = lens.entry(place.volume).or_default();
            *len = place.end().max(*len);
        }
    }
    let volumes = &bundle.head().volumes;
    let is_whole = lens.keys().next_back().is_some_and(|last| last.number() == volumes.count)
        && lens.len() == volumes.count as usize
        && lens.values().map(|&len| u128::from(len)).sum::<u128>() == u128::from(volumes.length);
    if is_whole { Ok(lens) } else { Err(BundleError::OtherLen { name: "the sum of the volumes" }) }
}

/// The volumes of the bundle that is written.
pub(super) struct SourceVolumes<'a> {
    bundle: &'a Bundle,
    volumes: Volumes,
    reader: PackReader,
    pack: Vec<u8>,
    contents: Contents<'a>,
    /// The pack that was taken from the contents and belongs to a later volume.
    next: Option<PackContent>,
    /// The number of the first volume of which no pack was taken.
    untouched: u32,
}

impl<'a> SourceVolumes<'a> {
    pub(super) fn new(bundle: &'a Bundle, volumes: Volumes) -> SourceVolumes<'a> {
        let reader = PackReader::new(bundle.head().bases.len());
        let (pack, contents) = (Vec::new(), bundle.contents());
        SourceVolumes { bundle, volumes, reader, pack, contents, next: None, untouched: 0 }
    }

    /// Checks that the bundle has these volumes with the lengths that are due.
    pub(super) fn check(&self, due: &BTreeMap<VolumeNumber, u64>) -> Result<(), WriteError> {
        let mut absent = BTreeSet::new();
        for (&number, &expected) in due {
            let copies = self.volumes.copies(number);
            let mut judged = None;
            for copy in &copies {
                match copy {
                    VolumeCopy::Open(file) if file.len() == expected => judged = Some(Ok(())),
                    VolumeCopy::Open(file) => {
                        let (path, found) = (file.path().to_owned(), file.len());
                        judged = judged.or(Some(Err(WriteError::OtherLen { path, expected, found })));
                    }
                    VolumeCopy::Refused(_) => {}
                }
            }
            match judged {
                Some(judged) => judged?,
                // Something else stands there: reading it says what.
                None if !copies.is_empty() => {}
                None => drop(absent.insert(number)),
            }
        }
        if absent.is_empty() { Ok(()) } else { Err(WriteError::Missing { volumes: absent }) }
    }

    /// Writes a volume pack by pack. Volumes are asked for in ascending order; to ask for one again costs
    /// a walk over the manifest.
    pub(super) fn write(
        &mut self,
        number: VolumeNumber,
        out: &mut NewFile<'_, '_>,
        progress: &dyn Progress,
    ) -> Result<(), WriteError> {
        if number.number() < self.untouched {
            (self.contents, self.next) = (self.bundle.contents(), None);
        }
        self.untouched = number.number() + 1;
        let copies = self.volumes.copies(number);
        while let Some(content) = self.next_of(number)? {
            if progress.is_cancelled() {
                return Err(WriteError::Stopped);
            }
            let Some(pack) = Carried::new(&content) else { continue };
            read_proven(&copies, &pack, &mut self.reader, &mut self.pack)?;
            out.add(&self.pack[..pack.place.stored_len() as usize])?;
        }
        Ok(())
    }

    /// Returns the next pack of a volume; nothing behind its last one.
    fn next_of(&mut self, number: VolumeNumber) -> Result<Option<PackContent>, WriteError> {
        loop {
            let content = match self.next.take() {
                Some(content) => content,
                None => match self.contents.next() {
                    Some(content) => content?,
                    None => return Ok(None),
                },
            };
            match content.pack.place {
                Some(place) if place.volume == number => return Ok(Some(content)),
                Some(place) if place.volume > number => {
                    self.next = Some(content);
                    return Ok(None);
                }
                _ => {}
            }
        }
    }
}

/// Reads a pack from the first copy whose every byte is proven: both copies of the index and the stored
/// bytes of each frame, which fill it without a gap.
fn read_proven(
    copies: &[VolumeCopy],
    pack: &Carried<'_>,
    reader: &mut PackReader,
    bytes: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let mut worst = None;
    for copy in copies {
        let source = PackInVolume::new(copy.clone(), pack.place);
        let bytes = room(bytes, pack.place.stored_len() as usize);
        let damage = match source.read_pack(0, bytes) {
            Ok(()) => reader.check_stored(pack, &ReadPack { bytes, place: pack.place }).into_iter().next(),
            Err(error) => {
                let range = pack.place.offset..pack.place.end();
                let fact = DamageFact::Unreadable(error);
                Some(Damage { volume: pack.place.volume, range, rows: Vec::new(), fact })
            }
        };
        match damage {
            None => return Ok(()),
            Some(damage) => worst = worst.or(Some((source.describe(), damage))),
        }
    }
    match worst {
        Some((place, damage)) => Err(WriteError::Damaged { place, source: Box::new(damage) }),
        None => Err(WriteError::Missing { volumes: BTreeSet::from([pack.place.volume]) }),
    }
}

/// A pack that was read whole.
struct ReadPack<'a> {
    bytes: &'a [u8],
    place: Place,
}

impl PackSource for ReadPack<'_> {
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let short = || MediaError::Short { path: self.describe().into(), len: self.bytes.len() as u64 };
        let bytes = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(|| SourceError::Media(Arc::new(short())))?);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("volume {}", self.place.volume)
    }
}
