//! Sizes and speeds of the codecs on one core: `AIRLIFT_BENCH_F32=model.safetensors cargo bench --bench codec`.
//!
//! The file is a safetensors file of F32 tensors, of which the chunks of 1 MiB are taken; without it
//! the weights are noise around 0. The other formats are made from them.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

use airlift::chunking::Cutter;
use airlift::codec::{Decoder, Encoder, Kind, Word, probe};
use airlift::format::Element;
use std::time::Instant;

const FRAME_LEN: usize = 1 << 20;
const TOTAL_LEN: usize = 64 << 20;

fn main() {
    let floats = floats();
    let bf16: Vec<u8> = floats.iter().flat_map(|float| bf16(*float).to_le_bytes()).collect();
    let fp16: Vec<u8> = floats.iter().flat_map(|float| fp16(*float).to_le_bytes()).collect();
    let fp32: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
    let fp64: Vec<u8> = floats.iter().flat_map(|float| f64::from(*float).to_le_bytes()).collect();
    let int8: Vec<u8> = floats.iter().map(|float| (float * 400.0) as i8 as u8).collect();
    println!("content  kind          size %   in GB/s  out GB/s  probed");
    measure("bf16", &bf16, Element::Word2, &[Kind::Planes(Word::Two), Kind::Zstd]);
    measure("fp16", &fp16, Element::Word2, &[Kind::Planes(Word::Two), Kind::Zstd]);
    measure("fp32", &fp32, Element::Word4, &[Kind::Planes(Word::Four), Kind::Zstd]);
    measure("fp64", &fp64, Element::Word8, &[Kind::Planes(Word::Eight), Kind::Zstd]);
    measure("int8", &int8, Element::Byte, &[Kind::Zstd]);
    measure("text", &text(), Element::Unknown, &[Kind::Zstd]);
    measure("noise", &noise(16 << 20), Element::Unknown, &[Kind::Stored, Kind::Zstd]);
    measure_level_19("bf16", &bf16);
    measure_probe("bf16", &bf16);
    measure_cuts(&noise(TOTAL_LEN));
}

fn measure(name: &str, bytes: &[u8], element: Element, kinds: &[Kind]) {
    let bytes = &bytes[..bytes.len().min(TOTAL_LEN)];
    let mut encoder = Encoder::new().expect("zstd has its own parameters");
    let mut decoder = Decoder::new();
    let mut raw = vec![0; FRAME_LEN];
    for kind in kinds {
        let (mut stored_len, mut as_probed, mut frames) = (0, 0, 0);
        let (mut encoding, mut decoding) = (0.0, 0.0);
        let mut out = Vec::with_capacity(2 * FRAME_LEN);
        for frame in bytes.chunks(FRAME_LEN) {
            out.clear();
            let start = Instant::now();
            let codec = encoder.encode(frame, *kind, &mut out).expect("encodes");
            encoding += start.elapsed().as_secs_f64();
            let start = Instant::now();
            decoder.decode(codec, &out, &mut raw[..frame.len()]).expect("decodes");
            decoding += start.elapsed().as_secs_f64();
            stored_len += out.len();
            frames += 1;
            as_probed += usize::from(probe(frame, element) == *kind);
        }
        let size = 100.0 * stored_len as f64 / bytes.len() as f64;
        let kind = format!("{kind:?}");
        let (speed_in, speed_out) = (speed(bytes.len(), encoding), speed(bytes.len(), decoding));
        println!("{name:8} {kind:13} {size:6.2} {speed_in:9.2} {speed_out:9.2}  {as_probed} of {frames}");
    }
}

fn measure_level_19(name: &str, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(TOTAL_LEN / 4)];
    let start = Instant::now();
    let encoded = zstd::bulk::compress(bytes, 19).expect("encodes");
    let size = 100.0 * encoded.len() as f64 / bytes.len() as f64;
    println!("{name:8} zstd -19      {size:6.2} {:9.3}", speed(bytes.len(), start.elapsed().as_secs_f64()));
}

fn measure_probe(name: &str, bytes: &[u8]) {
    for (element, frame_len) in
        [(Element::Word2, FRAME_LEN), (Element::Unknown, FRAME_LEN), (Element::Unknown, 64 << 10)]
    {
        let start = Instant::now();
        let count = bytes.chunks(frame_len).filter(|frame| probe(frame, element) != Kind::Stored).count();
        let micros = start.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64;
        println!("{name:8} probe of {frame_len} bytes as {element:?}: {micros:.0} microseconds");
    }
}

fn measure_cuts(bytes: &[u8]) {
    let start = Instant::now();
    let mut cutter = Cutter::new(bytes.len() as u64);
    let (mut position, mut count) = (0, 0);
    while let Some(chunk) = cutter.next(&bytes[position..]) {
        position += chunk.len as usize;
        count += 1;
    }
    let speed = speed(bytes.len(), start.elapsed().as_secs_f64());
    println!("mincdc   {count} chunks of {} bytes on average, {speed:.2} GB/s", bytes.len() / count);
}

fn speed(len: usize, seconds: f64) -> f64 {
    len as f64 / seconds / 1e9
}

fn floats() -> Vec<f32> {
    let Some(path) = std::env::var_os("AIRLIFT_BENCH_F32") else {
        let sums = noise(TOTAL_LEN * 2);
        let sums = sums.chunks_exact(8).map(|bytes| bytes.iter().map(|byte| f32::from(*byte) - 127.5).sum::<f32>());
        // The sums are steps of a grid; another sum's share of a step makes them dense.
        return sums.scan(0.0, |before, sum| Some((sum + std::mem::replace(before, sum) * 1e-3) * 1.1e-4)).collect();
    };
    let file = std::fs::read(path).expect("can be read");
    let mut cutter = Cutter::new(file.len() as u64);
    let (mut position, mut floats) = (0, Vec::new());
    while let Some(chunk) = cutter.next(&file[position..]) {
        let bytes = &file[position..][..chunk.len as usize];
        if chunk.element == Element::Word4 && bytes.len() >= FRAME_LEN {
            floats.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        position += chunk.len as usize;
    }
    floats
}

fn bf16(float: f32) -> u16 {
    let bits = float.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Rounds to the nearest half-precision number, to even where two are as near.
fn fp16(float: f32) -> u16 {
    let sign = (float.to_bits() >> 16 & 0x8000) as u16;
    let magnitude = float.abs().min(65_504.0);
    if magnitude < 6.103_515_6e-5 {
        return sign | (magnitude * 16_777_216.0).round_ties_even() as u16;
    }
    let bits = magnitude.to_bits();
    sign | ((bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13) as u16
}

/// Returns words of made-up spelling, the frequent ones short, with stops between.
fn text() -> Vec<u8> {
    let word = |bytes: &[u8]| -> String {
        let len = 2 + usize::from(bytes[7] % 6);
        bytes[..len]
            .iter()
            .map(|byte| b"etaoinshrdlcumwfgypbvk"[usize::from(byte >> 4) + usize::from(byte & 3)] as char)
            .collect()
    };
    let words: Vec<String> = noise(32_000).chunks(8).map(word).collect();
    let mut text = Vec::new();
    for choice in noise(24 << 20).chunks_exact(3) {
        let rank = (usize::from(choice[0]) * usize::from(choice[1]) * usize::from(choice[1])) >> 12;
        text.extend_from_slice(words[rank.min(words.len() - 1)].as_bytes());
        text.extend_from_slice(if choice[2] > 230 { b".\n" } else { b" " });
    }
    text
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
