//! The index of a pack: its frames, and for each row where its bytes are (F-100 to F-108).

use super::error::FormatError;
use super::limits::{FRAME_RAW_LEN_MAX, INDEX_LEN_MAX, PACK_ROW_COUNT_MAX};
use super::manifest::{Row, SUITE, VERSION};
use super::packs::{Section, decode_sections, put_sections};
use super::wire::Reader;
use super::{Digest, Structure};
use std::collections::HashMap;

/// How a frame is encoded: the codec's id and its parameter, as carried (F-80).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodecId {
    /// The codec.
    pub codec: u8,
    /// Its parameter; 0 where it has none.
    pub parameter: u8,
}

/// What the index says of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Length in the payload, in bytes; at most `raw_len`.
    pub stored_len: u32,
    /// Length after decoding, in bytes; `1 <= raw_len <= 4 MiB`.
    pub raw_len: u32,
    /// How it is encoded.
    pub codec: CodecId,
    /// BLAKE3 of the stored bytes.
    pub digest: Digest,
}

/// Where the bytes of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSource {
    /// In this frame of the pack, behind the frame's earlier rows.
    New {
        /// Number of the frame, from 0.
        frame: u32,
    },
    /// The same as an earlier row of the pack.
    Repeat {
        /// Row of the pack, from 0.
        row: u32,
    },
    /// The same as a row of an earlier file.
    Reference {
        /// Its ordinal.
        ordinal: u64,
    },
    /// The same as a row of a base.
    Base {
        /// Which of the head's bases, from 0.
        base: u16,
        /// The ordinal in its manifest.
        ordinal: u64,
    },
}

const NEW: u8 = 1;
const REPEAT: u8 = 2;
const REFERENCE: u8 = 3;
const BASE: u8 = 4;
const START_LEN: usize = 16;
const FRAME_LEN: usize = 44;
const RUN_LEN: usize = 16;

/// The index of a pack, with one source a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The frames in payload order.
    pub frames: Vec<Frame>,
    /// The source of each row, in row order.
    pub sources: Vec<RowSource>,
}

impl RowSource {
    fn kind(self) -> u8 {
        match self {
            RowSource::New { .. } => NEW,
            RowSource::Repeat { .. } => REPEAT,
            RowSource::Reference { .. } => REFERENCE,
            RowSource::Base { .. } => BASE,
        }
    }

    fn target(self) -> (u16, u64) {
        match self {
            RowSource::New { frame } => (0, u64::from(frame)),
            RowSource::Repeat { row } => (0, u64::from(row)),
            RowSource::Reference { ordinal } => (0, ordinal),
            RowSource::Base { base, ordinal } => (base, ordinal),
        }
    }

    /// Tells whether `self` continues a run of `count` rows that began with `first` (F-103).
    fn continues(self, first: RowSource, count: u32) -> bool {
        let step = if self.kind() == NEW { 0 } else { u64::from(count) };
        let (base, target) = first.target();
        self.kind() == first.kind() && self.target() == (base, target.saturating_add(step))
    }
}

impl Index {
    /// Returns the bytes of the index.
    pub fn encode(&self) -> Vec<u8> {
        let runs = self.runs();
        let mut out = Vec::with_capacity(START_LEN + self.frames.len() * FRAME_LEN + runs.len() * RUN_LEN);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&SUITE.to_le_bytes());
        out.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        out.extend_from_slice(&(runs.len() as u32).to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        for frame in &self.frames {
            out.extend_from_slice(&frame.stored_len.to_le_bytes());
            out.extend_from_slice(&frame.raw_len.to_le_bytes());
            out.extend_from_slice(&[frame.codec.codec, frame.codec.parameter, 0, 0]);
            out.extend_from_slice(frame.digest.as_bytes());
        }
        for (first, count) in runs {
            let (base, target) = first.target();
            out.extend_from_slice(&[first.kind(), 0]);
            out.extend_from_slice(&base.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(&target.to_le_bytes());
        }
        put_sections(&[], &mut out);
        out
    }

    /// Returns the digest of the encoded index.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of_structure(Structure::PackIndex, bytes)
    }

