//! Group P: paths and keys.

use super::bench::{Bench, Files};
use super::vectors::{path_refused, run_path};
use super::{Line, checked, ends, tests};
use crate::by_hand::{self, HandPack};
use crate::fixture::{STREAM, sign};
use crate::program::{files_below, shown};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

const IN_MANIFEST: &str = "as a path of a signed manifest";
const IN_BOTH: &str = "as a path of a signed manifest, and as a name on disk that is packed";

/// How a path ends that a reader refuses.
const READ: super::End = ends("ls import", 4, "");
const PACKED: super::End = ends("pack", 7, "refused: ");

pub(super) const LINES: &[Line] = &[
    checked("P01", "`../x`", IN_MANIFEST, &[READ], |bench| {
        path_refused(bench, b"../x", true);
        path_refused(bench, b"m/../../x", true);
        run_path(bench, "parent");
        run_path(bench, "parent-first");
    }),
    checked("P02", "`/x`", IN_MANIFEST, &[READ], |bench| path_refused(bench, b"/x", true)),
    checked("P04", "`a//b`", IN_MANIFEST, &[READ], |bench| {
        path_refused(bench, b"a//b", true);
        path_refused(bench, b"a/b/", true);
    }),
    checked("P05", "`./a` and `a/.`", IN_MANIFEST, &[READ], |bench| {
        for path in [&b"./a"[..], b"a/.", b"m/./a"] {
            path_refused(bench, path, true);
            path_refused(bench, path, false);
        }
    }),
    checked("P07", "backslash", IN_BOTH, &[READ, PACKED], |bench| both(bench, &[b"a\\b", b"\\", b"..\\x"])),
    checked(
        "P08",
        "literal `%2e%2e%2f`",
        "packed, exported and imported",
        &[ends("pack export import", 0, "")],
        |bench| round_trip(bench, &["%2e%2e%2fx", "%2F", "%00", "a%"]),
    ),
    checked("P10", "newline, ESC and other control characters", IN_BOTH, &[READ, PACKED], |bench| {
        both(bench, &[b"a\nb", b"a\x1b[2Jb", b"a\rb", b"a\tb", b"a\x7fb", "a\u{85}b".as_bytes()])
    }),
    checked("P11", "bidi override, zero width, BOM", IN_BOTH, &[READ, PACKED], |bench| {
        both(bench, &["a\u{202e}b", "a\u{200b}b", "\u{feff}a", "a\u{2066}b", "a\u{ad}b"].map(str::as_bytes))
    }),
    checked(
        "P13",
        "NFKC or case twins",
        "Kelvin sign, full width, sharp s: packed, and exported from a bundle that has them",
        &[ends("pack", 7, "twin"), ends("export", 7, "twin"), ends("verify ls import", 0, "")],
        |bench| twins(bench, &[["K", "\u{212a}"], ["a", "\u{ff41}"], ["ss", "\u{df}"], ["\u{e9}", "e\u{301}"]]),
    ),
    checked(
        "P14",
        "`Model.bin` and `model.bin`",
        "as P13; no policy allows it, keys in the store are bytes",
        &[ends("pack", 7, "twin"), ends("export", 7, "twin"), ends("verify ls import", 0, "")],
        |bench| twins(bench, &[["Model.bin", "model.bin"]]),
    ),
    checked(
        "P16",
        "key of 1,024 bytes, then 1,025",
        "a path of 1,000 bytes and prefixes of 24 and 25",
        &[ends("import", 0, ""), ends("import", 7, "longer than 1024 bytes")],
        long_keys,
    ),
    checked(
        "P17",
        "segment of 255 bytes, then 256",
        "packed and imported; then in a signed manifest",
        &[ends("pack export import", 0, ""), ends("ls import", 4, "")],
        |bench| {
            path_refused(bench, format!("m/{}", "a".repeat(256)).as_bytes(), true);
            round_trip(bench, &["a".repeat(255)]);
        },
    ),
    checked("P19", "segment ending in dot or space", IN_BOTH, &[READ, PACKED], |bench| {
        both(bench, &[b"a.", b"a ", b"...", b" "])
    }),
    checked("P20", "colon", IN_BOTH, &[READ, PACKED], |bench| both(bench, &[b"a:b", b"a:$DATA"])),
    checked(
        "P22",
        "`.git/config`",
        "packed, exported and imported as it is; the OMS signature that would leave it out does not exist",
        &[ends("pack export import", 0, "")],
        |bench| round_trip(bench, &[".git/config", ".gitattributes"]),
    ),
    checked("P23", "invalid UTF-8", IN_BOTH, &[READ, PACKED], |bench| {
        both(bench, &[b"a\xff", b"\xc0\xaf", b"a\xed\xa0\x80", b"\xe2\x82"]);
    }),
    checked("P25", "`C:\\x`, UNC, `//host/x`", IN_BOTH, &[READ, PACKED], |bench| {
        for path in [&b"C:\\x"[..], b"\\\\host\\x", b"//host/x"] {
            path_refused(bench, path, true);
        }
        for name in ["drive", "unc", "host"] {
            run_path(bench, name);
        }
        both(bench, &[b"C:\\x", b"\\\\host\\x", b"CON", b"nul.txt", b"COM1 .x"]);
    }),
    checked(
        "P26",
        "key equal to our pointer or staging",
        "a root mapped into, onto and around the state prefix",
        &[ends("import", 2, "prefix")],
        |bench| {
            let (medium, _) = bench.bundle("medium", 1, 10);
            for prefix in [".airlift/", ".airlift/models-eu/", ".airlift/models-eu/releases/", ""] {
                let models = format!("models={prefix}");
                bench
                    .import_with(&[&medium], &["--enrol", "--create-bucket", "--map", "datasets=d/", "--map", &models]);
                assert!(!bench.store().exists(), "{prefix}");
            }
        },
    ),
    checked("P28", "10,000 path levels", "a vector; a directory on disk 10,000 deep", &[READ, PACKED], deep),
    checked(
        "P29",
        "sharded index that points to `../../x`",
        "a `model.safetensors.index.json` of that content is bytes like others",
        &[ends("pack export import", 0, "")],
        |bench| {
            let text = br#"{"weight_map": {"a": "../../x.safetensors", "b": "/etc/passwd"}}"#;
            let files = Files::from([("models/model.safetensors.index.json".to_owned(), text.to_vec())]);
            fs::write(bench.path("x.safetensors"), b"not in the bundle").expect("written");
            round_trip_files(bench, files);
        },
    ),
    checked(
        "P31",
        "pair `lead/x` and `lead`",
        "a file and a file below it, in a signed manifest; vectors",
        &[ends("ls", 4, "")],
        |bench| {
            super::vectors::run(
                bench,
                &["manifest-page-below-a-file", "manifest-page-below-a-file-later", "manifest-page-below-a-directory"],
            );
        },
    ),
    checked(
        "P32",
        "`?`, `#`, `+`, space, `%`, `&` in names",
        "packed, exported and imported, by GET and by list",
        &[ends("pack export import", 0, "")],
        |bench| {
            round_trip(
                bench,
                &[
                    "a?b", "a#b", "a+b", "a b", "a%b", "a&b=c", "a;b", "a@b,$c!", "'a'", "\"b\"", "[a]{b}", "~a", "é",
                    "日本", "a*b|c<d>",
                ],
            );
        },
    ),
];

