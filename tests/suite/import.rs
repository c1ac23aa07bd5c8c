//! Imports: every byte lands, in any order of media, whatever stops in between.

use crate::fixture::{Packed, Size, assert_same, directory, import_options, objects, run_import, upload_count};
use airlift::error::Class;
use airlift::format::Proven;
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{ImportError, OnExisting};
use airlift::store::{Attributes, Call, Condition, Key, MemoryStore, Store, StoreError, Watched};
use airlift::trust::Enrol;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

const LARGE_SIZE: Size = Size { model_len: 40 << 20, noise_len: 70 << 20, noise_count: 2, small_count: 300 };
/// Models of which most chunks are shared, two files of three parts, small files: three volumes.
static LARGE: LazyLock<Packed> = LazyLock::new(|| Packed::new(LARGE_SIZE, 1));
/// The same, with one tensor changed.
static LARGE_NEXT: LazyLock<Packed> = LazyLock::new(|| Packed::new(LARGE_SIZE, 2));
const SMALL_SIZE: Size = Size { model_len: 200_000, noise_len: 34 << 20, noise_count: 1, small_count: 12 };
/// One file of two parts and a few small ones: few calls.
static SMALL: LazyLock<Packed> = LazyLock::new(|| Packed::new(SMALL_SIZE, 1));

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn state() -> tempfile::TempDir {
    directory()
}

fn state_keys(store: &dyn Store) -> BTreeSet<String> {
    airlift::store::paging::objects(store, ".airlift/").map(|listed| listed.expect("listed").key).collect()
}

fn put(store: &dyn Store, key: &str, bytes: &'static [u8]) {
    let key = Key::parse(key).expect("a key");
    store.put(&key, &Proven::record(bytes), &Attributes::default(), &Condition::Any).expect("put");
}

#[test]
fn lands_every_byte_and_a_repeat_sends_nothing() {
    let (store, state) = (memory(), state());
    let report = run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect("imported");
    assert_eq!(report.class(), None, "{report:?}");
    assert_same(&objects(store.as_ref()), LARGE.expected());
    assert_eq!(upload_count(store.as_ref()), 0);
    let receipt = report.receipt.expect("a receipt");
    assert_eq!(receipt.counts.landed, LARGE.expected().len() as u64);
    assert!(!state_keys(store.as_ref()).iter().any(|key| key.ends_with("/lease") || key.contains("/spool/")));
    let again = run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect("imported again");
    assert_eq!((again.sent_len, again.landed_count, again.class()), (0, 0, None));
}

