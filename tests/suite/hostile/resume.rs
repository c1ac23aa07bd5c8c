//! Group R: resume and crash.

use super::bench::Bench;
use super::faults::{Act, Fault, set, set_slow};
use super::server::Server;
use super::{Line, checked, ends, tests};
use crate::fixture::{STREAM, name, pack_options, sign, signer};
use crate::program::{files_below, shown};
use crate::s3_faults::error;
use crate::tree::Random;
use airlift::pipeline::pack::pack;
use airlift::pipeline::progress::Quiet;
use airlift::store::{Key, Store as _, UploadId, paging};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(super) const LINES: &[Line] = &[
    checked(
        "R02",
        "journal cut at every byte",
        "of an import that waits for volume 2: `objects` cut at every 5th byte and around each record",
        &[ends("import", 5, "missing"), ends("import", 0, "")],
        |bench| {
            let len = started(bench).1.len();
            let near = |len: usize| (0..len).filter(|at| at % 5 == 0 || at % 96 < 2 || at % 96 == 95);
            broken_journal(bench, near(len).collect(), |bytes, at| bytes.truncate(at));
        },
    ),
    checked(
        "R03",
        "each journal bit flipped",
        "one bit of every 4th byte of `objects` in turn",
        &[ends("import", 5, "missing"), ends("import", 0, "")],
        |bench| {
            let len = started(bench).1.len();
            broken_journal(bench, (0..len).step_by(4).collect(), |bytes, at| bytes[at] ^= 1 << (at / 4 % 8));
        },
    ),
    checked(
        "R05",
        "journal says done, object gone",
        "each object in turn is removed after the import",
        &[ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            bench.import(&medium);
            for path in bench.files().keys() {
                fs::remove_file(bench.store().join("landed").join(path)).expect("removed");
                bench.import(&medium);
            }
        },
    ),
    checked(
        "R06",
        "journal says done, object changed",
        "by somebody else, with other bytes: named, and replaced where that is asked for",
        &[ends("import", 0, ""), ends("import", 7, "landed/models/base.bin")],
        |bench| {
            let medium = bench.good();
            bench.import(&medium);
            for bytes in [&b"other"[..], &[0; 9000], b""] {
                bench.put_foreign("landed/models/base.bin", bytes);
                assert_eq!(bench.import(&medium).code, 7);
                bench.forget_foreign();
                assert_eq!(bench.import_with(&[&medium], &["--on-existing", "replace"]).code, 0);
            }
        },
    ),
    checked(
        "R08",
        "two importers on one bundle",
        "the second starts while the server holds the first; then it is repeated",
        &[ends("import", 6, ""), ends("import", 0, "")],
        two_importers,
    ),
    checked(
        "R09",
        "stale lease of a dead process",
        "killed while it writes an object; the lease is taken over at once",
        &[ends("import", 0, "")],
        |bench| {
            let medium = bench.good();
            killed(bench, &medium, &Fault { call: "write", path: "/store/", from: 12, every: 0, act: Act::Kill });
            assert!(bench.store().join(".airlift/models-eu/lease").exists());
            let start = Instant::now();
            bench.import(&medium);
            assert!(start.elapsed() < Duration::from_secs(20), "it waited for the dead");
        },
    ),
    checked(
        "R11",
        "upload id expired",
        "the server drops the upload when its second part comes",
        &[ends("import", 0, "")],
        expired_upload,
    ),
    checked(
        "R12",
        "signer revoked between start and resume",
        "an import that waits for volume 2 is repeated with `--revoked`",
        &[ends("import", 5, "missing"), ends("import", 4, ""), ends("import", 0, "")],
        |bench| {
            let (medium, _) = started(bench);
            fs::write(bench.path("revoked"), format!("{}\n", signer().line())).expect("written");
            bench.set_options(&["--revoked", shown(&bench.path("revoked"))]);
            assert_eq!(bench.import(&medium).code, 4);
            bench.set_options(&[]);
            assert_eq!(bench.import(&medium).code, 0);
        },
    ),
    checked(
        "R14",
        "resume on another host from medium and store alone",
        "the local state of an import that waits for volume 2 is gone",
        &[ends("import", 5, "missing"), ends("import", 0, "")],
        |bench| {
            let (medium, _) = started(bench);
            fs::remove_dir_all(bench.path("state")).expect("removed");
            assert_eq!(bench.import(&medium).code, 0);
        },
    ),
    checked(
        "R15",
        "SIGTERM and SIGINT",
        "sent while objects are written; the end within 10 s, then the command again",
        &[ends("import", 130, "repeating the command resumes"), ends("import", 0, "")],
        signals,
    ),
    checked(
        "R17",
        "source file changes while it is read",
        "it grows, or is cut, before each read in turn",
        &[ends("pack", 1, "changed"), ends("pack", 0, "")],
        source_changes,
    ),
    checked(
        "R18",
        "all crash states between fsync points",
        "killed at each sync, each rename and each 3rd write of state and store, at syncs with what was written lost",
        &[ends("import", 0, "")],
        crash_states,
    ),
];

