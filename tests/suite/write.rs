//! `write`: a bundle onto media that are too small for it, fail, lie, come one at a time or hold something
//! else already.

use crate::authenticator::TestKey;
use crate::by_hand::{self, HandPack};
use crate::fixture::{STREAM, scratch, signer};
use crate::hostile::faults::{Act, Fault, set, set_slow};
use crate::program::{Transcript, airlift, files_below, flip, shown, signer_line};
use crate::tree::Random;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UNFINISHED: &str = ".airlift-write";
const MIB: usize = 1 << 20;

/// A signed bundle of a few volumes, and media beside it.
struct Station {
    top: tempfile::TempDir,
}

impl Station {
    /// Makes a bundle whose volumes hold so many bytes each, and empty media `a` and `b`.
    fn new(volume_lens: &[usize]) -> Station {
        let station = Station { top: scratch() };
        by_hand::write(&station.bundle(), 1, &packs(volume_lens));
        fs::write(station.path("signers"), signer_line(signer().line())).expect("written");
        ["a", "b"].iter().for_each(|medium| fs::create_dir(station.path(medium)).expect("made"));
        station
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("bundle.written.json")).expect("a record")).expect("JSON")
    }

    /// Returns the bundle directory on a medium.
    fn on(&self, medium: &str) -> PathBuf {
        self.path(medium).join(format!("{STREAM}-1"))
    }

    fn call(&self, media: &[&str], options: &[&str]) -> Command {
        let media: Vec<PathBuf> = media.iter().map(|medium| self.path(medium)).collect();
        let media: Vec<&str> = media.iter().map(|medium| shown(medium)).collect();
        airlift(&[&["write", shown(&self.bundle())], &media[..], options].concat())
    }

    fn write(&self, media: &[&str], options: &[&str]) -> Transcript {
        Transcript::of(self.call(media, options))
    }

    /// Writes, and returns what the program says of it.
    fn document(&self, media: &[&str], options: &[&str]) -> (i32, Value) {
        let told = self.write(media, &[options, &["--json"]].concat());
        (told.code, serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err)))
    }

    /// Proves that these media carry the whole bundle, and nothing beside it.
    fn verify(&self, media: &[&str]) {
        let media: Vec<PathBuf> = media.iter().map(|medium| self.path(medium)).collect();
        let media: Vec<&str> = media.iter().map(|medium| shown(medium)).collect();
        let signers = self.path("signers");
        let options = ["--allowed-signers", shown(&signers), "--strict"];
        let told = Transcript::of(airlift(&[&["verify"], &media[..], &options].concat()));
        assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    }

    /// Proves that whatever has its name on the media is what the bundle has.
    fn is_whole(&self, media: &[&str]) {
        let source = files_below(&self.bundle());
        for medium in media {
            for (path, bytes) in files_below(&self.path(medium)) {
                let below = path.split_once('/').expect("in a directory").1;
                assert!(below == UNFINISHED || source[below] == bytes, "{path} is not whole");
            }
        }
    }
}

/// Returns one pack of one file for each volume.
fn packs(volume_lens: &[usize]) -> Vec<HandPack<'static>> {
    const PATHS: [&str; 6] = ["data/a", "data/b", "data/c", "models/d", "models/e", "models/f"];
    let pack = |(volume, (&len, path)): (u32, (&usize, &'static str))| HandPack {
        volume,
        files: vec![(path, Random::new(u64::from(volume)).bytes(len))],
    };
    (1..).zip(volume_lens.iter().zip(PATHS)).map(pack).collect()
}

fn volumes_on(directory: &Path) -> Vec<String> {
    let listing = fs::read_dir(directory.join("volumes")).map(|items| {
        items.map(|item| item.expect("an entry").file_name().into_string().expect("UTF-8")).collect::<Vec<_>>()
    });
    let mut names = listing.unwrap_or_default();
    names.sort();
    names
}

/// Returns a call as a shell understands it.
fn words_of(call: &Command) -> String {
    let words = std::iter::once(call.get_program()).chain(call.get_args());
    words.map(|word| format!("'{}'", shown(word.as_ref()))).collect::<Vec<_>>().join(" ")
}

