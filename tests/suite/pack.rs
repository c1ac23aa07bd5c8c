//! Packing whole trees.

use crate::fixture::directory;
use crate::model::{self, Content};
use crate::tree::{self, Random, Tree};
use airlift::error::Class;
use airlift::format::index::RowSource;
use airlift::format::limits::VOLUME_LEN_MIN;
use airlift::format::{Name, Time};
use airlift::media::Medium;
use airlift::pipeline::bundle::{Bundle, sources_of};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::lookup::Lookup;
use airlift::pipeline::pack::{PackError, PackOptions, PackReport, pack};
use airlift::pipeline::progress::{Progress, Quiet};
use airlift::pipeline::walk::{Links, Unsupported};
use airlift::trust::UntrustedHead;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const MIB: usize = 1 << 20;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A place with roots and room for bundles.
struct Place {
    dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn new(tree: &Tree) -> Place {
        let temporary = directory();
        tree::write(temporary.path(), tree);
        Place { dir: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns options for all of the roots that the tree has.
    fn options(&self, out: &str, tree: &Tree) -> PackOptions {
        let mut roots: Vec<&str> = tree.keys().filter_map(|path| path.split('/').next()).collect();
        roots.dedup();
        PackOptions {
            roots: roots.iter().map(|root| (name(root), self.path(root))).collect(),
            links: Links::Refuse,
            unsupported: Unsupported::Refuse,
            exclude: Vec::new(),
            out: self.path(out),
            stream: name("models"),
            counter: 1,
            volume_len: VOLUME_LEN_MIN,
            threads: 2.try_into().unwrap(),
            index_budget_len: 16 * MIB,
            sort_budget_len: 16 * MIB,
            created_at: Time::from_unix(1_790_000_000),
            previous: None,
            not_after: None,
            audience: None,
            attachments: Vec::new(),
            ext: BTreeMap::new(),
        }
    }
}

fn packed(options: &PackOptions) -> PackReport {
    pack(options, &Quiet).unwrap()
}

fn checked(options: &PackOptions, tree: &Tree) -> Content {
    let content = model::read(&options.out);
    assert!(content.entries.keys().eq(tree.keys()), "other entries");
    for (path, bytes) in tree {
        assert!(content.entries[path] == *bytes, "{path} differs");
    }
    content
}

/// Returns all files of a bundle.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (path.join(below), bytes)));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found.into_iter().map(|(path, bytes)| (path.strip_prefix(dir).unwrap().to_owned(), bytes)).collect()
}

fn assert_same_bundle(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert!(one.keys().eq(other.keys()), "{:?} {:?}", one.keys(), other.keys());
    for (path, bytes) in &one {
        assert!(*bytes == other[path], "{} differs", path.display());
    }
}

/// About 170 MiB of everything: a file of several parts of weights, one of noise, one just above 32
/// MiB with one part, text, repeated files, empty files and directories, two roots.
fn mixed() -> Tree {
    let mut random = Random::new(1);
    let mut tree = Tree::new();
    let weights = random.safetensors(&[5 * MIB, 300, 41 * MIB + 6, 20 * MIB, 4096]);
    let text = random.text(3 * MIB);
    tree.insert("data/notes.txt".into(), Some(text.clone()));
    tree.insert("data/one-part".into(), Some(random.bytes(32 * MIB + 500)));
    tree.insert("models/empty".into(), Some(Vec::new()));
    tree.insert("models/nothing/here".into(), None);
    tree.insert("models/m/a.safetensors".into(), Some(weights.clone()));
    tree.insert("models/m/b.bin".into(), Some(random.bytes(35 * MIB)));
    tree.insert("models/m/copy.safetensors".into(), Some(weights));
    tree.insert("models/m/notes.txt".into(), Some(text.clone()));
    tree.insert("models/m/notes2.txt".into(), Some(text));
    for number in 0..500 {
        let len = random.below(9000) as usize;
        tree.insert(format!("models/small/{number}.json"), Some(random.text(len)));
    }
    tree
}

#[test]
fn every_byte_comes_back_the_same_for_any_number_of_threads() {
    let tree = mixed();
    let place = Place::new(&tree);
    let one = PackOptions { threads: 1.try_into().unwrap(), ..place.options("one", &tree) };
    let four = PackOptions { threads: 4.try_into().unwrap(), ..place.options("four", &tree) };
    let report = packed(&one);
    packed(&four);
    assert_same_bundle(&one.out, &four.out);
    let content = checked(&one, &tree);
    assert_eq!(content.head, report.head);
    assert!(content.head.volumes.count > 1);
    let figures = report.figures.unwrap();
    assert_eq!(figures.new_len + figures.repeat_len + figures.reference_len, content.head.totals.bytes);
    assert!(figures.planes.stored_len < figures.planes.raw_len * 9 / 10, "{figures:?}");
    assert!(figures.reference_len > 60 << 20, "{figures:?}");
    assert!(!one.out.join(".pack").exists());
}

#[test]
fn content_does_not_depend_on_the_volume_size() {
    let tree = mixed();
    let place = Place::new(&tree);
    let small = packed(&place.options("small", &tree));
    let large = packed(&PackOptions { volume_len: 1 << 40, ..place.options("large", &tree) });
    assert_eq!(large.head.volumes.count, 1);
    assert!(small.head.volumes.count > 1);
    assert_eq!((small.head.content_id, small.head.tree_id), (large.head.content_id, large.head.tree_id));
    checked(&place.options("large", &tree), &tree);
}

#[test]
fn tree_id_is_that_of_coreutils() {
    let mut tree = Tree::new();
    let mut random = Random::new(2);
    for path in ["b/x", "b/x y/z", "b/x.y", "b/x/", "a/é", "a/%41", "b/empty"] {
        if !path.ends_with('/') {
            let len = random.below(200_000) as usize;
            tree.insert(path.into(), Some(if path == "b/empty" { Vec::new() } else { random.text(len) }));
        }
    }
    let place = Place::new(&tree);
    let report = packed(&place.options("out", &tree));
    let command = "find a b -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum";
    let output = Command::new("sh").args(["-c", command]).current_dir(&place.dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.split(' ').next(), Some(report.head.tree_id.to_string().as_str()));
}

/// Many small files, a tenth of them with bytes that others have too.
fn many_small(count: u64) -> Tree {
    let mut random = Random::new(3);
    let mut tree = Tree::new();
    for number in 0..count {
        let seed = if number % 10 == 0 { random.below(100) } else { 1000 + number };
        let mut content = Random::new(seed);
        let len = 200 + content.below(3000) as usize;
        let path = format!("models/{:02}/{}/file-{number}.txt", number % 37, number % 11);
        tree.insert(path, Some(content.text(len)));
    }
    // Twice, so that whole runs of files are referred to.
    let copy: Vec<_> = tree.iter().map(|(path, bytes)| (path.replacen('/', "/zz/", 1), bytes.clone())).collect();
    tree.extend(copy.into_iter().take(count as usize / 2));
    tree
}

#[test]
fn one_mebibyte_packs_200_000_files_to_the_same_volumes() {
    // Two thirds of them, and a third that are copies.
    let tree = many_small(133_334);
    assert!(tree.len() >= 200_000);
    let place = Place::new(&tree);
    let large = place.options("large", &tree);
    let tiny = PackOptions { index_budget_len: MIB / 2, sort_budget_len: MIB / 2, ..place.options("tiny", &tree) };
    packed(&large);
    packed(&tiny);
    assert_same_bundle(&large.out, &tiny.out);
    let content = checked(&tiny, &tree);
    let (new, repeats, references) = content.counts();
    assert!(new > 100_000 && repeats > 10_000 && references > 10_000, "{new} {repeats} {references}");
}

/// Stops a pack when it has been told a number of times that something was done.
struct StopAfter {
    calls_left: AtomicU64,
    volumes_left: AtomicU64,
    is_packing: AtomicBool,
    read_len: AtomicU64,
    volumes: Mutex<Vec<String>>,
}

impl StopAfter {
    fn new(calls: u64, volumes: u64) -> StopAfter {
        StopAfter {
            calls_left: AtomicU64::new(calls),
            volumes_left: AtomicU64::new(volumes),
            is_packing: AtomicBool::new(false),
            read_len: AtomicU64::new(0),
            volumes: Mutex::default(),
        }
    }
}

impl Progress for StopAfter {
    fn begin(&self, phase: &'static str, _: u64, _: u64) {
        self.is_packing.store(phase == "pack", Ordering::Relaxed);
    }

