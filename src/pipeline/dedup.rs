//! What dedup brought: counted from the indexes of the packs, pack by pack.

use super::unpack::reference_runs;
use crate::format::cover::{PackContent, Piece};
use crate::format::index::{Index, RowSource};
use crate::format::manifest::{Profile, Row};
use std::collections::BTreeMap;
use std::ops::Range;

/// What dedup brought in the packs that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dedup {
    /// Files of which no byte is carried for themselves, and their length in bytes.
    pub whole_files: Tally,
    /// The chunks of all other files, by how the file was cut.
    pub profiles: BTreeMap<&'static str, ProfileDedup>,
    /// Runs of chunks that refer to an earlier file, by the largest power of two, in bytes, that the
    /// run is not shorter than.
    pub runs: BTreeMap<u64, Tally>,
    /// The file whose later pieces are still to come.
    open: Option<OpenFile>,
}

/// How many there are, and their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their length in bytes.
    pub len: u64,
}

/// The chunks of files that were cut in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileDedup {
    /// All chunks.
    pub all: Tally,
    /// Those that are the same as an earlier one of their pack.
    pub repeats: Tally,
    /// Those that are the same as one of an earlier file.
    pub references: Tally,
}

/// A file of which some pieces were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OpenFile {
    entry: u64,
    profile: Profile,
    counts: ProfileDedup,
}

impl Tally {
    pub(super) fn add(&mut self, len: u64) {
        self.count += 1;
        self.len += len;
    }

    pub(super) fn add_all(&mut self, other: Tally) {
        self.count += other.count;
        self.len += other.len;
    }
}

impl ProfileDedup {
    fn add_all(&mut self, other: &ProfileDedup) {
        self.all.add_all(other.all);
        self.repeats.add_all(other.repeats);
        self.references.add_all(other.references);
    }
}

impl Dedup {
    /// Counts one more pack; packs come in order, and some may be missing.
    pub(super) fn add(&mut self, content: &PackContent, index: &Index) {
        for run in reference_runs(index) {
            let len: u64 = content.rows[run.rows].iter().map(|row| u64::from(row.len)).sum();
            self.runs.entry(1 << len.max(1).ilog2()).or_default().add(len);
        }
        for piece in &content.pieces {
            self.add_piece(piece, &content.rows, index);
        }
    }

    /// Counts the last file; none follows.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.open.take() {
            // Its end was not seen, so that it may have bytes of its own there.
            self.profile(open.profile).add_all(&open.counts);
        }
    }

    fn add_piece(&mut self, piece: &Piece, rows: &[Row], index: &Index) {
        let Some(file) = piece.file.filter(|file| file.len > 0) else { return };
        let counts = count(&piece.rows, rows, index);
        if self.open.is_some_and(|open| open.entry != piece.entry) {
            self.finish();
        }
        let mut open = self.open.take().unwrap_or(OpenFile {
            entry: piece.entry,
            profile: file.profile,
            counts: ProfileDedup::default(),
        });
        open.counts.add_all(&counts);
        let twice_len = open.counts.repeats.len + open.counts.references.len;
        if piece.offset + counts.all.len < file.len {
            self.open = Some(open);
        } else if twice_len == file.len {
            self.whole_files.add(file.len);
        } else {
            self.profile(file.profile).add_all(&open.counts);
        }
    }

    fn profile(&mut self, profile: Profile) -> &mut ProfileDedup {
        self.profiles.entry(profile.name()).or_default()
    }
}

fn count(numbers: &Range<usize>, rows: &[Row], index: &Index) -> ProfileDedup {
    let mut counts = ProfileDedup::default();
    for (row, source) in rows[numbers.clone()].iter().zip(&index.sources[numbers.clone()]) {
        let len = u64::from(row.len);
        counts.all.add(len);
        match source {
            RowSource::New { .. } => {}
            RowSource::Repeat { .. } => counts.repeats.add(len),
            RowSource::Reference { .. } | RowSource::Base { .. } => counts.references.add(len),
        }
    }
    counts
}
