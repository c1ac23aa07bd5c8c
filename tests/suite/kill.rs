//! Power cuts: the importer, the server or the exporter is killed at chosen moments, and repeating the
//! command ends with the same objects or files, nothing left over, and nothing sent twice but what was in
//! flight.

use crate::by_hand::{self, HandPack};
use crate::fixture::{Packed, STREAM, Size, assert_same, directory, objects, scratch, signer, upload_count};
use crate::hostile::faults::{Act, Fault, set};
use crate::program::{Transcript, airlift, files_below, shown, signer_line};
use crate::tree::Random;
use crate::weed::Weed;
use airlift::format::Proven;
use airlift::store::{Attributes, Condition, DirectoryStore, IfMissing, Key, Store as _};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

/// Parts and small objects that an importer has in flight at most.
const PARTS_IN_FLIGHT: usize = 4;
const OBJECTS_IN_FLIGHT: usize = 32;

/// One file of two parts, and small ones.
fn two_parts() -> &'static Packed {
    static PACKED: OnceLock<Packed> = OnceLock::new();
    PACKED.get_or_init(|| signed(Size { model_len: 200_000, noise_len: 34 << 20, noise_count: 1, small_count: 40 }))
}

/// A bundle, and beside it who may sign.
fn signed(size: Size) -> Packed {
    let packed = Packed::new(size, 1);
    fs::write(packed.directory.path().join("signers"), signer_line(signer().line())).expect("written");
    packed
}

/// An import of `place` with a state directory of its own, without the store.
fn import(packed: &Packed, place: &Path, state: &Path) -> Command {
    let fixed = ["import", shown(place), "--stream", STREAM, "--state", shown(state), "--enrol", "--json"];
    let mapped = ["--map", "models=registry/models/", "--map", "datasets=data/"];
    let mut command = airlift(&[&fixed[..], &mapped].concat());
    command.env("AIRLIFT_ALLOWED_SIGNERS", packed.directory.path().join("signers"));
    command
}

fn document(transcript: &Transcript) -> Value {
    serde_json::from_str(&transcript.out).expect("JSON")
}

/// Stands before a server, sees every request, and can hold all of them at a chosen moment.
struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    state: Mutex<State>,
    changed: Condvar,
    /// Sees each request line before the server does.
    hook: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Bytes of bodies that were sent to the server.
    passed_len: u64,
    hold_at: Option<u64>,
    is_held: bool,
}

impl Gate {
    fn before(weed: &Weed, hook: impl Fn(&str) + Send + Sync + 'static) -> Gate {
        let server = weed.endpoint().trim_start_matches("http://").to_owned();
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { server, state, changed, hook: Box::new(hook) });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let for_all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || shared.serve(&client));
            }
        });
        Gate { port, shared }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Forgets what was seen, and holds everything once so many bytes have passed from now on.
    fn reset(&self, hold_at: Option<u64>) {
        *self.shared.lock() = State { hold_at, ..State::default() };
        self.shared.changed.notify_all();
    }

    fn wait_until_held(&self) {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, Duration::from_secs(60), |state| !state.is_held);
        assert!(!waited.expect("no panic elsewhere").1.timed_out(), "so many bytes never passed");
    }

    fn passed_len(&self) -> u64 {
        self.shared.lock().passed_len
    }

    /// Returns method and target of every request since the last reset.
    fn requests(&self) -> Vec<(String, String)> {
        let split = |line: &String| line.split_once(' ').map(|(method, rest)| (method.to_owned(), rest.to_owned()));
        self.shared.lock().lines.iter().filter_map(split).collect()
    }

    /// Returns the numbers of the parts whose sending has begun, and the keys of whole objects.
    fn sent(&self, bucket: &str) -> (BTreeSet<u64>, BTreeSet<String>) {
        let (mut parts, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for (method, target) in self.requests() {
            let target = target.split(' ').next().unwrap_or_default();
            let key = target.trim_start_matches('/').trim_start_matches(bucket).trim_start_matches('/');
            if method != "PUT" || key.starts_with(".airlift") || key.is_empty() || key.starts_with('?') {
                continue;
            }
            match key.split_once("partNumber=") {
                Some((_, number)) => {
                    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
                    parts.insert(digits.parse().expect("a number"));
                }
                None => drop(whole.insert(key.split('?').next().unwrap_or_default().to_owned())),
            }
        }
        (parts, whole)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic elsewhere")
    }

    fn serve(&self, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(&self.server) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever closes first ends both ways; the other side sees it.
                let _ = io::copy(&mut &server, &mut &*client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let _ = self.pass_on(client, &server);
            let _ = server.shutdown(Shutdown::Both);
        });
    }

    fn pass_on(&self, client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let mut client = BufReader::with_capacity(1 << 16, client);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if client.read_until(b'\n', &mut head)? == 0 {
                    return Ok(());
                }
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let line = text.lines().next().unwrap_or_default();
            (self.hook)(line);
            self.lock().lines.push(line.to_owned());
            server.write_all(&head)?;
            let lens = text.lines().filter_map(|line| line.split_once(": "));
            let mut lens = lens.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let mut left: usize = lens.next().map_or(0, |(_, len)| len.trim().parse().expect("a length"));
            while left > 0 {
                let bytes = client.fill_buf()?;
                let len = left.min(bytes.len());
                if len == 0 {
                    return Ok(());
                }
                self.let_pass(len as u64);
                server.write_all(&bytes[..len])?;
                client.consume(len);
                left -= len;
            }
        }
    }

    fn let_pass(&self, len: u64) {
        let mut state = self.lock();
        state.passed_len += len;
        if state.hold_at.is_some_and(|hold_at| state.passed_len > hold_at) {
            state.is_held = true;
            self.changed.notify_all();
        }
        drop(self.changed.wait_while(state, |state| state.is_held).expect("no panic elsewhere"));
    }
}

