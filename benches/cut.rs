//! Cutting beside FastCDC, and with reading and BLAKE3 beside BLAKE3 alone, on one core.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

mod data;

use airlift::chunking::Cutter;
use airlift::format::Digest;
use data::{TOTAL_LEN, noise};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use std::io::Read as _;

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

/// A file whose pages are in memory, read whole, cut, and each chunk hashed.
#[divan::bench]
fn read_cut_blake3(bencher: Bencher<'_, '_>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), noise(1, TOTAL_LEN)).expect("written");
    let mut buffer = vec![0; TOTAL_LEN];
    bencher.counter(BytesCount::new(TOTAL_LEN)).bench_local(|| {
        file.reopen().expect("opened").read_exact(&mut buffer).expect("read");
        let mut rest = buffer.as_slice();
        for len in cuts(&buffer) {
            black_box(Digest::of(&rest[..len]));
            rest = &rest[len..];
        }
    });
}