tests!(p01 p02 p04 p05 p07 p08 p10 p11 p13 p14 p16 p17 p19 p20 p22 p23 p25 p26 p28 p29 p31 p32);

/// Packs a directory as the root `models`.
fn pack(bench: &Bench, tree: &Path, out: &Path) -> super::bench::Called {
    let root = format!("models={}", shown(tree));
    bench.call(&["pack", &root, "--out", shown(out), "--stream", STREAM, "--counter", "1"])
}

/// Each of these segments refuses a manifest and a tree.
fn both(bench: &Bench, segments: &[&[u8]]) {
    for segment in segments {
        path_refused(bench, &[b"m/", *segment].concat(), true);
        path_refused(bench, &[b"m/", *segment, b"/x"].concat(), true);
        if segment.contains(&b'/') {
            continue;
        }
        let (tree, out) = (bench.directory("tree"), bench.path("packed"));
        fs::write(tree.join("good"), b"good").expect("written");
        fs::write(tree.join(OsStr::from_bytes(segment)), b"bad").expect("written");
        let refused = pack(bench, &tree, &out);
        assert_eq!(refused.code, 7);
        let bare = |text: &str| text.chars().all(|one| one == '\n' || !one.is_control() && one != '\u{202e}');
        assert!(bare(&refused.all()), "printed as it is: {:?}", refused.all());
        assert!(!out.join("head.json").exists());
        fs::remove_dir_all(tree).expect("removed");
    }
}

