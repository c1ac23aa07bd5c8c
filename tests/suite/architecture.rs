//! The layout of the code, held: who uses whom, what is pure, who prints, and how long things are.

use crate::source::{Source, Word};
use std::fmt;
use std::fs;
use std::path::Path;

/// What a module may use of ours, beside itself. The program sees the library as another crate.
const USES: [(&str, &[&str]); 12] = [
    ("error", &[]),
    ("machine", &[]),
    ("format", &["error"]),
    ("chunking", &["error", "format"]),
    ("codec", &["error", "format"]),
    ("plan", &["error", "format"]),
    ("trust", &["error", "format"]),
    ("media", &["error", "format", "machine"]),
    ("store", &["error", "format"]),
    ("pipeline", &["error", "machine", "format", "chunking", "codec", "plan", "trust", "media", "store"]),
    ("tao", &["error", "machine", "format", "chunking", "codec", "plan", "trust", "media", "store", "pipeline"]),
    ("cli", &[]),
];
/// Modules without files, sockets, clocks, threads, environment and randomness.
const PURE: [&str; 5] = ["format", "chunking", "codec", "plan", "trust"];
/// The parts of the standard library that turn values into values.
const PURE_STD: [&str; 15] = [
    "arch",
    "array",
    "borrow",
    "cmp",
    "collections",
    "error",
    "f32",
    "fmt",
    "hash",
    "iter",
    "mem",
    "num",
    "ops",
    "slice",
    "str",
];
/// The other crates that turn values into values.
const PURE_CRATES: [&str; 10] =
    ["blake3", "bytes", "mincdc", "ring", "serde", "serde_json", "sha2", "thiserror", "unicode_normalization", "zstd"];
/// Names that bring threads, files, randomness or hidden state into a pure module all the same.
const IMPURE_NAMES: [&str; 5] = ["RandomState", "SystemRandom", "update_rayon", "update_mmap", "thread_local"];
const PRINTING_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
const FILE_LINE_COUNT_MAX: usize = 800;
const FUNCTION_LINE_COUNT_MAX: usize = 70;

/// A broken rule and where.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Returns what breaks the layout in a file at this path below `src`. `crates` are the dependencies.
fn breaches(path: &str, text: &str, crates: &[String]) -> Vec<Breach> {
    let mut breaches = too_long_functions(&Source::new(path, text));
    // `tests.rs` is only for tests: whoever declares it is held to that.
    if path.ends_with("/tests.rs") {
        return breaches;
    }
    let source = Source::new(path, text).without_tests();
    let mut add = |line, what: String| breaches.push(Breach { line, what });
    if source.line_count > FILE_LINE_COUNT_MAX {
        add(source.line_count, format!("the file is longer than {FILE_LINE_COUNT_MAX} lines without its tests"));
    }
    if source.declares("tests") {
        add(1, "tests.rs is declared without #[cfg(test)]".to_owned());
    }
    for line in source.inline_modules() {
        add(line, "a module inside a file hides what it uses".to_owned());
    }
    let Some(module) = source.module.first() else { return breaches };
    let Some((_, uses)) = USES.iter().find(|(name, _)| name == module) else {
        add(1, format!("the layout has no module {module}"));
        return breaches;
    };
    breaches.extend(breaches_of_uses(&source, module, uses));
    if PURE.contains(&module.as_str()) {
        breaches.extend(breaches_of_purity(&source, module, crates));
    }
    if module != "cli" {
        breaches.extend(breaches_of_library(&source, module));
    }
    breaches
}

fn breaches_of_uses(source: &Source, module: &str, uses: &[&str]) -> Vec<Breach> {
    let breach = |(line, path): (usize, Vec<String>)| match &path[..] {
        [start, other, ..] if start == "crate" && other != module && !uses.contains(&other.as_str()) => {
            Some(Breach { line, what: format!("{module} uses {other}") })
        }
        _ => None,
    };
    source.paths().into_iter().filter_map(breach).collect()
}

fn breaches_of_purity(source: &Source, module: &str, crates: &[String]) -> Vec<Breach> {
    let paths = source.paths().into_iter().filter(|(_, path)| !is_pure(path, crates));
    let paths = paths.map(|(line, path)| (line, path.join("::")));
    let names = source.words.iter().filter_map(|(line, word)| match word {
        Word::Name(name) if IMPURE_NAMES.contains(&name.as_str()) => Some((*line, name.clone())),
        _ => None,
    });
    paths.chain(names).map(|(line, what)| Breach { line, what: format!("{module} is pure and uses {what}") }).collect()
}

