use super::*;
use crate::error::Class;
use crate::format::Element;
use proptest::prelude::*;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Returns numbers near 0, as weights are, in the high bytes of words of `word_len` bytes.
fn weights(word_len: usize, len: usize) -> Vec<u8> {
    let noise = noise(7, len * 4);
    let sums = noise.chunks_exact(8).map(|bytes| bytes.iter().map(|byte| f64::from(*byte)).sum::<f64>() / 1020.0 - 1.0);
    let mut rest = noise.iter().copied();
    let mut bytes = Vec::new();
    for sum in sums {
        let float = (sum as f32 * 0.05).to_bits().to_be_bytes();
        match word_len {
            2 => bytes.extend([float[1], float[0]]),
            4 => bytes.extend([rest.next().unwrap_or(0), float[2], float[1], float[0]]),
            _ => bytes.extend((sum * (0.05 + 1e-4 * f64::from(rest.next().unwrap_or(0)))).to_le_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}

fn text(len: usize) -> Vec<u8> {
    let words = ["model", "weights", "tensor", "{\"id\": ", "0.25, ", "}\n", "the ", "of "];
    let mut text: Vec<u8> = noise(3, len).iter().flat_map(|byte| words[*byte as usize % 8].bytes()).collect();
    text.truncate(len);
    text
}

const KINDS: [Kind; 5] =
    [Kind::Stored, Kind::Zstd, Kind::Planes(Word::Two), Kind::Planes(Word::Four), Kind::Planes(Word::Eight)];

fn decode(codec: Codec, stored: &[u8], raw_len: usize) -> Result<Vec<u8>, CodecError> {
    let mut raw = vec![0; raw_len];
    Decoder::new().decode(codec, stored, &mut raw).map(|()| raw)
}

#[test]
fn every_id_names_one_codec() {
    let ids = (0..=255).flat_map(|codec| (0..=255).map(move |parameter| CodecId { codec, parameter }));
    let known: Vec<_> = ids.filter_map(|id| Codec::from_id(id).ok().map(|codec| (id, codec))).collect();
    assert_eq!(known.len(), 5);
    assert!(known.iter().all(|(id, codec)| codec.id() == *id));
}

#[test]
fn what_is_encoded_is_shorter_and_decodes() {
    let mut encoder = Encoder::new().expect("zstd");
    let contents = [
        weights(2, 100_001),
        weights(4, 100_003),
        weights(8, 100_007),
        text(100_000),
        vec![0; 100_000],
        noise(1, 4 << 20),
        vec![1; 9],
        vec![5],
    ];
    for raw in &contents {
        for kind in KINDS {
            let mut out = b"before".to_vec();
            let codec = encoder.encode(raw, kind, &mut out).expect("encodes");
            let stored = out.strip_prefix(b"before").expect("appended");
            assert_eq!(codec == Codec::Stored, stored.len() == raw.len());
            assert!(stored.len() <= raw.len());
            assert_eq!(&decode(codec, stored, raw.len()).expect("decodes"), raw);
            for wrong_len in [raw.len() - 1, raw.len() + 1] {
                let error = decode(codec, stored, wrong_len).expect_err("another length");
                assert_eq!(error.class(), Class::Damaged, "{error}");
            }
        }
    }
}

#[test]
fn zstd_keeps_the_rules_for_every_length_where_its_window_changes() {
    let mut encoder = Encoder::new().expect("zstd");
    let bytes = text(4 << 20);
    let powers = (0..=22).flat_map(|power| [(1usize << power) - 1, 1 << power, (1 << power) + 1]);
    for len in powers.chain(250..260).chain([3 << 20]).filter(|len| (1..=4 << 20).contains(len)) {
        for kind in [Kind::Zstd, Kind::Planes(Word::Two), Kind::Planes(Word::Eight)] {
            let mut stored = Vec::new();
            let codec = encoder.encode(&bytes[..len], kind, &mut stored).expect("keeps the rules");
            assert!(codec != Codec::Stored || len < 1000, "{len} bytes of text");
        }
    }
}

#[test]
fn planes_are_those_of_the_specification() {
    for word in [Word::Two, Word::Four, Word::Eight] {
        let word_len = word as usize;
        for len in [0, word_len - 1, word_len, 63 * word_len, 64 * word_len, 200 * word_len + 1] {
            let raw = noise(len as u64, len);
            let count = len / word_len;
            let mut planes = vec![0; count * word_len];
            planes::split(word, &raw, &mut planes);
            for (index, bytes) in raw.chunks_exact(word_len).enumerate() {
                for plane in 0..word_len {
                    let below = bytes[(plane + word_len - 1) % word_len];
                    assert_eq!(planes[plane * count + index], bytes[plane] << 1 | below >> 7);
                }
            }
            let mut joined = raw.clone();
            joined[..count * word_len].fill(0);
            let mut each: [&[u8]; 8] = [&[]; 8];
            each.iter_mut().zip(planes.chunks_exact(count.max(1))).for_each(|(one, plane)| *one = plane);
            planes::join(word, &each, &mut joined);
            assert_eq!(joined, raw);
        }
    }
}

#[test]
fn refuses_to_encode_what_is_no_frame() {
    let mut encoder = Encoder::new().expect("zstd");
    let mut out = vec![1];
    for raw in [vec![], vec![0; (4 << 20) + 1]] {
        let error = encoder.encode(&raw, Kind::Zstd, &mut out).expect_err("no frame");
        assert_eq!(error, CodecError::FrameLen { raw_len: raw.len() });
    }
    assert_eq!(out, [1]);
}

#[test]
fn the_probe_sees_what_bytes_are() {
    let small_ints: Vec<u8> = noise(9, 100_000).iter().flat_map(|byte| [*byte, byte & 15, 0, 0, 0, 0, 0, 0]).collect();
    let int8: Vec<u8> = noise(9, 800_000)
        .chunks(8)
        .map(|chunk| (chunk.iter().map(|byte| u32::from(byte & 31)).sum::<u32>()) as u8)
        .collect();
    let cases = [
        (weights(2, 300_000), Element::Word2, Kind::Planes(Word::Two)),
        (weights(4, 300_000), Element::Word4, Kind::Planes(Word::Four)),
        (weights(8, 300_000), Element::Word8, Kind::Planes(Word::Eight)),
        (weights(2, 300_000), Element::Unknown, Kind::Planes(Word::Two)),
        (weights(4, 300_001)[1..].to_vec(), Element::Unknown, Kind::Planes(Word::Four)),
        (weights(8, 300_000), Element::Unknown, Kind::Planes(Word::Eight)),
        (small_ints, Element::Unknown, Kind::Planes(Word::Eight)),
        (text(300_000), Element::Unknown, Kind::Zstd),
        (text(5_000), Element::Word4, Kind::Zstd),
        (noise(1, 300_000), Element::Unknown, Kind::Stored),
        (noise(1, 300_000), Element::Word4, Kind::Stored),
        (noise(1, 3_000), Element::Unknown, Kind::Stored),
        (vec![0; 300_000], Element::Word4, Kind::Zstd),
        (int8, Element::Byte, Kind::Zstd),
        (noise(1, 1_000).repeat(100), Element::Unknown, Kind::Zstd),
        (vec![7], Element::Unknown, Kind::Zstd),
    ];
    let mut prober = Prober::default();
    for (index, (bytes, element, kind)) in cases.iter().enumerate() {
        assert_eq!(prober.probe(bytes, *element), *kind, "case {index}");
    }
}

proptest! {
    #[test]
    fn decoding_any_bytes_ends_in_an_answer(stored in prop::collection::vec(any::<u8>(), 0..300), raw_len in 0usize..1000, kind in 0usize..5) {
        let codec = [Codec::Stored, Codec::Zstd, Codec::Planes(Word::Two), Codec::Planes(Word::Four), Codec::Planes(Word::Eight)][kind];
        if let Err(error) = decode(codec, &stored, raw_len) {
            prop_assert_eq!(error.class(), Class::Damaged);
        }
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..10_000, to: u8, kind in 1usize..5) {
        let raw = weights(4, 5_000);
        let mut stored = Vec::new();
        let codec = Encoder::new().expect("zstd").encode(&raw, KINDS[kind], &mut stored).expect("encodes");
        let at = at % stored.len();
        stored[at] = to;
        if let Err(error) = decode(codec, &stored, raw.len()) {
            prop_assert_eq!(error.class(), Class::Damaged);
        }
    }
}