/// An import into a bucket behind a gate.
struct Landing<'a> {
    packed: &'a Packed,
    bucket: String,
    endpoint: String,
    credentials: PathBuf,
    state: tempfile::TempDir,
}

impl<'a> Landing<'a> {
    fn new(packed: &'a Packed, weed: &Weed, gate: &Gate, bucket: &str) -> Landing<'a> {
        let state = directory();
        let (endpoint, credentials) = (gate.endpoint(), weed.credentials_file());
        Landing { packed, bucket: bucket.to_owned(), endpoint, credentials, state }
    }

    fn command(&self) -> Command {
        let mut command = import(self.packed, &self.packed.bundle(), self.state.path());
        command.args(["--create-bucket", "--endpoint", &self.endpoint, "--to", &format!("s3://{}", self.bucket)]);
        command.arg("--credentials-file").arg(&self.credentials);
        command
    }

    /// Returns the parts that the killed importer knows to have arrived.
    fn journalled(&self) -> BTreeSet<u64> {
        let files = files_below(self.state.path()).into_iter();
        let journals = files.filter(|(path, _)| path.ends_with("/uploads"));
        let text: String = journals.map(|(_, bytes)| String::from_utf8(bytes).expect("UTF-8")).collect();
        let facts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(9..)?).ok());
        facts.filter_map(|fact| fact["part"]["number"].as_u64()).collect()
    }

    /// Imports to the end, and checks that all is there and nothing else.
    fn complete(&self, weed: &Weed) {
        let done = Transcript::of(self.command());
        assert_eq!(done.code, 0, "{}: {}", self.bucket, done.err);
        let store = weed.store(&self.bucket);
        assert_same(&objects(&store), self.packed.expected());
        assert_eq!(upload_count(&store), 0, "{}", self.bucket);
    }
}

#[test]
fn a_killed_importer_goes_on_and_sends_again_only_what_was_in_flight() {
    let weed = Weed::start();
    let gate = Gate::before(&weed, |_| ());
    let packed = two_parts();
    gate.reset(None);
    Landing::new(packed, &weed, &gate, "whole").complete(&weed);
    let whole_len = gate.passed_len();
    assert_eq!(gate.sent("whole").0, BTreeSet::from([1, 2]));
    let mut random = Random::new(2);
    let (mut kept_count, mut again_count) = (0, 0);
    for moment in 0..10 {
        let bucket = format!("killed-{moment}");
        let landing = Landing::new(packed, &weed, &gate, &bucket);
        // Somewhere in this tenth of the way.
        let hold_at = whole_len * moment / 10 + random.next() % (whole_len / 10);
        gate.reset(Some(hold_at));
        let mut child = landing.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        gate.wait_until_held();
        child.kill().expect("it runs");
        child.wait().expect("ended");
        let (parts_before, whole_before) = gate.sent(&bucket);
        let kept = landing.journalled();
        gate.reset(None);
        landing.complete(&weed);
        let (parts_after, whole_after) = gate.sent(&bucket);
        let about =
            format!("killed after {hold_at} bytes: parts {parts_before:?}, {kept:?} kept, then {parts_after:?}");
        assert!(parts_after.is_disjoint(&kept), "{about}");
        let again: Vec<_> = parts_after.intersection(&parts_before).collect();
        assert!(again.len() <= PARTS_IN_FLIGHT, "{about}");
        assert!(whole_after.intersection(&whole_before).count() <= OBJECTS_IN_FLIGHT, "{about}");
        kept_count += kept.len();
        again_count += again.len();
    }
    // The moments meet both: parts that had arrived, and parts on the way.
    assert!(kept_count > 0 && again_count > 0, "{kept_count} {again_count}");
}