    fn advance(&self, len: u64, _: u64) {
        if self.is_packing.load(Ordering::Relaxed) {
            self.read_len.fetch_add(len, Ordering::Relaxed);
            let _ = self.calls_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        }
    }

    fn now_at(&self, what: &str) {
        if what.ends_with(".vol") {
            self.volumes.lock().unwrap().push(what.to_owned());
            let _ = self.volumes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        }
    }

    fn note(&self, _: &str) {}

    fn is_cancelled(&self) -> bool {
        self.calls_left.load(Ordering::Relaxed) == 0 || self.volumes_left.load(Ordering::Relaxed) == 0
    }
}

/// Asks to stop once everything was listed, and says whether packing began all the same.
struct StopWhenListed {
    listed_left: AtomicU64,
    /// Questions behind the last report that are still answered with no: the walk itself asks too.
    patience: AtomicU64,
    begun: Mutex<Vec<&'static str>>,
}

impl Progress for StopWhenListed {
    fn begin(&self, phase: &'static str, _: u64, _: u64) {
        self.begun.lock().unwrap().push(phase);
    }

    fn advance(&self, _: u64, count: u64) {
        let listed = |left: u64| Some(left.saturating_sub(count));
        let _ = self.listed_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, listed);
    }

    fn now_at(&self, _: &str) {}
    fn note(&self, _: &str) {}

