//! The hostile table: every case is made by code and run through the program, which must end with the
//! class that its line states. `spec/hostile.md` shows the table; `AIRLIFT_BLESS=1` writes it.

mod bench;
mod chunks;
pub(crate) mod faults;
mod manifest;
mod media;
mod paths;
mod replay;
mod reseal;
mod resources;
mod resume;
mod secrets;
mod server;
mod store;
mod trust;
mod vectors;

use bench::Bench;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One line of the table.
struct Line {
    id: &'static str,
    /// What is done.
    does: &'static str,
    state: State,
}

enum State {
    /// Run here: how it is made, how the commands end, and the run itself.
    Checked { made: &'static str, ends: &'static [End], run: fn(&Bench) },
    /// No call of the program alone can show it: these tests do, for this reason.
    Elsewhere { tests: &'static [Named], why: &'static str },
    /// It is about a capability that does not exist.
    Waits { why: &'static str },
}

/// A test elsewhere in the suite.
struct Named {
    name: &'static str,
    /// Never called: with it, the name can't dangle.
    #[expect(dead_code, reason = "that it compiles is the check")]
    test: fn(),
}

/// How commands end.
#[derive(Clone, Copy)]
struct End {
    /// The commands, with a space between them.
    commands: &'static str,
    code: i32,
    /// What the output of each says.
    says: &'static str,
}

const fn ends(commands: &'static str, code: i32, says: &'static str) -> End {
    End { commands, code, says }
}

const fn checked(
    id: &'static str,
    does: &'static str,
    made: &'static str,
    ends: &'static [End],
    run: fn(&Bench),
) -> Line {
    Line { id, does, state: State::Checked { made, ends, run } }
}

const fn elsewhere(id: &'static str, does: &'static str, tests: &'static [Named], why: &'static str) -> Line {
    Line { id, does, state: State::Elsewhere { tests, why } }
}

const fn waits(id: &'static str, does: &'static str, why: &'static str) -> Line {
    Line { id, does, state: State::Waits { why } }
}

macro_rules! named {
    ($($test:path),+ $(,)?) => {
        &[$($crate::hostile::Named { name: stringify!($test), test: $test }),+]
    };
}
use named;

/// A test for each checked line of a group, named by its number.
macro_rules! tests {
    ($($id:ident)+) => {
        pub(super) const TESTED: &[&str] = &[$(stringify!($id)),+];
        mod lines {
            $(#[test] fn $id() { $crate::hostile::run(stringify!($id)); })+
        }
    };
}
use tests;

/// Every number of the groups, so that no line can vanish.
const IDS: [(&str, &[u8]); 10] = [
    ("S", &[1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29, 31, 32, 34, 35, 37]),
    ("B", &[1, 3, 4, 6, 9, 10, 12, 13]),
    ("V", &[1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 20, 22, 23, 25, 26, 28, 29]),
    ("M", &[2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26]),
    ("C", &[1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]),
    ("P", &[1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29, 31, 32]),
    ("R", &[2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]),
    ("T", &[1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23]),
    ("D", &[1, 2, 4, 5]),
    ("L", &[1, 2, 4, 5, 7, 8, 10]),
];

/// Title, lines and tests of each group.
fn groups() -> [(&'static str, &'static [Line], &'static [&'static str]); 10] {
    [
        ("S. Signatures and trust", trust::LINES, trust::TESTED),
        ("B. Rollback, replay, mixing", replay::LINES, replay::TESTED),
        ("V. Volumes and media", media::LINES, media::TESTED),
        ("M. Manifest", manifest::LINES, manifest::TESTED),
        ("C. Chunks, codecs, encryption", chunks::LINES, chunks::TESTED),
        ("P. Paths and keys", paths::LINES, paths::TESTED),
        ("R. Resume and crash", resume::LINES, resume::TESTED),
        ("T. Store", store::LINES, store::TESTED),
        ("D. Resources", resources::LINES, resources::TESTED),
        ("L. Secrets, logs, audit", secrets::LINES, secrets::TESTED),
    ]
}

/// Runs the line of this number, in lower case, and compares how the commands ended with the table.
fn run(id: &str) {
    let mut lines = groups().into_iter().flat_map(|(_, lines, _)| lines);
    let line = lines.find(|line| line.id.eq_ignore_ascii_case(id)).expect("a line of the table");
    let State::Checked { ends, run, .. } = line.state else { panic!("{id} is not checked here") };
    let bench = Bench::new(line.id, ends);
    run(&bench);
    bench.finish();
}

#[test]
fn every_number_is_in_the_table_and_every_checked_line_has_its_test() {
    for (title, lines, tested) in groups() {
        let letter = &title[..1];
        let (_, numbers) = IDS.iter().find(|(group, _)| *group == letter).expect("a group");
        let due: Vec<String> = numbers.iter().map(|number| format!("{letter}{number:02}")).collect();
        let ids: Vec<&str> = lines.iter().map(|line| line.id).collect();
        assert_eq!(ids, due, "{title}");
        let checked = lines.iter().filter(|line| matches!(line.state, State::Checked { .. }));
        let checked: BTreeSet<String> = checked.map(|line| line.id.to_lowercase()).collect();
        let tested: BTreeSet<String> = tested.iter().map(|&id| id.to_owned()).collect();
        assert_eq!(checked, tested, "{title}");
    }
}

/// Returns a code with the name of its class (C-10).
fn class(code: i32) -> String {
    let name = match code {
        0 => "done",
        1 => "failed",
        2 => "usage",
        3 => "damaged",
        4 => "untrusted",
        5 => "incomplete",
        6 => "unavailable",
        7 => "refused",
        8 => "base missing",
        9 => "older",
        10 => "no space",
        130 => "interrupted",
        code => panic!("{code} is no ending that a line may expect"),
    };
    format!("{code} {name}")
}

/// Returns the table as a page of the specification.
fn page() -> String {
    let mut page = String::from(
        "# Hostile inputs and faults\n\n\
         What is done to bundles, media, stores and the program, and how the program then ends. Made from the \
         table in `tests/suite/hostile` by `AIRLIFT_BLESS=1 cargo test hostile`; a test fails where this page \
         differs from it.\n\n\
         Each checked line is a test of its own that runs the built program on fixtures made by code. For each \
         call it also holds: the code is one that the line states, nothing panics, an ending that is no \
         success has one line of error with a remedy, media are left byte for byte as they were, whatever is \
         seen in a store, a directory or a stream is true, all of it after success, and a refusal (usage, \
         untrusted, refused, base missing, older) leaves the store as it was. Every call is held by the \
         system to 256 MiB of data, `pack` to 512 MiB, and to two minutes.\n",
    );
    let counts = |lines: &[Line]| {
        let checked = lines.iter().filter(|line| matches!(line.state, State::Checked { .. })).count();
        let waiting = lines.iter().filter(|line| matches!(line.state, State::Waits { .. })).count();
        (checked, lines.len() - checked - waiting, waiting)
    };
    for (title, lines, _) in groups() {
        let (checked, elsewhere, waiting) = counts(lines);
        let _ = write!(page, "\n## {title}\n\n{checked} checked, {elsewhere} in other tests, {waiting} waiting.\n\n");
        page.push_str("| | case | how it is made | command → class | state |\n|---|---|---|---|---|\n");
        for line in lines {
            let (made, ended, state) = match &line.state {
                State::Checked { made, ends, .. } => {
                    let ends =
                        ends.iter().map(|end| format!("{} → {}", end.commands.replace(' ', ", "), class(end.code)));
                    ((*made).to_owned(), ends.collect::<Vec<_>>().join("; "), "checked".to_owned())
                }
                State::Elsewhere { tests, why } => {
                    let names = tests.iter().map(|test| format!("`{}`", test.name.trim_start_matches("crate::")));
                    (
                        format!("by {}", names.collect::<Vec<_>>().join(", ")),
                        String::new(),
                        format!("in that test: {why}"),
                    )
                }
                State::Waits { why } => (String::new(), String::new(), format!("waits: {why}")),
            };
            let _ = writeln!(page, "| {} | {} | {made} | {ended} | {state} |", line.id, line.does);
        }
    }
    page
}

#[test]
fn the_page_of_the_specification_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/hostile.md");
    let page = page();
    if std::env::var_os("AIRLIFT_BLESS").is_some() {
        fs::write(&path, &page).expect("written");
    }
    assert!(fs::read_to_string(&path).expect("the page") == page, "spec/hostile.md is not what the table says");
}