/// Runs a script where media of these many KiB are mounted, each in memory; nothing where that is not allowed.
fn with_mounts(mounts: &[(&Path, usize)], script: &str) -> Option<std::process::Output> {
    let mount = |(path, kib): &(&Path, usize)| format!("mount -t tmpfs -o size={kib}k none '{}'", path.display());
    let mounts = mounts.iter().map(mount).collect::<Vec<_>>().join(" && ");
    let rights = [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().find(|rights| {
        let made = Command::new("unshare").args(*rights).args(["sh", "-c", &mounts]).output();
        made.is_ok_and(|output| output.status.success())
    })?;
    let script = format!("{mounts} && {script}");
    Some(Command::new("unshare").args(rights).args(["sh", "-c", &script]).output().expect("run"))
}

#[test]
fn media_too_small_for_all_of_it_are_filled_in_order_and_each_says_what_it_holds() {
    let station = Station::new(&[MIB, MIB, MIB, MIB / 2, MIB]);
    let media = ["a", "b"].map(|medium| station.path(medium));
    ["a.out", "b.out"].iter().for_each(|out| fs::create_dir(station.path(out)).expect("made"));
    let call = station.call(&["a", "b"], &["--json"]);
    let words = words_of(&call);
    let script = format!(
        "{}; code=$?; cp -r '{a}'/* '{a}.out' && cp -r '{b}'/* '{b}.out'; exit $code",
        words,
        a = shown(&media[0]),
        b = shown(&media[1]),
    );
    // The reserve is 1 MiB: two volumes and the half one, then the rest.
    let Some(output) = with_mounts(&[(&media[0], 3840), (&media[1], 4096)], &script) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["media"][0]["volumes"], json!([1, 2, 4]));
    assert_eq!(document["media"][1]["volumes"], json!([3, 5]));
    station.is_whole(&["a.out", "b.out"]);
    station.verify(&["b.out", "a.out"]);
    for medium in ["a.out", "b.out"] {
        let info = Transcript::of(airlift(&["info", shown(&station.path(medium)), "--untrusted"]));
        assert_eq!(info.code, 0, "{}", info.err);
    }
}

#[test]
fn media_that_come_one_at_a_time_to_one_place_carry_all_of_it_at_last() {
    let station = Station::new(&[MIB, MIB, MIB, MIB, 2 * MIB, MIB]);
    let stick = station.path("a");
    let call = station.call(&["a"], &["--json"]);
    let words = words_of(&call);
    let mut outs: Vec<String> = Vec::new();
    for kib in [3328, 1024, 2304, 4400] {
        let out = format!("out-{kib}");
        fs::create_dir(station.path(&out)).expect("made");
        let script =
            format!("{}; code=$?; cp -r '{}'/* '{}'; exit $code", words, shown(&stick), shown(&station.path(&out)));
        let Some(output) = with_mounts(&[(&stick, kib)], &script) else { return };
        let (code, err) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
        outs.push(out);
        station.is_whole(&outs.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, Some(5), "{err}");
        assert!(err.contains("insert the next medium and repeat the command with it"), "{err}");
    }
    let volumes: Vec<Vec<String>> = outs.iter().map(|out| volumes_on(&station.on(out))).collect();
    let name = |number: u32| format!("{number:06}.vol");
    assert_eq!(volumes, [vec![name(1), name(2)], vec![], vec![name(3)], vec![name(4), name(5)]]);
    // One is left: a medium without limit takes it, and what the others have is not written again.
    let (code, document) = station.document(&["b"], &[]);
    assert_eq!(
        (code, &document["media"][0]["volumes"], &document["elsewhere"]),
        (0, &json!([6]), &json!([1, 2, 3, 4, 5]))
    );
    let mut all: Vec<&str> = outs.iter().map(String::as_str).collect();
    all.push("b");
    station.verify(&all);
}

