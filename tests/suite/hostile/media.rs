//! Group V: volumes and media.

use super::bench::{Bench, Files, snapshot, take_variables};
use super::faults::{Act, Fault};
use super::{Line, checked, ends, tests, waits};
use crate::by_hand::{self, HandPack, Lay};
use crate::damage::packs;
use crate::fixture::{STREAM, sign};
use crate::program::{files_below, shown};
use crate::tree::Random;
use rustix::io::Errno;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const V1: &str = "volumes/000001.vol";
const V2: &str = "volumes/000002.vol";
const NO_SEAL: &str =
    "no command writes or seals media: volumes are copied as files, and a medium is known by the head it carries";

pub(super) const LINES: &[Line] = &[
    checked(
        "V01",
        "volume 2 of 2 absent",
        "the file is not there; then the whole bundle",
        &[ends("verify import", 5, "volume 2 of 2"), ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            let away = bench.path("away.vol");
            fs::rename(medium.join(V2), &away).expect("renamed");
            bench.verify(&medium);
            bench.import(&medium);
            fs::rename(&away, medium.join(V2)).expect("renamed");
            assert_eq!(bench.import(&medium).code, 0);
        },
    ),
    checked(
        "V02",
        "volume 2 from another bundle",
        "the same name and another release's bytes",
        &[ends("verify export import", 3, ""), ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            let good = fs::read(medium.join(V2)).expect("read");
            by_hand::write(&bench.path("other"), 1, &packs(20));
            fs::copy(bench.path("other").join(V2), medium.join(V2)).expect("copied");
            bench.verify(&medium);
            bench.export(&medium);
            bench.import(&medium);
            assert_eq!(bench.landed().len(), 4, "what volume 1 carries");
            fs::write(medium.join(V2), good).expect("written");
            assert_eq!(bench.import(&medium).code, 0);
        },
    ),
    checked(
        "V04",
        "volumes in every order",
        "three media with a volume each, in all six orders",
        &[ends("import", 5, "missing"), ends("import", 0, "")],
        every_order,
    ),
    checked(
        "V05",
        "truncate a volume at each 4 KiB step",
        "a volume of 340 KiB cut after each 4 KiB, verified and exported",
        &[ends("verify", 3, "volume 1, bytes "), ends("export", 3, "volume 1, bytes ")],
        truncated,
    ),
    checked(
        "V07",
        "swap two sectors",
        "512 bytes in two frames change places",
        &[ends("verify import", 3, "F-101")],
        swapped_sectors,
    ),
    checked(
        "V08",
        "stick of a fake capacity, whose writes wrap",
        "of a volume the second half lies over the first; `verify` is the read-back",
        &[ends("verify import", 3, "")],
        |bench| {
            let medium = bench.good();
            let good = fs::read(medium.join(V1)).expect("read");
            let half = good.len() / 2;
            let wrapped: Vec<u8> = (0..good.len())
                .map(|at| good[at % half + if at % half < good.len() - half { half } else { 0 }])
                .collect();
            fs::write(medium.join(V1), wrapped).expect("written");
            bench.verify(&medium);
            bench.import(&medium);
        },
    ),
    checked(
        "V10",
        "every third read fails once",
        "each third `read` or `pread` of the medium gives EIO",
        &[ends("verify cat export import", 0, "")],
        |bench| {
            let medium = bench.good();
            faulty_readers(bench, &medium, 3, 3);
            assert_eq!(bench.landed().len(), bench.files().len());
        },
    ),
    checked(
        "V11",
        "medium vanishes while it is read",
        "every read from the n-th on gives EIO, for each n, so that the head can't be read again either; then the medium is back. A file that fails on a medium whose head can be read is *damaged*",
        &[ends("import", 5, "no longer answers"), ends("import", 0, "")],
        vanishes,
    ),
    checked(
        "V13",
        "manifest or volume is a link",
        "a link to a FIFO, which reading would wait for, and to the good file; F-01 and F-11 make it *damaged*",
        &[ends("verify ls import", 3, "not a regular file"), ends("ls", 0, "")],
        |bench| in_place_of(bench, &[link_to_fifo, link_to_good]),
    ),
    checked(
        "V14",
        "FIFO, socket, device or directory in place of a file",
        "each in place of manifest and volume, read within 10 s",
        &[ends("verify ls import", 3, "not a regular file"), ends("ls", 0, "")],
        |bench| in_place_of(bench, &[fifo, socket, null_device, directory]),
    ),
    checked(
        "V16",
        "file grows or shrinks while it is read",
        "before each read of a volume in turn it is cut to half its length, or grows",
        &[ends("verify cat", 3, ""), ends("verify cat", 0, "")],
        changes_length,
    ),
    checked(
        "V17",
        "a million stray files beside ours",
        "100,000 of them, in the directory and in `volumes/`; reported within 20 s",
        &[ends("verify", 0, "unexpected: 100000 names"), ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            for number in 0..50_000 {
                fs::File::create(medium.join(format!("{number}.tmp"))).expect("made");
                fs::File::create(medium.join(format!("volumes/{number}.tmp"))).expect("made");
            }
            // Comparing so many names before and after would take longer than the calls.
            bench.unwatch();
            let start = Instant::now();
            bench.verify(&medium);
            bench.import(&medium);
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            assert_eq!(fs::read_dir(&medium).expect("a directory").count(), 50_006);
        },
    ),
    checked(
        "V20",
        "disc image whose last session is cut",
        "what the last session would have added, volume 2 and README.txt, is not there",
        &[ends("verify import", 5, "volume 2 of 2")],
        |bench| {
            let medium = bench.good();
            fs::remove_file(medium.join(V2)).expect("removed");
            fs::remove_file(medium.join("README.txt")).expect("removed");
            bench.verify(&medium);
            bench.import(&medium);
        },
    ),
    checked(
        "V22",
        "ENOSPC at each write",
        "the n-th write of `pack` and `export` fails, for each n; then the command is repeated",
        &[ends("pack export", 10, ""), ends("pack export", 0, "")],
        no_space,
    ),
    checked(
        "V23",
        "power cut with lost writes",
        "`pack` is killed at each sync, and the file that was to be made durable holds zeros",
        &[ends("verify", 2, "head.json"), ends("pack verify", 0, "")],
        power_cut,
    ),
    waits("V25", "diode frames duplicated and reordered", "there is no transport over a diode"),
    checked(
        "V26",
        "autorun, shortcut or hidden files on the stick",
        "FIFOs of such names, which opening would wait for; then `--strict`",
        &[
            ends("verify import", 0, "unexpected: 5 names"),
            ends("ls info cat export", 0, ""),
            ends("verify import", 7, "unexpected: 5 names"),
        ],
        |bench| {
            let medium = bench.good();
            for name in ["autorun.inf", ".hidden", "desktop.ini", "Bundle.lnk", "volumes/._000001.vol"] {
                fifo(&medium, name);
            }
            bench.read_all(&medium);
            bench.call(&["verify", shown(&medium), "--strict"]);
            bench.import_with(&[&medium], &["--strict"]);
        },
    ),
    checked(
        "V28",
        "another file system mounted inside the medium",
        "over `volumes/`, in a mount namespace of its own; where mounting is not allowed a link stands in. As a link is: *damaged*",
        &[ends("verify import", 3, "")],
        mounted,
    ),
    waits("V29", "medium changes identity between volumes", NO_SEAL),
];

