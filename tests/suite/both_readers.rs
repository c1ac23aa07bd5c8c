//! The library and the second reader get the same changed bundles, and agree: both refuse one, or both
//! accept it and read the same. Where one thing alone was changed, they also agree whose problem it is.
//!
//! Each seed is a program of a carrier or a hostile signer (`forge`). `AIRLIFT_BOTH_SEEDS` says how many.

use crate::fixture::{STREAM, scratch, signer};
use crate::forge;
use crate::forge::bases::{self, Base};
use crate::forge::{CALLER_KINDS, Files, Forge, Step};
use crate::program::shown;
use crate::reader::{python, reader};
use crate::tree::Random;
use airlift::error::Class;
use airlift::format::Sha256;
use airlift::format::walk::Item;
use airlift::media::find;
use airlift::pipeline::export::write_file;
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::verify::{Depth, verify};
use airlift::pipeline::volumes::Volumes;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SEED_COUNT: u64 = 400;

/// What a reader says of a bundle: the SHA-256 of every file and nothing for a directory, or whose problem
/// it is and why.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted(BTreeMap<String, Option<String>>),
    Refused { class: String, why: String },
}

impl Verdict {
    /// Several breaches of one bundle may be met in any order: only one alone has one class.
    fn agrees(&self, other: &Verdict, is_one_change: bool) -> bool {
        match (self, other) {
            (Verdict::Refused { class, why }, Verdict::Refused { class: other, why: first }) => {
                !is_one_change || class == other || is_among(first, why)
            }
            _ => self == other,
        }
    }
}

/// Tells whether the finding at which the second reader ended is one of those that ours has, of which
/// the gravest gives the class (C-10).
fn is_among(first: &str, findings: &str) -> bool {
    let first: Value = serde_json::from_str(first).unwrap_or_default();
    first["rule"].as_str().is_some_and(|rule| findings.contains(&format!("rule: Some({rule:?})")))
}