#[test]
fn volumes_in_any_order_and_separate_runs_give_the_same() {
    let numbers = LARGE.volume_numbers();
    assert!(numbers.len() >= 2, "{numbers:?}");
    let mut orders = vec![numbers.clone(), numbers.iter().rev().copied().collect()];
    orders.push(numbers.iter().skip(1).chain(numbers.first()).copied().collect());
    for (order_number, order) in orders.into_iter().enumerate() {
        let (store, state) = (memory(), state());
        let mut sent_len = 0;
        for (step, number) in order.iter().enumerate() {
            let medium = LARGE.medium(&format!("medium-{order_number}-{number}"), &[*number]);
            let report = run_import(&[medium], &store, &import_options(state.path())).expect("imported");
            sent_len += report.sent_len;
            let expected = if step + 1 == order.len() { None } else { Some(Class::Incomplete) };
            assert_eq!(report.class(), expected, "{order:?} at {number}: {report:?}");
        }
        assert_same(&objects(store.as_ref()), LARGE.expected());
        assert_eq!(upload_count(store.as_ref()), 0);
        assert_eq!(sent_len, LARGE.expected().values().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert!(!state_keys(store.as_ref()).iter().any(|key| key.contains("/spool/")));
    }
}

#[test]
fn the_next_release_replaces_what_changed_and_leaves_the_rest_alone() {
    let (store, state) = (memory(), state());
    run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect("imported");
    let report = run_import(&[LARGE_NEXT.bundle()], &store, &import_options(state.path())).expect("imported");
    assert_eq!(report.class(), None, "{report:?}");
    assert_same(&objects(store.as_ref()), LARGE_NEXT.expected());
    let changed = LARGE_NEXT.expected().iter().filter(|&(key, bytes)| LARGE.expected().get(key) != Some(bytes)).count();
    assert_eq!((report.landed_count, changed), (2, 2));
    let older = run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect_err("older");
    assert_eq!(older.class(), Class::Older);
    // The state in the store rolled back: the local state still knows.
    let installed = Key::parse(".airlift/models-eu/installed").expect("a key");
    store.remove(&installed).expect("removed");
    let older = run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect_err("older");
    assert_eq!(older.class(), Class::Older);
}

#[test]
fn a_refused_import_leaves_the_store_as_it_was() {
    let (store, state) = (memory(), state());
    put(store.as_ref(), "data/odd/a b?#+%&=é.txt", b"somebody else's");
    let before = objects(store.as_ref());
    let refused = run_import(&[SMALL.bundle()], &store, &import_options(state.path())).expect_err("refused");
    assert!(matches!(refused, ImportError::Foreign { count: 1, .. }), "{refused}");
    assert_eq!(refused.class(), Class::Refused);
    let mut not_enrolled = import_options(state.path());
    (not_enrolled.enrol, not_enrolled.on_existing) = (Enrol::NotAsked, OnExisting::Replace);
    let refused = run_import(&[SMALL.bundle()], &store, &not_enrolled).expect_err("refused");
    assert_eq!(refused.class(), Class::Refused);
    assert_eq!(objects(store.as_ref()), before);
    assert_eq!(state_keys(store.as_ref()), BTreeSet::new());
}

#[test]
fn foreign_objects_are_skipped_or_replaced_as_asked() {
    for (on_existing, kept) in [(OnExisting::Skip, true), (OnExisting::Replace, false)] {
        let (store, state) = (memory(), state());
        put(store.as_ref(), "registry/models/org/tuned/v1/config.json", b"foreign");
        // The same content by somebody else counts as landed.
        put(store.as_ref(), "data/odd/a b?#+%&=é.txt", b"odd name");
        let mut options = import_options(state.path());
        options.on_existing = on_existing;
        let report = run_import(&[SMALL.bundle()], &store, &options).expect("imported");
        assert_eq!(report.class(), None, "{report:?}");
        assert_eq!(report.plan.landed_count, 1);
        let mut expected = SMALL.expected().clone();
        if kept {
            expected.insert("registry/models/org/tuned/v1/config.json".to_owned(), b"foreign".to_vec());
        }
        assert_same(&objects(store.as_ref()), &expected);
    }
}

/// Stops before the n-th call, for every n, and repeats until the import ends.
#[test]
fn resumes_after_a_stop_before_every_call_of_the_store() {
    let mut stop_at = 0;
    loop {
        let (inner, state) = (memory(), state());
        let calls = AtomicU64::new(0);
        let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |_: Call, _: &str| {
            if calls.fetch_add(1, Ordering::SeqCst) >= stop_at { Err(outage()) } else { Ok(()) }
        }));
        let stopped = run_import(&[SMALL.bundle()], &watched, &import_options(state.path()));
        let visible = objects(inner.as_ref());
        for (key, bytes) in &visible {
            assert!(SMALL.expected().get(key) == Some(bytes), "{key} is visible and wrong after call {stop_at}");
        }
        let report = run_import(&[SMALL.bundle()], &inner, &import_options(state.path())).expect("resumed");
        assert_eq!(report.class(), None, "after call {stop_at}: {report:?}");
        assert_same(&objects(inner.as_ref()), SMALL.expected());
        assert_eq!(upload_count(inner.as_ref()), 0, "after call {stop_at}");
        if stopped.is_ok() {
            assert!(stop_at > 50, "{stop_at}");
            return;
        }
        stop_at += if stop_at < 40 { 1 } else { 5 };
    }
}

