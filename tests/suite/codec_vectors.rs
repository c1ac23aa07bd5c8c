//! The vectors `spec/vectors/{accept,reject}/codec-*`: frames that every reader decodes, and frames
//! that it refuses by the named rule (F-80 to F-95).
//!
//! `AIRLIFT_BLESS=1` writes those that do not exist yet; released vectors never change.

use airlift::codec::{Codec, CodecError, Decoder, Encoder, Kind, Word};
use airlift::format::index::CodecId;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ACCEPTED: &str = "accepted";

/// `case.json` beside `frame.bin` and, where the frame is accepted, `raw.bin`.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    rule: String,
    class: String,
    codec: u8,
    param: u8,
    raw_len: usize,
}

struct Case {
    name: &'static str,
    facts: Facts,
    frame: Vec<u8>,
    raw: Option<Vec<u8>>,
}

#[test]
fn readers_accept_and_refuse_the_frames_of_the_specification() {
    let cases: Vec<Case> = accepted().into_iter().chain(refused()).collect();
    if std::env::var_os("AIRLIFT_BLESS").is_some() {
        cases.iter().filter(|case| !dir(case).exists()).for_each(bless);
    }
    let expected: BTreeSet<PathBuf> = cases.iter().map(dir).collect();
    let found: BTreeSet<PathBuf> = ["accept", "reject"].iter().flat_map(|kind| dirs(kind)).collect();
    assert_eq!(found, expected);
    for case in &cases {
        let dir = dir(case);
        let facts: Facts = serde_json::from_slice(&read(&dir, "case.json")).expect(case.name);
        assert_eq!(facts, case.facts, "{}", case.name);
        let found = decode(&facts, &read(&dir, "frame.bin"));
        match case.raw {
            Some(_) => assert!(found.as_ref() == Ok(&read(&dir, "raw.bin")), "{}: {:?}", case.name, found.err()),
            None => {
                let error = found.expect_err(case.name);
                assert_eq!((error.rule(), error.class().name()), (Some(&*facts.rule), &*facts.class), "{}", case.name);
            }
        }
    }
}

#[test]
fn every_rule_that_bytes_can_break_has_a_vector() {
    let rules: BTreeSet<String> = refused().into_iter().map(|case| case.facts.rule).collect();
    let expected = ["F-80", "F-81", "F-84", "F-85", "F-86", "F-90", "F-91", "F-92", "F-93", "F-94", "F-95"];
    assert_eq!(rules, expected.map(str::to_owned).into());
}

fn decode(facts: &Facts, frame: &[u8]) -> Result<Vec<u8>, CodecError> {
    let codec = Codec::from_id(CodecId { codec: facts.codec, parameter: facts.param })?;
    let mut raw = vec![0; facts.raw_len];
    Decoder::new().decode(codec, frame, &mut raw).map(|()| raw)
}

fn bless(case: &Case) {
    let dir = dir(case);
    fs::create_dir_all(&dir).expect("creates");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("writes");
    let json = serde_json::to_string_pretty(&case.facts).expect("plain values");
    write("case.json", format!("{json}\n").as_bytes());
    write("frame.bin", &case.frame);
    if let Some(raw) = &case.raw {
        write("raw.bin", raw);
    }
}

fn dir(case: &Case) -> PathBuf {
    let kind = if case.raw.is_some() { "accept" } else { "reject" };
    root(kind).join(case.name)
}

fn dirs(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(kind)).expect("the vectors are there");
    let names = entries.map(|entry| entry.expect("can be read").file_name().into_string().expect("ASCII"));
    names.filter(|name| name.starts_with("codec-")).map(|name| root(kind).join(name)).collect()
}

fn root(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/vectors").join(kind)
}

fn read(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{}/{name}: {error}", dir.display()))
}

