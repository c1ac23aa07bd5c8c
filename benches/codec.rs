//! Encoding and decoding each kind of content beside zstd, and the judgement before it, on one core.
//!
//! The sizes come first; then the speeds.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

mod data;

use airlift::codec::{Codec, Decoder, Encoder, Prober};
use data::{KINDS, Sample, sample};
use divan::Bencher;
use divan::counter::BytesCount;

const FRAME_LEN: usize = 1 << 20;
/// The slow level sees no more than this.
const SLOW_LEN: usize = 4 << 20;

fn main() {
    let is_listing = std::env::args().any(|argument| argument == "--list");
    if !is_listing {
        print_sizes();
    }
    divan::main();
}

fn print_sizes() {
    println!(
        "stored % of raw, frames of 1 MiB: as the prober judges, zstd -1, -3, -19 (-19 of the first {SLOW_LEN} bytes)"
    );
    for name in KINDS {
        let sample = sample(name);
        let mut encoder = Encoder::new().expect("zstd knows its parameters");
        let mut prober = Prober::default();
        let (mut stored, mut judged_count) = (Vec::new(), 0);
        for frame in sample.bytes.chunks(FRAME_LEN) {
            let kind = prober.probe(frame, sample.element);
            judged_count += usize::from(kind == sample.kind);
            encoder.encode(frame, kind, &mut stored).expect("encodes");
        }
        let percent = |len: usize, raw_len: usize| 100.0 * len as f64 / raw_len as f64;
        let zstd = |bytes: &[u8], level| zstd::bulk::compress(bytes, level).expect("encodes").len();
        let slow = &sample.bytes[..SLOW_LEN];
        println!(
            "{name:5} {:6.2} {:6.2} {:6.2} {:6.2}   {judged_count} of {} frames judged {:?}",
            percent(stored.len(), sample.bytes.len()),
            percent(zstd(&sample.bytes, 1), sample.bytes.len()),
            percent(zstd(&sample.bytes, 3), sample.bytes.len()),
            percent(zstd(slow, 19), slow.len()),
            sample.bytes.len().div_ceil(FRAME_LEN),
            sample.kind,
        );
    }
}

/// Encodes each frame and decodes it again to compare, as the packer does.
#[divan::bench(args = KINDS, sample_count = 3)]
fn encode(bencher: Bencher<'_, '_>, name: &'static str) {
    let Sample { bytes, kind, .. } = sample(name);
    let mut encoder = Encoder::new().expect("zstd knows its parameters");
    let mut out = Vec::with_capacity(2 * FRAME_LEN);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        for frame in bytes.chunks(FRAME_LEN) {
            out.clear();
            encoder.encode(frame, kind, &mut out).expect("encodes");
        }
    });
}

#[divan::bench(args = KINDS, sample_count = 3)]
fn decode(bencher: Bencher<'_, '_>, name: &'static str) {
    let Sample { bytes, kind, .. } = sample(name);
    let mut encoder = Encoder::new().expect("zstd knows its parameters");
    let encode = |frame| {
        let mut out = Vec::new();
        let codec = encoder.encode(frame, kind, &mut out).expect("encodes");
        (codec, out, frame.len())
    };
    let frames: Vec<(Codec, Vec<u8>, usize)> = bytes.chunks(FRAME_LEN).map(encode).collect();
    let (mut decoder, mut raw) = (Decoder::new(), vec![0; FRAME_LEN]);
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        for (codec, stored, raw_len) in &frames {
            decoder.decode(*codec, stored, &mut raw[..*raw_len]).expect("decodes");
        }
    });
}

#[divan::bench(args = KINDS, sample_count = 3)]
fn zstd_3(bencher: Bencher<'_, '_>, name: &'static str) {
    zstd_level(bencher, &sample(name).bytes, 3);
}

#[divan::bench(args = KINDS, sample_count = 1)]
fn zstd_19(bencher: Bencher<'_, '_>, name: &'static str) {
    zstd_level(bencher, &sample(name).bytes[..SLOW_LEN], 19);
}

fn zstd_level(bencher: Bencher<'_, '_>, bytes: &[u8], level: i32) {
    let mut compressor = zstd::bulk::Compressor::new(level).expect("a level");
    let mut out = vec![0; zstd::zstd_safe::compress_bound(FRAME_LEN)];
    bencher.counter(BytesCount::of_slice(bytes)).bench_local(|| {
        for frame in bytes.chunks(FRAME_LEN) {
            compressor.compress_to_buffer(frame, out.as_mut_slice()).expect("encodes");
        }
    });
}

/// Judges chunks of 64 KiB, most of which no table describes.
#[divan::bench(args = KINDS, sample_count = 3)]
fn probe(bencher: Bencher<'_, '_>, name: &'static str) {
    let Sample { bytes, element, .. } = sample(name);
    let mut prober = Prober::default();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        bytes.chunks(64 << 10).filter(|chunk| prober.probe(chunk, element) == airlift::codec::Kind::Stored).count()
    });
}