/// Globs of a file of two parts, of one among many in its pack, and of an empty one; and the keys of these.
fn last() -> (Vec<Glob>, [&'static str; 3]) {
    let globs = ["org/noise/0.bin", "odd/*.txt", "**/lock"].map(|glob| Glob::parse(glob).expect(glob));
    let keys = ["registry/models/org/noise/0.bin", "data/odd/a b?#+%&=é.txt", "registry/models/org/tuned/v1/lock"];
    (globs.to_vec(), keys)
}

fn keys_of(store: &dyn Store) -> BTreeSet<String> {
    airlift::store::paging::objects(store, "").map(|listed| listed.expect("listed").key).collect()
}

/// Asserts that an object that comes last is there only with all others.
fn assert_order(found: &BTreeSet<String>, expected: &BTreeMap<String, Vec<u8>>, about: &str) {
    let (_, last) = last();
    if let Some(early) = last.iter().find(|key| found.contains(**key)) {
        let missing = expected.keys().find(|key| !last.contains(&key.as_str()) && !found.contains(*key));
        assert_eq!(missing, None, "{early} is there, {about}");
    }
}

#[test]
fn what_comes_last_is_put_when_all_others_are_there() {
    for (packed, workers) in [(&*SMALL, 1), (&*LARGE, 4)] {
        let (inner, state) = (memory(), state());
        let (globs, keys) = last();
        let seen = Arc::new(AtomicU64::new(0));
        let (looked, counted) = (Arc::clone(&inner), Arc::clone(&seen));
        let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |call: Call, asked: &str| {
            if matches!(call, Call::Put | Call::OpenUpload | Call::PutPart | Call::FinishUpload)
                && keys.contains(&asked)
            {
                let found = keys_of(looked.as_ref());
                let missing =
                    packed.expected().keys().find(|key| !keys.contains(&key.as_str()) && !found.contains(*key));
                assert_eq!(missing, None, "{asked} is begun before it");
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }));
        let mut options = import_options(state.path());
        (options.last, options.workers) = (globs, workers.try_into().expect("not 0"));
        let report = run_import(&[packed.bundle()], &watched, &options).expect("imported");
        assert_eq!((report.class(), report.held_count, report.plan.last_count), (None, 0, 3), "{report:?}");
        assert!(seen.load(Ordering::SeqCst) >= 3);
        assert_same(&objects(inner.as_ref()), packed.expected());
    }
}

#[test]
fn a_stop_before_any_call_leaves_nothing_that_comes_last_without_all_others() {
    let mut stop_at = 0;
    loop {
        let (inner, state) = (memory(), state());
        let calls = AtomicU64::new(0);
        let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |_: Call, _: &str| {
            if calls.fetch_add(1, Ordering::SeqCst) >= stop_at { Err(outage()) } else { Ok(()) }
        }));
        let mut options = import_options(state.path());
        (options.last, _) = last();
        let stopped = run_import(&[SMALL.bundle()], &watched, &options);
        assert_order(&keys_of(inner.as_ref()), SMALL.expected(), &format!("stopped at call {stop_at}"));
        let report = run_import(&[SMALL.bundle()], &inner, &options).expect("resumed");
        assert_eq!(report.class(), None, "after call {stop_at}: {report:?}");
        assert_same(&objects(inner.as_ref()), SMALL.expected());
        assert_eq!(upload_count(inner.as_ref()), 0, "after call {stop_at}");
        if stopped.is_ok() {
            assert!(stop_at > 50, "{stop_at}");
            return;
        }
        stop_at += if stop_at < 40 { 1 } else { 3 };
    }
}

#[test]
fn each_volume_is_brought_once_also_where_some_files_come_last() {
    let numbers = LARGE.volume_numbers();
    for order in [numbers.clone(), numbers.iter().rev().copied().collect()] {
        let (store, state) = (memory(), state());
        let mut options = import_options(state.path());
        (options.last, _) = last();
        for (step, number) in order.iter().enumerate() {
            let medium = LARGE.medium(&format!("last-{}-{number}", order[0]), &[*number]);
            let report = run_import(&[medium], &store, &options).expect("imported");
            let is_over = step + 1 == order.len();
            assert_eq!(report.class(), if is_over { None } else { Some(Class::Incomplete) }, "{order:?} at {number}");
            assert_eq!(report.held_count, if is_over { 0 } else { 3 });
            assert_order(&keys_of(store.as_ref()), LARGE.expected(), &format!("{order:?} at {number}"));
        }
        assert_same(&objects(store.as_ref()), LARGE.expected());
        assert_eq!(upload_count(store.as_ref()), 0);
        assert!(!state_keys(store.as_ref()).iter().any(|key| key.contains("/spool/")));
    }
}

#[test]
fn damage_holds_back_what_comes_last_until_a_good_copy_comes() {
    let (store, state) = (memory(), state());
    let mut options = import_options(state.path());
    options.last = vec![Glob::parse("odd/*.txt").expect("a glob")];
    let damaged = damaged_copy("damaged-before-last", 1, 20 << 20);
    let report = run_import(std::slice::from_ref(&damaged), &store, &options).expect("imported");
    assert_eq!((report.class(), report.held_count), (Some(Class::Damaged), 1), "{report:?}");
    assert!(!keys_of(store.as_ref()).contains("data/odd/a b?#+%&=é.txt"));
    let report = run_import(&[damaged, LARGE.bundle()], &store, &options).expect("imported");
    assert!(report.receipt.is_some(), "{report:?}");
    assert_same(&objects(store.as_ref()), LARGE.expected());
}