fn breaches_of_library(source: &Source, module: &str) -> Vec<Breach> {
    let is_output = |name: &str| matches!(name, "stdout" | "stderr" | "Stdout" | "Stderr");
    let prints = |path: &[String]| path.windows(2).any(|pair| pair[0] == "io" && is_output(&pair[1]));
    let paths = source.paths().into_iter().filter(|(_, path)| prints(path));
    let paths = paths.map(|(line, path)| (line, path.join("::")));
    let macros = source.macros().into_iter().filter(|(_, name)| PRINTING_MACROS.contains(&name.as_str()));
    let prints = paths.chain(macros).map(|(line, what)| (line, format!("{module} prints: {what}")));
    // What one module shows another is the public face: `tao` can use nothing else.
    let shown = source.shown_to_the_crate().into_iter().map(|line| (line, "pub(crate) in the library".to_owned()));
    prints.chain(shown).map(|(line, what)| Breach { line, what }).collect()
}

/// Tells whether a path leads to what a pure module may use, or to something of ours.
fn is_pure(path: &[String], crates: &[String]) -> bool {
    match path {
        [start, part, rest @ ..] if matches!(start.as_str(), "std" | "core" | "alloc") => {
            // A cursor is a place in a buffer and reaches nothing outside.
            let is_cursor = part == "io" && rest.first().is_some_and(|name| name == "Cursor");
            is_cursor || PURE_STD.contains(&part.as_str())
        }
        [start, ..] => PURE_CRATES.contains(&start.as_str()) || !crates.contains(start),
        [] => true,
    }
}

fn too_long_functions(source: &Source) -> Vec<Breach> {
    let is_long = |line_count: &usize| *line_count > FUNCTION_LINE_COUNT_MAX;
    let functions = source.functions().into_iter().filter(|function| is_long(&function.line_count));
    let breach = |function: crate::source::Function| Breach {
        line: function.line,
        what: format!("{} has {} lines; the limit is {FUNCTION_LINE_COUNT_MAX}", function.name, function.line_count),
    };
    functions.map(breach).collect()
}

/// Returns the crates that the library depends on, as source names them.
fn crates() -> Vec<String> {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).expect("a manifest");
    let dependencies = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]"));
    let names = dependencies.expect("dependencies").lines().filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.replace('-', "_")).collect()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Calls `each` with the path and text of every source file below a directory; returns how many there are.
fn each_file(directory: &Path, each: &mut impl FnMut(&Path, &str)) -> usize {
    let mut count = 0;
    for item in fs::read_dir(directory).expect("a directory") {
        let path = item.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            count += each_file(&path, each);
        } else if path.extension().is_some_and(|end| end == "rs") {
            each(&path, &fs::read_to_string(&path).expect("source"));
            count += 1;
        }
    }
    count
}