tests!(r02 r03 r05 r06 r08 r09 r11 r12 r14 r15 r17 r18);

/// Starts an import that waits for volume 2, which then is there; returns its journal of objects too.
fn started(bench: &Bench) -> (PathBuf, Vec<u8>) {
    let (medium, _) = bench.bundle("medium", 1, 10);
    let (volume, away) = (medium.join("volumes/000002.vol"), bench.path("away.vol"));
    fs::rename(&volume, &away).expect("renamed");
    assert_eq!(bench.import(&medium).code, 5);
    fs::rename(&away, &volume).expect("renamed");
    let journal = fs::read(journal_of(bench)).expect("read");
    assert_eq!(journal.len(), 96 * bench.files().len());
    (medium, journal)
}

fn journal_of(bench: &Bench) -> PathBuf {
    let state = bench.path("state");
    let found = files_below(&state).into_keys().find(|path| path.ends_with("/objects"));
    state.join(found.expect("a journal"))
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("removed");
    }
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp").success());
}

/// Goes on after each of these changes of the journal.
fn broken_journal(bench: &Bench, places: Vec<usize>, change: fn(&mut Vec<u8>, usize)) {
    let (medium, journal) = (bench.path("medium"), journal_of(bench));
    let good = fs::read(&journal).expect("read");
    copy(&bench.store(), &bench.path("store-then"));
    copy(&bench.path("state"), &bench.path("state-then"));
    for at in places {
        let mut bytes = good.clone();
        change(&mut bytes, at);
        fs::write(&journal, bytes).expect("written");
        assert_eq!(bench.import(&medium).code, 0, "{at}");
        copy(&bench.path("store-then"), &bench.store());
        copy(&bench.path("state-then"), &bench.path("state"));
    }
}

