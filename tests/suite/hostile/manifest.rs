//! Group M: manifest, head and pack table as a hostile signer makes them.

use super::bench::Bench;
use super::reseal::{reseal, reseal_pack_page, reseal_page, resign_text, sign_raw};
use super::vectors::{run, run_all};
use super::{Line, checked, ends, tests};
use crate::by_hand::{self, HandPack};
use crate::program::shown;
use crate::tree::Random;
use airlift::format::manifest::ManifestRoot;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) const LINES: &[Line] = &[
    checked(
        "M02",
        "every prefix of a good manifest",
        "the file cut after each byte; then the page cut after each byte, named by the root and signed",
        &[ends("verify import", 3, "manifest"), ends("ls", 4, "manifest")],
        prefixes,
    ),
    checked(
        "M03",
        "length field near 2^63",
        "vectors: head, root, page, file length, first offset, pack offset",
        &[ends("verify ls", 4, "")],
        |bench| {
            run(
                bench,
                &[
                    "head-length-near-2-to-63",
                    "manifest-root-length-near-2-to-63",
                    "manifest-page-file-near-2-to-63",
                    "manifest-page-first-offset-near-2-to-63",
                    "manifest-page-path-length-16-mib",
                    "pack-table-offset-near-2-to-64",
                    "pack-table-ordinal-near-2-to-63",
                ],
            )
        },
    ),
    checked(
        "M05",
        "nesting 10,000 deep",
        "a signed head of 10,000 brackets, and of objects within each other; a safetensors table that is packed",
        &[ends("verify import", 4, ""), ends("pack", 0, "")],
        nesting,
    ),
    checked(
        "M06",
        "duplicate key",
        "vectors: a key of the head, and of an object in it, twice",
        &[ends("verify", 4, "")],
        |bench| run(bench, &["head-key-twice", "head-key-twice-otherwise", "head-inner-key-twice"]),
    ),
    checked(
        "M08",
        "non-canonical integer, order or string form",
        "vectors of the head; entries of the manifest out of order",
        &[ends("verify ls", 4, "")],
        |bench| {
            run(
                bench,
                &[
                    "head-counter-leading-zero",
                    "head-counter-plus",
                    "head-counter-exponent",
                    "head-order",
                    "head-inner-order",
                    "head-escaped-letter",
                    "head-escaped-slash",
                    "head-digest-upper-case",
                    "head-space-twice",
                    "manifest-page-out-of-order",
                    "manifest-page-order-by-slash",
                    "manifest-page-path-twice",
                ],
            )
        },
    ),
    checked(
        "M09",
        "bytes after the root",
        "vectors: a byte behind head, root and manifest; behind the page in the file alone",
        &[ends("verify ls", 4, ""), ends("verify", 3, "F-06")],
        |bench| {
            run(
                bench,
                &[
                    "head-byte-behind",
                    "head-newline-twice",
                    "manifest-root-byte-behind",
                    "pack-root-byte-behind",
                    "pack-table-byte-behind",
                ],
            );
            let medium = bench.good();
            let manifest = fs::read(medium.join("manifest")).expect("read");
            fs::write(medium.join("manifest"), [&manifest[..], b"\0"].concat()).expect("written");
            bench.verify(&medium);
        },
    ),
    checked(
        "M11",
        "float, negative or NaN where a count is due",
        "vectors of the head",
        &[ends("verify", 4, "")],
        |bench| {
            run(
                bench,
                &[
                    "head-counter-float",
                    "head-counter-negative",
                    "head-counter-minus-zero",
                    "head-counter-nan",
                    "head-counter-infinity",
                    "head-counter-null",
                    "head-counter-as-text",
                    "head-counter-true",
                    "head-counter-1e400",
                ],
            )
        },
    ),
    checked(
        "M12",
        "integers up to 2^53 − 1 in JSON output",
        "the last counter through `info --json`; above it nothing is accepted",
        &[ends("info", 0, "9007199254740991"), ends("info", 4, "")],
        |bench| {
            let (medium, _) = bench.bundle("medium", (1 << 53) - 1, 10);
            let told = bench.call(&["info", shown(&medium), "--json"]);
            let document: serde_json::Value = serde_json::from_slice(&told.out).expect("JSON");
            assert!(document.to_string().contains(":9007199254740991"), "{document}");
            resign_text(&medium, |text| text.replace("9007199254740991", "9007199254740992"));
            bench.call(&["info", shown(&medium), "--json"]);
        },
    ),
    checked(
        "M14",
        "100 million entries",
        "the root states 100 million entries (a vector), and so does a signed head",
        &[ends("ls", 4, ""), ends("ls import", 4, "")],
        |bench| {
            run(bench, &["manifest-entry-count-100-million"]);
            let medium = bench.good();
            reseal(&medium, |parts| {
                let mut root = ManifestRoot::decode(&parts.manifest_root).expect("a root");
                (root.entry_count, root.file_count) = (100_000_000, 100_000_000);
                parts.manifest_root = root.encode();
                parts.head.totals.files = 100_000_000;
            });
            bench.ls(&medium);
            bench.import(&medium);
        },
    ),
    checked(
        "M15",
        "sizes whose sum overflows",
        "file lengths of 2^63 and rows that add up to more than 64 bits (vectors)",
        &[ends("verify ls", 4, "")],
        |bench| {
            run(
                bench,
                &[
                    "manifest-page-file-near-2-to-63",
                    "manifest-length-more",
                    "manifest-length-less",
                    "head-bytes-2-to-53",
                    "head-roots-overflow",
                ],
            )
        },
    ),
    checked(
        "M17",
        "extents overlap or leave a gap on the volume",
        "vectors of the pack table; a gap within a bundle whose head agrees",
        &[ends("verify import", 4, ""), ends("verify", 3, "")],
        |bench| {
            run(
                bench,
                &[
                    "pack-table-overlap",
                    "pack-table-gap",
                    "pack-table-same-place",
                    "pack-table-offset-not-0",
                    "bundle-volume-with-gap",
                ],
            );
            let medium = bench.good();
            // The second pack record's offset, one further.
            reseal_pack_page(&medium, |page| page[76 + 28] += 1);
            bench.verify(&medium);
            bench.import(&medium);
        },
    ),
    checked(
        "M18",
        "one chunk used by many files",
        "1,000 files of the same bytes",
        &[ends("verify ls info cat export import", 0, "")],
        one_chunk,
    ),
    checked(
        "M20",
        "a million adversarial names",
        "6,000 and 24,000 empty files with one long beginning and hash-like ends: at most linear, with a margin",
        &[ends("pack verify ls", 0, "")],
        names,
    ),
    checked(
        "M21",
        "unknown or mixed hash suite",
        "vectors: suite of head, roots and index",
        &[ends("verify ls", 4, "")],
        |bench| {
            run(
                bench,
                &["head-other-suite", "manifest-root-suite-2", "manifest-root-suite-unknown", "pack-root-suite-2"],
            )
        },
    ),
    checked(
        "M23",
        "tree leaf offered as node",
        "vectors: a page in the place of a root, a root in that of a page, content that is a page",
        &[ends("ls", 4, ""), ends("verify ls", 3, "")],
        |bench| {
            run(
                bench,
                &[
                    "manifest-page-as-manifest-root",
                    "manifest-root-as-page",
                    "manifest-page-as-content",
                    "manifest-page-as-pack-page",
                    "manifest-page-as-pack-root",
                    "pack-table-page-as-manifest-page",
                ],
            )
        },
    ),
    checked(
        "M24",
        "bundle with no files",
        "vectors of head and root; packing an empty directory",
        &[ends("verify ls", 4, ""), ends("pack", 2, "")],
        |bench| {
            run(bench, &["head-no-files", "manifest-root-no-file", "manifest-root-no-page"]);
            let (tree, out) = (bench.directory("tree"), bench.path("packed"));
            bench.call(&[
                "pack",
                &format!("models={}", shown(&tree)),
                "--out",
                shown(&out),
                "--stream",
                "s",
                "--counter",
                "1",
            ]);
            assert!(!out.join("head.json").exists());
        },
    ),
    checked(
        "M26",
        "every field at its limit and beyond it",
        "all vectors of head, manifest, pack table and bundle, of both verdicts, signed by a hostile signer",
        &[
            ends("verify ls", 0, ""),
            ends("verify ls", 3, ""),
            ends("verify ls", 4, ""),
            ends("verify", 5, ""),
            ends("verify", 7, ""),
            ends("verify", 8, ""),
        ],
        |bench| {
            let count = run_all(bench);
            assert!(count > 300, "{count}");
        },
    ),
];

