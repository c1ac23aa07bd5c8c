//! Hashing: what each chunk and each file of a unit is, by many threads.

use super::unit::{Hashes, Unit};
use crate::chunking::Chunk;
use crate::format::manifest::Row;
use crate::format::{Digest, Mark, Sha256};
use rayon::prelude::*;

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
        let Some(piece) = unit.piece else { return hash_entries(unit) };
        if piece.offset == 0 {
            self.mark = Mark::start();
        }
        // One file is one chain: this is the part of the work that only one thread can do.
        let rows = hash_chunks(unit.bytes(), &unit.chunks, &mut self.mark);
        let sha256s = if piece.ends_file { vec![self.mark.digest()] } else { Vec::new() };
        Hashes { rows, sha256s, mark: Some(self.mark.clone()) }
    }
}

/// Hashes whole entries, each by one thread.
fn hash_entries(unit: &Unit) -> Hashes {
    let (mut bytes, mut chunks) = (unit.bytes(), &unit.chunks[..]);
    let mut parts = Vec::with_capacity(unit.entries.len());
    for entry in &unit.entries {
        let (own_bytes, bytes_behind) = bytes.split_at(entry.source.len as usize);
        let (own_chunks, chunks_behind) = chunks.split_at(entry.row_count as usize);
        parts.push((own_bytes, own_chunks));
        (bytes, chunks) = (bytes_behind, chunks_behind);
    }
    let hash = |(bytes, chunks): (&[u8], &[Chunk])| {
        let mut mark = Mark::start();
        let rows = hash_chunks(bytes, chunks, &mut mark);
        (mark.digest(), rows)
    };
    let (sha256s, rows): (Vec<Sha256>, Vec<Vec<Row>>) = parts.into_par_iter().map(hash).unzip();
    Hashes { rows: rows.into_iter().flatten().collect(), sha256s, mark: None }
}

/// Hashes chunks that follow each other, and lets SHA-256 go on over each while it is in the cache.
fn hash_chunks(mut bytes: &[u8], chunks: &[Chunk], mark: &mut Mark) -> Vec<Row> {
    let hash = |chunk: &Chunk| {
        let (own, behind) = bytes.split_at(chunk.len as usize);
        bytes = behind;
        let digest = Digest::of(own);
        mark.update(own);
        Row { digest, len: chunk.len }
    };
    chunks.iter().map(hash).collect()
}
