//! Damage, fault by place by command: each is refused with its place and the class that the
//! specification says, or made up for where a copy allows it. What needs none of the damaged bytes is
//! had all the same, nothing unproven is ever seen, and a good copy completes it.

use crate::authenticator::TestKey;
use crate::by_hand::{self, HandPack, Lay};
use crate::fixture::{STREAM, assert_same, objects, scratch, signer};
use crate::program::{airlift, files_below, flip, shown, signer_line};
use crate::tree::Random;
use airlift::format::Head;
use airlift::store::DirectoryStore;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const V1: &str = "volumes/000001.vol";
const V2: &str = "volumes/000002.vol";
/// A file in volume 2 whose bytes are those of a file in volume 1.
const TUNED: &str = "models/tuned.bin";

/// Four packs in two volumes.
pub(crate) fn packs(seed: u64) -> Vec<HandPack<'static>> {
    let random = |number: u64, len| Random::new(seed + number).bytes(len);
    let base = random(1, 9000);
    let label = format!("label {seed}\n").repeat(30).into_bytes();
    vec![
        HandPack { volume: 1, files: vec![("datasets/label.txt", label), ("datasets/picture.jpg", random(2, 5000))] },
        HandPack { volume: 1, files: vec![("models/base.bin", base.clone()), ("models/other.bin", random(3, 7000))] },
        HandPack { volume: 2, files: vec![(TUNED, base), ("models/vocab.txt", random(4, 600))] },
        HandPack { volume: 2, files: vec![("models/zeta.bin", random(5, 4000))] },
    ]
}

/// The bundle that is damaged, another one of the same shape, and who may sign.
struct Original {
    directory: tempfile::TempDir,
    lays: Vec<Lay>,
    head: Head,
    files: BTreeMap<String, Vec<u8>>,
    tar: Vec<u8>,
}

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let directory = scratch();
        let top = directory.path();
        let lays = by_hand::write(&top.join("good"), 1, &packs(10));
        by_hand::write(&top.join("other"), 2, &packs(20));
        let lines = signer_line(signer().line()) + &second_line("second-team");
        fs::write(top.join("signers"), lines).expect("written");
        let head = Head::decode(&fs::read(top.join("good/head.json")).expect("read")).expect("a head");
        let files = packs(10).into_iter().flat_map(|pack| pack.files);
        let files = files.map(|(path, bytes)| (path.to_owned(), bytes)).collect();
        let mut original = Original { directory, lays, head, files, tar: Vec::new() };
        let called = original.call(&["export", shown(&original.good()), "--to", "-"]);
        assert_eq!(called.code, 0, "{}", called.err);
        original.tar = called.out;
        original
    })
}

impl Original {
    fn good(&self) -> PathBuf {
        self.directory.path().join("good")
    }

    fn trusting(&self, arguments: &[&str]) -> Command {
        let mut command = airlift(arguments);
        command.env("AIRLIFT_ALLOWED_SIGNERS", self.directory.path().join("signers"));
        command
    }

    fn call(&self, arguments: &[&str]) -> Called {
        Called::of(self.trusting(arguments))
    }

    /// Returns an object for each file, at the keys of [`import_into`].
    fn objects(&self, lost: &BTreeSet<String>) -> BTreeMap<String, Vec<u8>> {
        let kept = self.files.iter().filter(|(path, _)| !lost.contains(*path));
        kept.map(|(path, bytes)| (format!("landed/{path}"), bytes.clone())).collect()
    }
}

pub(crate) fn second_key() -> TestKey {
    TestKey::ed25519(43)
}

pub(crate) fn second_line(principal: &str) -> String {
    format!("{principal} namespaces=\"airlift-head@v1/*\" {}\n", second_key().line())
}

/// Adds a signature by the second key.
pub(crate) fn sign_again(bundle: &Path) {
    let head = fs::read(bundle.join("head.json")).expect("read");
    let signature = second_key().sign(&format!("airlift-head@v1/{STREAM}"), &head);
    fs::write(bundle.join("signatures/2.sig"), signature).expect("written");
}

/// What a call printed, and how it ended.
struct Called {
    code: i32,
    out: Vec<u8>,
    err: String,
}

impl Called {
    fn of(mut command: Command) -> Called {
        let output = command.output().expect("run");
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
        let code = output.status.code().expect("a code");
        assert_eq!(lines.len(), usize::from(code != 0), "{err}");
        assert!(lines.iter().all(|line| line.contains("; ")), "no remedy: {err}");
        Called { code, out: output.stdout, err }
    }