#[test]
fn what_changed_and_comes_last_is_replaced_when_all_others_are() {
    let (inner, state) = (memory(), state());
    run_import(&[LARGE.bundle()], &inner, &import_options(state.path())).expect("imported");
    let key = "registry/models/org/tuned/v1/config.json";
    let (looked, others) = (Arc::clone(&inner), "registry/models/org/tuned/v1/model.safetensors");
    let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |call: Call, asked: &str| {
        if call == Call::Put && asked == key {
            let found = &objects(looked.as_ref())[others];
            assert!(*found == LARGE_NEXT.expected()[others], "{asked} is put before {others}");
        }
        Ok(())
    }));
    let mut options = import_options(state.path());
    options.last = vec![Glob::parse("**/config.json").expect("a glob")];
    let report = run_import(&[LARGE_NEXT.bundle()], &watched, &options).expect("imported");
    assert_eq!((report.class(), report.landed_count, report.plan.last_count), (None, 2, 1), "{report:?}");
    assert_same(&objects(inner.as_ref()), LARGE_NEXT.expected());
}

#[test]
fn a_glob_of_last_files_that_matches_none_is_a_usage_error_and_changes_nothing() {
    let (store, state) = (memory(), state());
    let mut options = import_options(state.path());
    // An empty directory is no file.
    options.last = ["**/config.json", "org/empty/*"].map(|glob| Glob::parse(glob).expect(glob)).to_vec();
    let refused = run_import(&[SMALL.bundle()], &store, &options).expect_err("refused");
    assert!(matches!(&refused, ImportError::NothingLast { glob } if glob.to_string() == "org/empty/*"), "{refused}");
    assert_eq!(refused.class(), Class::Usage);
    assert_eq!(keys_of(store.as_ref()), BTreeSet::new());
}

fn outage() -> StoreError {
    StoreError::Unavailable {
        call: Call::Put,
        key: "test".to_owned(),
        attempts: 1,
        cause: airlift::store::Cause::Unreadable,
    }
}

/// A copy of the bundle with one byte of a volume flipped.
fn damaged_copy(name: &str, volume: u32, offset: u64) -> PathBuf {
    let medium = LARGE.medium(name, &LARGE.volume_numbers());
    let path = medium.join(format!("volumes/{volume:06}.vol"));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 0x40], offset).expect("written");
    medium
}

#[test]
fn a_damaged_frame_holds_back_only_the_files_that_need_it_and_a_good_copy_heals() {
    let (store, state) = (memory(), state());
    let damaged = damaged_copy("damaged-frame", 1, 20 << 20);
    let report = run_import(std::slice::from_ref(&damaged), &store, &import_options(state.path())).expect("imported");
    assert_eq!(report.class(), Some(Class::Damaged), "{report:?}");
    assert!(report.receipt.is_none());
    let visible = objects(store.as_ref());
    assert!(visible.len() >= LARGE.expected().len() - 3 && visible.len() < LARGE.expected().len());
    for (key, bytes) in &visible {
        assert!(LARGE.expected()[key] == *bytes, "{key}");
    }
    let both = [damaged, LARGE.bundle()];
    let report = run_import(&both, &store, &import_options(state.path())).expect("imported");
    assert!(report.receipt.is_some(), "{report:?}");
    assert_same(&objects(store.as_ref()), LARGE.expected());
}

#[test]
fn a_damaged_index_is_healed_by_its_copy_and_said() {
    let (store, state) = (memory(), state());
    let damaged = damaged_copy("damaged-index", 1, 3);
    let report = run_import(&[damaged], &store, &import_options(state.path())).expect("imported");
    assert_eq!(report.class(), None, "{report:?}");
    assert_eq!(report.healed.len(), 1);
    assert_same(&objects(store.as_ref()), LARGE.expected());
}