    fn is_cancelled(&self) -> bool {
        let spend = |left: u64| left.checked_sub(1);
        self.listed_left.load(Ordering::Relaxed) == 0
            && self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err()
    }
}

#[test]
fn a_stop_is_heeded_between_listing_and_packing() {
    let tree = many_small(9000);
    let place = Place::new(&tree);
    let out = place.options("out", &tree);
    let file_count = tree.values().filter(|content| content.is_some()).count() as u64;
    let (listed_left, patience) = (AtomicU64::new(file_count), AtomicU64::new(2));
    let progress = StopWhenListed { listed_left, patience, begun: Mutex::default() };
    let stopped = pack(&out, &progress);
    assert!(matches!(&stopped, Err(error) if error.class() == Class::Interrupted), "{stopped:?}");
    assert_eq!(*progress.begun.lock().unwrap(), ["list"]);
    packed(&out);
    checked(&out, &tree);
}

/// Five volumes: small files before, between and behind files of several parts, one of which stretches
/// over three volumes, and copies that refer to what earlier volumes carry.
fn long() -> Tree {
    let mut random = Random::new(4);
    let mut tree = Tree::new();
    let weights = random.safetensors(&[41 * MIB + 6, 300, 40 * MIB]);
    tree.insert("data/weights".into(), Some(weights.clone()));
    tree.insert("models/a".into(), Some(weights.clone()));
    tree.insert("models/large".into(), Some(random.bytes(150 * MIB)));
    tree.insert("models/n".into(), Some(random.bytes(20 * MIB)));
    tree.insert("models/o".into(), Some([random.bytes(20 * MIB), weights].concat()));
    for number in 0..600 {
        let (root, len) = (["data/few", "models/b", "models/m"][number % 3], random.below(9000) as usize);
        tree.insert(format!("{root}/{number}.json"), Some(random.text(len)));
    }
    tree
}

#[test]
fn a_stopped_pack_goes_on_and_gives_the_same_bundle() {
    let tree = long();
    let place = Place::new(&tree);
    let whole = place.options("whole", &tree);
    let head = packed(&whole).head;
    checked(&whole, &tree);
    assert!(head.volumes.count >= 4, "{}", head.volumes.count);
    let total_len = head.totals.bytes;
    let out = place.options("out", &tree);
    // After so many reports, or at the end of a volume: the first, the second, ...
    let stops = [(3, 99), (150, 99), (250, 99), (999, 1), (999, 2), (999, 3)];
    for (calls, volumes) in stops {
        let stopped = pack(&out, &StopAfter::new(calls, volumes));
        assert!(matches!(&stopped, Err(error) if error.class() == Class::Interrupted), "{stopped:?}");
        assert!(!out.out.join("head.json").exists());
        // The time at which the first run began counts.
        let again = PackOptions { created_at: Time::from_unix(1_800_000_000), ..out.clone() };
        let progress = StopAfter::new(u64::MAX, u64::MAX);
        let report = pack(&again, &progress).unwrap();
        assert_same_bundle(&whole.out, &out.out);
        let read_len = progress.read_len.load(Ordering::Relaxed);
        let finished_count = report.resumed_behind.map_or(0, |volume| u64::from(volume.number()));
        if volumes < 99 {
            assert_eq!(finished_count, volumes);
        }
        // What finished volumes carry was not read again; a volume that ends early lacks one pack at most.
        let spared_len = finished_count * (VOLUME_LEN_MIN - (36 << 20));
        assert!(read_len <= total_len - spared_len, "{read_len} of {total_len} behind {finished_count}");
        assert!(finished_count > 0 || read_len == total_len);
        assert_eq!(progress.volumes.lock().unwrap()[0], format!("{:06}.vol", finished_count + 1));
        fs::remove_dir_all(&out.out).unwrap();
    }
}

