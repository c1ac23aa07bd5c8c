//! Group C: chunks and codecs. What waits for encryption is listed.

use super::bench::Bench;
use super::vectors::{of_codec, run};
use super::{Line, checked, ends, tests, waits};
use crate::by_hand::{self, HandPack};
use crate::program::{flip, shown};
use serde_json::Value;

const ENCRYPTION: &str = "there is no encryption: `critical` with its name is refused (7)";

pub(super) const LINES: &[Line] = &[
    checked(
        "C01",
        "stored byte flipped",
        "a frame that zstd must never see has its digest, then one bit is flipped: the digest is what is named",
        &[ends("verify import", 3, ""), ends("verify", 3, "F-101")],
        flipped,
    ),
    checked(
        "C03",
        "declared length 1 TiB in a small frame",
        "the codec vector `zstd-content-terabyte` in a signed bundle",
        &[ends("verify export import", 3, "")],
        |bench| damaged(bench, &["zstd-content-terabyte"]),
    ),
    checked(
        "C04",
        "zstd window of 2^31",
        "codec vectors `zstd-window-*`",
        &[ends("verify export import", 3, "")],
        |bench| damaged(bench, &["zstd-window-2gib", "zstd-window-above-content"]),
    ),
    checked(
        "C06",
        "concatenated or skippable frames",
        "codec vectors",
        &[ends("verify export import", 3, "")],
        |bench| {
            damaged(bench, &["zstd-second-frame", "zstd-skippable-first", "zstd-skippable-after", "zstd-trailing-byte"])
        },
    ),
    checked(
        "C07",
        "frame without content size",
        "the codec vector `zstd-no-content-length`",
        &[ends("verify export import", 3, "")],
        |bench| damaged(bench, &["zstd-no-content-length"]),
    ),
    checked(
        "C09",
        "output shorter than declared",
        "codec vectors: zstd, and a plane within planes",
        &[ends("verify export import", 3, "")],
        |bench| {
            damaged(
                bench,
                &[
                    "zstd-output-short",
                    "zstd-output-long",
                    "zstd-content-shorter",
                    "planes-end-early",
                    "planes-missing",
                ],
            )
        },
    ),
    checked(
        "C10",
        "unknown codec",
        "codec vectors: id, parameter and word that nobody knows",
        &[ends("verify export import", 3, "")],
        |bench| damaged(bench, &["unknown", "unknown-parameter", "unknown-word"]),
    ),
    checked(
        "C12",
        "chunk whose content is a valid manifest page",
        "vectors: such a file is carried; its digest as that of a page or root is not taken",
        &[ends("verify", 0, ""), ends("ls", 3, "manifest")],
        |bench| {
            run(
                bench,
                &["accept/bundle-chunk-that-is-a-page", "manifest-page-as-content", "manifest-page-as-manifest-root"],
            )
        },
    ),
    checked(
        "C13",
        "chunk and file of length zero",
        "a file of no bytes among others; a vector with a chunk of none",
        &[ends("verify ls info cat export import", 0, ""), ends("ls", 4, "")],
        |bench| {
            let files = [("models/a", Vec::new()), ("models/b", b"b".to_vec()), ("models/c", Vec::new())];
            let medium = bench.path("medium");
            by_hand::write(&medium, 1, &[HandPack { volume: 1, files: files.to_vec() }]);
            bench.set_files(files.map(|(path, bytes)| (path.to_owned(), bytes)).into());
            bench.watch(&medium);
            bench.read_all(&medium);
            run(bench, &["manifest-page-chunk-empty"]);
        },
    ),
    waits("C15", "age recipient with a plugin name made of path parts", ENCRYPTION),
    waits("C16", "encrypted segment cut before its last block", ENCRYPTION),
];

tests!(c01 c03 c04 c06 c07 c09 c10 c12 c13);

/// The honest file is had, the other one is not, and both places are named.
fn damaged(bench: &Bench, vectors: &[&str]) {
    for vector in vectors {
        let (medium, _) = of_codec(bench, &format!("reject/codec-{vector}"));
        let found = bench.verify(&medium);
        assert!(found.all().contains("affects models/b.bin"), "{vector}: {}", found.all());
        bench.export(&medium);
        bench.import(&medium);
        assert!(bench.landed().keys().eq(["landed/models/a.bin"]), "{vector}: {:?}", bench.landed().keys());
        for place in ["store", "state"] {
            std::fs::remove_dir_all(bench.path(place)).expect("removed");
        }
    }
}

fn flipped(bench: &Bench) {
    let (medium, lay) = of_codec(bench, "reject/codec-zstd-window-2gib");
    let rules = || {
        let found = bench.call(&["verify", shown(&medium), "--json"]);
        let document: Value = serde_json::from_slice(&found.out).expect("JSON");
        let findings = document["findings"].as_array().expect("an array").clone();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules(), ["F-93"], "the decoder's own rule");
    flip(&medium.join("volumes/000001.vol"), lay.frames[0].start);
    assert_eq!(rules(), ["F-101"], "never decoded");
    bench.import(&medium);
    assert!(bench.landed().keys().eq(["landed/models/a.bin"]));
}
