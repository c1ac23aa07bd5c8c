//! Encoding: the frames of a pack and its index, by many threads.

use super::unit::{Hashes, Unit};
use crate::codec::{Codec, CodecError, Encoder, Kind, Prober};
use crate::format::Digest;
use crate::format::index::{Frame, Index, RowSource};
use crate::plan::frames::{FrameRows, group};
use crate::plan::sequence::Decision;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Chunks below this are not probed, in bytes: they have few bytes to judge by, there are many, and
/// what they share a frame with decides. zstd is right for nearly all of them.
const PROBED_LEN_MIN: usize = 4 << 10;

/// A pack but for its place.
pub(super) struct Encoded {
    /// The bytes of the index.
    pub(super) index: Vec<u8>,
    /// The digest of the index.
    pub(super) index_digest: Digest,
    /// The stored bytes of the frames.
    pub(super) payload: Vec<Stored>,
    /// What the index says of the frames.
    pub(super) frames: Vec<Frame>,
}

/// Stored bytes of a frame.
pub(super) enum Stored {
    /// As they are in the unit.
    Raw(Range<usize>),
    /// Made by an encoder.
    Made(Box<[u8]>),
}

impl Encoded {
    /// Returns the length of the payload in bytes.
    pub(super) fn payload_len(&self) -> u32 {
        self.frames.iter().map(|frame| frame.stored_len).sum()
    }

    /// Returns the bytes of the pack in order: index, payload, index.
    pub(super) fn slices<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = &'a [u8]> {
        let payload = self.payload.iter().map(|stored| match stored {
            Stored::Raw(extent) => &unit.bytes()[extent.clone()],
            Stored::Made(bytes) => bytes,
        });
        std::iter::once(&*self.index).chain(payload).chain(std::iter::once(&*self.index))
    }
}

/// Encodes a unit with the threads of the current pool. Each frame was decoded again and compared.
pub(super) fn encode(unit: &Unit, hashes: &Hashes, decisions: &[Decision]) -> Result<Encoded, CodecError> {
    let extents = unit.extents();
    let new_rows = decisions.iter().zip(0..).filter(|(decision, _)| **decision == Decision::New);
    let new_rows: Vec<u32> = new_rows.map(|(_, row)| row).collect();
    let kinds: Vec<Kind> = new_rows.par_iter().map(|&row| kind_of(unit, row as usize, &extents)).collect();
    let judged = new_rows.iter().zip(kinds).map(|(&row, kind)| (row, kind, hashes.rows[row as usize].len));
    let frames = group(judged, word_len);
    let encode_one = |frame: &FrameRows<Kind>| encode_frame(unit.bytes(), &extents, frame, hashes);
    let made: Result<Vec<_>, CodecError> = frames.par_iter().with_max_len(1).map(encode_one).collect();
    let (frame_facts, payload): (Vec<Frame>, Vec<Stored>) = made?.into_iter().unzip();
    let sources = sources(decisions, &frames);
    let index = Index { frames: frame_facts, sources };
    let bytes = index.encode();
    Ok(Encoded { index_digest: Index::digest_of(&bytes), index: bytes, payload, frames: index.frames })
}

fn sources(decisions: &[Decision], frames: &[FrameRows<Kind>]) -> Vec<RowSource> {
    let mut sources: Vec<RowSource> = decisions
        .iter()
        .map(|decision| match *decision {
            Decision::New => RowSource::New { frame: 0 },
            Decision::Repeat(row) => RowSource::Repeat { row },
            Decision::Reference(ordinal) => RowSource::Reference { ordinal },
        })
        .collect();
    for (frame, rows) in (0..).zip(frames) {
        for &row in &rows.rows {
            sources[row as usize] = RowSource::New { frame };
        }
    }
    sources
}

/// What a thread of the pool keeps from frame to frame.
#[derive(Default)]
struct Desk {
    prober: Prober,
    encoder: Option<Encoder>,
    gathered: Vec<u8>,
    made: Vec<u8>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

/// Says what to try on a row.
fn kind_of(unit: &Unit, row: usize, extents: &[Range<usize>]) -> Kind {
    let bytes = &unit.bytes()[extents[row].clone()];
    if bytes.len() < PROBED_LEN_MIN {
        return Kind::Zstd;
    }
    DESK.with_borrow_mut(|desk| desk.prober.probe(bytes, unit.chunks[row].element))
}

fn encode_frame(
    unit: &[u8],
    extents: &[Range<usize>],
    frame: &FrameRows<Kind>,
    hashes: &Hashes,
) -> Result<(Frame, Stored), CodecError> {
    DESK.with_borrow_mut(|desk| {
        let Desk { encoder, gathered, made, .. } = desk;
        let row_extents = || frame.rows.iter().map(|&row| extents[row as usize].clone());
        let (start, end) = (row_extents().next(), row_extents().next_back());
        let extent = start.map_or(0, |first| first.start)..end.map_or(0, |last| last.end);
        let is_one_run = extent.len() == frame.raw_len as usize;
        let raw = if is_one_run {
            &unit[extent.clone()]
        } else {
            gathered.clear();
            row_extents().for_each(|extent| gathered.extend_from_slice(&unit[extent]));
            gathered.as_slice()
        };
        made.clear();
        let codec = match (frame.kind, is_one_run) {
            (Kind::Stored, true) => Codec::Stored,
            (kind, _) => {
                let encoder = match encoder {
                    Some(encoder) => encoder,
                    None => encoder.insert(Encoder::new()?),
                };
                encoder.encode(raw, kind, made)?
            }
        };
        let stored = if codec == Codec::Stored { raw } else { made };
        let digest = match (codec, &*frame.rows) {
            // A stored chunk has the digest of its row (F-108).
            (Codec::Stored, [row]) => hashes.rows[*row as usize].digest,
            _ => Digest::of(stored),
        };
        let facts = Frame { stored_len: stored.len() as u32, raw_len: frame.raw_len, codec: codec.id(), digest };
        let is_raw = codec == Codec::Stored && is_one_run;
        Ok((facts, if is_raw { Stored::Raw(extent) } else { Stored::Made(stored.into()) }))
    })
}

fn word_len(kind: Kind) -> u32 {
    match kind {
        Kind::Planes(word) => word as u32,
        Kind::Stored | Kind::Zstd => 1,
    }
}
