//! A unit: what one pack is made from, on its way through the stages.

use crate::chunking::Chunk;
use crate::format::manifest::{Profile, Row};
use crate::format::{Mark, Sha256};
use crate::pipeline::walk::SourceEntry;
use std::ops::Range;

/// Length of a buffer: a pack and what is read ahead of its last cut, in bytes.
const BUFFER_LEN: usize = 40 << 20;

/// The raw bytes of a unit. Buffers are used again: a fresh one costs a page fault for every 4 KiB.
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn new() -> Buffer {
        Buffer(vec![0; BUFFER_LEN])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Makes room for at least `len` bytes; the long table at the start of a file needs it.
    pub(super) fn grow(&mut self, len: usize) {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }

    /// Lets go of what [`grow`](Buffer::grow) added.
    pub(super) fn shrink(&mut self) {
        if self.0.len() > BUFFER_LEN {
            self.0.truncate(BUFFER_LEN);
            self.0.shrink_to_fit();
        }
    }
}

/// What the reader makes of the source: the bytes of one pack, cut.
pub(super) struct Unit {
    /// Index of its first entry.
    pub(super) first_entry: u64,
    /// Its whole entries, or the one file that it is a piece of.
    pub(super) entries: Vec<UnitEntry>,
    /// Set where it is a piece of a file of several parts.
    pub(super) piece: Option<PieceFacts>,
    /// Its chunks.
    pub(super) chunks: Vec<Chunk>,
    /// Its bytes, and possibly others behind them.
    pub(super) buffer: Buffer,
    /// Number of its bytes.
    pub(super) raw_len: usize,
}

impl Unit {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer.bytes()[..self.raw_len]
    }

    /// Returns where each chunk lies in the unit.
    pub(super) fn extents(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let next = |chunk: &Chunk| {
            let start = end;
            end += chunk.len as usize;
            start..end
        };
        self.chunks.iter().map(next).collect()
    }
}

/// An entry of a unit.
pub(super) struct UnitEntry {
    /// The entry as it was listed.
    pub(super) source: SourceEntry,
    /// How it was cut; *single* for a directory.
    pub(super) profile: Profile,
    /// Number of its rows in the unit.
    pub(super) row_count: u32,
}

/// What a piece of a file of several parts is in that file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceFacts {
    /// Where it begins in the file, in bytes.
    pub(super) offset: u64,
    /// Where it begins in its part, in bytes.
    pub(super) part_offset: u64,
    /// Whether its part ends with it.
    pub(super) ends_part: bool,
    /// Whether the file ends with it.
    pub(super) ends_file: bool,
}

/// What hashing adds to a unit.
pub(super) struct Hashes {
    /// Its rows.
    pub(super) rows: Vec<Row>,
    /// The SHA-256 of each entry; for a piece, that of the file where the file ends.
    pub(super) sha256s: Vec<Sha256>,
    /// The mark behind a piece.
    pub(super) mark: Option<Mark>,
}