    fn all(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.out), self.err)
    }
}

#[derive(Clone, Debug)]
enum Fault {
    Flip(Vec<u64>),
    Truncate(u64),
    Remove,
    OfAnotherBundle,
    Append,
    Symlink,
    Fifo,
    Directory,
    /// The two volumes have each other's names.
    Swap,
}

impl Fault {
    fn apply(&self, bundle: &Path, file: &str) {
        let path = bundle.join(file);
        let mut bytes = fs::read(&path).expect("read");
        match self {
            Fault::Flip(offsets) => return offsets.iter().for_each(|&offset| flip(&path, offset)),
            Fault::Truncate(len) => bytes.truncate(*len as usize),
            Fault::Append => bytes.push(0),
            Fault::OfAnotherBundle => {
                bytes = fs::read(original().directory.path().join("other").join(file)).expect("read");
            }
            Fault::Swap => {
                fs::rename(bundle.join(V2), &path).expect("renamed");
                fs::write(bundle.join(V2), bytes).expect("written");
                return;
            }
            Fault::Remove | Fault::Symlink | Fault::Fifo | Fault::Directory => {}
        }
        fs::remove_file(&path).expect("removed");
        match self {
            Fault::Remove => {}
            // What it leads to is good: the link alone is refused.
            Fault::Symlink => symlink(original().good().join(file), &path).expect("linked"),
            Fault::Directory => fs::create_dir(&path).expect("made"),
            Fault::Fifo => {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("made");
            }
            _ => fs::write(&path, bytes).expect("written"),
        }
    }

    fn is_special(&self) -> bool {
        matches!(self, Fault::Symlink | Fault::Fifo | Fault::Directory)
    }
}

/// What a fault means for a reader.
#[derive(Clone, Debug)]
enum Harm {
    /// The bundle is as good as before.
    Nothing,
    /// No head says that there is a bundle.
    NoBundle,
    /// Signatures and head do not make it acceptable.
    Untrusted,
    /// Every command ends with this code and names this.
    Refused(i32, String),
    /// The same: a page of the manifest can't be read.
    PageOfManifest(String),
    /// The same, but for `ls`, which needs no pack table beyond its root.
    PageOfPacks(String),
    /// Only who checks the whole file sees this, at every depth.
    FileDiffers(String),
    /// The volume has bytes behind its last pack.
    VolumeTail(u32),
    /// The volume is not there.
    VolumeGone(u32),
    /// The volume is nothing that may be read.
    VolumeRefused(u32),
    /// These bytes of volumes differ, or with the rule of their lengths are not there.
    Bytes(Vec<(u32, Range<u64>)>, Option<&'static str>),
}

fn harm_of(file: &str, fault: &Fault, has_second: bool) -> Harm {
    let head = &original().head;
    let named = |what: &str| format!("/{file} {what}");
    match (file, fault) {
        ("head.json", Fault::Remove) => Harm::NoBundle,
        ("signatures/1.sig" | "signatures/2.sig", Fault::Remove) if has_second => Harm::Nothing,
        ("head.json" | "signatures/1.sig" | "signatures/2.sig", fault) if fault.is_special() => {
            Harm::Refused(3, named("is not a regular file"))
        }
        // A signature that names an unknown key does not count, and the other one does (T-52).
        ("signatures/1.sig" | "signatures/2.sig", Fault::Flip(at)) if has_second && in_key(at[0]) => Harm::Nothing,
        ("head.json" | "signatures/1.sig" | "signatures/2.sig", _) => Harm::Untrusted,
        ("README.txt", Fault::Remove) => Harm::Nothing,
        ("README.txt", fault) => Harm::FileDiffers(named(if fault.is_special() { "(F-01)" } else { "(F-06)" })),
        ("manifest", fault) => harm_of_meta("manifest", fault, head.manifest.root_length),
        ("packs", fault) => harm_of_meta("packs", fault, head.packs.root_length),
        (volume, fault) => harm_of_volume(if volume == V1 { 1 } else { 2 }, fault),
    }
}

fn harm_of_meta(file: &str, fault: &Fault, root_len: u64) -> Harm {
    let at_page = |message| if file == "packs" { Harm::PageOfPacks(message) } else { Harm::PageOfManifest(message) };
    let differs = |offset: u64| {
        format!("/{file} can't be used from byte {offset}: the {} of the ", if offset == 0 { "root" } else { "page" })
    };
    let ends = |len: u64| format!("/{file} ends at byte {len}");
    match fault {
        Fault::Remove => Harm::Refused(5, format!("{file} is missing")),
        Fault::Append => Harm::FileDiffers(format!("/{file} (F-06)")),
        Fault::Flip(at) if at[0] < root_len => Harm::Refused(3, differs(0)),
        Fault::Flip(_) => at_page(differs(root_len)),
        Fault::Truncate(len) if *len < root_len => Harm::Refused(3, ends(*len)),
        Fault::Truncate(len) => at_page(ends(*len)),
        Fault::OfAnotherBundle => Harm::Refused(3, differs(0)),
        Fault::Symlink | Fault::Fifo | Fault::Directory => Harm::Refused(3, format!("/{file} is not a regular file")),
        Fault::Swap => unreachable!("volumes alone are swapped"),
    }
}

fn harm_of_volume(volume: u32, fault: &Fault) -> Harm {
    let whole = |volume| (volume, 0..u64::MAX);
    match fault {
        Fault::Remove => Harm::VolumeGone(volume),
        Fault::Append => Harm::VolumeTail(volume),
        Fault::Flip(offsets) => Harm::Bytes(offsets.iter().map(|&at| (volume, at..at + 1)).collect(), None),
        Fault::Truncate(len) => Harm::Bytes(vec![(volume, *len..u64::MAX)], Some("F-55")),
        Fault::OfAnotherBundle => Harm::Bytes(vec![whole(volume)], None),
        Fault::Swap => Harm::Bytes(vec![whole(1), whole(2)], None),
        Fault::Symlink | Fault::Fifo | Fault::Directory => Harm::VolumeRefused(volume),
    }
}

/// Tells whether this byte of a signature file says which key it is by.
fn in_key(offset: u64) -> bool {
    KEY_OFFSETS.contains(&offset)
}

/// The first line of the armour has 30 bytes, and the key bytes 33 to 65 of the record.
const KEY_OFFSETS: Range<u64> = 30 + 44..30 + 70;

/// What a command must say and do.
struct Expected {
    code: i32,
    /// What must be named.
    named: Vec<String>,
    /// Files that can't be had.
    lost: BTreeSet<String>,
}

/// Where bytes of a file can't be had from, as messages name it.
struct Broken {
    volume: u32,
    range: Range<u64>,
    rule: &'static str,
}

impl Broken {
    fn named(&self) -> String {
        format!("volume {}, bytes {} to {}, ", self.volume, self.range.start, self.range.end)
    }
}

/// The damaged bytes, asked about packs and files.
struct Wound<'a>(&'a [(u32, Range<u64>)]);

