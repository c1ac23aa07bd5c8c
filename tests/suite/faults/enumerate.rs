//! Faults by enumeration: the n-th call of the store, the n-th step of the disk, the n-th read of a medium
//! and the n-th look at the clock, for every n until a run meets no fault. Each run is repeated, and ends as
//! a clean one does.

use super::crash::{Source, small_tree};
use super::disk::{EIO, ENOSPC, Recorder, Trouble, state_of};
use super::scene::{Extent, Host, Release, Scene, last_at};
use super::unruly::{Odds, Shelf, Unruly};
use crate::fixture::scratch;
use airlift::error::Class;
use airlift::format::Time;
use airlift::machine::Machine;
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{ImportError, ImportReport};
use airlift::pipeline::pack::{pack, pack_on};
use airlift::pipeline::progress::Quiet;
use airlift::store::{Call, Store};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

static SMALL: LazyLock<Scene> = LazyLock::new(|| Scene::new(11, Extent::Small));
static PARTS: LazyLock<Scene> = LazyLock::new(|| Scene::new(103, Extent::Parts));

const CALLS: [Call; 13] = [
    Call::EnsureBucket,
    Call::Put,
    Call::Stat,
    Call::Read,
    Call::Load,
    Call::List,
    Call::Remove,
    Call::OpenUpload,
    Call::PutPart,
    Call::ListParts,
    Call::FinishUpload,
    Call::AbortUpload,
    Call::ListUploads,
];
const UPLOAD_CALLS: [Call; 4] = [Call::OpenUpload, Call::PutPart, Call::FinishUpload, Call::ListUploads];

/// Faults, each of which befalls a call for certain.
fn faults() -> [Odds; 5] {
    let none = Odds::default();
    [
        Odds { before: 1024, ..none },
        Odds { after: 1024, ..none },
        Odds { twice: 1024, ..none },
        Odds { late: 1024, ..none },
        Odds { stop: 1024, ..none },
    ]
}

/// An import into a store of its own, after the release before where there is one.
struct Case<'a> {
    release: &'a Release,
    before: Option<&'a Release>,
    shelf: Arc<Shelf>,
    directory: tempfile::TempDir,
    last: Vec<Glob>,
}

impl<'a> Case<'a> {
    fn new(scene: &'a Scene, is_update: bool) -> Case<'a> {
        let counter = 1 + u64::from(is_update);
        let shelf = Shelf::new(scene.releases.iter().map(|release| &release.objects), counter);
        let before = is_update.then_some(&scene.releases[0]);
        let release = &scene.releases[usize::from(is_update)];
        let case = Case { release, before, shelf: Arc::new(shelf), directory: scratch(), last: Vec::new() };
        if let Some(before) = before {
            case.import(before, Machine::default(), case.calm()).expect("the release before");
        }
        case
    }

    /// Has the large file come last, else the first by key.
    fn with_one_last(self) -> Case<'a> {
        let objects = &self.release.objects;
        let (key, _) = objects.iter().min_by_key(|(_, bytes)| bytes.len() <= 1 << 20).expect("some object");
        self.shelf.expect_last(key, objects);
        Case { last: vec![last_at(key)], ..self }
    }

    fn calm(&self) -> Unruly {
        Unruly::new(&self.shelf, Odds::default(), 0)
    }

    fn state(&self) -> &Path {
        self.directory.path()
    }

    fn import(&self, release: &Release, machine: Machine, store: Unruly) -> Result<ImportReport, ImportError> {
        let store: Arc<dyn Store> = Arc::new(store);
        let media = std::slice::from_ref(&release.whole);
        Host::new(machine, self.state()).import(release, media, &store, &|options| options.last = self.last.clone())
    }

    /// Repeats the import with nothing in its way.
    fn complete(&self, about: &str) {
        self.shelf.settle();
        let report = self.import(self.release, Machine::default(), self.calm());
        let report = report.unwrap_or_else(|error| panic!("{about}: {error} ({error:?})"));
        assert_eq!(report.class(), None, "{about}");
        assert_eq!(self.shelf.breaches(), Vec::<String>::new(), "{about}");
        assert_eq!(self.release.breach_of_end(&self.shelf.store, self.before), None, "{about}");
    }
}

/// Lets each fault befall each of these calls of an import; returns how many there were.
fn enumerate_calls<'a>(new_case: impl Fn() -> Case<'a>, calls: &[Call]) -> u64 {
    let mut count = 0;
    for (&call, odds) in calls.iter().flat_map(|call| faults().map(|odds| (call, odds))) {
        for number in 0.. {
            let case = new_case();
            let store: Arc<Unruly> = Arc::new(Unruly::once(&case.shelf, odds, (call, number)));
            let about = format!("{call} number {number}, {odds:?}");
            let host = Host::new(Machine::default(), case.state());
            let ended = host.import(
                case.release,
                std::slice::from_ref(&case.release.whole),
                &(Arc::clone(&store) as _),
                &|options| options.last = case.last.clone(),
            );
            if let Err(error) = &ended {
                let class = error.class();
                assert!(matches!(class, Class::Unavailable | Class::Interrupted), "{about}: {error} ({error:?})");
            }
            case.complete(&about);
            if !store.is_met() {
                assert!(ended.is_ok(), "{about}: {ended:?}");
                break;
            }
            count += 1;
        }
    }
    count
}