fn accepted() -> Vec<Case> {
    let text = "{\"tensor\": \"model.layers.0.mlp.weight\", \"shape\": [4096, 4096]}\n".repeat(50).into_bytes();
    let half = |float: f32| (float.to_bits() >> 13).wrapping_sub(112 << 10) as u16 & 0x7fff;
    let bf16 = weights(|weight, _| ((weight.to_bits() >> 16) as u16).to_le_bytes().to_vec());
    let fp16 =
        weights(|weight, _| (half(weight.abs()) | (weight.to_bits() >> 16) as u16 & 0x8000).to_le_bytes().to_vec());
    let fp32 = weights(|weight, _| weight.to_le_bytes().to_vec());
    let fp64 = weights(|weight, low| (f64::from(weight) * (1.0 + f64::from(low) * 1e-9)).to_le_bytes().to_vec());
    let int8 = weights(|weight, _| vec![(weight * 400.0) as i8 as u8]);
    let with_tail = fp32[..fp32.len() - 1].to_vec();
    let mut cases = vec![
        encoded("codec-stored", "F-81", Kind::Stored, b"x".to_vec()),
        encoded("codec-zstd-text", "F-95", Kind::Zstd, text),
        encoded("codec-zstd-int8", "F-95", Kind::Zstd, int8),
        encoded("codec-planes-bf16", "F-83", Kind::Planes(Word::Two), bf16),
        encoded("codec-planes-fp16", "F-83", Kind::Planes(Word::Two), fp16),
        encoded("codec-planes-fp32", "F-83", Kind::Planes(Word::Four), fp32),
        encoded("codec-planes-fp64", "F-83", Kind::Planes(Word::Eight), fp64),
        encoded("codec-planes-tail", "F-86", Kind::Planes(Word::Four), with_tail),
    ];
    let windowed = [&MAGIC[..], &[0x40, 2 << 3, 0x88, 0x12], &rle(4096, 7, false), &rle(904, 8, true)].concat();
    let raw = [vec![7; 4096], vec![8; 904]].concat();
    let facts = Facts { rule: "F-93".into(), class: ACCEPTED.into(), codec: 1, param: 0, raw_len: raw.len() };
    cases.push(Case { name: "codec-zstd-window", facts, frame: windowed, raw: Some(raw) });
    cases
}

fn encoded(name: &'static str, rule: &str, kind: Kind, raw: Vec<u8>) -> Case {
    let mut frame = Vec::new();
    let codec = Encoder::new().expect("zstd").encode(&raw, kind, &mut frame).expect(name);
    let CodecId { codec, parameter: param } = codec.id();
    let facts = Facts { rule: rule.into(), class: ACCEPTED.into(), codec, param, raw_len: raw.len() };
    Case { name, facts, frame, raw: Some(raw) }
}

/// Returns 2048 encoded weights: sums of noise, so near 0 more often than far from it.
fn weights(encode: impl Fn(f32, u8) -> Vec<u8>) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    let mut bytes = Vec::new();
    for index in 0..2048u32 {
        let weight = (next() + next() + next() + next()) * 0.05;
        bytes.extend(encode(weight, (index * 37) as u8));
    }
    bytes
}

/// What a zstd frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Content length 200 in one segment.
const HEADER_200: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 200];

fn rle(len: u32, byte: u8, is_last: bool) -> Vec<u8> {
    [block_header(len, 1, is_last), vec![byte]].concat()
}

fn block_header(len: u32, kind: u32, is_last: bool) -> Vec<u8> {
    (len << 3 | kind << 1 | u32::from(is_last)).to_le_bytes()[..3].to_vec()
}

fn refused() -> Vec<Case> {
    let mut cases = vec![
        bad("codec-unknown", "F-80", (3, 0), 200, &[0; 10]),
        bad("codec-unknown-word", "F-80", (2, 3), 200, &[0; 10]),
        bad("codec-unknown-parameter", "F-80", (1, 1), 200, &[0; 10]),
        bad("codec-stored-short", "F-81", (0, 0), 200, &[0; 199]),
        bad("codec-zstd-not-shorter", "F-81", (1, 0), 10, &[&MAGIC[..], &[0x20, 10], &rle(10, 1, true)].concat()),
        bad("codec-planes-not-shorter", "F-81", (2, 2), 4, &[2, 0, 0, 0x80, 1, 2, 2, 0, 0, 0x80, 1, 2]),
    ];
    cases.extend(refused_planes());
    cases.extend(refused_zstd_headers());
    cases.extend(refused_zstd_blocks());
    cases
}