tests!(m02 m03 m05 m06 m08 m09 m11 m12 m14 m15 m17 m18 m20 m21 m23 m24 m26);

fn prefixes(bench: &Bench) {
    let medium = bench.good();
    let path = medium.join("manifest");
    let good = fs::read(&path).expect("read");
    for end in 0..good.len() {
        fs::write(&path, &good[..end]).expect("written");
        bench.verify(&medium);
    }
    bench.import(&medium);
    assert!(!bench.store().exists());
    fs::write(&path, &good).expect("written");
    let page_len = good.len() as u64 - super::reseal::head(&medium).manifest.root_length;
    // A page of less than the shortest record is refused by its root already.
    for _ in 14..page_len {
        reseal_page(&medium, |page| page.truncate(page.len() - 1));
        bench.ls(&medium);
    }
}

fn nesting(bench: &Bench) {
    let medium = bench.good();
    for text in
        ["[".repeat(10_000), "{\"format\":".repeat(10_000), format!("{}{}\n", "[".repeat(10_000), "]".repeat(10_000))]
    {
        sign_raw(&medium, text.as_bytes());
        bench.verify(&medium);
        bench.import(&medium);
    }
    let (again, _) = bench.bundle("again", 1, 10);
    resign_text(&again, |text| text.replacen("\"stream\": ", &format!("\"stream\": {}", "[".repeat(10_000)), 1));
    bench.verify(&again);
    let (tree, out) = (bench.directory("tree"), bench.path("packed"));
    let table = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let file = [&(table.len() as u64).to_le_bytes()[..], table.as_bytes(), &[0; 70_000]].concat();
    fs::write(tree.join("model.safetensors"), file).expect("written");
    bench.call(&["pack", &format!("models={}", shown(&tree)), "--out", shown(&out), "--stream", "s", "--counter", "1"]);
}

