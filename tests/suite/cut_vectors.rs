//! The vectors `spec/vectors/accept/cut-safetensors-json-*` and `cut-gguf-array-*`: files whose tables
//! stand at the edge of F-73, F-74 and F-76. Every packer cuts them alike, or a content has two ids.
//!
//! `AIRLIFT_BLESS=1` writes those that do not exist yet; released vectors never change.

use airlift::chunking::Cutter;
use airlift::format::manifest::Profile;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PREFIXES: [&str; 2] = ["cut-safetensors-json-", "cut-gguf-array-"];
/// Lengths of the two tensors of every file.
const TENSORS: [usize; 2] = [70_000, 90_000];

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    rule: String,
    class: String,
    about: String,
    input: Vec<Piece>,
    profile: u8,
    lengths: Vec<usize>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Piece {
    Text { text: String },
    Hex { hex: String },
    Number { u64: u64 },
    Stream { xof: String, length: usize },
}

struct Case {
    name: String,
    rule: &'static str,
    about: &'static str,
    /// The profile where the table is good, and the length of what stands before the tensors.
    table: Option<(Profile, usize)>,
    input: Vec<Piece>,
}

#[test]
fn packers_cut_the_files_of_the_specification_alike() {
    let cases: Vec<Case> = safetensors_cases().into_iter().chain(gguf_cases()).collect();
    if std::env::var_os("AIRLIFT_BLESS").is_some() {
        cases.iter().filter(|case| !dir(&case.name).exists()).for_each(bless);
    }
    let expected: BTreeSet<PathBuf> = cases.iter().map(|case| dir(&case.name)).collect();
    assert_eq!(found_dirs(), expected);
    for case in &cases {
        let json = fs::read(dir(&case.name).join("case.json")).expect(&case.name);
        let facts: Facts = serde_json::from_slice(&json).expect(&case.name);
        assert_eq!((facts.rule.as_str(), &facts.input), (case.rule, &case.input), "{}", case.name);
        let (profile, lengths) = cut(&bytes_of(&facts.input));
        assert_eq!((profile as u8, &lengths), (facts.profile, &facts.lengths), "{}", case.name);
        match case.table {
            Some((due, table_len)) => {
                assert_eq!((profile, lengths), (due, vec![table_len + TENSORS[0], TENSORS[1]]), "{}", case.name);
            }
            None => assert_eq!(profile, Profile::Mincdc, "{}", case.name),
        }
    }
}

fn cut(file: &[u8]) -> (Profile, Vec<usize>) {
    let mut cutter = Cutter::new(file.len() as u64);
    let (mut lengths, mut position) = (Vec::new(), 0);
    while let Some(chunk) = cutter.next(&file[position..]) {
        lengths.push(chunk.len as usize);
        position += chunk.len as usize;
    }
    assert_eq!(position, file.len());
    (cutter.profile().expect("decided at the end"), lengths)
}

fn bless(case: &Case) {
    let (profile, lengths) = cut(&bytes_of(&case.input));
    let about = case.about.to_owned();
    let input = case.input.iter().map(Piece::copy).collect();
    let (rule, class, profile) = (case.rule.to_owned(), "accepted".to_owned(), profile as u8);
    let facts = Facts { rule, class, about, input, profile, lengths };
    fs::create_dir_all(dir(&case.name)).expect("creates");
    let json = serde_json::to_string_pretty(&facts).expect("plain values");
    fs::write(dir(&case.name).join("case.json"), format!("{json}\n")).expect("writes");
}

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/vectors/accept").join(name)
}

fn found_dirs() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(dir("")).expect("the vectors are there");
    let names = entries.map(|entry| entry.expect("can be read").file_name().into_string().expect("ASCII"));
    names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).map(|name| dir(&name)).collect()
}

impl Piece {
    fn text(text: impl Into<String>) -> Piece {
        Piece::Text { text: text.into() }
    }