/// Frames of 400 bytes in two planes of 200.
fn refused_planes() -> Vec<Case> {
    let plane = [&HEADER_200[..], &rle(200, 1, true)].concat();
    let headed = |len: u32, bytes: &[u8]| [&len.to_le_bytes()[..], bytes].concat();
    let good = headed(plane.len() as u32, &plane);
    let stored = 1 << 31;
    let padded = [&HEADER_200[..], &block_header(187, 0, false), &[0; 187], &rle(13, 0, true)].concat();
    let bad_planes = |name, rule, first: &[u8], rest: &[u8]| bad(name, rule, (2, 2), 400, &[first, rest].concat());
    vec![
        bad_planes("codec-planes-end-early", "F-84", &good, &headed(100, &plane)),
        bad_planes("codec-planes-missing", "F-84", &good, &[]),
        bad_planes("codec-planes-header-cut", "F-84", &good, &[1, 0, 0]),
        bad_planes("codec-planes-stored-short", "F-85", &headed(stored | 199, &[5; 199]), &good),
        bad_planes("codec-planes-stored-long", "F-85", &good, &headed(stored | 201, &[5; 201])),
        bad_planes("codec-planes-zstd-not-shorter", "F-85", &headed(padded.len() as u32, &padded), &good),
        bad_planes("codec-planes-tail-long", "F-86", &good, &[&good[..], &[0]].concat()),
        bad("codec-planes-tail-short", "F-86", (2, 2), 401, &[&good[..], &good].concat()),
        bad_planes(
            "codec-planes-content-length",
            "F-92",
            &good,
            &good.iter().map(|b| if *b == 200 { 199 } else { *b }).collect::<Vec<u8>>(),
        ),
        bad("codec-planes-below-word", "F-81", (2, 8), 7, &[0; 7]),
    ]
}

fn refused_zstd_headers() -> Vec<Case> {
    let blocks = rle(200, 1, true);
    let zstd = |name, rule, header: &[u8], rest: &[u8]| {
        bad(name, rule, (1, 0), 200, &[&MAGIC[..], header, &blocks, rest].concat())
    };
    let window = |name, window| {
        bad(name, "F-93", (1, 0), 1000, &[&MAGIC[..], &[0x40, window, 0xe8, 2], &rle(1000, 1, true)].concat())
    };
    let terabyte = (1u64 << 40).to_le_bytes();
    vec![
        bad("codec-zstd-magic", "F-90", (1, 0), 200, &[&[0x27, 0xb5, 0x2f, 0xfd, 0x20, 200], &blocks[..]].concat()),
        bad(
            "codec-zstd-skippable-first",
            "F-90",
            (1, 0),
            200,
            &[&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &HEADER_200[..], &blocks].concat(),
        ),
        bad("codec-zstd-header-cut", "F-90", (1, 0), 200, &HEADER_200[..5]),
        zstd("codec-zstd-checksum", "F-91", &[0x24, 200], &[0; 4]),
        zstd("codec-zstd-dictionary", "F-91", &[0x21, 1, 200], &[]),
        zstd("codec-zstd-reserved-bit", "F-91", &[0x28, 200], &[]),
        zstd("codec-zstd-unused-bit", "F-91", &[0x30, 200], &[]),
        zstd("codec-zstd-no-content-length", "F-92", &[0, 0], &[]),
        zstd("codec-zstd-content-shorter", "F-92", &[0x20, 199], &[]),
        zstd("codec-zstd-content-terabyte", "F-92", &[&[0xe0], &terabyte[..]].concat(), &[]),
        window("codec-zstd-window-2gib", 21 << 3),
        window("codec-zstd-window-above-content", 1),
    ]
}

fn refused_zstd_blocks() -> Vec<Case> {
    let zstd = |name, rule, blocks: &[u8]| bad(name, rule, (1, 0), 200, &[&HEADER_200[..], blocks].concat());
    let good = rle(200, 1, true);
    let garbage = [block_header(20, 2, true), vec![0xff; 20]].concat();
    vec![
        zstd("codec-zstd-block-type", "F-94", &[block_header(1, 3, true), vec![0]].concat()),
        zstd("codec-zstd-block-long", "F-94", &rle(201, 1, true)),
        zstd("codec-zstd-block-cut", "F-94", &block_header(100, 0, true)),
        zstd("codec-zstd-no-last-block", "F-94", &rle(200, 1, false)),
        zstd("codec-zstd-trailing-byte", "F-94", &[&good[..], &[0]].concat()),
        zstd("codec-zstd-second-frame", "F-94", &[&good[..], &HEADER_200, &good].concat()),
        zstd("codec-zstd-skippable-after", "F-94", &[&good[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat()),
        zstd("codec-zstd-output-short", "F-95", &rle(199, 1, true)),
        zstd("codec-zstd-output-long", "F-95", &[rle(150, 1, false), rle(150, 2, true)].concat()),
        zstd("codec-zstd-garbage", "F-95", &garbage),
    ]
}

fn bad(name: &'static str, rule: &str, (codec, param): (u8, u8), raw_len: usize, frame: &[u8]) -> Case {
    let facts = Facts { rule: rule.into(), class: "damaged".into(), codec, param, raw_len };
    Case { name, facts, frame: frame.to_vec(), raw: None }
}
