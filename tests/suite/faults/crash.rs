//! Power cuts: at every step of a disk and in every state in which it may be left, repeating ends as a
//! clean run does, and what is finished is there.

use super::disk::{Disk, Recorder, State, Trouble, put_state, state_of};
use super::scene::{Extent, Host, Release, Scene};
use crate::fixture::{name, pack_options, scratch};
use crate::tree::{self, Random, Tree};
use airlift::machine::Machine;
use airlift::media::find;
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::pack::{PackOptions, pack, pack_on};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::write::{Earlier, WriteOptions, write, write_on};
use airlift::store::{Call, MemoryStore, Store, StoreError, Watched};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::new(7, Extent::Small));

/// A tree and an attachment to be packed, and where.
pub(super) struct Source {
    pub(super) directory: tempfile::TempDir,
    pub(super) clean: State,
}

impl Source {
    pub(super) fn new(files: &Tree) -> Source {
        let directory = scratch();
        tree::write(&directory.path().join("tree"), files);
        fs::write(directory.path().join("sbom"), b"what is in it").expect("written");
        let mut source = Source { directory, clean: State::new() };
        pack(&source.options("clean"), &Quiet).expect("packed");
        source.clean = state_of(&source.path("clean").join("out"));
        source
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns options for a bundle in a place of its own.
    pub(super) fn options(&self, place: &str) -> PackOptions {
        let place = self.path(place);
        fs::create_dir_all(&place).expect("made");
        let roots = ["datasets", "models"].map(|root| (name(root), self.path("tree").join(root))).to_vec();
        PackOptions {
            attachments: vec![(name("sbom"), self.path("sbom"))],
            ..pack_options(roots, &place.join("out"), 1)
        }
    }
}

pub(super) fn small_tree() -> Tree {
    let mut random = Random::new(3);
    let mut tree = Tree::new();
    for (path, len) in [("models/a/one", 900), ("models/a/two", 40_000), ("models/lock", 0), ("datasets/text", 2000)] {
        tree.insert(path.to_owned(), Some(random.bytes(len)));
    }
    tree.insert("datasets/empty".to_owned(), None);
    tree
}

/// Packs once, then goes on from every state in which a power cut at these steps may leave the output.
fn survives_power_cuts(source: &Source, steps: &dyn Fn(&Recorder) -> Range<u64>) -> usize {
    let top = source.path("work");
    let options = source.options("work");
    let before = Disk::of(&top);
    let recorder = Arc::new(Recorder::new(Trouble::None));
    pack_on(&Machine::behind(Arc::clone(&recorder) as _), &options, &Quiet).expect("packed");
    let (mut count, end) = (0, recorder.step_count());
    for at in steps(&recorder) {
        let mut disk = before.clone();
        disk.replay(&recorder, at);
        for state in disk.crash_states() {
            count += 1;
            let about = format!("cut before step {at} of {end} ({:?})", recorder.step_before(at));
            let left: State = below(&state, Path::new("out"));
            if at == end || left.contains_key(Path::new("head.json")) {
                let kept: State = left.into_iter().filter(|(path, _)| !path.starts_with(".pack")).collect();
                assert!(kept == source.clean, "{about}: a bundle with a head is not whole: {:?}", kept.keys());
            }
            put_state(&top, &state);
            let repeated = pack(&options, &Quiet);
            let report = repeated.unwrap_or_else(|error| panic!("{about}: {error} {:?}", state.keys()));
            let found = state_of(&options.out);
            assert!(found == source.clean, "{about}: another bundle: {:?}, from {:?}", found.keys(), state.keys());
            if report.figures.is_some() {
                let behind = report.resumed_behind.map_or(0, |volume| volume.number() as usize);
                let journalled = recorder.synced_count(at, "journal");
                assert!(behind >= journalled, "{about}: {behind} volumes are kept of {journalled}");
            }
        }
    }
    count
}

fn below(state: &State, top: &Path) -> State {
    let inside = state.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(top).ok()?, bytes)));
    inside
        .filter(|(path, _)| !path.as_os_str().is_empty())
        .map(|(path, bytes)| (path.to_owned(), bytes.clone()))
        .collect()
}

#[test]
fn a_pack_goes_on_from_every_state_that_a_power_cut_leaves() {
    let source = Source::new(&small_tree());
    let count = survives_power_cuts(&source, &|recorder| 0..recorder.step_count() + 1);
    assert!(count > 200, "{count} states");
}

#[test]
fn a_finished_volume_outlives_every_power_cut() {
    let mut tree = small_tree();
    let mut random = Random::new(4);
    for number in 0..3 {
        tree.insert(format!("models/noise/{number}"), Some(random.bytes(30 << 20)));
    }
    let source = Source::new(&tree);
    let count = survives_power_cuts(&source, &|recorder| {
        let first = recorder.first_rename_to("000001.vol").expect("a volume is finished");
        first - 1..first + 8
    });
    assert!(count > 20, "{count} states");
}

/// Imports until the machine is cut off before a step; returns whether it was.
fn cut_import(at: u64, release: &Release, store: &Arc<dyn Store>, state: &Path) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::new(Trouble::Cut(at)));
    let power = Arc::clone(&recorder);
    let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(store), move |call: Call, key: &str| {
        if power.is_off() { Err(StoreError::Stopped { call, key: key.to_owned() }) } else { Ok(()) }
    }));
    let host = Host { signs: false, ..Host::new(Machine::behind(Arc::clone(&recorder) as _), state) };
    let ended = host.import(release, std::slice::from_ref(&release.whole), &watched, &|_| ());
    assert_eq!(ended.is_err(), recorder.is_off(), "cut before step {at}: {ended:?}");
    recorder
}