tests!(v01 v02 v04 v05 v07 v08 v10 v11 v13 v14 v16 v17 v20 v22 v23 v26 v28);

/// Copies everything but the volumes, and of these one.
fn medium_of(bench: &Bench, bundle: &Path, number: u32) -> PathBuf {
    let medium = bench.path(&format!("medium-{number}"));
    for (path, bytes) in files_below(bundle) {
        if path.starts_with("volumes/") && path != format!("volumes/{number:06}.vol") {
            continue;
        }
        fs::create_dir_all(medium.join(&path).parent().expect("a parent")).expect("made");
        fs::write(medium.join(&path), bytes).expect("written");
    }
    bench.watch(&medium);
    medium
}

fn every_order(bench: &Bench) {
    let bundle = bench.path("bundle");
    let numbered = (1..).zip(packs(10)).map(|(number, pack)| HandPack { volume: u32::min(number, 3), ..pack });
    by_hand::write(&bundle, 1, &numbered.collect::<Vec<_>>());
    bench.set_files(
        packs(10).into_iter().flat_map(|pack| pack.files).map(|(path, bytes)| (path.to_owned(), bytes)).collect(),
    );
    let media = [1, 2, 3].map(|number| medium_of(bench, &bundle, number));
    let mut last: Option<Files> = None;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for (step, number) in order.into_iter().enumerate() {
            assert_eq!(bench.import(&media[number]).code, if step == 2 { 0 } else { 5 }, "{order:?}");
        }
        let landed = bench.landed();
        assert!(last.is_none_or(|last| last == landed), "{order:?}");
        last = Some(landed);
        for place in ["store", "state"] {
            fs::remove_dir_all(bench.path(place)).expect("removed");
        }
    }
}