#[test]
fn killed_at_every_step_it_leaves_nothing_half_under_its_name_and_repeating_ends_well() {
    let station = Station::new(&[300_000, 5_000]);
    let record = station.path("media.json");
    let mut killed_count = 0;
    for call in ["write", "sync", "rename"] {
        for from in 1.. {
            ["a", "b"].iter().for_each(|medium| fs::create_dir_all(station.path(medium)).expect("made"));
            // One volume is where it belongs; so both media are written to.
            fs::create_dir_all(station.on("b").join("volumes")).expect("made");
            for file in ["head.json", "volumes/000002.vol"] {
                fs::copy(station.bundle().join(file), station.on("b").join(file)).expect("copied");
            }
            let write = || station.call(&["a", "b"], &["--record", shown(&record)]);
            let mut faulty = write();
            set(&mut faulty, &Fault { call, path: shown(station.top.path()), from, every: 0, act: Act::Lose });
            let output = faulty.output().expect("run");
            station.is_whole(&["a", "b"]);
            if !output.status.success() {
                assert_eq!(output.status.signal(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
                killed_count += 1;
                let told = Transcript::of(write());
                assert_eq!(told.code, 0, "{call} {from}: {}", told.err);
            }
            station.verify(&["a", "b"]);
            assert_eq!(volumes_on(&station.on("a")), ["000001.vol"]);
            // Nothing is left to do.
            let (code, document) = station.document(&["a", "b"], &["--record", shown(&record)]);
            assert_eq!((code, &document["media"][0]["files"], &document["left"]), (0, &json!([]), &json!([])));
            ["a", "b"].iter().for_each(|medium| fs::remove_dir_all(station.path(medium)).expect("removed"));
            fs::remove_file(&record).expect("removed");
            if output.status.success() {
                break;
            }
        }
    }
    assert!(killed_count > 40, "only {killed_count} steps");
}

#[test]
fn a_medium_that_is_full_after_all_loses_the_volume_to_the_next() {
    // Media on one file system share its room; so the next lies on another one.
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("made");
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    for call in ["write", "sync"] {
        let station = Station::new(&[MIB, 1000, MIB]);
        let next = elsewhere.path().join(call);
        fs::create_dir(&next).expect("made");
        // Everything but the volumes is there; so the fault meets a volume.
        assert_eq!(station.write(&["a"], &[]).code, 0);
        fs::remove_dir_all(station.on("a").join("volumes")).expect("removed");
        let path = format!("/a/{STREAM}-1/{UNFINISHED}");
        let mut faulty = station.call(&["a", shown(&next)], &["--json", "--again"]);
        set(&mut faulty, &Fault { call, path: &path, from: 1, every: 0, act: Act::Errno(Errno::NOSPC) });
        let told = Transcript::of(faulty);
        assert_eq!(told.code, 0, "{}", told.err);
        let document: Value = serde_json::from_str(&told.out).expect("JSON");
        // The small one still fits where the large one did not.
        assert_eq!(document["media"][0]["volumes"], json!([2]), "{call}");
        assert_eq!(document["media"][1]["volumes"], json!([1, 3]), "{call}");
        assert!(told.err.contains("the volume goes to the next medium"), "{}", told.err);
        assert!(!station.on("a").join(UNFINISHED).exists());
        station.verify(&["a", shown(&next)]);
    }
}

#[test]
fn a_medium_that_gives_back_other_bytes_gets_no_name() {
    let station = Station::new(&[MIB]);
    let mut faulty = station.call(&["a"], &[]);
    let path = format!("/a/{STREAM}-1/{UNFINISHED}");
    // One medium takes the head and lies about the next file; another lies about the volume.
    for (from, lacking) in [(2, "signatures/1.sig"), (6, "volumes/000001.vol")] {
        set(&mut faulty, &Fault { call: "read", path: &path, from, every: 0, act: Act::OtherBytes });
        let told = Transcript::of(faulty);
        assert_eq!(told.code, 1, "{}", told.err);
        assert!(told.error().contains("does not read as it was written"), "{}", told.err);
        let lacking = station.on("a").join(lacking);
        assert!(!lacking.exists() && !station.on("a").join(UNFINISHED).exists(), "{}", lacking.display());
        station.is_whole(&["a"]);
        fs::remove_dir_all(station.on("a")).expect("removed");
        faulty = station.call(&["a"], &[]);
    }
    assert_eq!(station.write(&["a"], &[]).code, 0);
    station.verify(&["a"]);
}

#[test]
fn damage_of_the_bundle_is_named_and_does_not_travel() {
    let station = Station::new(&[1000, MIB]);
    let volume = station.bundle().join("volumes/000002.vol");
    flip(&volume, 500_000);
    let told = station.write(&["a"], &[]);
    assert_eq!(told.code, 3);
    assert!(told.error().contains("volume 2, bytes ") && told.error().contains("a frame has digest"), "{}", told.err);
    assert_eq!(volumes_on(&station.on("a")), ["000001.vol"]);
    // Another copy of the bundle heals it: here one beside it, in the directory that is named.
    flip(&volume, 500_000);
    let both = station.path("both");
    fs::create_dir(&both).expect("made");
    for copy in ["one", "two"] {
        let copied = Command::new("cp").arg("-r").args([station.bundle(), both.join(copy)]).status();
        assert!(copied.expect("run").success());
    }
    flip(&both.join("one/volumes/000002.vol"), 500_000);
    let told = Transcript::of(airlift(&["write", shown(&both), shown(&station.path("a"))]));
    assert_eq!(told.code, 0, "{}", told.err);
    station.verify(&["a"]);

    for file in ["README.txt", "packs", "manifest"] {
        let path = station.bundle().join(file);
        let good = fs::read(&path).expect("read");
        let mut bad = good.clone();
        bad.extend(b"more");
        // The root of a table is read before anything is written, and its last page when it is.
        bad.first_mut().into_iter().for_each(|byte| *byte ^= 1);
        fs::write(&path, bad).expect("written");
        let told = station.write(&["b"], &["--again"]);
        assert_eq!(told.code, 3, "{file}: {}", told.err);
        assert!(!station.on("b").join(file).exists());
        let _ = fs::remove_dir_all(station.on("b"));
        fs::write(&path, good).expect("written");
    }
    fs::remove_file(&volume).expect("removed");
    let told = station.write(&["b"], &["--again"]);
    assert_eq!(told.code, 5);
    assert!(told.error().contains("the bundle lacks volume 2"), "{}", told.err);
    fs::write(&volume, b"short").expect("written");
    let told = station.write(&["b"], &["--again"]);
    assert_eq!((told.code, told.error().contains("has 5 bytes; ")), (3, true), "{}", told.err);
}

#[test]
fn a_signature_that_came_later_is_added_and_what_is_not_whole_is_written_again() {
    let station = Station::new(&[1000, 2000, 3000]);
    assert_eq!(station.write(&["a"], &[]).code, 0);
    let head = fs::read(station.bundle().join("head.json")).expect("a head");
    let later = TestKey::ed25519(9).sign(&format!("airlift-head@v1/{STREAM}"), &head);
    fs::write(station.bundle().join("signatures/2.sig"), &later).expect("written");
    // On the medium that number is taken: somebody signed there.
    let there = TestKey::ed25519(8).sign(&format!("airlift-head@v1/{STREAM}"), &head);
    fs::write(station.on("a").join("signatures/2.sig"), &there).expect("written");
    let (code, document) = station.document(&["a"], &[]);
    assert_eq!((code, &document["media"][0]["files"]), (0, &json!(["signatures/3.sig"])));
    assert_eq!(fs::read(station.on("a").join("signatures/2.sig")).expect("read"), there);
    assert_eq!(fs::read(station.on("a").join("signatures/3.sig")).expect("read"), later);

    let full = station.path("b");
    assert_eq!(station.write(&["b"], &["--again"]).code, 0);
    fs::remove_file(station.on("b").join("signatures/1.sig")).expect("removed");
    fs::remove_file(station.on("b").join("signatures/2.sig")).expect("removed");
    for number in 1..=16 {
        fs::write(station.on("b").join(format!("signatures/{number}.sig")), b"another's").expect("written");
    }
    let before = files_below(&full);
    let told = station.write(&["b"], &[]);
    assert_eq!((told.code, told.error().contains("has 16 signatures")), (7, true), "{}", told.err);
    assert!(files_below(&full) == before);

    assert_eq!(station.write(&["a"], &["--again"]).code, 0);
    flip(&station.on("a").join("manifest"), 60);
    fs::remove_file(station.on("a").join("README.txt")).expect("removed");
    fs::write(station.on("a").join("volumes/000002.vol"), b"cut").expect("written");
    fs::remove_file(station.on("a").join("volumes/000003.vol")).expect("removed");
    fs::write(station.on("a").join(UNFINISHED), b"left by a killed call").expect("written");
    let (code, document) = station.document(&["a"], &[]);
    let medium = &document["media"][0];
    assert_eq!((code, &medium["files"]), (0, &json!(["manifest", "README.txt"])));
    assert_eq!((&medium["volumes"], &medium["already"]), (&json!([2, 3]), &json!([1])));
    station.verify(&["a"]);
}

#[test]
fn what_is_recorded_is_not_written_again_until_the_record_is_forgotten() {
    let station = Station::new(&[1000, 2000]);
    assert_eq!(station.document(&["a"], &[]).1["media"][0]["volumes"], json!([1, 2]));
    assert_eq!(station.record()["media"], json!([{ "path": station.path("a"), "volumes": [1, 2] }]));
    // Another set of media: at first the record stands in the way.
    let (code, document) = station.document(&["b"], &[]);
    assert_eq!((code, &document["media"][0]["volumes"], &document["elsewhere"]), (0, &json!([]), &json!([1, 2])));
    let (code, document) = station.document(&["b"], &["--again"]);
    assert_eq!((code, &document["media"][0]["volumes"]), (0, &json!([1, 2])));
    station.verify(&["a"]);
    station.verify(&["b"]);

    // A record that can't be kept is no use: nothing is written.
    fs::remove_dir_all(station.on("b")).expect("removed");
    let told = station.write(&["b"], &["--record", shown(&station.path("nowhere/record.json"))]);
    assert_eq!((told.code, told.error().contains("cannot write ")), (1, true), "{}", told.err);
    assert!(!station.on("b").exists());

    // The record of another bundle, and what is none, are not written over.
    let record = station.path("bundle.written.json");
    let other = fs::read_to_string(&record).expect("read").replace("\"counter\": 1", "\"counter\": 2");
    for (text, why) in
        [(other.as_str(), "how another bundle was written"), ("{}", "is no record"), ("\u{0}", "is no record")]
    {
        fs::write(&record, text).expect("written");
        let told = station.write(&["a"], &[]);
        assert_eq!(told.code, 7, "{}", told.err);
        assert!(told.error().contains(why) && told.error().contains("--again"), "{}", told.err);
        assert_eq!(fs::read_to_string(&record).expect("read"), text);
    }
    assert_eq!(station.write(&["a"], &["--again"]).code, 0);
    assert_eq!(station.record()["media"][0]["volumes"], json!([1, 2]));
}

#[test]
fn another_release_lies_beside_it_and_another_bundle_in_its_place_is_refused() {
    let station = Station::new(&[1000, 2000]);
    assert_eq!(station.write(&["a"], &[]).code, 0);
    let next = station.path("next");
    by_hand::write(&next, 2, &packs(&[3000]));
    let write_next = |medium: &Path| Transcript::of(airlift(&["write", shown(&next), shown(medium)]));
    assert_eq!(write_next(&station.path("a")).code, 0);
    let first = files_below(&station.on("a"));
    assert!(first == files_below(&station.bundle()), "{:?}", first.keys());
    assert!(files_below(&station.path("a").join(format!("{STREAM}-2"))) == files_below(&next));

    // The same name, and another content.
    let fork = station.path("fork");
    by_hand::write(&fork, 1, &packs(&[4000]));
    let before = files_below(&station.path("a"));
    for medium in [station.path("a"), station.on("a")] {
        let told = Transcript::of(airlift(&["write", shown(&fork), shown(&medium)]));
        assert_eq!(told.code, 7, "{}", told.err);
        assert!(
            told.error().contains("holds something else than this bundle; nothing is written over"),
            "{}",
            told.err
        );
    }
    // Volumes without a head may be anybody's.
    fs::create_dir_all(station.on("b").join("volumes")).expect("made");
    assert_eq!(station.write(&["b"], &["--again"]).code, 7);
    assert!(files_below(&station.path("a")) == before);
    // The top of a medium may be the bundle directory itself.
    let (code, document) = station.document(&["a"], &[]);
    assert_eq!((code, &document["media"][0]["already"]), (0, &json!([1, 2])));
    let told = Transcript::of(airlift(&["write", shown(&station.bundle()), shown(&station.on("a"))]));
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(files_below(&station.path("a")) == before);
}

#[test]
fn media_that_are_none_and_links_are_refused_before_anything_is_written() {
    let station = Station::new(&[1000]);
    let source = files_below(&station.bundle());
    fs::write(station.path("file"), b"").expect("written");
    for (media, why) in [
        (vec!["nowhere"], "cannot use"),
        (vec!["file"], "cannot use"),
        (vec!["a", "a/."], "is named twice"),
        (vec!["bundle"], "is the bundle itself"),
    ] {
        let told = station.write(&media, &[]);
        assert_eq!((told.code, told.error().contains(why)), (2, true), "{media:?}: {}", told.err);
    }
    symlink(station.path("b"), station.on("a")).expect("linked");
    assert_eq!(station.write(&["a"], &[]).code, 7);
    fs::remove_file(station.on("a")).expect("removed");
    // A link within: nothing is written through it.
    fs::create_dir(station.on("a")).expect("made");
    fs::copy(station.bundle().join("head.json"), station.on("a").join("head.json")).expect("copied");
    symlink(station.path("b"), station.on("a").join("volumes")).expect("linked");
    symlink(station.path("b/target"), station.on("a").join(UNFINISHED)).expect("linked");
    let told = station.write(&["a"], &[]);
    assert_eq!((told.code, told.error().contains("is not a directory")), (3, true), "{}", told.err);
    assert_eq!(files_below(&station.path("b")), BTreeMap::new());
    fs::remove_file(station.on("a").join("volumes")).expect("removed");
    assert_eq!(station.write(&["a"], &[]).code, 0);
    assert_eq!(files_below(&station.path("b")), BTreeMap::new());
    assert!(files_below(&station.bundle()) == source);
    station.verify(&["a"]);
}

#[test]
fn a_dry_run_says_what_would_go_where_and_writes_nothing() {
    let station = Station::new(&[1000, 2000]);
    let before = files_below(station.top.path());
    let told = station.write(&["a", "b"], &["--dry-run"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("would write: models-eu release 1, 2 of 2 volumes on media, "), "{}", told.out);
    let (_, document) = station.document(&["a", "b"], &["--dry-run"]);
    assert_eq!((&document["result"], &document["media"][0]["volumes"]), (&json!("would write"), &json!([1, 2])));
    assert_eq!(document["media"][1]["files"].as_array().map(Vec::len), Some(5));
    assert!(files_below(station.top.path()) == before && !station.on("a").exists());
    let told = station.write(&["a", "b"], &[]);
    assert!(
        told.out.ends_with("written: models-eu release 1, 2 of 2 volumes on media, 3.23 KiB written now\n"),
        "{}",
        told.out
    );
}

#[test]
fn a_medium_without_room_for_what_is_repeated_is_passed_over_and_is_no_success_where_it_has_volumes() {
    let station = Station::new(&[1000, 2000]);
    let (small, bundle, on_small) = (station.path("a"), station.bundle(), station.on("a"));
    let words = words_of(&station.call(&["a", "b"], &["--json"]));
    let Some(output) = with_mounts(&[(&small, 8)], &format!("{words}; code=$?; ls -A '{}'; exit $code", shown(&small)))
    else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // Nothing is listed behind the document.
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&document["media"][0]["full"], &document["media"][0]["files"]), (&json!(true), &json!([])));
    assert_eq!(document["media"][1]["volumes"], json!([1, 2]));
    station.verify(&["b"]);

    // Head and a volume are there; manifest and pack table have no room beside them.
    let script = format!(
        "mkdir -p '{on}/volumes' && cp '{from}/head.json' '{on}' && cp '{from}/volumes/000001.vol' '{on}/volumes' && {words}",
        on = shown(&on_small),
        from = shown(&bundle),
    );
    let Some(output) = with_mounts(&[(&small, 16)], &script) else { return };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{err}");
    assert!(err.contains("has no room for what every medium carries"), "{err}");
}

#[test]
fn a_medium_that_is_whole_may_be_read_only() {
    let station = Station::new(&[1000, 2000]);
    assert_eq!(station.write(&["a"], &[]).code, 0);
    let (whole, disc) = (station.path("a"), station.path("b"));
    let words = words_of(&station.call(&["b"], &["--again"]));
    let script = format!("cp -r '{0}'/. '{1}' && mount -o remount,ro '{1}' && {words}", shown(&whole), shown(&disc));
    let Some(output) = with_mounts(&[(&disc, 1024)], &script) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_signal_ends_it_with_nothing_half_and_two_calls_do_not_meet() {
    let station = Station::new(&[4 * MIB, 4 * MIB, 4 * MIB]);
    let mut slow = station.call(&["a"], &[]);
    // Each read takes so long: of the bundle, and of the medium.
    set_slow(&mut slow, 200_000);
    let child = slow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    let unfinished = station.on("a").join(UNFINISHED);
    let began_at = Instant::now();
    while !station.on("a").join("volumes").exists() || !unfinished.exists() {
        assert!(began_at.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(2));
    }
    let told = station.write(&["b"], &[]);
    assert_eq!((told.code, told.error().contains("another call of write uses ")), (6, true), "{}", told.err);
    kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!unfinished.exists());
    station.is_whole(&["a"]);
    assert_eq!(station.write(&["a"], &[]).code, 0);
    station.verify(&["a"]);
}