fn complete(host: &Host, release: &Release, store: &Arc<dyn Store>, about: &str) {
    let report = host.import(release, std::slice::from_ref(&release.whole), store, &|_| ());
    let report = report.unwrap_or_else(|error| panic!("{about}: {error} ({error:?})"));
    assert_eq!(report.class(), None, "{about}");
}

/// Cuts an import off before every step of the disk and goes on from every state that may be left: with
/// the first release in an empty store, and with the second, whose objects are ours by the local state alone.
#[test]
fn an_import_goes_on_from_every_state_that_a_power_cut_leaves() {
    let mut count = 0;
    for before in [None, Some(&SCENE.releases[0])] {
        let release = &SCENE.releases[usize::from(before.is_some())];
        let directory = scratch();
        let top = directory.path().join("top");
        let (mut at, mut number) = (0, 0);
        loop {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            put_state(&top, &State::new());
            let host = Host { signs: false, ..Host::new(Machine::default(), &top.join("state")) };
            if let Some(before) = before {
                complete(&host, before, &store, "the release before");
            }
            let mut disk = Disk::of(&top);
            let recorder = cut_import(at, release, &store, &host.state);
            disk.replay(&recorder, u64::MAX);
            let mut states = disk.crash_states();
            if number < states.len() {
                let state = states.swap_remove(number);
                put_state(&top, &state);
                let about = format!("cut before step {at}, left {:?}", state.keys());
                complete(&host, release, &store, &about);
                assert_eq!(release.breach_of_end(store.as_ref(), before), None, "{about}");
                (number, count) = (number + 1, count + 1);
            } else if recorder.is_off() {
                (at, number) = (at + 1, 0);
            } else {
                assert!(at > 20, "{at} steps");
                break;
            }
        }
    }
    assert!(count > 300, "{count} states");
}

/// Objects are ours by the tags that the local state has for them: where it loses them, the next release
/// meets strangers.
#[test]
fn what_a_finished_import_knows_outlives_every_power_cut() {
    let [first, second] = &SCENE.releases;
    let directory = scratch();
    let top = directory.path().join("top");
    let mut number = 0;
    loop {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        put_state(&top, &State::new());
        let mut disk = Disk::of(&top);
        let recorder = cut_import(u64::MAX, first, &store, &top.join("state"));
        disk.replay(&recorder, u64::MAX);
        let states = disk.crash_states();
        let Some(state) = states.get(number) else { break };
        put_state(&top, state);
        let host = Host { signs: false, ..Host::new(Machine::default(), &top.join("state")) };
        let about = format!("left {:?}", state.keys());
        complete(&host, second, &store, &about);
        assert_eq!(second.breach_of_end(store.as_ref(), Some(first)), None, "{about}");
        number += 1;
    }
    assert!(number > 0);
}

/// Writes a bundle to a medium, and goes on from every state in which a power cut may leave medium and
/// record: what has its name is whole, and what is recorded is there.
#[test]
fn a_write_to_a_medium_goes_on_from_every_state_that_a_power_cut_leaves() {
    let source = &SCENE.releases[0].whole;
    let due = below(&state_of(source), Path::new(""));
    let directory = scratch();
    let top = directory.path().join("top");
    let (medium, record) = (top.join("medium"), top.join("written.json"));
    let bundle = Opened::untrusted(find(std::slice::from_ref(source)).expect("found").remove(0)).expect("opened");
    let options = WriteOptions { media: vec![medium.clone()], record: record.clone(), earlier: Earlier::Keep };
    fs::create_dir_all(&medium).expect("made");
    let before = Disk::of(&top);
    let recorder = Arc::new(Recorder::new(Trouble::None));
    let written = write_on(&Machine::behind(Arc::clone(&recorder) as _), &bundle, &options, &Quiet).expect("written");
    let own = written.media[0].directory.strip_prefix(&top).expect("below").to_owned();
    let (mut count, end) = (0, recorder.step_count());
    for at in 0..=end {
        let mut disk = before.clone();
        disk.replay(&recorder, at);
        for state in disk.crash_states() {
            count += 1;
            let about = format!("cut before step {at} of {end} ({:?})", recorder.step_before(at));
            let left: State = below(&state, &own);
            for (path, bytes) in left.iter().filter(|(path, _)| !path.starts_with(".airlift-write")) {
                assert!(due[path] == *bytes, "{about}: {} is not whole", path.display());
            }
            put_state(&top, &state);
            for volume in recorded(&record) {
                let path = PathBuf::from(format!("volumes/{volume:06}.vol"));
                assert!(left.contains_key(&path), "{about}: volume {volume} is recorded and not there");
            }
            let report =
                write(&bundle, &options, &Quiet).unwrap_or_else(|error| panic!("{about}: {error} ({error:?})"));
            assert_eq!(report.class(), None, "{about}");
            assert!(state_of(&top.join(&own)) == due, "{about}: {:?}", state.keys());
        }
    }
    assert!(count > 150, "{count} states");
}

/// Returns the volumes that a record has; it is whole wherever it is.
fn recorded(record: &Path) -> Vec<u64> {
    let Ok(bytes) = fs::read(record) else { return Vec::new() };
    let record: serde_json::Value = serde_json::from_slice(&bytes).expect("a whole record");
    let media = record["media"].as_array().expect("media").iter();
    media.flat_map(|medium| medium["volumes"].as_array().expect("volumes")).filter_map(|one| one.as_u64()).collect()
}
