//! Cutting beside FastCDC, and with reading and BLAKE3 beside BLAKE3 alone, on one core.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

mod data;

use airlift::chunking::Cutter;
use airlift::format::Digest;
use data::{TOTAL_LEN, noise};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use std::io::Read as _;

/// Read at once, in bytes.
const PIECE_LEN: usize = 1 << 20;

fn main() {
    let bytes = noise(1, TOTAL_LEN);
    let (ours, theirs) = (cuts(&bytes).count(), fastcdc_cuts(&bytes).count());
    println!("average chunk of noise: {} bytes, FastCDC {} bytes", TOTAL_LEN / ours, TOTAL_LEN / theirs);
    divan::main();
}

/// Returns the lengths of the chunks of a file that no table describes.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut cutter = Cutter::new(bytes.len() as u64);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = cutter.next(rest)?.len as usize;
        rest = &rest[len..];
        Some(len)
    })
}

fn fastcdc_cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    fastcdc::v2020::FastCDC::new(bytes, 16 << 10, 64 << 10, 256 << 10).map(|chunk| chunk.length)
}

#[divan::bench]
fn cut(bencher: Bencher<'_, '_>) {
    let bytes = noise(1, TOTAL_LEN);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| cuts(&bytes).count());
}

#[divan::bench]
fn fastcdc(bencher: Bencher<'_, '_>) {
    let bytes = noise(1, TOTAL_LEN);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| fastcdc_cuts(&bytes).count());
}

#[divan::bench]
fn blake3_alone(bencher: Bencher<'_, '_>) {
    let bytes = noise(1, TOTAL_LEN);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| blake3::hash(&bytes));
}

/// A file whose pages are in memory, read in pieces that stay in the cache, cut, and each chunk hashed.
#[divan::bench]
fn read_cut_blake3(bencher: Bencher<'_, '_>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), noise(1, TOTAL_LEN)).expect("written");
    let mut buffer = vec![0; PIECE_LEN];
    bencher.counter(BytesCount::new(TOTAL_LEN)).bench_local(|| {
        let mut file = file.reopen().expect("opened");
        let mut cutter = Cutter::new(TOTAL_LEN as u64);
        let mut held_len = 0;
        while !cutter.is_done() {
            held_len += file.read(&mut buffer[held_len..]).expect("read");
            let mut rest = &buffer[..held_len];
            while let Some(chunk) = cutter.next(rest) {
                let (bytes, behind) = rest.split_at(chunk.len as usize);
                black_box(Digest::of(bytes));
                rest = behind;
            }
            let rest_len = rest.len();
            buffer.copy_within(held_len - rest_len..held_len, 0);
            held_len = rest_len;
        }
    });
}