/// The second reader, running.
struct Second {
    process: Child,
    paths: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl Second {
    fn new() -> Second {
        let mut command = Command::new(python());
        command.args(["-m", "airlift_reader", "judge"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("PYTHONPATH", reader()).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = command.spawn().expect("start");
        let paths = process.stdin.take().expect("piped");
        let verdicts = BufReader::new(process.stdout.take().expect("piped"));
        Second { process, paths, verdicts }
    }

    fn judge(&mut self, bundle: &Path) -> Verdict {
        writeln!(self.paths, "{}", shown(bundle)).expect("asked");
        let mut line = String::new();
        self.verdicts.read_line(&mut line).expect("answered");
        let said: Value = serde_json::from_str(&line).expect("the second reader ends with a verdict");
        let class = said["class"].as_str().expect("a class").replace(' ', "-");
        if class != "accepted" {
            return Verdict::Refused { class, why: line };
        }
        let entries = said["entries"].as_object().expect("entries").iter();
        Verdict::Accepted(entries.map(|(path, digest)| (path.clone(), digest.as_str().map(str::to_owned))).collect())
    }

    fn finish(mut self) {
        drop(self.paths);
        assert!(self.process.wait().expect("waited").success());
    }
}

/// Returns what the library says, signatures aside.
fn judge(bundle: &Path) -> Verdict {
    let refused = |class: Class, why: String| Verdict::Refused { class: class.name().to_owned(), why };
    let found = match find(&[bundle.to_owned()]) {
        Ok(mut found) => found.remove(0),
        Err(error) => return refused(error.class(), error.to_string()),
    };
    let opened = match Opened::untrusted(found) {
        Ok(opened) => opened,
        Err(error) => return refused(error.class(), format!("{error:?}")),
    };
    let findings = verify(&opened, opened.media(), Depth::Contents, NonZeroUsize::MIN, &Quiet);
    if let Some(class) = findings.class() {
        return refused(class, format!("{:?}, {:?} missing", findings.findings, findings.missing_volumes));
    }
    let volumes = Volumes::new(opened.media().to_vec());
    let mut entries = BTreeMap::new();
    for item in opened.items() {
        let Item::Entry(entry) = item.expect("verified") else { continue };
        let digest = entry.file.map(|_| {
            let mut bytes = Vec::new();
            let report = write_file(&opened, &volumes, &entry.path, &mut bytes, &Quiet).expect("a file");
            assert_eq!(report.class(), None, "what was verified can be read");
            Sha256::of(&bytes).to_string()
        });
        entries.insert(entry.path.as_str().to_owned(), digest);
    }
    Verdict::Accepted(entries)
}

/// Returns the steps of a seed: one change mostly, and mostly one that all above it agrees with.
fn program(random: &mut Random) -> Vec<Step> {
    let mut below = |end| random.below(end);
    let count = 1 + below(4) / 3;
    let mut step = || Step {
        kind: below(CALLER_KINDS.into()) as u8,
        which: below(16) as u8,
        place: below(1 << 16) as u16,
        field: below(16) as u8,
        left: if below(4) == 0 { below(256) as u8 } else { 0 },
        value: [below(4), below(256), below(1 << 16)][below(3) as usize] as u16,
    };
    (0..count).map(|_| step()).collect()
}

/// Returns the bundle of a seed, and the steps that made it. Signatures are no matter of the second reader.
fn changed(bases: &[Base; 4], seed: u64) -> (&Base, Files, Vec<Step>) {
    let mut random = Random::new(seed + 1);
    // Tensors and parts take the second reader long.
    let base = match random.below(100) {
        0 => 3,
        1..8 => 2,
        8..50 => 1,
        _ => 0,
    };
    let base = &bases[base];
    let sign = |head: &[u8]| signer().sign(&format!("airlift-head@v1/{STREAM}"), head);
    let mut forge = Forge::new(&base.files, &sign);
    let steps = program(&mut random);
    steps.iter().for_each(|step| forge.take(step));
    let mut files = forge.files;
    files.retain(|name, _| !name.starts_with("signatures/"));
    // Where there is no head there is no bundle, and nothing to have a verdict on.
    files.entry("head.json".to_owned()).or_insert_with(|| base.files["head.json"].clone());
    (base, files, steps)
}

/// Tells whether these are the files that the bundle was packed from.
fn is_made_of(base: &Base, entries: &BTreeMap<String, Option<String>>) -> bool {
    let digests = base.sources.iter().map(|(path, bytes)| (path.clone(), Sha256::of(bytes).to_string()));
    let files = entries.iter().filter_map(|(path, digest)| Some((path.clone(), digest.clone()?)));
    digests.eq(files)
}

#[test]
fn both_readers_give_one_verdict_on_changed_bundles() {
    let count = std::env::var("AIRLIFT_BOTH_SEEDS").map_or(SEED_COUNT, |text| text.parse().expect("a number"));
    let directory = scratch();
    let [small, volumes, tensors] = bases::small(directory.path());
    let bases = [small, volumes, tensors, bases::two_parts(directory.path())];
    let bundle = directory.path().join("changed");
    let mut second = Second::new();
    let (mut differences, mut accepted_count) = (Vec::new(), 0);
    for seed in 0..count {
        let (base, files, steps) = changed(&bases, seed);
        forge::write(&bundle, files.iter());
        let (ours, theirs) = (judge(&bundle), second.judge(&bundle));
        if let Verdict::Accepted(entries) = &ours {
            accepted_count += 1;
            assert!(steps.iter().any(Step::is_signed) || is_made_of(base, entries), "seed {seed}, {steps:?}");
        }
        if !ours.agrees(&theirs, steps.len() == 1 && !steps[0].contradicts()) {
            differences.push(format!("seed {seed}, {steps:?}\n  library: {ours:?}\n  second: {theirs:?}"));
        }
    }
    second.finish();
    assert!(differences.is_empty(), "{} of {count} differ\n{}", differences.len(), differences.join("\n"));
    // Were all refused, nothing would be compared.
    assert!(accepted_count > count / 50, "only {accepted_count} of {count} are accepted");
}