#[test]
fn the_library_and_the_program_keep_the_layout() {
    let (mut found, crates) = (Vec::new(), crates());
    assert!(crates.iter().any(|name| name == "crossbeam_channel"), "{crates:?}");
    let count = each_file(&top().join("src"), &mut |path, text| {
        let below = path.strip_prefix(top().join("src")).expect("below").to_str().expect("UTF-8");
        found.extend(breaches(below, text, &crates).into_iter().map(|breach| format!("src/{below}, {breach}")));
    });
    assert!(count > 100, "{count} files");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn functions_of_tests_and_benches_are_short_too() {
    let mut found = Vec::new();
    for part in ["tests", "benches", "fuzz"] {
        let count = each_file(&top().join(part), &mut |path, text| {
            let breaches = too_long_functions(&Source::new("", text));
            found.extend(breaches.into_iter().map(|breach| format!("{}, {breach}", path.display())));
        });
        assert!(count > 0, "{part}");
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns what is found in made-up text, as lines.
fn found(path: &str, text: &str) -> Vec<String> {
    let crates = ["rayon", "rustix", "serde"].map(str::to_owned);
    breaches(path, text, &crates).iter().map(ToString::to_string).collect()
}

#[test]
fn a_use_against_the_order_is_found_however_it_is_written() {
    for (path, text, expected) in [
        ("codec/a.rs", "\nuse crate::store::Key;", "line 2: codec uses store"),
        ("codec/mod.rs", "use super::store::Key;", "line 1: codec uses store"),
        ("codec/deep/a.rs", "use super::super::super::store;", "line 1: codec uses store"),
        ("codec/a.rs", "use crate::{error::Class,\nformat::{Digest, Name}, plan::packs};", "line 2: codec uses plan"),
        ("codec/a.rs", "fn f(x: &[u8]) { crate::media::find(x) }", "line 1: codec uses media"),
        ("format/a.rs", "use crate::trust::*;", "line 1: format uses trust"),
        ("error.rs", "use crate::format::Name;", "line 1: error uses format"),
        ("store/s3/a.rs", "pub(in crate::pipeline) struct A;", "line 1: store uses pipeline"),
        ("pipeline/a.rs", "use crate::tao::Catalogue;", "line 1: pipeline uses tao"),
        ("media/a.rs", "use crate::unheard::Of;", "line 1: media uses unheard"),
        ("unheard/a.rs", "", "line 1: the layout has no module unheard"),
        ("trust/a.rs", "mod inner { use super::super::store; }", "line 1: a module inside a file hides what it uses"),
        ("trust/a.rs", "pub(crate) fn f() {}", "line 1: pub(crate) in the library"),
    ] {
        assert!(found(path, text).contains(&expected.to_owned()), "{text}: {:?}", found(path, text));
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    for (path, text) in [
        ("codec/a.rs", "use crate::{error::Class, format::{self, Digest}};\nuse super::planes;\nuse self::x::Y;"),
        ("codec/deep/mod.rs", "use super::planes::split;\nuse std::collections::BTreeMap;\nuse serde::Serialize;"),
        ("codec/a.rs", "// use crate::store::Key;\n/* crate::store::Key /* std::fs */ std::fs */ fn f() {}"),
        (
            "codec/a.rs",
            "const A: &str = \"crate::store::Key \\\" std::fs::read\";\nconst B: &str = r#\"\"std::fs::\"#;",
        ),
        ("codec/a.rs", "fn f<'a>(x: &'a str) -> char { if x != \"a\" { '\"' } else { '\\'' } }\nuse crate::format::A;"),
        ("codec/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::Key;\n    fn f() { println!(); }\n}\n"),
        ("codec/mod.rs", "#[cfg(test)]\nmod tests;\n"),
        ("codec/tests.rs", "use crate::store::Key;\nuse std::fs;"),
        ("pipeline/a.rs", "use crate::store::Key;\nuse std::fs;\nfn f(c: Command) { c.stdout(Stdio::piped()); }"),
        ("cli/a.rs", "use crate::cli::b;\nuse airlift::store::Key;\nfn f() { println!(\"{}\", io::stdout()); }"),
        ("main.rs", "mod cli;\nfn main() { cli::run() }"),
    ] {
        assert_eq!(found(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn effects_in_a_pure_module_are_found() {
    for text in [
        "use std::fs::File;",
        "use std::{fmt, net::TcpStream};",
        "fn f() { std::thread::spawn(|| ()); }",
        "fn f() { let x = std::time::Instant::now(); }",
        "fn f() { std::env::var(\"A\"); }",
        "use std::io::Read;",
        "use core::sync::atomic::AtomicU64;",
        "use rayon::prelude::*;",
        "fn f() { rustix::process::getpid(); }",
        "use std::hash::RandomState;",
        "fn f(h: Hasher) { h.update_rayon(b\"x\"); }",
        "thread_local! {}",
        "#[cfg(not(test))]\nuse std::fs::File;",
    ] {
        for module in PURE {
            let found = found(&format!("{module}/a.rs"), text);
            assert!(found.len() == 1 && found[0].contains("is pure and uses"), "{text}: {found:?}");
        }
        assert_eq!(found("store/a.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn printing_below_the_program_is_found() {
    for text in [
        "fn f() { println!(\"x\"); }",
        "fn f() { eprint!(\"x\"); }",
        "fn f() { dbg!(1); }",
        "fn f() { std::io::stdout().lock(); }",
        "use std::io::{self, Write};\nfn f() { io::stderr(); }",
        "use std::io::{Write, stdout};",
    ] {
        for path in ["pipeline/a.rs", "tao/a.rs", "store/s3/mod.rs"] {
            let found = found(path, text);
            assert!(found.len() == 1 && found[0].contains("prints"), "{path} {text}: {found:?}");
        }
    }
}

#[test]
fn files_and_functions_above_the_limits_are_found() {
    let body = |line_count: usize| "    let brace = '{';\n".repeat(line_count - 2);
    let text =
        |line_count| format!("trait A {{\n    fn a(&self, b: [u8; 2]);\n}}\nfn long() {{\n{}}}\n", body(line_count));
    assert_eq!(found("store/a.rs", &text(70)), Vec::<String>::new());
    assert_eq!(found("store/a.rs", &text(71)), ["line 4: long has 71 lines; the limit is 70"]);
    assert_eq!(found("store/tests.rs", &text(71)).len(), 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    use super::*;\n".repeat(100));
    let file = |line_count| format!("{tests}{}", "const A: u8 = 0;\n".repeat(line_count));
    assert_eq!(found("store/a.rs", &file(800)), Vec::<String>::new());
    assert_eq!(found("store/a.rs", &file(801)), ["line 801: the file is longer than 800 lines without its tests"]);
    assert_eq!(found("store/mod.rs", "mod tests;"), ["line 1: tests.rs is declared without #[cfg(test)]"]);
}