#[test]
fn stopping_at_every_volume_still_ends() {
    let tree = long();
    let place = Place::new(&tree);
    let whole = place.options("whole", &tree);
    let volume_count = packed(&whole).head.volumes.count;
    let out = place.options("out", &tree);
    let mut run_count = 1;
    while let Err(error) = pack(&out, &StopAfter::new(u64::MAX, 1)) {
        assert_eq!(error.class(), Class::Interrupted, "{error}");
        run_count += 1;
    }
    assert_eq!(run_count, volume_count);
    assert_same_bundle(&whole.out, &out.out);
}

#[test]
fn a_pack_stopped_between_last_volume_and_head_reads_nothing_again() {
    let tree = Tree::from([("data/x".into(), Some(b"x".to_vec()))]);
    let place = Place::new(&tree);
    let sbom = place.path("sbom");
    fs::write(&sbom, b"one").unwrap();
    let options = PackOptions { attachments: vec![(name("sbom"), sbom.clone())], ..place.options("out", &tree) };
    let change = || fs::write(&sbom, b"two").unwrap();
    let error = pack(&options, &ChangeWhenAt { path: "000001.vol", change: &change }).unwrap_err();
    assert!(matches!(error, PackError::AttachmentChanged { .. }), "{error}");
    fs::write(&sbom, b"one").unwrap();
    let progress = StopAfter::new(u64::MAX, u64::MAX);
    let report = pack(&options, &progress).unwrap();
    assert_eq!(progress.read_len.load(Ordering::Relaxed), 0);
    assert_eq!(report.figures.unwrap().new_len, 1);
    checked(&options, &tree);
}

