//! Hashing: what each chunk and each file of a unit is, by many threads.

use super::unit::{Hashes, Unit};
use crate::format::manifest::Row;
use crate::format::{Digest, Mark, Sha256};
use rayon::prelude::*;
use std::ops::Range;

/// Hashes units in manifest order.
pub(super) struct Hasher {
    /// The state of SHA-256 within the file whose pieces come now.
    mark: Mark,
}

impl Hasher {
    /// Returns a hasher that goes on behind `mark`, or begins with a file.
    pub(super) fn new(mark: Option<Mark>) -> Hasher {
        Hasher { mark: mark.unwrap_or(Mark::start()) }
    }

    /// Hashes a unit with the threads of the current pool.
    pub(super) fn hash(&mut self, unit: &Unit) -> Hashes {
        let Some(piece) = unit.piece else {
            let (sha256s, rows) = rayon::join(|| hash_entries(unit), || hash_chunks(unit));
            return Hashes { rows, sha256s, mark: None };
        };
        if piece.offset == 0 {
            self.mark = Mark::start();
        }
        let mark = &mut self.mark;
        // One file is one chain: this is the part of the work that only one thread can do.
        let ((), rows) = rayon::join(|| mark.update(unit.bytes()), || hash_chunks(unit));
        let sha256s = if piece.ends_file { vec![self.mark.digest()] } else { Vec::new() };
        Hashes { rows, sha256s, mark: Some(self.mark.clone()) }
    }
}

fn hash_entries(unit: &Unit) -> Vec<Sha256> {
    let mut end = 0;
    let next = |len: u64| {
        let start = end;
        end += len as usize;
        start..end
    };
    let extents: Vec<Range<usize>> = unit.entries.iter().map(|entry| entry.source.len).map(next).collect();
    extents.into_par_iter().map(|extent| Sha256::of(&unit.bytes()[extent])).collect()
}

fn hash_chunks(unit: &Unit) -> Vec<Row> {
    let chunks = unit.chunks.par_iter().zip(unit.extents());
    chunks.map(|(chunk, extent)| Row { digest: Digest::of(&unit.bytes()[extent]), len: chunk.len }).collect()
}