#[test]
fn whatever_befalls_any_call_of_the_store_repeating_completes_the_import() {
    let counts = [false, true].map(|is_update| enumerate_calls(|| Case::new(&SMALL, is_update), &CALLS));
    assert!(counts.iter().all(|&count| count >= 150), "{counts:?} faults");
}

#[test]
fn whatever_befalls_any_call_for_an_upload_repeating_completes_the_import() {
    let count = enumerate_calls(|| Case::new(&PARTS, false), &UPLOAD_CALLS);
    assert!(count >= 20, "{count} faults");
}

#[test]
fn whatever_befalls_any_call_what_comes_last_is_there_only_when_all_others_are() {
    let count = enumerate_calls(|| Case::new(&SMALL, false).with_one_last(), &CALLS);
    assert!(count >= 150, "{count} faults");
    let count = enumerate_calls(|| Case::new(&PARTS, false).with_one_last(), &UPLOAD_CALLS);
    assert!(count >= 20, "{count} faults");
}

/// Runs an import with the n-th trouble for every n, and repeats it.
fn enumerate_troubles(trouble: &dyn Fn(u64) -> Trouble, classes: &[Class]) -> u64 {
    for number in 0.. {
        let case = Case::new(&SMALL, number % 2 == 1);
        let recorder = Arc::new(Recorder::new(trouble(number)));
        let about = format!("{:?}", trouble(number));
        let ended = case.import(case.release, Machine::behind(Arc::clone(&recorder) as _), case.calm());
        let class = ended.as_ref().map_or_else(|error| Some(error.class()), ImportReport::class);
        assert!(class.is_none_or(|class| classes.contains(&class)), "{about}: {ended:?}");
        case.complete(&about);
        if !recorder.is_met() {
            assert_eq!(class, None, "{about}: {ended:?}");
            return number;
        }
    }
    unreachable!("some run meets no fault");
}

#[test]
fn whatever_fails_at_the_local_state_repeating_completes_the_import() {
    assert!(enumerate_troubles(&|number| Trouble::Step(number, EIO), &[Class::Failed]) > 20);
    assert!(enumerate_troubles(&|number| Trouble::Step(number, ENOSPC), &[Class::NoSpace]) > 20);
    assert!(enumerate_troubles(&Trouble::Half, &[Class::NoSpace]) > 20);
}

#[test]
fn whatever_fails_at_a_read_of_state_or_media_repeating_completes_the_import() {
    let classes = [Class::Failed, Class::Damaged];
    assert!(enumerate_troubles(&Trouble::Read, &classes) > 20);
    // A medium that can't be read any more was taken away.
    assert!(enumerate_troubles(&Trouble::Reads, &[Class::Failed, Class::Incomplete]) > 20);
    assert!(enumerate_troubles(&Trouble::Short, &classes) > 20);
    assert!(enumerate_troubles(&Trouble::End, &classes) > 20);
}

thread_local! {
    /// Which look at the clock is the first after it jumped, by how much, and how many there were.
    static JUMP: Cell<(u64, i64, u64)> = const { Cell::new((u64::MAX, 0, 0)) };
}

fn jumping_clock() -> Time {
    let (at, by, count) = JUMP.get();
    JUMP.set((at, by, count + 1));
    let now = 1_800_000_000_i64 + if count >= at { by } else { 0 };
    Time::from_unix(now as u64)
}

#[test]
fn a_clock_that_jumps_at_any_look_changes_nothing_but_times() {
    for by in [-1_800_000_000, -1, 500_000_000] {
        for at in 0.. {
            let case = Case::new(&SMALL, at % 2 == 1);
            JUMP.set((at, by, 0));
            let (store, media): (Arc<dyn Store>, _) = (Arc::new(case.calm()), [case.release.whole.clone()]);
            let host = Host::new(Machine::default(), case.state());
            let report = host.import(case.release, &media, &store, &|options| options.clock = jumping_clock);
            assert_eq!(report.expect("imported").class(), None);
            assert_eq!(case.release.breach_of_end(&case.shelf.store, case.before), None, "{by} at {at}");
            case.complete("repeated");
            if JUMP.get().2 <= at {
                assert!(at > 0);
                break;
            }
        }
    }
}

#[test]
fn whatever_fails_at_the_disk_repeating_completes_the_pack() {
    let source = Source::new(&small_tree());
    let step = |error| move |number| Trouble::Step(number, error);
    let troubles: [(&dyn Fn(u64) -> Trouble, Class); 5] = [
        (&step(EIO), Class::Failed),
        (&step(ENOSPC), Class::NoSpace),
        (&Trouble::Half, Class::NoSpace),
        (&Trouble::Read, Class::Failed),
        (&Trouble::Reads, Class::Failed),
    ];
    for (trouble, class) in troubles {
        for number in 0.. {
            let options = source.options("work");
            let recorder = Arc::new(Recorder::new(trouble(number)));
            let about = format!("{:?}", trouble(number));
            let ended = pack_on(&Machine::behind(Arc::clone(&recorder) as _), &options, &Quiet);
            if let Err(error) = &ended {
                assert_eq!(error.class(), class, "{about}: {error:?}");
            }
            pack(&options, &Quiet).unwrap_or_else(|error| panic!("{about}: {error} ({error:?})"));
            let found = state_of(&options.out);
            assert!(found == source.clean, "{about}: another bundle: {:?}", found.keys());
            fs::remove_dir_all(&options.out).expect("removed");
            if !recorder.is_met() {
                assert!(ended.is_ok() && number > 3, "{about}: {ended:?}");
                break;
            }
        }
    }
}
