use super::whole::cut;
use super::*;
use proptest::prelude::*;

/// Returns the bytes of the generator that `spec/format.md` pins the cuts with.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn cuts(file: &[u8]) -> (Profile, Vec<u64>) {
    let (profile, chunks) = cut(file, 0);
    let mut end = 0;
    let ends = chunks.iter().map(|chunk| {
        end += u64::from(chunk.len);
        end
    });
    (profile, ends.collect())
}

/// Returns the tensor cuts as F-70 words them, from the starts of all regions.
fn naive_cuts(starts: &[u64], file_len: u64) -> Vec<u64> {
    let mut cuts = Vec::new();
    let mut kept = 0;
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(file_len);
        if start > 0 && start - kept >= tensors::APART_LEN {
            kept = start;
            cuts.push(start);
        }
        let mut step = start + tensors::STEP_LEN;
        while step < end && end - step >= tensors::APART_LEN {
            kept = step;
            cuts.push(step);
            step += tensors::STEP_LEN;
        }
    }
    cuts.push(file_len);
    cuts
}

pub(super) fn safetensors(lens: &[(&str, usize)], metadata_len: usize) -> Vec<u8> {
    let mut offset = 0;
    let mut json = format!("{{\"__metadata__\":{{\"a\":[{{}},\"{}\"]}}", "x".repeat(metadata_len));
    // The last tensor first: the order of the table is not that of the data.
    let mut entries = Vec::new();
    for (index, (dtype, len)) in lens.iter().enumerate() {
        entries.push(format!(
            ",\"t{index}\":{{\"dtype\":\"{dtype}\",\"shape\":[{len}],\"data_offsets\":[{offset},{}]}}",
            offset + len
        ));
        offset += len;
    }
    json.extend(entries.into_iter().rev());
    json.push('}');
    while json.len() % 8 != 0 {
        json.push(' ');
    }
    file_of(&[&(json.len() as u64).to_le_bytes(), json.as_bytes()], offset)
}

fn file_of(head: &[&[u8]], data_len: usize) -> Vec<u8> {
    let mut file = head.concat();
    file.extend(noise(file.len() as u64, data_len));
    file
}

fn gguf(lens: &[(u32, usize)], tokens: usize) -> Vec<u8> {
    let mut head = b"GGUF\x03\0\0\0".to_vec();
    let text = |head: &mut Vec<u8>, text: &str| {
        head.extend((text.len() as u64).to_le_bytes());
        head.extend(text.as_bytes());
    };
    head.extend((lens.len() as u64).to_le_bytes());
    head.extend(4u64.to_le_bytes());
    text(&mut head, "general.alignment");
    head.extend([4u32.to_le_bytes(), 64u32.to_le_bytes()].concat());
    text(&mut head, "tokenizer.ggml.tokens");
    head.extend([9u32.to_le_bytes(), 8u32.to_le_bytes()].concat());
    head.extend((tokens as u64).to_le_bytes());
    (0..tokens).for_each(|token| text(&mut head, &format!("token {token}")));
    text(&mut head, "nested");
    head.extend([9u32.to_le_bytes(), 9u32.to_le_bytes()].concat());
    head.extend(1u64.to_le_bytes());
    head.extend(5u32.to_le_bytes());
    head.extend(2u64.to_le_bytes());
    head.extend([0; 8]);
    text(&mut head, "flag");
    head.extend(7u32.to_le_bytes());
    head.push(1);
    let mut offset = 0u64;
    for (index, (kind, len)) in lens.iter().enumerate() {
        text(&mut head, &format!("blk.{index}.weight"));
        head.extend(1u32.to_le_bytes());
        head.extend((*len as u64).to_le_bytes());
        head.extend(kind.to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += len.next_multiple_of(64) as u64;
    }
    head.resize(head.len().next_multiple_of(64), 0);
    file_of(&[&head], offset as usize)
}

fn npy(version: u8, descr: &str, data_len: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3,), }}");
    text.extend(std::iter::repeat_n(' ', 100 - text.len() % 64));
    let len = text.len() as u32;
    let len = if version == 1 { (len as u16).to_le_bytes().to_vec() } else { len.to_le_bytes().to_vec() };
    file_of(&[b"\x93NUMPY", &[version, 0], &len, text.as_bytes()], data_len)
}