    /// Returns the index that proven `bytes` encode, for a pack with these rows and payload length.
    ///
    /// # Errors
    /// Refuses every breach of F-101 to F-105, F-107 for repeats, and F-108.
    pub fn decode(bytes: &[u8], rows: &[Row], payload_len: u32) -> Result<Index, FormatError> {
        let mut reader = Reader::new("index", bytes);
        reader.rule(bytes.len() <= INDEX_LEN_MAX as usize, "F-10", "index is too long")?;
        let (version, suite) = (reader.u16()?, reader.u16()?);
        reader.rule(version == VERSION, "F-101", "unknown version")?;
        reader.rule(suite == SUITE, "F-20", "unknown suite")?;
        let (frame_count, run_count) = (reader.u32()?, reader.u32()?);
        let (section_count, reserved) = (reader.u16()?, reader.u16()?);
        reader.rule(reserved == 0, "F-101", "reserved bytes are not zero")?;
        let counts_fit = frame_count <= PACK_ROW_COUNT_MAX && run_count <= PACK_ROW_COUNT_MAX;
        reader.rule(counts_fit, "F-10", "index has too many frames or runs")?;
        let frames = decode_frames(&mut reader, frame_count, payload_len)?;
        let sources = decode_runs(&mut reader, run_count, rows.len())?;
        skip_section_contents(&mut reader, section_count)?;
        reader.finish()?;
        let index = Index { frames, sources };
        index.check_rows(rows)?;
        Ok(index)
    }

    fn runs(&self) -> Vec<(RowSource, u32)> {
        let mut runs: Vec<(RowSource, u32)> = Vec::new();
        for &source in &self.sources {
            match runs.last_mut() {
                Some((first, count)) if source.continues(*first, *count) => *count += 1,
                _ => runs.push((source, 1)),
            }
        }
        runs
    }

    /// Checks frames and repeats against the rows (F-104, F-105, F-107, F-108).
    fn check_rows(&self, rows: &[Row]) -> Result<(), FormatError> {
        let mut frames = vec![(0u64, 0u32, None); self.frames.len()];
        let mut first_rows: HashMap<Digest, u32> = HashMap::with_capacity(rows.len());
        let mut next_frame = 0;
        for (number, (row, source)) in rows.iter().zip(&self.sources).enumerate() {
            let number = number as u32;
            let seen = *first_rows.entry(row.digest).or_insert(number);
            match *source {
                RowSource::Repeat { row: target } => {
                    rule(target < number && seen == target, "F-105", "a repeat does not lead to the first such row")?;
                    let same_len = rows.get(target as usize).is_some_and(|target| target.len == row.len);
                    rule(same_len, "F-107", "both ends of a repeat differ in length")?;
                }
                _ => rule(seen == number, "F-105", "a row that the pack already has is not a repeat")?,
            }
            if let RowSource::New { frame } = *source {
                let Some(sum) = frames.get_mut(frame as usize) else {
                    return rule(false, "F-104", "a run leads to a frame that is not there");
                };
                rule(frame <= next_frame, "F-104", "frames are not in order of their first row")?;
                next_frame = next_frame.max(frame + 1);
                *sum = (sum.0 + u64::from(row.len), sum.1 + 1, Some(row.digest));
            }
        }
        rule(next_frame as usize == self.frames.len(), "F-104", "a frame has no row")?;
        for (frame, (raw_len, row_count, digest)) in self.frames.iter().zip(frames) {
            rule(u64::from(frame.raw_len) == raw_len, "F-104", "a frame's rows do not add up to its raw length")?;
            let is_one_chunk = row_count == 1 && frame.codec.codec == 0;
            rule(!is_one_chunk || digest == Some(frame.digest), "F-108", "a stored chunk has another digest")?;
        }
        Ok(())
    }
}

fn decode_frames(reader: &mut Reader<'_>, count: u32, payload_len: u32) -> Result<Vec<Frame>, FormatError> {
    let mut frames = Vec::new();
    let mut stored_sum = 0;
    for _ in 0..count {
        let (stored_len, raw_len) = (reader.u32()?, reader.u32()?);
        reader.rule((1..=FRAME_RAW_LEN_MAX).contains(&raw_len), "F-10", "raw length of a frame is out of range")?;
        reader.rule((1..=raw_len).contains(&stored_len), "F-10", "stored length of a frame is out of range")?;
        let codec = CodecId { codec: reader.u8()?, parameter: reader.u8()? };
        let reserved = reader.u16()?;
        reader.rule(reserved == 0, "F-101", "reserved bytes are not zero")?;
        let digest = Digest::from_bytes(reader.array()?);
        stored_sum += u64::from(stored_len);
        frames.push(Frame { stored_len, raw_len, codec, digest });
    }
    reader.rule(stored_sum == u64::from(payload_len), "F-102", "frames do not add up to the payload")?;
    Ok(frames)
}