fn round_trip(bench: &Bench, names: &[impl AsRef<str>]) {
    let file = |name: &str| (format!("models/{name}"), format!("bytes of {name}").into_bytes());
    round_trip_files(bench, names.iter().map(|name| file(name.as_ref())).collect());
}

/// Packs these files, signs, exports and imports, and finds them as they were.
fn round_trip_files(bench: &Bench, files: Files) {
    let (top, out) = (bench.directory("tree"), bench.path("packed"));
    for (path, bytes) in &files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    assert_eq!(pack(bench, &top.join("models"), &out).code, 0);
    sign(&out);
    bench.watch(&out);
    bench.set_files(files.clone());
    bench.export(&out);
    assert!(files_below(&bench.path("out-1")) == files);
    bench.import(&out);
    let landed: Files = files.into_iter().map(|(path, bytes)| (format!("landed/{path}"), bytes)).collect();
    assert!(bench.landed() == landed);
    let beside: Vec<PathBuf> =
        fs::read_dir(bench.path("")).expect("a directory").map(|item| item.expect("an entry").path()).collect();
    assert!(beside.len() <= 8, "something was written outside: {beside:?}");
}

fn twins(bench: &Bench, pairs: &[[&str; 2]]) {
    for (number, pair) in pairs.iter().enumerate() {
        let tree = bench.directory(&format!("tree-{number}"));
        pair.iter().for_each(|name| fs::write(tree.join(name), name.as_bytes()).expect("written"));
        let out = bench.path(&format!("packed-{number}"));
        pack(bench, &tree, &out);
        assert!(!out.join("head.json").exists());
        let mut paths = pair.map(|name| format!("models/{name}"));
        paths.sort();
        let files: Vec<(&str, Vec<u8>)> = paths.iter().map(|path| (&path[..], path.as_bytes().to_vec())).collect();
        let medium = bench.path(&format!("medium-{number}"));
        bench.set_files(files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect());
        by_hand::write(&medium, 1, &[HandPack { volume: 1, files }]);
        bench.watch(&medium);
        bench.verify(&medium);
        bench.ls(&medium);
        assert_eq!(bench.export(&medium).code, 7);
        assert!(files_below_if(&bench.path(&format!("out-{}", number + 1))).is_empty());
        bench.import(&medium);
        for place in ["store", "state"] {
            fs::remove_dir_all(bench.path(place)).expect("removed");
        }
    }
}

fn files_below_if(top: &Path) -> Files {
    if top.exists() { files_below(top) } else { Files::new() }
}

fn long_keys(bench: &Bench) {
    // Below the root, the path is 1,000 bytes long.
    let below = format!("{}/{}", vec!["a".repeat(199); 4].join("/"), "b".repeat(200));
    assert_eq!(below.len(), 1000);
    let path = format!("models/{below}");
    let medium = bench.path("medium");
    by_hand::write(&medium, 1, &[HandPack { volume: 1, files: vec![(&path, b"far".to_vec())] }]);
    bench.set_files(Files::from([(path, b"far".to_vec())]));
    bench.watch(&medium);
    for (prefix_len, code) in [(25, 7), (24, 0)] {
        let prefix = format!("{}/", "p".repeat(prefix_len - 1));
        let map = format!("models={prefix}");
        let called = bench.import_with(&[&medium], &["--enrol", "--create-bucket", "--map", &map]);
        assert_eq!((called.code, bench.store().exists()), (code, code == 0));
        if code == 0 {
            assert!(bench.landed() == Files::from([(format!("{prefix}{below}"), b"far".to_vec())]));
        }
    }
}

fn deep(bench: &Bench) {
    run_path(bench, "levels-10000");
    let (tree, out) = (bench.directory("tree"), bench.path("packed"));
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
    let mode = rustix::fs::Mode::from_raw_mode(0o700);
    let mut directory = rustix::fs::open(&tree, flags, mode).expect("opened");
    for _ in 0..10_000 {
        rustix::fs::mkdirat(&directory, "d", mode).expect("made");
        directory = rustix::fs::openat(&directory, "d", flags, mode).expect("opened");
    }
    pack(bench, &tree, &out);
    assert!(!out.join("head.json").exists());
    // By hand: what is so deep has no path that would name it.
    let status = std::process::Command::new("rm").arg("-rf").arg(&tree).status();
    assert!(status.expect("rm").success());
}