fn elements(file: &[u8]) -> Vec<Element> {
    cut(file, 0).1.iter().map(|chunk| chunk.element).collect()
}

#[test]
fn a_short_file_is_one_chunk_whatever_it_holds() {
    assert_eq!(cut(&[], 0), (Profile::Single, vec![]));
    for len in [1, 100, 65_536] {
        let chunk = Chunk { len: len as u32, element: Element::Unknown };
        assert_eq!(cut(&noise(1, len), 0), (Profile::Single, vec![chunk]));
    }
    assert_eq!(cuts(&npy(1, "'<f4'", 60_000)).0, Profile::Single);
    assert_eq!(cuts(&noise(1, 65_537)).0, Profile::Mincdc);
}

#[test]
fn tensors_are_cut_at_their_starts_and_at_steps_from_there() {
    const MIB: usize = 1 << 20;
    const KIB: usize = 1 << 10;
    let lens = [("F32", 3 * MIB + 10 * KIB), ("BF16", 10 * KIB), ("I8", 2 * MIB), ("F64", 64 * KIB), ("F16", 63 * KIB)];
    let file = safetensors(&lens, 0);
    let data = (file.len() - lens.iter().map(|(_, len)| len).sum::<usize>()) as u64;
    let (profile, found) = cuts(&file);
    assert_eq!(profile, Profile::Safetensors);
    let offsets = [MIB, 2 * MIB, 3 * MIB + 10 * KIB, 4 * MIB + 20 * KIB, 5 * MIB + 20 * KIB, 5 * MIB + 84 * KIB];
    let mut expected: Vec<u64> = offsets.iter().map(|offset| data + *offset as u64).collect();
    expected.push(file.len() as u64);
    assert_eq!(found, expected);
    use Element::*;
    assert_eq!(elements(&file), [Word4, Word4, Word4, Byte, Byte, Word8, Word2]);
}

#[test]
fn each_table_gives_its_profile_and_elements() {
    let long = 300 << 10;
    let cases = [
        (gguf(&[(0, long), (1, long), (12, long), (30, long), (28, long), (27, long + 30)], 10), Profile::Gguf),
        (gguf(&[(0, long); 6], 40_000), Profile::Gguf),
        (
            safetensors(&[("F32", 200_000), ("BF16", 200_000), ("I64", 0), ("U8", 200_000)], 3_000_000),
            Profile::Safetensors,
        ),
        (npy(1, "'<f8'", long), Profile::Npy),
        (npy(2, "'|i1'", long), Profile::Npy),
        (npy(3, "'>f4'", long), Profile::Npy),
    ];
    let found: Vec<_> = cases.iter().map(|(file, _)| cuts(file).0).collect();
    assert_eq!(found, cases.each_ref().map(|(_, profile)| *profile));
    use Element::*;
    assert_eq!(elements(&cases[0].0), [Word4, Word2, Byte, Word2, Word8, Word8]);
    assert_eq!(elements(&cases[2].0)[2..], [Unknown, Word4, Word2, Byte]);
    assert_eq!(cases.each_ref().map(|(file, _)| elements(file)[0])[3..], [Word8, Byte, Unknown]);
}