fn decode_runs(reader: &mut Reader<'_>, count: u32, row_count: usize) -> Result<Vec<RowSource>, FormatError> {
    let mut sources: Vec<RowSource> = Vec::with_capacity(row_count);
    let mut before: Option<(RowSource, u32)> = None;
    for _ in 0..count {
        let (kind, zero) = (reader.u8()?, reader.u8()?);
        let (base, rows, target) = (reader.u16()?, reader.u32()?, reader.u64()?);
        reader.rule(zero == 0 && (base == 0 || kind == BASE), "F-102", "reserved bytes of a run are not zero")?;
        let fits = rows >= 1 && rows as usize <= row_count - sources.len();
        reader.rule(fits, "F-102", "runs do not add up to the rows")?;
        let first = source_at(reader, kind, base, target)?;
        let is_maximal = before.is_none_or(|(before, count)| !first.continues(before, count));
        reader.rule(is_maximal, "F-103", "two runs are one")?;
        before = Some((first, rows));
        for step in 0..rows {
            let target = target.checked_add(u64::from(step)).filter(|_| kind != NEW).unwrap_or(target);
            sources.push(source_at(reader, kind, base, target)?);
        }
    }
    reader.rule(sources.len() == row_count, "F-102", "runs do not add up to the rows")?;
    Ok(sources)
}

fn source_at(reader: &Reader<'_>, kind: u8, base: u16, target: u64) -> Result<RowSource, FormatError> {
    let small = u32::try_from(target).map_err(|_| reader.breach("F-102", "target of a run is out of range"));
    match kind {
        NEW => Ok(RowSource::New { frame: small? }),
        REPEAT => Ok(RowSource::Repeat { row: small? }),
        REFERENCE => Ok(RowSource::Reference { ordinal: target }),
        BASE => Ok(RowSource::Base { base, ordinal: target }),
        _ => Err(reader.breach("F-102", "unknown kind of run")),
    }
}

fn skip_section_contents(reader: &mut Reader<'_>, count: u16) -> Result<(), FormatError> {
    let sections: Vec<Section> = decode_sections(reader, count)?;
    for section in sections {
        let content = reader.take(section.len as usize)?;
        if Digest::of(content) != section.digest {
            return Err(FormatError::SectionDigest { structure: "index", offset: reader.offset() as u64 });
        }
    }
    Ok(())
}