/// Makes a bundle of one volume with eight packs of a file each.
fn eight_packs(bench: &Bench, len: usize) -> (PathBuf, Vec<Lay>) {
    let names: Vec<String> = (0..8).map(|number| format!("models/{number}.bin")).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().zip(1..).map(|(name, seed)| (&name[..], Random::new(seed).bytes(len))).collect();
    let medium = bench.path("medium");
    let packs: Vec<HandPack<'_>> = files.iter().map(|file| HandPack { volume: 1, files: vec![file.clone()] }).collect();
    let lays = by_hand::write(&medium, 1, &packs);
    bench.set_files(files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect());
    bench.watch(&medium);
    (medium, lays)
}

fn truncated(bench: &Bench) {
    let (medium, _) = eight_packs(bench, 42_000);
    let good = fs::read(medium.join(V1)).expect("read");
    for len in (0..good.len()).step_by(4096) {
        fs::write(medium.join(V1), &good[..len]).expect("written");
        let found = bench.verify(&medium);
        assert!(found.all().contains("F-55"), "{len}: {}", found.all());
        bench.export(&medium);
    }
}

fn swapped_sectors(bench: &Bench) {
    let (medium, lays) = eight_packs(bench, 9000);
    let (one, other) = (&lays[2].frames[0], &lays[5].frames[0]);
    let sectors = [one.start.next_multiple_of(512) as usize, other.start.next_multiple_of(512) as usize];
    let mut bytes = fs::read(medium.join(V1)).expect("read");
    let first = bytes[sectors[0]..][..512].to_vec();
    bytes.copy_within(sectors[1]..sectors[1] + 512, sectors[0]);
    bytes[sectors[1]..][..512].copy_from_slice(&first);
    fs::write(medium.join(V1), bytes).expect("written");
    let found = bench.call(&["verify", shown(&medium), "--json"]);
    let document: Value = serde_json::from_slice(&found.out).expect("JSON");
    let findings = document["findings"].as_array().expect("an array");
    let extents: Vec<_> =
        findings.iter().map(|one| one["start"].as_u64().zip(one["end"].as_u64()).expect("numbers")).collect();
    assert_eq!(extents, [(one.start, one.end), (other.start, other.end)], "exactly the touched chunks");
    bench.import(&medium);
    let mut due = bench.files();
    due.retain(|path, _| path != "models/2.bin" && path != "models/5.bin");
    assert!(bench.landed().keys().eq(due.keys().map(|path| format!("landed/{path}")).collect::<Vec<_>>().iter()));
}

/// Runs readers while reads of the medium fail.
fn faulty_readers(bench: &Bench, medium: &Path, from: usize, every: usize) {
    let fault = Fault { call: "read", path: "/medium/", from, every, act: Act::Errno(Errno::IO) };
    let files = bench.files();
    let (path, bytes) = files.last_key_value().expect("a file");
    let called = bench.faulty_call(&["verify", shown(medium)], &fault);
    assert_eq!(called.code, 0);
    assert!(bench.faulty_call(&["cat", shown(medium), path], &fault).out == *bytes);
    let out = bench.path("faulty");
    bench.faulty_call(&["export", shown(medium), "--to", shown(&out)], &fault);
    assert!(files_below(&out) == files);
    bench.faulty_import(medium, &fault);
}

fn vanishes(bench: &Bench) {
    let medium = bench.good();
    let mut stopped_count = 0;
    for from in 1..60 {
        // Every read from there on.
        let fault = Fault { call: "read", path: "/medium/", from, every: 1, act: Act::Errno(Errno::IO) };
        stopped_count += usize::from(bench.faulty_import(&medium, &fault).code != 0);
        assert_eq!(bench.import(&medium).code, 0, "from {from}");
        for place in ["store", "state"] {
            fs::remove_dir_all(bench.path(place)).expect("removed");
        }
    }
    assert!((10..59).contains(&stopped_count), "{stopped_count}");
}