#[test]
fn a_broken_table_falls_back_to_the_content() {
    let good = safetensors(&[("F32", 100_000), ("BF16", 100_000)], 0);
    let edit = |from: &str, to: &str| {
        let to = format!("{to}{}", " ".repeat(from.len() - to.len()));
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
        let mut file = good.clone();
        file[at..at + to.len()].copy_from_slice(to.as_bytes());
        file
    };
    let mut cases = vec![
        edit("[100000,200000]", "[100001,200000]"),
        edit("[100000,200000]", "[099999,200000]"),
        edit("[100000,200000]", "[100000,200001]"),
        edit("[100000,200000]", "[200000,100000]"),
        edit("[0,100000]", "[0,99999 ]"),
        edit("\"BF16\"", "12    "),
        edit("\"dtype\"", "\"dtypo\""),
        edit("\"shape\":[100000]", "\"dtype\":\"BF16\" "),
        edit("{\"dtype\":\"BF16\",\"shape\":[100000],\"data_offsets\":[100000,200000]}", "[\"BF16\",[100000,200000]]"),
        edit("\"a\":[{}", "\"a\":[\u{e9}"),
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        safetensors(&[], 100_000),
        safetensors(&[("F32", 100_000)], 16 << 20),
        gguf(&[], 10_000),
        npy(1, "[('x', '<f4')]", 100_000),
        npy(4, "'<f4'", 100_000),
    ];
    let table = gguf(&[(0, 100_000), (0, 100_000)], 10);
    let second_offset = 100_032u64.to_le_bytes();
    let edits: [(&[u8], &[u8]); 5] = [
        (b"alignment\x04\0\0\0\x40", b"alignment\x04\0\0\0\x41"),
        (b"flag\x07", b"flag\x0d"),
        (&second_offset, &100_033u64.to_le_bytes()),
        (&second_offset, &0u64.to_le_bytes()),
        (&second_offset, &(1u64 << 40).to_le_bytes()),
    ];
    for (from, to) in edits {
        let at = table.windows(from.len()).position(|window| window == from).expect("stands in the table");
        let mut file = table.clone();
        file[at..at + to.len()].copy_from_slice(to);
        cases.push(file);
    }
    let mut longest = b"GGUF\x02\0\0\0".to_vec();
    longest.extend([u64::MAX.to_le_bytes(), 0u64.to_le_bytes()].concat());
    longest.resize(100_000, 0);
    cases.push(longest);
    for (index, file) in cases.iter().enumerate() {
        assert_eq!(cuts(file).0, Profile::Mincdc, "case {index}");
    }
}

#[test]
fn a_table_that_claims_more_than_the_limit_wants_no_more() {
    let mut head = b"GGUF\x03\0\0\0".to_vec();
    head.extend([1u64.to_le_bytes(), 1u64.to_le_bytes(), (65u64 << 20).to_le_bytes()].concat());
    head.resize(mincdc::LEN_MAX, 0);
    let mut cutter = Cutter::new(1 << 40);
    assert!(cutter.next(&head).is_some());
    assert_eq!(cutter.profile(), Some(Profile::Mincdc));
}

#[test]
fn waits_when_it_is_shown_too_little() {
    let file = safetensors(&[("F32", 3_000_000)], 200_000);
    let mut cutter = Cutter::new(file.len() as u64);
    assert_eq!(cutter.next(&file[..100]), None);
    assert_eq!(cutter.next(&file[..cutter.wants()]), None);
    assert!(cutter.wants() > 200_000);
    assert_eq!(cutter.next(&file[..200_000]), None);
    assert!(cutter.next(&file).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cuts_are_those_of_the_rules_however_they_are_fed(
        lens in prop::collection::vec(prop_oneof![0usize..200, 60_000usize..70_000, 900_000usize..1_200_000, 2_090_000usize..2_170_000], 1..8),
        metadata_len in prop_oneof![0usize..100, 50_000usize..200_000],
        extra_len in prop_oneof![0usize..100, 0usize..5_000_000],
    ) {
        let typed: Vec<_> = lens.iter().map(|len| ("F32", *len)).collect();
        let file = safetensors(&typed, metadata_len);
        prop_assert_eq!(cut(&file, extra_len), cut(&file, 0));
        let (profile, found) = cuts(&file);
        if profile == Profile::Safetensors {
            let mut start = file.len() - lens.iter().sum::<usize>();
            let mut starts = vec![0];
            for len in lens.iter().filter(|len| **len > 0) {
                starts.push(start as u64);
                start += len;
            }
            prop_assert_eq!(found, naive_cuts(&starts, file.len() as u64));
        }
    }

    #[test]
    fn any_bytes_are_cut_into_chunks_within_the_limits(
        start in prop_oneof![Just(b"GGUF\x03\0\0\0".to_vec()), Just(b"\x93NUMPY\x01\0".to_vec()), Just(b"\x40\0\0\0\0\0\0\0{\"a\":{".to_vec()), Just(vec![])],
        seed: u64,
        len in 0usize..400_000,
        extra_len in 0usize..100_000,
    ) {
        let file = [start, noise(seed, len)].concat();
        let (profile, chunks) = cut(&file, extra_len);
        prop_assert_eq!(&cut(&file, 0).1, &chunks);
        prop_assert!(chunks.iter().all(|chunk| (1..=crate::format::limits::CHUNK_LEN_MAX).contains(&chunk.len)));
        prop_assert_eq!(profile == Profile::Single, file.len() <= 65_536);
    }
}