fn rule(good: bool, rule: &'static str, why: &'static str) -> Result<(), FormatError> {
    if good { Ok(()) } else { Err(FormatError::Breach { structure: "index", offset: 0, rule, why }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        [1u8, 2, 3, 1, 2, 4, 5].iter().map(|&seed| Row { digest: Digest::of(&[seed]), len: 10 }).collect()
    }

    fn frame(raw_len: u32, seed: u8) -> Frame {
        let codec = CodecId { codec: 1, parameter: 0 };
        Frame { stored_len: 7, raw_len, codec, digest: Digest::of(&[seed, 0]) }
    }

    fn index() -> Index {
        let sources = vec![
            RowSource::New { frame: 0 },
            RowSource::New { frame: 1 },
            RowSource::New { frame: 0 },
            RowSource::Repeat { row: 0 },
            RowSource::Repeat { row: 1 },
            RowSource::Reference { ordinal: 9 },
            RowSource::Reference { ordinal: 10 },
        ];
        Index { frames: vec![frame(20, 1), frame(10, 2)], sources }
    }

    fn broken(change: impl FnOnce(&mut Index)) -> Option<&'static str> {
        let mut changed = index();
        change(&mut changed);
        match Index::decode(&changed.encode(), &rows(), 14) {
            Err(FormatError::Breach { rule, .. }) => Some(rule),
            Err(_) => Some("other"),
            Ok(_) => None,
        }
    }

    #[test]
    fn roundtrips_with_maximal_runs() {
        let bytes = index().encode();
        assert_eq!(bytes.len(), START_LEN + 2 * FRAME_LEN + 5 * RUN_LEN);
        assert_eq!(Index::decode(&bytes, &rows(), 14), Ok(index()));
        for len in 0..bytes.len() {
            assert!(Index::decode(&bytes[..len], &rows(), 14).is_err(), "{len}");
        }
    }

    #[test]
    fn refuses_each_breach_of_its_rules() {
        assert_eq!(broken(|index| index.sources[3] = RowSource::New { frame: 1 }), Some("F-105"));
        assert_eq!(broken(|index| index.sources[4] = RowSource::Repeat { row: 2 }), Some("F-105"));
        assert_eq!(broken(|index| index.sources[2] = RowSource::Repeat { row: 1 }), Some("F-105"));
        assert_eq!(broken(|index| index.frames[0].raw_len = 19), Some("F-104"));
        assert_eq!(broken(|index| index.frames[0].stored_len = 8), Some("F-102"));
        assert_eq!(broken(|index| index.frames[1].stored_len = 11), Some("F-10"));
        assert_eq!(broken(|index| index.sources.truncate(6)), Some("F-102"));
        assert_eq!(broken(|index| index.sources.swap(0, 1)), Some("F-104"));
        assert_eq!(broken(|index| index.sources[5] = RowSource::New { frame: 5 }), Some("F-104"));
        assert_eq!(broken(|index| index.frames[1].codec = CodecId { codec: 0, parameter: 0 }), Some("F-108"));
    }

    #[test]
    fn refuses_more_frames_or_runs_than_a_pack_has_rows() {
        for at in [4, 8] {
            let mut bytes = index().encode();
            bytes[at..at + 4].copy_from_slice(&(PACK_ROW_COUNT_MAX + 1).to_le_bytes());
            let found = Index::decode(&bytes, &rows(), 14);
            assert!(matches!(found, Err(FormatError::Breach { rule: "F-10", .. })), "{found:?}");
        }
    }

    #[test]
    fn refuses_a_row_that_repeats_itself() {
        assert_eq!(broken(|index| index.sources[0] = RowSource::Repeat { row: 0 }), Some("F-105"));
    }

    #[test]
    fn a_row_may_lie_in_a_base() {
        let mut based = index();
        based.sources[5] = RowSource::Base { base: 3, ordinal: 9 };
        based.sources[6] = RowSource::Base { base: 3, ordinal: 10 };
        let bytes = based.encode();
        assert_eq!(bytes.len(), index().encode().len());
        assert_eq!(Index::decode(&bytes, &rows(), 14), Ok(based));
    }

    #[test]
    fn refuses_each_breach_in_the_bytes_of_a_run() {
        // The last run: two references from ordinal 9 on.
        for (at, bytes) in [(0, &[9][..]), (1, &[1]), (2, &[1]), (4, &[0]), (4, &[1]), (4, &[3]), (4, &[0, 0, 1])] {
            let mut changed = index().encode();
            let start = changed.len() - RUN_LEN + at;
            changed[start..start + bytes.len()].copy_from_slice(bytes);
            let found = Index::decode(&changed, &rows(), 14);
            assert!(matches!(found, Err(FormatError::Breach { rule: "F-102", .. })), "{at} {bytes:?}: {found:?}");
        }
    }

    #[test]
    fn a_run_that_is_too_long_is_refused_before_it_is_laid_out() {
        let mut bytes = index().encode();
        // The last but one has two rows behind three.
        let run = bytes.len() - 2 * RUN_LEN;
        bytes[run + 4] = 5;
        let due = (run + RUN_LEN) as u64;
        let found = Index::decode(&bytes, &rows(), 14);
        assert!(matches!(found, Err(FormatError::Breach { rule: "F-102", offset, .. }) if offset == due), "{found:?}");
    }

    #[test]
    fn the_content_of_a_section_is_passed_over_when_it_has_its_digest() {
        let content = b"notes";
        let section = Section { kind: 7, len: content.len() as u32, digest: Digest::of(content) };
        let with = |content: &[u8]| {
            let mut bytes = index().encode();
            bytes[12] = 1;
            put_sections(std::slice::from_ref(&section), &mut bytes);
            bytes.extend_from_slice(content);
            Index::decode(&bytes, &rows(), 14)
        };
        assert_eq!(with(content), Ok(index()));
        assert!(matches!(with(b"noteS"), Err(FormatError::SectionDigest { .. })));
        assert!(matches!(with(b"note"), Err(FormatError::Truncated { .. })));
        assert!(with(b"notes!").is_err());
    }

    #[test]
    fn refuses_runs_that_are_not_maximal() {
        let mut bytes = index().encode();
        // The last run (two references) is split into two of one row.
        let run = bytes.split_off(bytes.len() - RUN_LEN);
        for ordinal in [9u64, 10] {
            bytes.extend_from_slice(&run[..4]);
            bytes.extend_from_slice(&1u32.to_le_bytes());
            bytes.extend_from_slice(&ordinal.to_le_bytes());
        }
        bytes[8..12].copy_from_slice(&6u32.to_le_bytes());
        let found = Index::decode(&bytes, &rows(), 14);
        assert!(matches!(found, Err(FormatError::Breach { rule: "F-103", .. })), "{found:?}");
    }
}