/// Reads a medium while a file system lies over its volumes, which holds the same files.
fn mounted(bench: &Bench) {
    let medium = bench.good();
    let (volumes, copy) = (medium.join("volumes"), bench.path("volumes"));
    let mount =
        format!("cp -r '{0}' '{1}' && mount -t tmpfs none '{0}' && cp '{1}'/* '{0}'", shown(&volumes), shown(&copy));
    let rights = [&["--mount"][..], &["--mount", "--map-root-user"]].into_iter().find(|rights| {
        let made = Command::new("unshare").args(*rights).args(["sh", "-c", &mount]).output();
        let _ = fs::remove_dir_all(&copy);
        made.is_ok_and(|made| made.status.success())
    });
    let says = match rights {
        Some(_) => "another file system is mounted",
        None => {
            fs::rename(&volumes, &copy).expect("renamed");
            symlink(&copy, &volumes).expect("linked");
            "is not a directory"
        }
    };
    let inside = |command: &mut Command| {
        let Some(rights) = rights else { return };
        let mut outer = Command::new("unshare");
        outer.args(rights).args(["sh", "-c", &format!("{mount} && rm -r '{}' && exec \"$0\" \"$@\"", shown(&copy))]);
        outer.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        take_variables(&mut outer, command);
        *command = outer;
    };
    let arguments = ["verify", shown(&medium)];
    let mut verify = bench.command(&arguments);
    inside(&mut verify);
    for called in [bench.judge(&arguments, verify), bench.import_by(&medium, &[], inside)] {
        assert!(called.all().contains(says), "{}", called.all());
    }
    assert!(bench.landed().is_empty());
}

type Replacement = fn(&Path, &str);

fn fifo(medium: &Path, file: &str) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, medium.join(file), mode).expect("made");
}

fn link_to_fifo(medium: &Path, file: &str) {
    let target = medium.parent().expect("a parent").join("fifo");
    if !target.exists() {
        fifo(medium.parent().expect("a parent"), "fifo");
    }
    symlink(target, medium.join(file)).expect("linked");
}

fn link_to_good(medium: &Path, file: &str) {
    symlink(medium.parent().expect("a parent").join("good").join(file), medium.join(file)).expect("linked");
}

fn socket(medium: &Path, file: &str) {
    drop(UnixListener::bind(medium.join(file)).expect("bound"));
}

/// Only root may make a device: a FIFO stands in for it elsewhere.
fn null_device(medium: &Path, file: &str) {
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o600));
    if rustix::fs::mknodat(rustix::fs::CWD, medium.join(file), kind, mode, rustix::fs::makedev(1, 3)).is_err() {
        fifo(medium, file);
    }
}

fn directory(medium: &Path, file: &str) {
    fs::create_dir(medium.join(file)).expect("made");
}