#[test]
fn a_torn_or_damaged_journal_costs_work_and_nothing_else() {
    let tree = long();
    let place = Place::new(&tree);
    let whole = place.options("whole", &tree);
    packed(&whole);
    let out = place.options("out", &tree);
    let state = out.out.join(".pack");
    type Harm = fn(&Path);
    let harms: [Harm; 4] = [
        |state| {
            let journal = fs::read(state.join("journal")).unwrap();
            fs::write(state.join("journal"), &journal[..journal.len() - 9]).unwrap();
        },
        |state| {
            let mut journal = fs::read(state.join("journal")).unwrap();
            let middle = journal.len() / 2;
            journal[middle] ^= 1;
            fs::write(state.join("journal"), journal).unwrap();
        },
        |state| {
            let mut rows = fs::read(state.join("packed-rows")).unwrap();
            rows[70] ^= 1;
            fs::write(state.join("packed-rows"), rows).unwrap();
        },
        |state| fs::write(state.join("journal"), b"").unwrap(),
    ];
    for harm in harms {
        pack(&out, &StopAfter::new(999, 2)).unwrap_err();
        harm(&state);
        packed(&out);
        assert_same_bundle(&whole.out, &out.out);
        fs::remove_dir_all(&out.out).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_what_the_next_one_needs() {
    const CHILD: &str = "AIRLIFT_TEST_PACK_CHILD";
    if let Some(dir) = std::env::var_os(CHILD) {
        let roots = Tree::from([("data/x".into(), None), ("models/x".into(), None)]);
        let place = Place { dir: dir.into(), _temporary: None };
        packed(&place.options("out", &roots));
        return;
    }
    let tree = long();
    let place = Place::new(&tree);
    let whole = place.options("whole", &tree);
    packed(&whole);
    let out = place.options("out", &tree);
    // Killed when this file is there: while the first volume is written, behind it, and so on.
    for file in [".pack/volume.part", "volumes/000001.vol", "volumes/000002.vol", "volumes/000003.vol"] {
        let test = "pack::a_killed_process_leaves_what_the_next_one_needs";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env(CHILD, &place.dir).stdout(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        while !out.out.join(file).exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let report = packed(&out);
    assert!(report.resumed_behind.is_some() || report.figures.is_none());
    assert_same_bundle(&whole.out, &out.out);
}

/// Changes a file when reading has come to it.
struct ChangeWhenAt<'a> {
    path: &'a str,
    change: &'a (dyn Fn() + Sync),
}

impl Progress for ChangeWhenAt<'_> {
    fn begin(&self, _: &'static str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}

    fn now_at(&self, what: &str) {
        if what == self.path {
            (self.change)();
        }
    }
}

#[test]
fn a_file_that_changes_is_named_and_there_is_no_head() {
    let path = "models/m/b.bin";
    let tree = mixed();
    let place = Place::new(&tree);
    let file = place.path(path);
    let longer = || fs::write(&file, vec![7; 36 * MIB]).unwrap();
    let shorter = || fs::write(&file, b"x").unwrap();
    let gone = || fs::remove_file(&file).unwrap();
    let touched = || fs::write(&file, fs::read(&file).unwrap()).unwrap();
    let changes: [&(dyn Fn() + Sync); 4] = [&touched, &longer, &shorter, &gone];
    for change in changes {
        let options = place.options("out", &tree);
        let error = pack(&options, &ChangeWhenAt { path, change }).unwrap_err();
        assert_eq!(error.class(), Class::Failed);
        assert!(error.to_string().contains(path), "{error}");
        assert!(!options.out.join("head.json").exists());
        fs::remove_dir_all(&options.out).unwrap();
        fs::write(&file, tree[path].as_ref().unwrap()).unwrap();
    }
}

#[test]
fn what_a_finished_volume_holds_must_not_have_changed() {
    let tree = long();
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    pack(&options, &StopAfter::new(999, 1)).unwrap_err();
    fs::write(place.path("data/a-new-file"), b"new").unwrap();
    let error = pack(&options, &Quiet).unwrap_err();
    assert!(matches!(&error, PackError::ChangedSince { path } if path.as_str() == "data/a-new-file"), "{error:?}");
    assert_eq!(error.class(), Class::Failed);
    fs::remove_file(place.path("data/a-new-file")).unwrap();
    // What is not packed yet may change.
    fs::write(place.path("models/zz"), b"new").unwrap();
    packed(&options);
    let mut tree = tree;
    tree.insert("models/zz".into(), Some(b"new".to_vec()));
    checked(&options, &tree);
}

#[test]
fn other_arguments_are_a_usage_error() {
    let tree = mixed();
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    pack(&options, &StopAfter::new(40, 99)).unwrap_err();
    let class = |options: &PackOptions| pack(options, &Quiet).unwrap_err().class();
    let others = [
        PackOptions { counter: 2, ..options.clone() },
        PackOptions { stream: name("other"), ..options.clone() },
        PackOptions { volume_len: 65 << 20, ..options.clone() },
        PackOptions { audience: Some(name("lab")), ..options.clone() },
        PackOptions { roots: options.roots[..1].to_vec(), ..options.clone() },
        PackOptions { links: Links::FollowInside, ..options.clone() },
        PackOptions { exclude: vec![Glob::parse("small/**").unwrap()], ..options.clone() },
        PackOptions { ext: BTreeMap::from([(name("place"), "here".to_owned())]), ..options.clone() },
    ];
    for other in &others {
        assert_eq!(class(other), Class::Usage);
    }
    // Threads and memory are free.
    let other = PackOptions { threads: 3.try_into().unwrap(), index_budget_len: MIB, ..options.clone() };
    let head = packed(&other).head;
    // Finished: the same arguments find it done, others are refused.
    let report = packed(&options);
    assert_eq!((report.head, report.figures), (head, None));
    assert_eq!(class(&others[0]), Class::Usage);
    assert_eq!(class(&others[3]), Class::Usage);
    assert_eq!(class(&others[7]), Class::Usage);
}

#[test]
fn a_stopped_pack_goes_on_without_what_is_left_out() {
    let tree = mixed();
    let place = Place::new(&tree);
    let glob = |text: &str| Glob::parse(text).unwrap();
    let ext = BTreeMap::from([(name("place"), "here".to_owned())]);
    let options = PackOptions { exclude: vec![glob("small"), glob("m/*.txt")], ext, ..place.options("out", &tree) };
    pack(&options, &StopAfter::new(40, 99)).unwrap_err();
    // The order of the globs says nothing.
    let report = packed(&PackOptions { exclude: vec![glob("m/*.txt"), glob("small")], ..options.clone() });
    assert_eq!(report.excluded, [2, 1]);
    assert_eq!(report.head.ext, options.ext);
    let is_left_out = |path: &str| path.starts_with("models/small/") || path.starts_with("models/m/notes");
    let rest: Tree = tree.into_iter().filter(|(path, _)| !is_left_out(path)).collect();
    checked(&options, &rest);
}

#[test]
fn refuses_bad_arguments_before_any_work() {
    let tree = Tree::from([("data/x".into(), Some(b"x".to_vec())), ("data/sub/y".into(), Some(b"y".to_vec()))]);
    let place = Place::new(&tree);
    let good = place.options("out", &tree);
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/file"), b"mine").unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("long"), vec![0; 16 * MIB + 1]).unwrap();
    let sbom = |path: &str| (name("sbom"), place.path(path));
    let content_id = airlift::format::Digest::of(b"");
    let previous = Some(airlift::format::head::Release { counter: 1, content_id });
    let cases = [
        PackOptions { volume_len: VOLUME_LEN_MIN - 1, ..good.clone() },
        PackOptions { counter: 0, ..good.clone() },
        PackOptions { counter: 1 << 53, ..good.clone() },
        PackOptions { previous, ..good.clone() },
        PackOptions { not_after: Some(Time::from_unix(1)), ..good.clone() },
        PackOptions { out: place.path("full"), ..good.clone() },
        PackOptions { out: place.path("data/sub/out"), ..good.clone() },
        PackOptions { roots: vec![(name("data"), place.path("absent"))], ..good.clone() },
        PackOptions { roots: vec![(name("e"), place.path("empty"))], ..good.clone() },
        PackOptions { attachments: vec![sbom("long")], ..good.clone() },
        PackOptions { attachments: vec![sbom("data/x"); 65], ..good.clone() },
    ];
    for options in cases {
        let error = pack(&options, &Quiet).unwrap_err();
        assert_eq!(error.class(), Class::Usage, "{error}");
        assert!(!options.out.join("head.json").exists());
        let _ = fs::remove_dir_all(place.path("out"));
    }
    assert_eq!(fs::read(place.path("full/file")).unwrap(), b"mine");
    assert_eq!(files(&place.path("full")).len(), 1);
}

#[test]
fn two_packs_never_share_an_output() {
    let tree = mixed();
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    let second = Mutex::new(None);
    let change = || *second.lock().unwrap() = Some(pack(&options, &Quiet));
    pack(&options, &ChangeWhenAt { path: "models/m/b.bin", change: &change }).unwrap();
    let second = second.into_inner().unwrap();
    assert!(matches!(second, Some(Err(PackError::OutputLocked { .. }))), "{second:?}");
}

#[test]
fn attachments_and_all_fields_of_the_head_arrive() {
    let tree = Tree::from([("data/x".into(), Some(b"x".to_vec()))]);
    let place = Place::new(&tree);
    fs::write(place.path("sbom.json"), b"{}").unwrap();
    fs::write(place.path("nothing"), b"").unwrap();
    let content_id = airlift::format::Digest::of(b"before");
    let options = PackOptions {
        counter: 9,
        previous: Some(airlift::format::head::Release { counter: 8, content_id }),
        not_after: Some(Time::from_unix(1_800_000_000)),
        audience: Some(name("lab")),
        attachments: vec![(name("sbom"), place.path("sbom.json")), (name("licence"), place.path("nothing"))],
        ..place.options("out", &tree)
    };
    packed(&options);
    let head = checked(&options, &tree).head;
    assert_eq!((head.counter, head.previous, head.not_after), (9, options.previous, options.not_after));
    assert_eq!(head.audience, options.audience);
    assert_eq!(fs::read(options.out.join("attachments/01")).unwrap(), b"{}");
    let readme = fs::read_to_string(options.out.join("README.txt")).unwrap();
    assert!(readme.starts_with("This is release 9 of models"), "{readme}");
}

#[test]
fn duplicates_are_referred_to_repeated_or_carried_again() {
    let mut random = Random::new(5);
    let shared = random.bytes(MIB);
    let large: Vec<u8> = [random.bytes(33 * MIB), shared.clone(), random.bytes(40 * MIB), shared.clone()].concat();
    let mut tree = Tree::new();
    tree.insert("a/1-large".into(), Some(large.clone()));
    tree.insert("a/2-copy".into(), Some(shared.clone()));
    tree.insert("a/3-again".into(), Some(shared.clone()));
    tree.insert("a/4-large-copy".into(), Some(large));
    tree.insert("b/1-other-root".into(), Some(shared.clone()));
    tree.insert("b/2-second".into(), Some(shared.clone()));
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    packed(&options);
    let content = checked(&options, &tree);
    let sources = |path: &str| content.sources_of(path);
    // Within its own file nothing is referred to, whichever part has it.
    assert!(sources("a/1-large").iter().all(|source| !matches!(source, RowSource::Reference { .. })));
    let is_reference = |source: &&RowSource| matches!(source, RowSource::Reference { .. });
    let is_repeat = |source: &&RowSource| matches!(source, RowSource::Repeat { .. });
    let copy = sources("a/2-copy");
    // The edges of the shared bytes lie in chunks that also have others.
    assert!(copy.iter().filter(is_reference).count() + 3 >= copy.len(), "{copy:?}");
    let again = sources("a/3-again");
    assert_eq!(again.iter().filter(is_repeat).count(), again.len());
    let large_copy = sources("a/4-large-copy");
    // Only its last chunk may be too short for a reference to be worth it.
    let (_, before_last) = large_copy.split_last().expect("rows");
    assert!(before_last.iter().all(|source| is_reference(&source) || is_repeat(&source)));
    // Another root refers to nothing of the first, but a pack repeats what it has.
    assert!(sources("b/1-other-root").iter().all(|source| !is_reference(&source)));
    assert_eq!(sources("b/2-second").iter().filter(is_repeat).count(), sources("b/2-second").len());
}

#[test]
fn limits_of_packs_are_kept_at_their_edges() {
    let mut random = Random::new(6);
    let mut tree = Tree::new();
    // Directly at and around the raw length of a pack and the bound of a part.
    for (number, len) in [32 * MIB - 1, 32 * MIB, 32 * MIB + 1, 33 * MIB, 64 * MIB].into_iter().enumerate() {
        tree.insert(format!("edge/{number}"), Some(random.bytes(len)));
        tree.insert(format!("edge/{number}-empty"), Some(Vec::new()));
        tree.insert(format!("edge/{number}-none"), None);
    }
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    packed(&options);
    let content = checked(&options, &tree);
    let mut runs = Vec::new();
    let mut pieces: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for pack in &content.packs {
        match pack.pieces.iter().find(|piece| piece.file.is_some() && !(piece.part.number == 1 && piece.part.is_last)) {
            Some(piece) => pieces.entry(piece.path.as_str()).or_default().push(pack.raw_len),
            None => runs.push((pack.pack.entry_count, pack.raw_len)),
        }
    }
    // A run is full at 32 MiB; a file above that of one part is alone; empty entries follow it.
    let full = 32 * MIB as u64;
    assert_eq!(runs, [(3, full - 1), (3, full), (1, full + 1), (2, 0), (2, 0), (2, 0)]);
    for (path, len) in [("edge/3", 33 * MIB as u64), ("edge/4", 64 * MIB as u64)] {
        let [first, last] = pieces[path][..] else { panic!("{path}: {pieces:?}") };
        // A part ends with the first chunk that reaches 32 MiB.
        assert!((full..full + MIB as u64).contains(&first) && first + last == len, "{path}: {first} {last}");
    }
    assert_eq!(pieces.len(), 2);
}

#[test]
fn more_entries_than_a_pack_may_have() {
    let mut tree = Tree::new();
    for number in 0..66_000 {
        tree.insert(format!("many/{}/{number}", number % 100), Some(format!("{number}").into_bytes()));
    }
    let roots = ["a", "many-more", "many", "z"];
    roots.iter().for_each(|root| drop(tree.insert(format!("{root}/file"), Some(Vec::new()))));
    let place = Place::new(&tree);
    let options = place.options("out", &tree);
    packed(&options);
    let content = checked(&options, &tree);
    assert_eq!(content.packs.len(), 2);
    let media = [Arc::new(Medium::open(&options.out).unwrap())];
    let head = UntrustedHead::decode(&content.head.encode()).unwrap();
    let bundle = Bundle::open_untrusted(&head, sources_of(&media)).unwrap();
    assert!(bundle.manifest().pages.len() > 4);
    assert_eq!(Lookup::new().roots(&bundle).unwrap(), roots);
}
