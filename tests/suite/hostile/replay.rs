//! Group B: rollback, replay and mixing.

use super::bench::Bench;
use super::faults::{Act, Fault, set};
use super::reseal::{reseal, resign_text};
use super::{Line, checked, ends, tests, waits};
use crate::by_hand::{self, HandPack};
use crate::damage::packs;
use crate::program::shown;
use airlift::format::head::Release;
use airlift::format::{Digest, Head, Time};
use std::fs;
use std::path::Path;

pub(super) const LINES: &[Line] = &[
    checked(
        "B01",
        "counter below the installed one",
        "release 2 is imported, then release 1",
        &[ends("import", 0, ""), ends("import", 9, "older")],
        |bench| {
            import(bench, 2, 10, 0);
            import(bench, 1, 20, 9);
            import(bench, 2, 10, 0);
        },
    ),
    checked(
        "B03",
        "same counter with another content, and with other volumes",
        "release 1 of other files; release 1 of the same files in one volume",
        &[ends("import", 0, ""), ends("import", 9, "installed is")],
        forks,
    ),
    checked(
        "B04",
        "counter 2^53 − 1, then 2^53",
        "the last counter; one more, written into the signed text; then the next honest release",
        &[ends("import", 0, ""), ends("import", 9, ""), ends("import", 4, "")],
        counters,
    ),
    waits(
        "B06",
        "delta whose base is of another stream",
        "no delta is imported: a head with `bases` ends with 8, whatever they are",
    ),
    checked(
        "B09",
        "a refused bundle, then an honest release of a lower counter than it",
        "release 900 untrusted and release 1,048,578 too far ahead, then release 2",
        &[ends("import", 0, ""), ends("import", 4, ""), ends("import", 9, "")],
        |bench| {
            import(bench, 1, 10, 0);
            let (medium, _) = bench.bundle("changed", 900, 20);
            resign_text(&medium, |text| text.replace("\"counter\": 900", "\"counter\": 0900"));
            assert_eq!(bench.import(&medium).code, 4);
            import(bench, 1 + (1 << 20) + 1, 30, 9);
            import(bench, 2, 40, 0);
        },
    ),
    checked(
        "B10",
        "`not_after` below the floor",
        "release 1 was made later than release 2 ends",
        &[ends("import", 0, ""), ends("import", 4, "")],
        |bench| {
            let (late, _) = bench.bundle("late", 1, 10);
            reseal(&late, |parts| parts.head.created_at = Time::from_unix(1_790_009_000));
            assert_eq!(bench.import(&late).code, 0);
            let (past, _) = bench.bundle("past", 2, 20);
            reseal(&past, |parts| parts.head.not_after = Some(Time::from_unix(1_790_008_999)));
            assert_eq!(bench.import(&past).code, 4);
            reseal(&past, |parts| parts.head.not_after = Some(Time::from_unix(1_790_009_000)));
            assert_eq!(bench.import(&past).code, 0);
        },
    ),
    checked(
        "B12",
        "`previous` is another release than ours",
        "release 2 names a release 1 of other content, then ours",
        &[ends("import", 0, ""), ends("import", 9, "")],
        previous,
    ),
    checked(
        "B13",
        "crash between the pointer in the store and the local state",
        "killed at the rename of `installed.json`",
        &[ends("import status", 0, ""), ends("import", 9, "older")],
        crash,
    ),
];

tests!(b01 b03 b04 b09 b10 b12 b13);

/// Imports a release made with this seed.
fn import(bench: &Bench, counter: u64, seed: u64, code: i32) {
    let (medium, _) = bench.bundle(&format!("{counter}-{seed}-{code}"), counter, seed);
    assert_eq!(bench.import(&medium).code, code);
}

fn release_of(bundle: &Path) -> Release {
    let head = Head::decode(&fs::read(bundle.join("head.json")).expect("read")).expect("a head");
    Release { counter: head.counter, content_id: head.content_id }
}

fn forks(bench: &Bench) {
    let (ours, _) = bench.bundle("ours", 1, 10);
    assert_eq!(bench.import(&ours).code, 0);
    let (fork, _) = bench.bundle("fork", 1, 20);
    let refused = bench.import(&fork);
    assert_eq!(refused.code, 9);
    for place in [&ours, &fork] {
        let id = release_of(place).content_id.to_string();
        assert!(refused.err.contains(&id), "{id} is not in {}", refused.err);
    }
    let one = bench.path("one-volume");
    let moved: Vec<HandPack<'_>> = packs(10).into_iter().map(|pack| HandPack { volume: 1, ..pack }).collect();
    by_hand::write(&one, 1, &moved);
    bench.set_files(
        moved.into_iter().flat_map(|pack| pack.files).map(|(path, bytes)| (path.to_owned(), bytes)).collect(),
    );
    assert_eq!(release_of(&one), release_of(&ours));
    assert_eq!(bench.import(&one).code, 0);
}

fn counters(bench: &Bench) {
    import(bench, 1, 10, 0);
    import(bench, (1 << 53) - 1, 20, 9);
    let (medium, _) = bench.bundle("beyond", (1 << 53) - 1, 30);
    resign_text(&medium, |text| text.replace("9007199254740991", "9007199254740992"));
    assert_eq!(bench.import(&medium).code, 4);
    import(bench, 2, 40, 0);
}

fn previous(bench: &Bench) {
    let (first, _) = bench.bundle("first", 1, 10);
    assert_eq!(bench.import(&first).code, 0);
    let (second, _) = bench.bundle("second", 2, 20);
    reseal(&second, |parts| parts.head.previous = Some(Release { counter: 1, content_id: Digest::of(b"other") }));
    assert_eq!(bench.import(&second).code, 9);
    reseal(&second, |parts| parts.head.previous = Some(release_of(&first)));
    assert_eq!(bench.import(&second).code, 0);
}

fn crash(bench: &Bench) {
    import(bench, 1, 10, 0);
    let (medium, _) = bench.bundle("two", 2, 20);
    let to = format!("dir:{}", shown(&bench.store()));
    let arguments = bench.import_arguments(&[&medium], &["--to", &to]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = bench.bare(&arguments);
    set(&mut command, &Fault { call: "rename", path: "installed.json", from: 1, every: 0, act: Act::Kill });
    let output = command.output().expect("run");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "it was to be killed");
    let pointer = fs::read_to_string(bench.store().join(".airlift/models-eu/installed")).expect("the pointer");
    assert!(pointer.contains("2"), "{pointer}");
    // Before anything is repeated the older release is known as such.
    import(bench, 1, 10, 9);
    bench.set_files(
        packs(20).into_iter().flat_map(|pack| pack.files).map(|(path, bytes)| (path.to_owned(), bytes)).collect(),
    );
    let mut status = arguments.clone();
    status[0] = "status";
    assert!(bench.import_as(&arguments).code == 0);
    let told = bench.call(&status);
    assert!(told.all().contains("installed: models-eu release 2"), "{}", told.all());
}