fn in_place_of(bench: &Bench, replacements: &[Replacement]) {
    by_hand::write(&bench.path("good"), 1, &packs(10));
    let start = Instant::now();
    for (number, replace) in replacements.iter().enumerate() {
        for (at, file) in ["manifest", V1].into_iter().enumerate() {
            let (medium, _) = bench.bundle(&format!("medium-{number}-{at}"), 1, 10);
            fs::remove_file(medium.join(file)).expect("removed");
            replace(&medium, file);
            bench.verify(&medium);
            bench.ls(&medium);
            bench.import(&medium);
            if bench.store().exists() {
                fs::remove_dir_all(bench.store()).expect("removed");
                fs::remove_dir_all(bench.path("state")).expect("removed");
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(10 * replacements.len() as u64), "something waited");
}

fn changes_length(bench: &Bench) {
    let (medium, _) = bench.bundle("medium", 1, 10);
    let volume = medium.join(V2);
    let good = fs::read(&volume).expect("read");
    let files = bench.files();
    let (path, bytes) = files.last_key_value().expect("a file");
    bench.unwatch();
    let mut damaged_count = 0;
    for act in [Act::Cut(&volume), Act::Grow(&volume)] {
        for from in 1..12 {
            let fault = Fault { call: "read", path: "/volumes/000002.vol", from, every: 0, act };
            damaged_count += usize::from(bench.faulty_call(&["verify", shown(&medium)], &fault).code == 3);
            fs::write(&volume, &good).expect("written");
            let called = bench.faulty_call(&["cat", shown(&medium), path], &fault);
            assert!(bytes.starts_with(&called.out) && (called.code != 0 || called.out == *bytes));
            fs::write(&volume, &good).expect("written");
        }
    }
    assert!(damaged_count > 2, "{damaged_count}");
}

/// Writes a tree and returns the arguments that pack it.
fn tree_to_pack(bench: &Bench) -> String {
    let tree = bench.directory("tree/models");
    for seed in 1..4 {
        fs::write(tree.join(format!("{seed}.bin")), Random::new(seed).bytes(150_000)).expect("written");
    }
    bench.set_files(files_below(&bench.path("tree")));
    format!("models={}", shown(&tree))
}

fn pack_arguments<'a>(root: &'a str, out: &'a Path) -> [&'a str; 8] {
    ["pack", root, "--out", shown(out), "--stream", STREAM, "--counter", "1"]
}

/// Two bundles packed apart differ in the time they were made alone.
fn same_bundle(one: &Path, other: &Path) -> bool {
    let parts = |place: &Path| {
        let mut files = files_below(place);
        files.retain(|path, _| path != "head.json" && path != "README.txt" && !path.starts_with("signatures/"));
        files
    };
    parts(one) == parts(other)
}

fn no_space(bench: &Bench) {
    let root = tree_to_pack(bench);
    let whole = bench.path("whole");
    bench.call(&pack_arguments(&root, &whole));
    let fault = |path, from| Fault { call: "write", path, from, every: 0, act: Act::Errno(Errno::NOSPC) };
    let mut failed_count = 0;
    for from in 1.. {
        let out = bench.path("full");
        if bench.faulty_call(&pack_arguments(&root, &out), &fault("/full/", from)).code == 0 {
            break;
        }
        failed_count += 1;
        assert!(!out.join("head.json").exists(), "sealed at write {from}");
        assert_eq!(bench.call(&pack_arguments(&root, &out)).code, 0);
        assert!(same_bundle(&out, &whole), "write {from}");
        fs::remove_dir_all(&out).expect("removed");
    }
    sign(&whole);
    bench.watch(&whole);
    for from in 1.. {
        let out = bench.path("exported");
        if bench.faulty_call(&["export", shown(&whole), "--to", shown(&out)], &fault("/exported/", from)).code == 0 {
            break;
        }
        failed_count += 1;
        for (path, bytes) in files_below(&out).iter().filter(|(path, _)| !path.starts_with(".airlift-export/")) {
            assert!(bench.files().get(path) == Some(bytes), "{path} is visible at write {from}");
        }
        assert_eq!(bench.export_to(&whole, &out).code, 0);
        fs::remove_dir_all(&out).expect("removed");
    }
    assert!(failed_count > 10, "{failed_count}");
}

fn power_cut(bench: &Bench) {
    let root = tree_to_pack(bench);
    let whole = bench.path("whole");
    bench.call(&pack_arguments(&root, &whole));
    let mut cut_count = 0;
    for from in 1.. {
        let out = bench.path("cut");
        let mut command = bench.bare(&pack_arguments(&root, &out));
        super::faults::set(&mut command, &Fault { call: "sync", path: "/cut", from, every: 0, act: Act::Lose });
        let status = command.output().expect("run").status;
        if status.success() {
            break;
        }
        assert_eq!(status.signal(), Some(9));
        cut_count += 1;
        // Whoever finds this on a medium finds a whole bundle, or none.
        if out.join("head.json").exists() {
            sign(&out);
        }
        let found = bench.call(&["verify", shown(&out)]).code;
        assert_eq!(found == 0, out.join("head.json").exists(), "sync {from}");
        let before = snapshot(&whole);
        assert_eq!(bench.call(&pack_arguments(&root, &out)).code, 0, "sync {from}");
        assert!(snapshot(&whole) == before && same_bundle(&out, &whole), "sync {from}");
        fs::remove_dir_all(&out).expect("removed");
    }
    assert!(cut_count > 5, "{cut_count}");
}
