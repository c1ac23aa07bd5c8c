//! Hashing: what each chunk and each file of a unit is, by many threads.

use super::unit::{Hashes, Unit};
use crate::codec::{Kind, probe};
use crate::format::manifest::Row;
use crate::format::{Digest, Mark, Sha256};
use rayon::prelude::*;
use std::ops::Range;

/// Chunks below this are not probed, in bytes: they have few bytes to judge by, there are many, and
/// what they share a frame with decides. zstd is right for nearly all of them.
const PROBED_LEN_MIN: usize = 4 << 10;

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
            let (sha256s, (rows, kinds)) = rayon::join(|| hash_entries(unit), || hash_chunks(unit));
            return Hashes { rows, kinds, sha256s, mark: None };
        };
        if piece.offset == 0 {
            self.mark = Mark::start();
        }
        let mark = &mut self.mark;
        // One file is one chain: this is the part of the work that only one thread can do.
        let ((), (rows, kinds)) = rayon::join(|| mark.update(unit.bytes()), || hash_chunks(unit));
        let sha256s = if piece.ends_file { vec![self.mark.digest()] } else { Vec::new() };
        Hashes { rows, kinds, sha256s, mark: Some(self.mark.clone()) }
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

fn hash_chunks(unit: &Unit) -> (Vec<Row>, Vec<Kind>) {
    let extents = unit.extents();
    let chunks = unit.chunks.par_iter().zip(extents);
    chunks
        .map(|(chunk, extent)| {
            let bytes = &unit.bytes()[extent];
            let kind = if bytes.len() < PROBED_LEN_MIN { Kind::Zstd } else { probe(bytes, chunk.element) };
            (Row { digest: Digest::of(bytes), len: chunk.len }, kind)
        })
        .unzip()
}