/// Runs an import that is killed, and returns whether it was.
fn killed(bench: &Bench, medium: &Path, fault: &Fault<'_>) -> bool {
    let to = format!("dir:{}", shown(&bench.store()));
    let arguments = bench.import_arguments(&[medium], &["--enrol", "--create-bucket", "--to", &to]);
    let mut command = bench.bare(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    set(&mut command, fault);
    let status = command.output().expect("run").status;
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

fn crash_states(bench: &Bench) {
    let medium = bench.good();
    let (state, store) = (shown(&bench.path("state")).to_owned(), shown(&bench.store()).to_owned());
    let mut killed_count = 0;
    for (call, path, step, act) in [
        ("sync", &state, 1, Act::Lose),
        ("rename", &state, 1, Act::Kill),
        ("write", &state, 1, Act::Kill),
        ("write", &store, 3, Act::Kill),
    ] {
        for from in (1..).step_by(step) {
            if !killed(bench, &medium, &Fault { call, path, from, every: 0, act }) {
                break;
            }
            killed_count += 1;
            let landed = bench.landed();
            let due = bench.due();
            assert!(landed.iter().all(|(key, bytes)| due.get(key) == Some(bytes)), "{call} {from}");
            assert_eq!(bench.import(&medium).code, 0, "{call} {from}");
            for place in [&state, &store] {
                fs::remove_dir_all(place).expect("removed");
            }
        }
    }
    assert!(killed_count > 20, "{killed_count}");
}

/// Holds requests of one kind until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    is_met: AtomicBool,
}

impl Gate {
    fn pass(&self) {
        self.is_met.store(true, Ordering::SeqCst);
        let open = self.is_open.lock().expect("no panic");
        drop(self.opened.wait_while(open, |is_open| !*is_open).expect("no panic"));
    }

    fn open(&self) {
        *self.is_open.lock().expect("no panic") = true;
        self.opened.notify_all();
    }

    fn wait_until_met(&self) {
        let start = Instant::now();
        while !self.is_met.load(Ordering::SeqCst) {
            assert!(start.elapsed() < Duration::from_secs(60), "nobody came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn gated() -> (Arc<Gate>, Server) {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let server = Server::start(move |_, ask| {
        if ask.puts_object() {
            held.pass();
        }
        None
    });
    (gate, server)
}

fn two_importers(bench: &Bench) {
    let medium = bench.good();
    let (gate, server) = gated();
    let first =
        bench.bare_to(&server, &medium, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    gate.wait_until_met();
    let other = shown(&bench.path("other-state")).to_owned();
    assert_eq!(bench.import_to(&server, &medium, &["--state", &other]).code, 6);
    // On the same machine with the same state too.
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 6);
    gate.open();
    let called = bench.ended(&["import"], first.wait_with_output().expect("ended"));
    assert_eq!(called.code, 0);
    assert_eq!(bench.import_to(&server, &medium, &["--state", &other]).code, 0);
    let pointers = server.everything().into_keys().filter(|key| key.ends_with("/installed"));
    assert_eq!(pointers.count(), 1);
    assert!(!server.everything().contains_key(".airlift/models-eu/lease"));
}

fn signals(bench: &Bench) {
    let medium = bench.good();
    for signal in [Signal::TERM, Signal::INT] {
        let to = format!("dir:{}", shown(&bench.store()));
        let arguments =
            bench.import_arguments(&[&medium], &["--enrol", "--create-bucket", "--to", &to, "--workers", "1"]);
        let mut command = bench.bare(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        set_slow(&mut command, 150_000);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
        let start = Instant::now();
        while bench.landed().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing lands");
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).expect("sent");
        let sent = Instant::now();
        let called = bench.ended(&["import"], child.wait_with_output().expect("ended"));
        assert!(called.code == 130 && sent.elapsed() < Duration::from_secs(10), "{signal:?}: {:?}", sent.elapsed());
        assert!(bench.landed().len() < bench.files().len());
        assert_eq!(bench.import(&medium).code, 0);
        for place in ["store", "state"] {
            fs::remove_dir_all(bench.path(place)).expect("removed");
        }
    }
}

/// Makes a bundle of one file of two parts.
pub(super) fn two_parts(bench: &Bench) -> PathBuf {
    let tree = bench.directory("tree/models");
    fs::write(tree.join("noise.bin"), Random::new(1).bytes(34 << 20)).expect("written");
    let medium = bench.path("medium");
    pack(&pack_options(vec![(name("models"), tree)], &medium, 1), &Quiet).expect("packed");
    sign(&medium);
    bench.set_files(files_below(&bench.path("tree")));
    bench.watch(&medium);
    medium
}

fn expired_upload(bench: &Bench) {
    let medium = two_parts(bench);
    let is_dropped = AtomicBool::new(false);
    let server = Server::over(move |store, _, ask| {
        if ask.value("partNumber") != Some("2") || is_dropped.swap(true, Ordering::SeqCst) {
            return None;
        }
        let upload = UploadId::new(ask.value("uploadId").expect("an upload"));
        store.abort_upload(&Key::parse(&ask.key).expect("a key"), &upload).expect("aborted");
        Some(error(404, "NoSuchUpload"))
    });
    assert_eq!(bench.import_to(&server, &medium, &[]).code, 0);
    assert_eq!(paging::uploads(server.store.as_ref(), "").count(), 0);
}

fn source_changes(bench: &Bench) {
    let tree = bench.directory("tree");
    let file = tree.join("changing.bin");
    let bytes = Random::new(3).bytes(40 << 20);
    fs::write(tree.join("other.bin"), b"other").expect("written");
    let root = format!("models={}", shown(&tree));
    let mut changed_count = 0;
    for (act, last) in [(Act::Grow(&file), 3), (Act::Cut(&file), 3)] {
        for from in 1..=last {
            fs::write(&file, &bytes).expect("written");
            let out = bench.path("packed");
            let arguments = ["pack", &root, "--out", shown(&out), "--stream", STREAM, "--counter", "1"];
            let fault = Fault { call: "read", path: "changing.bin", from, every: 0, act };
            let called = bench.faulty_call(&arguments, &fault);
            assert_eq!(called.code == 0, out.join("head.json").exists());
            if called.code != 0 {
                changed_count += 1;
                assert!(called.err.contains("changing.bin"), "{}", called.err);
            }
            if out.exists() {
                fs::remove_dir_all(&out).expect("removed");
            }
        }
    }
    assert!(changed_count >= 4, "{changed_count}");
    // Left alone it is packed.
    let out = bench.path("packed");
    bench.call(&["pack", &root, "--out", shown(&out), "--stream", STREAM, "--counter", "1"]);
}