impl Wound<'_> {
    fn hits(&self, volume: u32, range: &Range<u64>) -> bool {
        self.0.iter().any(|(hit, bytes)| *hit == volume && bytes.start < range.end && range.start < bytes.end)
    }

    /// Returns what is broken of a pack for who needs a frame of it, or with no frame only the index.
    fn of_pack(&self, lay: &Lay, frame: Option<usize>) -> Option<Broken> {
        if self.hits(lay.volume, &lay.index) && self.hits(lay.volume, &lay.copy) {
            return Some(Broken { volume: lay.volume, range: lay.index.clone(), rule: "F-100" });
        }
        let range = frame.map(|frame| lay.frames[frame].clone()).filter(|range| self.hits(lay.volume, range))?;
        Some(Broken { volume: lay.volume, range, rule: "F-101" })
    }

    /// Returns why a file can't be had.
    fn of_file(&self, path: &str) -> Option<Broken> {
        let lays = &original().lays;
        match path {
            "datasets/label.txt" => self.of_pack(&lays[0], Some(0)),
            "datasets/picture.jpg" => self.of_pack(&lays[0], Some(1)),
            "models/base.bin" => self.of_pack(&lays[1], Some(0)),
            "models/other.bin" => self.of_pack(&lays[1], Some(1)),
            TUNED => self.of_pack(&lays[2], None).or_else(|| self.of_pack(&lays[1], Some(0))),
            "models/vocab.txt" => self.of_pack(&lays[2], Some(0)),
            "models/zeta.bin" => self.of_pack(&lays[3], Some(0)),
            other => panic!("{other}"),
        }
    }

    /// Returns everything that a check finds: in each pack the first index that differs, and each
    /// frame unless no index says where it is.
    fn findings(&self) -> Vec<Broken> {
        let mut found = Vec::new();
        for lay in &original().lays {
            let bad_index = [&lay.index, &lay.copy].into_iter().find(|range| self.hits(lay.volume, range));
            let index = bad_index.map(|range| Broken { volume: lay.volume, range: range.clone(), rule: "F-100" });
            let frames = (0..lay.frames.len()).filter_map(|frame| self.of_pack(lay, Some(frame)));
            found.extend(index.into_iter().chain(frames));
        }
        found
    }

    /// Returns for how many packs an importer takes the second copy of the index for the first.
    fn healed_count(&self) -> usize {
        let healed = |lay: &&Lay| self.hits(lay.volume, &lay.index) && !self.hits(lay.volume, &lay.copy);
        original().lays.iter().filter(healed).count()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    VerifyHead,
    VerifyStored,
    VerifyContents,
    List,
    Info,
    Cat,
    ExportDirectory,
    ExportStream,
    Import,
}