fn one_chunk(bench: &Bench) {
    let bytes = Random::new(1).bytes(5000);
    let names: Vec<String> = (0..1000).map(|number| format!("models/{number:04}.bin")).collect();
    let packs = names
        .chunks(250)
        .map(|some| HandPack { volume: 1, files: some.iter().map(|path| (&path[..], bytes.clone())).collect() });
    let packs: Vec<HandPack<'_>> = packs.collect();
    let medium = bench.path("medium");
    let lays = by_hand::write(&medium, 1, &packs);
    assert_eq!(lays.iter().map(|lay| lay.frames.len()).sum::<usize>(), 1, "carried once");
    bench.set_files(names.into_iter().map(|path| (path, bytes.clone())).collect());
    bench.watch(&medium);
    bench.read_all(&medium);
}

/// Makes so many empty files whose names differ late, packs and signs them, and times two readers.
fn time_of_names(bench: &Bench, count: u64) -> Duration {
    let (tree, out) = (bench.directory(&format!("tree-{count}")), bench.path(&format!("packed-{count}")));
    let beginning = "a".repeat(180);
    let mut names = BTreeSet::new();
    let mut random = Random::new(count);
    while (names.len() as u64) < count {
        let mut name = beginning.clone();
        let _ = write!(name, "{:016x}", random.next());
        names.insert(name);
    }
    names.iter().for_each(|name| drop(fs::File::create(tree.join(name)).expect("made")));
    let start = Instant::now();
    bench.call(&[
        "pack",
        &format!("models={}", shown(&tree)),
        "--out",
        shown(&out),
        "--stream",
        crate::fixture::STREAM,
        "--counter",
        "1",
    ]);
    crate::fixture::sign(&out);
    bench.set_files(names.into_iter().map(|name| (format!("models/{name}"), Vec::new())).collect());
    bench.verify(&out);
    bench.ls(&out);
    start.elapsed()
}

fn names(bench: &Bench) {
    let (few, many) = (time_of_names(bench, 6_000), time_of_names(bench, 24_000));
    // Four times the names; quadratic time would be sixteen times.
    assert!(many < few * 8 + Duration::from_secs(2), "{few:?} for 6,000 and {many:?} for 24,000");
    assert!(Path::new(&bench.path("packed-24000")).join("head.json").exists());
}