/// The key of a file that comes last: without that it is among the first.
const LAST: &str = "registry/models/org/tuned/v1/config.json";

#[test]
fn a_killed_importer_leaves_nothing_that_comes_last_without_all_others() {
    let weed = Weed::start();
    let gate = Gate::before(&weed, |_| ());
    let packed = two_parts();
    let command = |landing: &Landing<'_>| {
        let mut command = landing.command();
        command.args(["--last", "**/config.json"]);
        command
    };
    let complete = |landing: &Landing<'_>| {
        let done = Transcript::of(command(landing));
        assert_eq!((done.code, &document(&done)["held_back"]), (0, &Value::from(0)), "{}", done.err);
        assert_same(&objects(&weed.store(&landing.bucket)), packed.expected());
    };
    gate.reset(None);
    complete(&Landing::new(packed, &weed, &gate, "in-order"));
    let whole_len = gate.passed_len();
    let puts: Vec<String> =
        gate.requests().into_iter().filter(|(method, _)| method == "PUT").map(|one| one.1).collect();
    let at = |part: &str| puts.iter().rposition(|target| target.contains(part)).expect(part);
    assert!(at("config.json") > at("partNumber=2") && at("config.json") > at("/data/"), "{puts:?}");
    for moment in 0..8 {
        let bucket = format!("last-{moment}");
        let landing = Landing::new(packed, &weed, &gate, &bucket);
        gate.reset(Some(whole_len * (moment + 1) / 8 - 40_000));
        let mut child = command(&landing).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        gate.wait_until_held();
        child.kill().expect("it runs");
        child.wait().expect("ended");
        let found = objects(&weed.store(&bucket));
        let missing = packed.expected().keys().find(|key| *key != LAST && !found.contains_key(*key));
        assert!(!found.contains_key(LAST) || missing.is_none(), "killed at moment {moment}: {missing:?}");
        gate.reset(None);
        complete(&landing);
    }
}

