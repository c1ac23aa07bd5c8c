//! Decoding any bytes ends in the bytes or in damage; what is encoded decodes to what it was.
#![no_main]

use airlift::codec::{Codec, Decoder, Encoder, Kind, Prober, Word};
use airlift::error::Class;
use airlift::format::Element;
use airlift::format::index::CodecId;
use libfuzzer_sys::fuzz_target;

const ELEMENTS: [Element; 5] = [Element::Unknown, Element::Byte, Element::Word2, Element::Word4, Element::Word8];

fuzz_target!(|input: (u8, u8, u8, u16, &[u8])| {
    let (codec, parameter, element, raw_len, bytes) = input;
    if let Ok(codec) = Codec::from_id(CodecId { codec: codec % 3, parameter: parameter % 9 }) {
        let mut raw = vec![0; usize::from(raw_len)];
        if let Err(error) = Decoder::new().decode(codec, bytes, &mut raw) {
            assert_eq!(error.class(), Class::Damaged);
        }
    }
    if bytes.is_empty() {
        return;
    }
    let probed = Prober::default().probe(bytes, ELEMENTS[usize::from(element) % ELEMENTS.len()]);
    let mut encoder = Encoder::new().expect("zstd has its own parameters");
    let words = [Word::Two, Word::Four, Word::Eight].map(Kind::Planes);
    for kind in [probed, Kind::Stored, Kind::Zstd].into_iter().chain(words) {
        let mut stored = Vec::new();
        let codec = encoder.encode(bytes, kind, &mut stored).expect("encodes and proves it");
        let mut raw = vec![0; bytes.len()];
        Decoder::new().decode(codec, &stored, &mut raw).expect("decodes");
        assert_eq!(raw, bytes);
        assert!(stored.len() < bytes.len() || codec == Codec::Stored);
    }
});