#[test]
fn the_server_may_drop_an_upload_at_any_time() {
    let (store, state) = (memory(), state());
    let number = LARGE.volume_numbers()[0];
    let medium = LARGE.medium("first-volume", &[number]);
    run_import(&[medium], &store, &import_options(state.path())).expect("imported");
    let uploads: Vec<_> = airlift::store::paging::uploads(store.as_ref(), "").map(|one| one.expect("listed")).collect();
    assert!(!uploads.is_empty());
    for upload in uploads {
        store.abort_upload(&Key::parse(&upload.key).expect("a key"), &upload.upload).expect("dropped");
    }
    let report = run_import(&[LARGE.bundle()], &store, &import_options(state.path())).expect("imported");
    assert_eq!(report.class(), None, "{report:?}");
    assert_same(&objects(store.as_ref()), LARGE.expected());
    assert_eq!(upload_count(store.as_ref()), 0);
}

#[test]
fn an_object_that_vanished_or_changed_since_is_sent_again_or_refused() {
    let (store, state) = (memory(), state());
    run_import(&[SMALL.bundle()], &store, &import_options(state.path())).expect("imported");
    let key = Key::parse("registry/models/org/tuned/v1/config.json").expect("a key");
    store.remove(&key).expect("removed");
    let report = run_import(&[SMALL.bundle()], &store, &import_options(state.path())).expect("imported");
    assert_eq!((report.landed_count, report.class()), (1, None));
    put(store.as_ref(), key.as_str(), b"changed by somebody");
    let refused = run_import(&[SMALL.bundle()], &store, &import_options(state.path())).expect_err("refused");
    assert_eq!(refused.class(), Class::Refused);
}

/// A cleaner takes what an import keeps under the state prefix (T19): while it is at work, and later.
#[test]
fn state_that_a_cleaner_took_is_put_again() {
    let head = |store: &dyn Store| state_keys(store).into_iter().find(|key| key.ends_with("/head.json"));
    let (inner, state) = (memory(), state());
    let cleaned = Arc::clone(&inner);
    let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |call: Call, asked: &str| {
        // The head was put before the first object, and nobody looks at it until the end.
        if call == Call::Put && asked.ends_with("/receipt.json") {
            let key = head(cleaned.as_ref()).expect("a head");
            cleaned.remove(&Key::parse(&key).expect("a key"))?;
        }
        Ok(())
    }));
    run_import(&[SMALL.bundle()], &watched, &import_options(state.path())).expect("imported");
    let key = head(inner.as_ref()).expect("it is put again");
    inner.remove(&Key::parse(&key).expect("a key")).expect("removed");
    let report = run_import(&[SMALL.bundle()], &inner, &import_options(state.path())).expect("imported again");
    assert_eq!((report.landed_count, report.class()), (0, None));
    assert!(head(inner.as_ref()).is_some());
}

/// A file of several parts, a small one and an empty one: each changed, or emptied, by the store
/// between landing and reading back.
#[test]
fn read_back_finds_an_object_that_the_store_changed_or_emptied() {
    let keys = ["registry/models/org/noise/0.bin", "data/odd/a b?#+%&=é.txt", "registry/models/org/tuned/v1/lock"];
    for (key, bytes) in keys.into_iter().zip([&b""[..], b"ODD NAME", b"not empty"]) {
        let (inner, state) = (memory(), state());
        let changing = Arc::clone(&inner);
        // Reading is the first thing that asks for the object once it has landed.
        let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(&inner), move |call: Call, asked: &str| {
            if asked == key && matches!(call, Call::Read | Call::Stat) {
                put(changing.as_ref(), key, bytes);
            }
            Ok(())
        }));
        let mut options = import_options(state.path());
        options.read_back = true;
        let found = run_import(&[SMALL.bundle()], &watched, &options).expect_err("it reads as something else");
        assert!(matches!(&found, ImportError::ReadBack { key: named, .. } if named.as_str() == key), "{found}");
        assert_eq!(found.class(), Class::Unavailable);
        assert!(!state_keys(inner.as_ref()).iter().any(|one| one.ends_with("/installed")), "{key}");
        // Whose the other bytes are is not known: they are written over only where that is asked.
        let refused = run_import(&[SMALL.bundle()], &inner, &options).expect_err("foreign");
        assert!(matches!(refused, ImportError::Foreign { count: 1, .. }), "{refused}");
        options.on_existing = OnExisting::Replace;
        let report = run_import(&[SMALL.bundle()], &inner, &options).expect("imported");
        assert_eq!(report.class(), None, "{report:?}");
        assert_same(&objects(inner.as_ref()), SMALL.expected());
    }
    let (store, state) = (memory(), state());
    let mut options = import_options(state.path());
    options.read_back = true;
    let report = run_import(&[SMALL.bundle()], &store, &options).expect("imported");
    assert_eq!(report.class(), None, "{report:?}");
}