    fn hex(bytes: &[u8]) -> Piece {
        Piece::Hex { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    fn data() -> Piece {
        Piece::Stream { xof: "tensors".to_owned(), length: TENSORS.iter().sum() }
    }

    fn copy(&self) -> Piece {
        match self {
            Piece::Text { text } => Piece::text(text),
            Piece::Hex { hex } => Piece::Hex { hex: hex.clone() },
            Piece::Number { u64 } => Piece::Number { u64: *u64 },
            Piece::Stream { xof, length } => Piece::Stream { xof: xof.clone(), length: *length },
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Piece::Text { text } => text.clone().into_bytes(),
            Piece::Hex { hex } => {
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect()
            }
            Piece::Number { u64 } => u64.to_le_bytes().to_vec(),
            Piece::Stream { xof, length } => {
                let mut bytes = vec![0; *length];
                blake3::Hasher::new().update(xof.as_bytes()).finalize_xof().fill(&mut bytes);
                bytes
            }
        }
    }
}

fn bytes_of(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(Piece::bytes).collect()
}

fn safetensors_cases() -> Vec<Case> {
    [text_cases(), number_cases(), offset_cases(), member_cases()].into_iter().flatten().collect()
}

/// The grammar of F-76 but for numbers, in metadata that are passed over.
fn text_cases() -> Vec<Case> {
    let nested = |depth: usize| metadata(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let behind = |rest: &str| metadata("1") + rest;
    let mut cases = vec![
        json_case("nests-64-deep", "arrays 64 deep, the table included", true, nested(63)),
        json_case("nests-65-deep", "arrays 65 deep, the table included", false, nested(64)),
        json_case("nests-2001-deep", "arrays 2001 deep, the table included", false, nested(2000)),
        json_case("surrogate-pair", "a pair of escapes for one character", true, metadata(r#""\ud83d\uDE00""#)),
        json_case("surrogate-high", "the first half of a pair alone", false, metadata(r#"["\ud83d"]"#)),
        json_case("surrogate-low", "the second half of a pair alone, in a name", false, metadata(r#"{"\ude00":1}"#)),
        json_case("surrogates-swapped", "the halves of a pair swapped", false, metadata(r#""\ude00\ud83d""#)),
        json_case("comma-last", "a comma before the closing bracket", false, metadata("[1,]")),
        json_case("control-character", "a tab within a string", false, metadata("\"\t\"")),
        json_case("delete-character", "U+007F within a string", true, metadata("\"\u{7f}\"")),
        json_case("form-feed", "a form feed as white space", false, metadata("\u{c}1")),
        json_case("no-break-space", "U+00A0 as white space", false, metadata("\u{a0}1")),
        json_case("space-of-each-kind", "white space of each kind", true, metadata(" [\t1\r,\n2 ]") + " \t\r\n"),
        json_case("second-value", "a second value behind the object", false, behind("{}")),
        json_case("zero-byte-behind", "a zero byte behind the object", false, behind("\0")),
    ];
    let json = metadata("\"?\"");
    let (before, behind) = json.split_once('?').expect("stands in it");
    let text = [before.as_bytes(), b"\xed\xa0\x80", behind.as_bytes()].concat();
    cases.push(table_case("not-utf8", "the UTF-8 of half a pair, which is none", false, Piece::hex(&text)));
    cases
}

fn number_cases() -> Vec<Case> {
    vec![
        json_case("number-1e999", "numbers beyond every float", true, metadata("[1e999,-1E+999]")),
        json_case("number-minus-zero", "minus zero", true, metadata("[-0,-0.0]")),
        json_case("number-of-100-digits", "a number of 100 digits", true, metadata(&"9".repeat(100))),
        json_case("number-leading-zero", "a number with a zero before it", false, metadata("01")),
        json_case("number-nan", "NaN, which is not JSON", false, metadata("NaN")),
        json_case("number-infinity", "Infinity, which is not JSON", false, metadata("-Infinity")),
        json_case("number-ends-in-point", "a number that ends in its point", false, metadata("1.")),
    ]
}

/// What F-73 says of offsets; the third tensor has no bytes.
fn offset_cases() -> Vec<Case> {
    let third = |offsets: &str| json_of(&format!(r#""c":{{"dtype":"U8","data_offsets":[{offsets}]}}"#), "0");
    let most = "18446744073709551615,18446744073709551615";
    let more = "18446744073709551616,18446744073709551616";
    vec![
        json_case("offset-minus-zero", "a first offset of minus zero", false, json_of(r#""__metadata__":1"#, "-0")),
        json_case("offset-float", "an offset of 0.0", false, third("0.0,0")),
        json_case("offset-exponent", "an offset of 0e0", false, third("0,0e0")),
        json_case("offset-text", "an offset in quotes", false, third("\"0\",0")),
        json_case("offset-2-64-less-1", "an empty tensor at 2^64 - 1", true, third(most)),
        json_case("offset-2-64", "an empty tensor at 2^64", false, third(more)),
        json_case("offset-backwards", "a tensor that ends before it begins", false, third("1,0")),
        json_case("offset-alone", "one offset", false, third("0")),
        json_case("offsets-three", "three offsets", false, third("0,0,0")),
    ]
}

/// What F-73 and F-76 say of the names of members.
fn member_cases() -> Vec<Case> {
    let third = |members: &str| json_of(&format!(r#""c":{{{members}}}"#), "0");
    let twice = r#""c":{"dtype":"U8","data_offsets":[7,7]},"c":{"dtype":"U8","data_offsets":[0,0]}"#;
    let escaped = r#""\u005f_metadata__":1"#;
    let names = r#""d\u0074ype":"U8","data\u005Foffsets":[0,0]"#;
    vec![
        json_case("name-twice", "two empty tensors of one name", true, json_of(twice, "0")),
        json_case("metadata-twice", "__metadata__ twice", true, metadata("1,\"__metadata__\":{}")),
        json_case("metadata-escaped", "__metadata__ with an escape in it", true, json_of(escaped, "0")),
        json_case("names-escaped", "dtype and data_offsets with escapes in them", true, third(names)),
        json_case("dtype-twice", "dtype twice", false, third(r#""dtype":"U8","dtype":"U8","data_offsets":[0,0]"#)),
        json_case("dtype-null", "a dtype that is no string", false, third(r#""dtype":null,"data_offsets":[0,0]"#)),
        json_case("dtype-surrogate", "half a pair", false, third(r#""dtype":"\ud83d","data_offsets":[0,0]"#)),
        json_case("dtype-missing", "a tensor without dtype", false, third(r#""data_offsets":[0,0]"#)),
        json_case(
            "data-offsets-twice",
            "data_offsets twice",
            false,
            third(r#""dtype":"U8","data_offsets":[0,0],"data_offsets":[0,0]"#),
        ),
        json_case(
            "shape-twice",
            "a member that does not matter, twice",
            true,
            third(r#""shape":1,"dtype":"U8","shape":"","data_offsets":[0,0]"#),
        ),
        json_case("member-array", "a member that is an array", false, json_of(r#""c":["U8",[0,0]]"#, "0")),
    ]
}

/// A table with these metadata.
fn metadata(value: &str) -> String {
    json_of(&format!("\"__metadata__\":{value}"), "0")
}

/// A table of two tensors, with another member before them.
fn json_of(member: &str, begin: &str) -> String {
    let [first, both] = [TENSORS[0], TENSORS[0] + TENSORS[1]];
    format!(
        "{{{member},\"a\":{{\"dtype\":\"F16\",\"shape\":[35000],\"data_offsets\":[{begin},{first}]}},\
         \"b\":{{\"data_offsets\":[{first},{both}],\"dtype\":\"F16\"}}}}"
    )
}

fn json_case(name: &str, about: &'static str, is_table: bool, json: String) -> Case {
    table_case(name, about, is_table, Piece::text(json))
}

fn table_case(name: &str, about: &'static str, is_table: bool, json: Piece) -> Case {
    let len = json.bytes().len();
    let input = vec![Piece::Number { u64: len as u64 }, json, Piece::data()];
    let table = is_table.then_some((Profile::Safetensors, 8 + len));
    let is_member = ["offset", "dtype", "data", "shape", "member"].iter().any(|word| name.starts_with(word));
    let rule = if is_member { "F-73" } else { "F-76" };
    Case { name: format!("cut-safetensors-json-{name}"), rule, about, table, input }
}

fn gguf_cases() -> Vec<Case> {
    let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    // Arrays of one array each, as deep as told, then `inner`.
    let within = |depth: usize, inner: Vec<u8>| [array(9, 1).repeat(depth), inner].concat();
    vec![
        gguf_case("none-of-bytes", "an array of no u8", true, array(0, 0)),
        gguf_case("none-of-strings", "an array of no string", true, array(8, 0)),
        gguf_case("none-of-arrays", "an array of no array", true, array(9, 0)),
        gguf_case("none-of-unknown", "an array of no value of kind 13", false, array(13, 0)),
        gguf_case("4-deep-and-none", "the fourth of four arrays has no array in it", true, within(3, array(9, 0))),
        gguf_case("4-deep", "four arrays, the fourth of no string", true, within(3, array(8, 0))),
        gguf_case("5-deep", "five arrays, the fifth without a value", false, within(4, array(8, 0))),
    ]
}

fn gguf_case(name: &str, about: &'static str, is_table: bool, value: Vec<u8>) -> Case {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut table = [b"GGUF\x03\0\0\0".to_vec(), 2u64.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat();
    table.extend([text("list"), 9u32.to_le_bytes().to_vec(), value].concat());
    // The second tensor begins where the alignment of 32 allows it.
    for (name, offset) in [("a", 0u64), ("b", 70_016)] {
        table.extend([text(name), 0u32.to_le_bytes().to_vec(), vec![0; 4], offset.to_le_bytes().to_vec()].concat());
    }
    table.resize(table.len().next_multiple_of(32) + 16, 0);
    let facts = is_table.then_some((Profile::Gguf, table.len()));
    let input = vec![Piece::hex(&table), Piece::data()];
    Case { name: format!("cut-gguf-array-{name}"), rule: "F-74", about, table: facts, input }
}
