//! The writer: packs into volumes, and what they hold into the logs.

use super::encode::Encoded;
use super::error::PackError;
use super::journal::{Journal, Line, OpenFile, Position};
use super::records::Log;
use super::sequence::Sequenced;
use super::unit::{Hashes, Unit};
use super::volume::VolumeWriter;
use super::{CodecFigures, Figures};
use crate::codec::Codec;
use crate::format::limits::PACK_RAW_LEN;
use crate::format::manifest::part_bound;
use crate::format::packs::{Pack, Place};
use crate::pipeline::progress::Progress;
use crate::plan::packs::part_stored_len_max;
use crate::plan::sequence::Decision;

/// A pack that only needs a place.
pub(super) struct Packed {
    pub(super) unit: Unit,
    pub(super) hashes: Hashes,
    pub(super) sequenced: Sequenced,
    pub(super) encoded: Encoded,
}

/// The logs, in the order in which the journal has their states.
pub(super) struct Logs {
    pub(super) entries: Log,
    pub(super) rows: Log,
    pub(super) marks: Log,
    pub(super) packs: Log,
}

/// Writes packs in manifest order.
pub(super) struct Writer<'a> {
    volumes: VolumeWriter,
    logs: Logs,
    journal: Journal,
    position: Position,
    figures: Figures,
    progress: &'a dyn Progress,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        volumes: VolumeWriter,
        logs: Logs,
        journal: Journal,
        figures: Figures,
        progress: &'a dyn Progress,
    ) -> Writer<'a> {
        Writer { volumes, logs, journal, position: Position::default(), figures, progress }
    }

    /// Writes the next pack, into the next volume where this one has no room.
    pub(super) fn write(&mut self, packed: &Packed) -> Result<(), PackError> {
        let encoded = &packed.encoded;
        let mut place = Place {
            volume: self.volumes.number(),
            offset: self.volumes.len(),
            index_len: encoded.index.len() as u32,
            payload_len: encoded.payload_len(),
            index_digest: encoded.index_digest,
        };
        let room = part_room(&packed.unit).unwrap_or(place.stored_len());
        if place.offset > 0 && !self.volumes.has_room(room) {
            self.finish_volume(false)?;
            self.volumes.begin_next()?;
            (place.volume, place.offset) = (self.volumes.number(), 0);
        }
        self.volumes.append(encoded.slices(&packed.unit))?;
        self.log(packed, &place)?;
        self.count(packed);
        self.position = position_behind(packed);
        Ok(())
    }

    /// Finishes the last volume.
    pub(super) fn finish(mut self) -> Result<Line, PackError> {
        self.finish_volume(true)
    }

    /// Makes a volume and all that is known of it durable, the journal last: what it says is there.
    fn finish_volume(&mut self, is_last: bool) -> Result<Line, PackError> {
        let volume = self.volumes.number();
        let volume_len = self.volumes.finish()?;
        let Logs { entries, rows, marks, packs } = &mut self.logs;
        let logs = [entries.sync()?, rows.sync()?, marks.sync()?, packs.sync()?];
        let (position, figures) = (self.position.clone(), self.figures);
        let line = Line { volume: volume.number(), volume_len, logs, position, figures, is_last };
        self.journal.append(&line)?;
        self.progress.now_at(&volume.file_name());
        Ok(line)
    }

    fn log(&mut self, packed: &Packed, place: &Place) -> Result<(), PackError> {
        let Packed { unit, hashes, sequenced, .. } = packed;
        // The last piece of a file has the SHA-256 of the file, the others have none.
        for (entry, sha256) in unit.entries.iter().zip(&hashes.sha256s) {
            self.logs.entries.append_entry(&entry.source, entry.profile, sha256)?;
        }
        for (row, is_carrier) in hashes.rows.iter().zip(&sequenced.is_carrier) {
            self.logs.rows.append_row(row, *is_carrier)?;
        }
        if let (Some(piece), Some(mark)) = (&unit.piece, &hashes.mark)
            && piece.ends_part
            && !piece.ends_file
        {
            self.logs.marks.append_mark(mark)?;
        }
        let pack = Pack {
            first_entry: unit.first_entry,
            entry_count: unit.entries.len() as u32,
            first_ordinal: sequenced.first_ordinal,
            row_count: hashes.rows.len() as u32,
            place: None,
        };
        self.logs.packs.append_pack(&pack, place)
    }

    fn count(&mut self, packed: &Packed) {
        let figures = &mut self.figures;
        for (row, decision) in packed.hashes.rows.iter().zip(&packed.sequenced.decisions) {
            let sum = match decision {
                Decision::New => &mut figures.new_len,
                Decision::Repeat(_) => &mut figures.repeat_len,
                Decision::Reference(_) => &mut figures.reference_len,
            };
            *sum += u64::from(row.len);
        }
        for frame in &packed.encoded.frames {
            let sum = match Codec::from_id(frame.codec) {
                Ok(Codec::Zstd) => &mut figures.zstd,
                Ok(Codec::Planes(_)) => &mut figures.planes,
                Ok(Codec::Stored) | Err(_) => &mut figures.stored,
            };
            let CodecFigures { raw_len, stored_len } = sum;
            *raw_len += u64::from(frame.raw_len);
            *stored_len += u64::from(frame.stored_len);
        }
    }
}

/// Returns the room that a volume must have before a part of several packs begins in it.
fn part_room(unit: &Unit) -> Option<u64> {
    let piece = unit.piece.filter(|piece| piece.part_offset == 0)?;
    let file_len = unit.entries.first().map_or(0, |entry| entry.source.len);
    (!piece.ends_part && part_bound(file_len) > PACK_RAW_LEN).then(|| part_stored_len_max(file_len))
}

fn position_behind(packed: &Packed) -> Position {
    let Packed { unit, hashes, sequenced, .. } = packed;
    let ordinal = sequenced.first_ordinal + hashes.rows.len() as u64;
    let open = match (&unit.piece, &hashes.mark, unit.entries.first()) {
        (Some(piece), Some(mark), Some(entry)) if !piece.ends_file => {
            let part_offset = if piece.ends_part { 0 } else { piece.part_offset + unit.raw_len as u64 };
            Some(OpenFile::new(&entry.source, mark, part_offset, sequenced.file_ordinal))
        }
        _ => None,
    };
    let done_count = if open.is_some() { 0 } else { unit.entries.len() as u64 };
    Position { entry: unit.first_entry + done_count, ordinal, file: open }
}