const TASKS: [Task; 9] = [
    Task::VerifyHead,
    Task::VerifyStored,
    Task::VerifyContents,
    Task::List,
    Task::Info,
    Task::Cat,
    Task::ExportDirectory,
    Task::ExportStream,
    Task::Import,
];

impl Task {
    fn is_check(self) -> bool {
        matches!(self, Task::VerifyHead | Task::VerifyStored | Task::VerifyContents)
    }

    fn checks_volumes(self) -> bool {
        matches!(self, Task::VerifyStored | Task::VerifyContents)
    }

    fn reads_volumes(self) -> bool {
        matches!(self, Task::Cat | Task::ExportDirectory | Task::ExportStream | Task::Import)
    }

    /// Returns which of the lost files such a command comes across.
    fn meets(self, lost: &BTreeSet<String>) -> Vec<String> {
        match self {
            Task::Cat => lost.iter().filter(|path| *path == TUNED).cloned().collect(),
            Task::ExportStream => lost.first().cloned().into_iter().collect(),
            _ => lost.iter().cloned().collect(),
        }
    }

    fn expected(self, harm: &Harm) -> Expected {
        let refused = |code, named: &[&str]| {
            let named = named.iter().map(|&named| named.to_owned()).collect();
            Expected { code, named, lost: original().files.keys().cloned().collect() }
        };
        let fine = || Expected { code: 0, named: Vec::new(), lost: BTreeSet::new() };
        match harm {
            Harm::Nothing => fine(),
            Harm::NoBundle => refused(2, &["holds no bundle"]),
            Harm::Untrusted => refused(4, &["/damaged is not trusted: "]),
            Harm::Refused(code, named) => refused(*code, &[named.as_str()]),
            Harm::PageOfPacks(_) if self == Task::List => fine(),
            Harm::PageOfPacks(named) | Harm::PageOfManifest(named) => refused(3, &[named.as_str()]),
            Harm::FileDiffers(named) if self.is_check() => refused(3, &[named.as_str()]),
            Harm::VolumeTail(volume) if self.checks_volumes() => {
                refused(3, &[&format!("damaged: volume {volume}, bytes "), "(F-55): bytes follow its last pack"])
            }
            Harm::FileDiffers(_) | Harm::VolumeTail(_) => fine(),
            Harm::VolumeGone(volume) => {
                let missing = format!("volume {volume} of 2 is missing");
                self.without(&[(*volume, 0..u64::MAX)], 5, &[missing])
            }
            Harm::VolumeRefused(volume) => {
                let named = format!("/volumes/{volume:06}.vol is not a regular file");
                self.without(&[(*volume, 0..u64::MAX)], 3, &[named])
            }
            Harm::Bytes(wound, rule) => self.wounded(wound, *rule),
        }
    }

    /// Returns what is expected where bytes can't be had.
    fn without(self, wound: &[(u32, Range<u64>)], code: i32, named: &[String]) -> Expected {
        let wound = Wound(wound);
        let lost = original().files.keys().filter(|path| wound.of_file(path).is_some()).cloned().collect();
        let is_met = self.checks_volumes() || (self.reads_volumes() && !self.meets(&lost).is_empty());
        let (code, named) = if is_met { (code, named.to_vec()) } else { (0, Vec::new()) };
        let mut expected = Expected { code, named, lost };
        if self == Task::Import && code == 5 {
            // A pack that refers to what is missing waits whole.
            expected.lost.extend(expected.lost.contains(TUNED).then(|| "models/vocab.txt".to_owned()));
        }
        expected
    }

