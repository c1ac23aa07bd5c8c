//! BLAKE3 of chunks and SHA-256 of files beside the plain crates.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

mod data;

use airlift::format::{Digest, Mark, Sha256};
use data::{TOTAL_LEN, noise};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sha2::Digest as _;

const CHUNK_LENS: [usize; 4] = [512, 4 << 10, 64 << 10, 1 << 20];

fn main() {
    divan::main();
}

#[divan::bench(args = CHUNK_LENS)]
fn blake3_chunks(bencher: Bencher<'_, '_>, chunk_len: usize) {
    measure(bencher, |bytes| {
        bytes.chunks(chunk_len).for_each(|chunk| {
            black_box(Digest::of(chunk));
        });
    });
}

#[divan::bench]
fn blake3_plain(bencher: Bencher<'_, '_>) {
    measure(bencher, |bytes| {
        black_box(blake3::hash(bytes));
    });
}

#[divan::bench(args = CHUNK_LENS)]
fn sha256_files(bencher: Bencher<'_, '_>, file_len: usize) {
    measure(bencher, |bytes| {
        bytes.chunks(file_len).for_each(|file| {
            black_box(Sha256::of(file));
        });
    });
}

/// One file through a mark, as a part of it is hashed.
#[divan::bench]
fn sha256_one_stream(bencher: Bencher<'_, '_>) {
    measure(bencher, |bytes| {
        let mut mark = Mark::start();
        mark.update(bytes);
        black_box(mark.digest());
    });
}

/// Two parts of a file at once: marks make them independent.
#[divan::bench]
fn sha256_two_streams(bencher: Bencher<'_, '_>) {
    measure(bencher, |bytes| {
        let (one, other) = bytes.split_at(bytes.len() / 2);
        rayon::join(|| Mark::start().update(one), || Mark::start().update(other));
    });
}

#[divan::bench]
fn sha256_plain(bencher: Bencher<'_, '_>) {
    measure(bencher, |bytes| {
        black_box(sha2::Sha256::digest(bytes));
    });
}

fn measure(bencher: Bencher<'_, '_>, mut hash: impl FnMut(&[u8])) {
    let bytes = noise(1, TOTAL_LEN);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| hash(&bytes));
}
