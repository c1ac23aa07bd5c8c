//! Bytes of every kind that a release has, made by seed.
#![allow(dead_code, reason = "each benchmark is a program of its own and takes what it needs")]

use airlift::chunking::Cutter;
use airlift::codec::{Kind, Word};
use airlift::format::Element;

/// What a sample weighs: large beside every cache.
pub(crate) const TOTAL_LEN: usize = 64 << 20;

/// One kind of content.
pub(crate) struct Sample {
    /// What it is.
    pub(crate) name: &'static str,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// What the table of its file says.
    pub(crate) element: Element,
    /// How it is encoded best.
    pub(crate) kind: Kind,
}

/// The contents that frames are made of.
pub(crate) const KINDS: [&str; 8] = ["bf16", "fp16", "fp32", "fp64", "int8", "text", "json", "jpeg"];

/// Makes the sample of this name.
pub(crate) fn sample(name: &'static str) -> Sample {
    let (bytes, element, kind) = match name {
        "bf16" => (each(|float| bf16(float).to_le_bytes()), Element::Word2, Kind::Planes(Word::Two)),
        "fp16" => (each(|float| fp16(float).to_le_bytes()), Element::Word2, Kind::Planes(Word::Two)),
        "fp32" => (each(f32::to_le_bytes), Element::Word4, Kind::Planes(Word::Four)),
        "fp64" => (each(|float| f64::from(float).to_le_bytes()), Element::Word8, Kind::Planes(Word::Eight)),
        "int8" => (each(|float| [(float * 400.0) as i8 as u8]), Element::Byte, Kind::Zstd),
        "text" => (text(), Element::Unknown, Kind::Zstd),
        "json" => (json(), Element::Unknown, Kind::Zstd),
        _ => (jpeg(), Element::Unknown, Kind::Stored),
    };
    Sample { name, bytes, element, kind }
}

/// Returns bytes without any pattern.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn each<const LEN: usize>(encode: impl Fn(f32) -> [u8; LEN]) -> Vec<u8> {
    let mut bytes: Vec<u8> = floats().into_iter().flat_map(encode).collect();
    bytes.truncate(TOTAL_LEN);
    bytes
}

/// Returns the F32 tensors of the safetensors file that `AIRLIFT_BENCH_F32` names; without it,
/// weights around 0 that are spread as a layer's are.
fn floats() -> Vec<f32> {
    let Some(path) = std::env::var_os("AIRLIFT_BENCH_F32") else {
        let sums = noise(1, TOTAL_LEN * 2);
        let sums = sums.chunks_exact(8).map(|bytes| bytes.iter().map(|byte| f32::from(*byte) - 127.5).sum::<f32>());
        // The sums are steps of a grid; another sum's share of a step makes them dense.
        return sums.scan(0.0, |before, sum| Some((sum + std::mem::replace(before, sum) * 1e-3) * 1.1e-4)).collect();
    };
    let file = std::fs::read(path).expect("can be read");
    let mut cutter = Cutter::new(file.len() as u64);
    let (mut position, mut floats) = (0, Vec::new());
    while let Some(chunk) = cutter.next(&file[position..]) {
        let bytes = &file[position..][..chunk.len as usize];
        if chunk.element == Element::Word4 && bytes.len() >= 1 << 20 {
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
    let words = words();
    let mut text = Vec::new();
    for choice in noise(2, 24 << 20).chunks_exact(3) {
        text.extend_from_slice(word(&words, choice).as_bytes());
        text.extend_from_slice(if choice[2] > 230 { b".\n" } else { b" " });
    }
    text
}

/// Returns annotations as data sets have them: ids, boxes, captions.
fn json() -> Vec<u8> {
    let words = words();
    let mut json = Vec::new();
    for (id, choice) in noise(3, 6 << 20).chunks_exact(12).enumerate() {
        let [x, y, width, height] = [0, 2, 4, 6].map(|at| u16::from_le_bytes([choice[at], choice[at + 1]]));
        let caption = [&choice[6..9], &choice[9..12]].map(|choice| word(&words, choice)).join(" ");
        let line = format!(
            "{{\"id\":{id},\"image_id\":{},\"bbox\":[{x},{y},{width},{height}],\"caption\":\"{caption}\"}},\n",
            id / 7
        );
        json.extend_from_slice(line.as_bytes());
    }
    json
}

/// Returns what an entropy coder leaves, with the stuffing of JPEG.
fn jpeg() -> Vec<u8> {
    let coded = noise(4, TOTAL_LEN);
    coded.into_iter().flat_map(|byte| [byte, 0].into_iter().take(if byte == 0xff { 2 } else { 1 })).collect()
}

fn words() -> Vec<String> {
    let word = |bytes: &[u8]| -> String {
        let letter = |byte: &u8| b"etaoinshrdlcumwfgypbvk"[usize::from(byte >> 4) + usize::from(byte & 3)] as char;
        bytes[..2 + usize::from(bytes[7] % 6)].iter().map(letter).collect()
    };
    noise(5, 32_000).chunks(8).map(word).collect()
}

fn word<'a>(words: &'a [String], choice: &[u8]) -> &'a str {
    let rank = (usize::from(choice[0]) * usize::from(choice[1]) * usize::from(choice[1])) >> 12;
    &words[rank.min(words.len() - 1)]
}