    /// Returns what is expected where bytes differ, and named.
    fn wounded(self, bytes: &[(u32, Range<u64>)], rule: Option<&'static str>) -> Expected {
        let wound = Wound(bytes);
        let mut expected = self.without(bytes, 3, &[]);
        if self.checks_volumes() {
            // Bytes that are not there break the rule of lengths, not that of what they would be.
            let rule_of = |broken: &Broken| format!("({}): ", rule.unwrap_or(broken.rule));
            let findings = wound.findings();
            assert!(!findings.is_empty(), "every byte of a volume is proven by something");
            expected.named.extend(findings.iter().flat_map(|broken| [broken.named(), rule_of(broken)]));
            let needed = expected.lost.iter().filter(|_| self == Task::VerifyContents);
            expected.named.extend(needed.map(|path| format!("\n  affects {path}\n")));
        } else if self.reads_volumes() {
            let causes = self.meets(&expected.lost).into_iter().filter_map(|path| wound.of_file(&path));
            expected.named.extend(causes.map(|broken| broken.named()));
        }
        expected
    }
}

/// A damaged copy of the bundle, with a place for what commands make of it.
struct Bench<'a> {
    top: tempfile::TempDir,
    about: String,
    harm: &'a Harm,
}

impl Bench<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn run(&self, task: Task) {
        let expected = task.expected(self.harm);
        let (damaged, out) = (self.path("damaged"), self.path("out"));
        let place = shown(&damaged);
        let called = match task {
            Task::VerifyHead => original().call(&["verify", place, "--depth", "head"]),
            Task::VerifyStored => original().call(&["verify", place, "--depth", "stored"]),
            Task::VerifyContents => original().call(&["verify", place]),
            Task::List => original().call(&["ls", place]),
            Task::Info => original().call(&["info", place]),
            Task::Cat => original().call(&["cat", place, TUNED]),
            Task::ExportDirectory => original().call(&["export", place, "--to", shown(&out)]),
            Task::ExportStream => original().call(&["export", place, "--to", "-"]),
            Task::Import => self.import_from(&damaged),
        };
        let about = format!("{task:?}, {}", self.about);
        assert_eq!(called.code, expected.code, "{about}\n{}", called.err);
        let all = called.all();
        for named in &expected.named {
            assert!(all.contains(named), "{about} does not name {named:?}:\n{all}");
        }
        let is_refused = matches!(self.harm, Harm::NoBundle | Harm::Untrusted | Harm::Refused(..));
        match task {
            Task::List if expected.code == 0 => {
                let paths = String::from_utf8(called.out).expect("UTF-8");
                assert!(paths.lines().eq(original().files.keys()), "{about}\n{paths}");
            }
            Task::Cat => {
                let due = if expected.code == 0 { &original().files[TUNED][..] } else { b"" };
                assert!(called.out == due, "{about}");
            }
            Task::ExportDirectory => self.check_directory(&expected, &about),
            Task::ExportStream => check_stream(&called.out, &expected, &about),
            Task::Import => self.check_store(&called, &expected, &about),
            Task::VerifyHead | Task::VerifyStored | Task::VerifyContents | Task::List | Task::Info => {
                assert!(!is_refused || called.out.is_empty(), "{about}\n{all}");
            }
        }
    }

    fn import_from(&self, place: &Path) -> Called {
        let (to, state) = (format!("dir:{}", shown(&self.path("store"))), self.path("state"));
        let fixed = ["import", shown(place), "--stream", STREAM, "--to", &to, "--state", shown(&state)];
        let mapped = ["--map", "models=landed/models/", "--map", "datasets=landed/datasets/"];
        original().call(&[&fixed[..], &mapped, &["--enrol", "--create-bucket"]].concat())
    }

    /// What can be had is there and nothing else; the good copy brings the rest.
    fn check_directory(&self, expected: &Expected, about: &str) {
        let out = self.path("out");
        let found = if out.exists() { files_below(&out) } else { BTreeMap::new() };
        let mut due = original().files.clone();
        due.retain(|path, _| !expected.lost.contains(path));
        assert!(found == due, "{about}: {:?}", found.keys());
        let called = original().call(&["export", shown(&original().good()), "--to", shown(&out)]);
        assert_eq!(called.code, 0, "{about}, repeated: {}", called.err);
        assert!(files_below(&out) == original().files, "{about}, repeated");
    }

    /// What can be had has landed and nothing else, or the store is not even made; the good copy
    /// brings the rest.
    fn check_store(&self, called: &Called, expected: &Expected, about: &str) {
        let top = self.path("store");
        if expected.lost.len() == original().files.len() && !matches!(self.harm, Harm::Bytes(..)) {
            assert!(!top.exists(), "{about}: a refused import has written");
        } else {
            assert_same(&objects(&DirectoryStore::new(top.clone())), &original().objects(&expected.lost));
        }
        let healed_count = if let Harm::Bytes(wound, _) = self.harm { Wound(wound).healed_count() } else { 0 };
        assert_eq!(called.err.matches("healed: ").count(), healed_count, "{about}\n{}", called.err);
        let repeated = self.import_from(&original().good());
        assert_eq!(repeated.code, 0, "{about}, repeated: {}", repeated.err);
        assert_same(&objects(&DirectoryStore::new(top)), &original().objects(&BTreeSet::new()));
    }
}