/// Six packs in two volumes, with files of no bytes, of a few, and of many.
fn six_packs() -> Vec<HandPack<'static>> {
    const PATHS: [[&str; 3]; 6] = [
        ["data/a/0", "data/a/1", "data/a/2"],
        ["data/a/3", "data/b/c/0", "data/b/c/1"],
        ["data/d/0", "data/d/1", "data/d/2"],
        ["models/a/0", "models/a/1", "models/b"],
        ["models/c", "models/d/0", "models/d/1"],
        ["models/e", "models/f", "models/g"],
    ];
    let bytes = |seed, at| Random::new(seed).bytes([0, 700, 150_000][at]);
    let files = |(seed, paths): (u64, [&'static str; 3])| (0..3).map(|at| (paths[at], bytes(seed, at))).collect();
    (1..)
        .zip(PATHS)
        .map(|(seed, paths)| HandPack { volume: 1 + seed as u32 / 4, files: files((seed, paths)) })
        .collect()
}

#[test]
fn an_exporter_killed_at_any_write_or_read_goes_on_behind_what_has_its_name() {
    let top = scratch();
    let (place, out, signers) = (top.path().join("bundle"), top.path().join("out"), top.path().join("signers"));
    by_hand::write(&place, 1, &six_packs());
    fs::write(&signers, signer_line(signer().line())).expect("written");
    let packed = six_packs().into_iter().flat_map(|pack| pack.files);
    let files: BTreeMap<_, _> = packed.map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    let export = || {
        let mut command = airlift(&["export", shown(&place), "--to", shown(&out), "--json"]);
        command.env("AIRLIFT_ALLOWED_SIGNERS", &signers);
        command
    };
    let mut named_counts = BTreeSet::new();
    for (call, path) in [("write", "/out/"), ("read", "/bundle/volumes/")] {
        for from in 1.. {
            let mut command = export();
            set(&mut command, &Fault { call, path, from, every: 0, act: Act::Kill });
            let status = command.output().expect("run").status;
            if !status.success() {
                assert_eq!(status.signal(), Some(9), "{call} {from}");
                let mut named = if out.exists() { files_below(&out) } else { BTreeMap::new() };
                named.retain(|path, _| !path.starts_with(".airlift-export/"));
                assert!(named.iter().all(|(path, bytes)| files.get(path) == Some(bytes)), "{call} {from}");
                let repeated = Transcript::of(export());
                assert_eq!(repeated.code, 0, "{call} {from}: {}", repeated.err);
                assert_eq!(document(&repeated)["already"].as_u64(), Some(named.len() as u64), "{call} {from}");
                named_counts.insert(named.len());
            }
            assert!(files_below(&out) == files, "{call} {from}");
            fs::remove_dir_all(&out).expect("removed");
            if status.success() {
                break;
            }
        }
    }
    // The moments meet an empty directory and one with some of the files.
    assert!(named_counts.len() > 2, "{named_counts:?}");
}

#[test]
fn a_killed_server_costs_nothing_that_had_arrived() {
    let mut weed = Weed::start();
    let gate = Gate::before(&weed, |_| ());
    let landing = Landing::new(two_parts(), &weed, &gate, "power");
    gate.reset(Some(20 << 20));
    let child = landing.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("run");
    gate.wait_until_held();
    weed.kill();
    gate.reset(None);
    weed.resume();
    let ended = child.wait_with_output().expect("ended");
    // It rides over a short absence, or asks to be repeated.
    assert!(matches!(ended.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&ended.stderr));
    landing.complete(&weed);
}

#[test]
fn read_back_finds_an_object_that_the_server_changed() {
    let weed = Weed::shared();
    let store = weed.store("read-back");
    store.ensure_bucket(IfMissing::Create).expect("a bucket");
    let key = Key::parse("data/odd/a b?#+%&=é.txt").expect("a key");
    let gate = Gate::before(weed, move |line| {
        // Between landing and reading back.
        if line.starts_with("GET /read-back/data/odd/") {
            let other = Proven::record(&b"ODD NAME"[..]);
            store.put(&key, &other, &Attributes::default(), &Condition::Any).expect("put");
        }
    });
    let small = signed(Size { model_len: 100_000, noise_len: 0, noise_count: 0, small_count: 4 });
    let landing = Landing::new(&small, weed, &gate, "read-back");
    let mut command = landing.command();
    command.arg("--read-back");
    let found = Transcript::of(command);
    assert_eq!(found.code, 6, "{}", found.err);
    assert!(found.err.contains("object data/odd/a b?#+%&=é.txt does not read back as"), "{}", found.err);
    assert!(found.err.contains("--on-existing replace"), "{}", found.err);
    // Without the option nobody looks.
    let unread = Landing::new(&small, weed, &gate, "not-read-back");
    gate.reset(None);
    unread.complete(weed);
    let is_read = |(method, target): &(String, String)| method == "GET" && target.starts_with("/not-read-back/data/");
    assert!(!gate.requests().iter().any(is_read));
}

/// Returns what is at a place and when it was last changed.
fn snapshot(place: &Path) -> Vec<(PathBuf, std::time::SystemTime, u64)> {
    let mut seen = Vec::new();
    let mut directories = vec![place.to_owned()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(&directory).expect("a directory") {
            let path = item.expect("an entry").path();
            let metadata = path.metadata().expect("metadata");
            seen.push((path.clone(), metadata.modified().expect("a time"), metadata.len()));
            if metadata.is_dir() {
                directories.push(path);
            }
        }
    }
    seen.sort();
    seen
}

fn make_read_only(place: &Path, is_read_only: bool) {
    for (path, _, _) in snapshot(place) {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        let mode = if is_read_only { mode } else { mode | 0o200 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }
}

#[test]
fn four_read_only_media_in_any_order_are_each_needed_once() {
    // One upload whose parts lie in four volumes.
    let packed = signed(Size { model_len: 200_000, noise_len: 130 << 20, noise_count: 1, small_count: 40 });
    assert_eq!(packed.volume_numbers(), [1, 2, 3, 4]);
    let media: Vec<PathBuf> = (1..=4).map(|number| packed.medium(&format!("medium-{number}"), &[number])).collect();
    let before: Vec<_> = media.iter().map(|medium| snapshot(medium)).collect();
    media.iter().for_each(|medium| make_read_only(medium, true));
    for order in [[0, 1, 2, 3], [2, 0, 3, 1]] {
        let top = directory();
        let to = format!("dir:{}", shown(&top.path().join("store")));
        let mut sent_len = 0;
        for (step, number) in order.into_iter().enumerate() {
            let mut command = import(&packed, &media[number], &top.path().join("state"));
            command.args(["--create-bucket", "--to", &to]);
            let run = Transcript::of(command);
            assert_eq!(run.code, if step == 3 { 0 } else { 5 }, "{order:?}, step {step}: {}", run.err);
            sent_len += document(&run)["sent_bytes"].as_u64().expect("a number");
        }
        let store = DirectoryStore::new(top.path().join("store"));
        assert_same(&objects(&store), packed.expected());
        assert_eq!(upload_count(&store), 0);
        assert_eq!(sent_len, packed.expected().values().map(|bytes| bytes.len() as u64).sum::<u64>(), "{order:?}");
    }
    media.iter().for_each(|medium| make_read_only(medium, false));
    assert!(media.iter().map(|medium| snapshot(medium)).eq(before), "a medium was written to");
}