/// The stream ends where the first file that can't be had would begin, or with the end of an archive.
fn check_stream(out: &[u8], expected: &Expected, about: &str) {
    let whole = &original().tar;
    let mut archive = tar::Archive::new(&whole[..]);
    let entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
    let starts = entries.map(|entry| {
        let path = entry.path().expect("a path").to_str().expect("UTF-8").to_owned();
        (path, entry.raw_header_position() as usize)
    });
    let starts: BTreeMap<String, usize> = starts.collect();
    let end = expected.lost.first().map_or(whole.len(), |first| starts[first]);
    assert!(out == &whole[..end], "{about}: {} of {end} bytes", out.len());
}

fn copy_good(to: &Path) {
    for (path, bytes) in files_below(&original().good()) {
        let path = to.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// Runs every command on the good bundle with this fault.
fn run_case(file: &str, fault: &Fault, has_second: bool) {
    let harm = harm_of(file, fault, has_second);
    let about = format!("{file}: {fault:?}, second signature: {has_second}");
    let bench = Bench { top: scratch(), about, harm: &harm };
    let damaged = bench.path("damaged");
    copy_good(&damaged);
    if has_second {
        sign_again(&damaged);
    }
    fault.apply(&damaged, file);
    TASKS.into_iter().for_each(|task| bench.run(task));
}

/// The faults of a whole file of this length.
fn file_faults(len: u64) -> Vec<Fault> {
    let cuts = [0, len / 2, len - 1].map(Fault::Truncate);
    let others = [Fault::Remove, Fault::OfAnotherBundle, Fault::Append, Fault::Symlink, Fault::Fifo, Fault::Directory];
    cuts.into_iter().chain(others).collect()
}

fn len_of(file: &str) -> u64 {
    fs::metadata(original().good().join(file)).expect("it is there").len()
}

#[test]
fn a_head_that_was_not_signed_as_it_is_is_untrusted() {
    let len = len_of("head.json");
    let flips = [0, len / 2, len - 1].map(|at| Fault::Flip(vec![at]));
    for fault in flips.into_iter().chain(file_faults(len)) {
        run_case("head.json", &fault, false);
    }
}

#[test]
fn a_bad_signature_refuses_all_and_a_missing_one_counts_for_nothing() {
    let signature = fs::read(original().good().join("signatures/1.sig")).expect("read");
    // A flipped digit is another digit: the armour stays good, and what it holds differs.
    let digit = |range: Range<u64>| {
        range.into_iter().find(|&at| (signature[at as usize] ^ 1).is_ascii_alphanumeric()).expect("a digit")
    };
    let len = signature.len() as u64;
    let places = [3, digit(KEY_OFFSETS), digit(len - 70..len - 40)];
    let flips: Vec<Fault> = places.into_iter().map(|at| Fault::Flip(vec![at])).collect();
    for fault in flips.iter().chain(&file_faults(len)) {
        run_case("signatures/1.sig", fault, false);
        run_case("signatures/1.sig", fault, true);
    }
    for fault in [Fault::Flip(vec![3]), Fault::Remove, Fault::Truncate(0), Fault::Append, Fault::Fifo] {
        run_case("signatures/2.sig", &fault, true);
    }
}

#[test]
fn damage_of_manifest_pack_table_and_readme_is_named_by_file_and_byte() {
    let head = &original().head;
    for (file, root_len) in [("manifest", head.manifest.root_length), ("packs", head.packs.root_length)] {
        let len = len_of(file);
        let flips = [0, root_len - 1, root_len, len - 1].map(|at| Fault::Flip(vec![at]));
        for fault in flips.into_iter().chain(file_faults(len)) {
            run_case(file, &fault, false);
        }
    }
    for fault in [Fault::Flip(vec![0]), Fault::Remove, Fault::Append, Fault::Symlink] {
        run_case("README.txt", &fault, false);
    }
}

#[test]
fn damage_of_an_index_or_frame_costs_the_files_that_need_it_or_is_healed() {
    for lay in &original().lays {
        let file = if lay.volume == 1 { V1 } else { V2 };
        let (index, copy) = (lay.index.start, lay.copy.end - 1);
        let mut places = vec![vec![index], vec![copy], vec![index, copy]];
        places.extend(lay.frames.iter().map(|frame| vec![frame.start]));
        places.extend(lay.frames.first().map(|frame| vec![index, frame.start]));
        places.extend(lay.frames.last().map(|frame| vec![frame.end - 1]));
        for place in places {
            run_case(file, &Fault::Flip(place), false);
        }
    }
}

#[test]
fn damage_of_a_volume_costs_what_it_carries() {
    for file in [V1, V2] {
        for fault in file_faults(len_of(file)) {
            run_case(file, &fault, false);
        }
    }
    run_case(V1, &Fault::Swap, false);
}

#[test]
fn a_good_copy_on_another_medium_makes_up_for_a_volume_that_is_none() {
    let top = scratch();
    let (bad, good, out) = (top.path().join("bad"), original().good(), top.path().join("out"));
    copy_good(&bad);
    Fault::Fifo.apply(&bad, V1);
    let called = original().call(&["export", shown(&bad), shown(&good), "--to", shown(&out)]);
    assert_eq!(called.code, 0, "{}", called.err);
    assert!(files_below(&out) == original().files);
    // A directory in which the volumes should be is no directory either: the other medium is read.
    fs::remove_dir_all(bad.join("volumes")).expect("removed");
    symlink(good.join("volumes"), bad.join("volumes")).expect("linked");
    let verified = original().call(&["verify", shown(&bad)]);
    assert_eq!(verified.code, 3);
    assert!(verified.all().contains("/volumes is not a directory"), "{}", verified.all());
    let called = original().call(&["cat", shown(&bad), TUNED, "--medium", shown(&good)]);
    assert!(called.code == 0 && called.out == original().files[TUNED], "{}", called.err);
}

/// A file of three packs, the last in a volume of its own, between others.
fn packs_about_a_large_file() -> Vec<HandPack<'static>> {
    let large: Vec<u8> = (0..65 << 8).flat_map(|number: u32| number.to_le_bytes().repeat(1 << 10)).collect();
    let random = |number, len| Random::new(number).bytes(len);
    vec![
        HandPack { volume: 1, files: vec![("models/base.bin", random(1, 9000))] },
        HandPack { volume: 1, files: vec![("models/large.bin", large)] },
        HandPack { volume: 2, files: vec![("models/next.bin", random(2, 7000)), ("models/vocab.txt", random(3, 60))] },
        HandPack { volume: 2, files: vec![("models/zeta.bin", random(4, 5000))] },
    ]
}

#[test]
fn damage_in_the_middle_of_a_large_file_costs_that_file_alone_and_is_named_alone() {
    let top = scratch();
    let (place, out) = (top.path().join("bundle"), top.path().join("out"));
    let lays = by_hand::write(&place, 1, &packs_about_a_large_file());
    let packed = packs_about_a_large_file().into_iter().flat_map(|pack| pack.files);
    let mut files: BTreeMap<_, _> = packed.map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    // The second pack lies behind the first and has as many rows and frames.
    let second = lays[1].copy.end + (lays[1].index.end - lays[1].index.start);
    flip(&place.join(V1), second);
    // Nobody needs the third pack of a file that can't be had.
    flip(&place.join(V2), 0);
    flip(&place.join(V2), lays[2].index.start - 1);
    let arguments = ["export", shown(&place), "--to", shown(&out)];
    let called = original().call(&arguments);
    assert_eq!(called.code, 3, "{}", called.err);
    assert!(called.err.contains("1 file can't be had"), "{}", called.err);
    assert_eq!(called.err.matches("volumes/00000").count(), 1, "{}", called.err);
    assert!(called.err.contains(&format!("bytes {second} to ")), "{}", called.err);
    let large = files.remove("models/large.bin").expect("a file");
    assert!(files_below(&out) == files, "{:?}", files_below(&out).keys());
    // Once the whole copy is there, only this file is written.
    by_hand::write(&place, 1, &packs_about_a_large_file());
    let called = original().call(&arguments);
    assert_eq!(called.code, 0, "{}", called.err);
    files.insert("models/large.bin".to_owned(), large);
    assert!(files_below(&out) == files);
}

/// An attack on trust: how the bundle and the options are changed, and what comes of it.
struct Attack {
    what: &'static str,
    change: fn(&Path),
    /// The allowed signers; nothing where none are named.
    signers: Option<String>,
    options: Vec<String>,
    code: i32,
    named: &'static str,
}

fn attacks(top: &Path) -> Vec<Attack> {
    let ours = || Some(signer_line(signer().line()));
    let both = |principal| ours().map(|line| line + &second_line(principal));
    let options = |list: &[&str]| list.iter().map(|&option| option.to_owned()).collect::<Vec<String>>();
    let revoked = top.join("revoked");
    fs::write(&revoked, format!("{}\n", signer().line())).expect("written");
    let unsigned: fn(&Path) = |bundle| fs::remove_dir_all(bundle.join("signatures")).expect("removed");
    let too_long: fn(&Path) = |bundle| fs::write(bundle.join("signatures/1.sig"), vec![b'A'; 16_385]).expect("written");
    let no_directory: fn(&Path) = |bundle| {
        fs::remove_dir_all(bundle.join("signatures")).expect("removed");
        fs::write(bundle.join("signatures"), b"").expect("written");
    };
    let as_it_is: fn(&Path) = |_| ();
    let case = |what, change, signers, list: &[&str], code, named| Attack {
        what,
        change,
        signers,
        options: options(list),
        code,
        named,
    };
    let narrow = ours().map(|line| line.replace("airlift-head@v1/*", "airlift-head@v1/others-*"));
    let two = ["--threshold", "2"];
    vec![
        case("nobody is named", as_it_is, None, &[], 2, "--allowed-signers"),
        case("the file has no signer", as_it_is, Some(String::new()), &[], 4, "signers is not accepted"),
        case("the key is unknown", as_it_is, Some(second_line("second-team")), &[], 4, "is not trusted"),
        case("the key is revoked", as_it_is, ours(), &["--revoked", shown(&revoked)], 4, "is not trusted"),
        case("the key is for other streams", as_it_is, narrow, &[], 4, "is not trusted"),
        case("one principal of two", as_it_is, ours(), &two, 4, "is not trusted"),
        case("two keys of one principal", sign_again, both("release-team"), &two, 4, "is not trusted"),
        case("two principals", sign_again, both("second-team"), &two, 0, ""),
        case("another stream is expected", as_it_is, ours(), &["--stream", "others"], 4, "is not trusted"),
        case("the directory of signatures is gone", unsigned, ours(), &[], 4, "there is no signature"),
        case("a signature is too long", too_long, ours(), &[], 4, "/signatures/1.sig has 16385 bytes"),
        case("a file is where signatures belong", no_directory, ours(), &[], 3, "/signatures is not a directory"),
    ]
}

#[test]
fn what_is_not_trusted_is_neither_shown_nor_written() {
    let top = scratch();
    for (number, attack) in attacks(top.path()).into_iter().enumerate() {
        let dir = top.path().join(number.to_string());
        let (bundle, out, signers) = (dir.join("bundle"), dir.join("out"), dir.join("signers"));
        copy_good(&bundle);
        (attack.change)(&bundle);
        let (place, to) = (shown(&bundle), format!("dir:{}", shown(&dir.join("store"))));
        let state = dir.join("state");
        let imported = [
            &["import", place, "--to", &to, "--state", shown(&state), "--map", "models=m/", "--map", "datasets=d/"][..],
            &["--enrol", "--create-bucket"],
        ];
        let imported = imported.concat();
        let calls: [&[&str]; 7] = [
            &["verify", place],
            &["ls", place],
            &["info", place],
            &["cat", place, TUNED],
            &["export", place, "--to", shown(&out)],
            &["export", place, "--to", "-"],
            &imported,
        ];
        for arguments in calls {
            let mut command = airlift(arguments);
            command.args(&attack.options);
            if arguments[0] == "import" && !attack.options.iter().any(|option| option == "--stream") {
                command.args(["--stream", STREAM]);
            }
            if let Some(lines) = &attack.signers {
                fs::write(&signers, lines).expect("written");
                command.arg("--allowed-signers").arg(&signers);
            }
            let called = Called::of(command);
            let about = format!("{}, {}: {}", attack.what, arguments[0], called.err);
            assert_eq!(called.code, attack.code, "{about}");
            assert!(called.err.contains(attack.named), "{about}");
            assert_eq!(called.out.is_empty(), attack.code != 0, "{about}");
        }
        assert_eq!((out.exists(), dir.join("store").exists()), (attack.code == 0, attack.code == 0), "{}", attack.what);
    }
}
