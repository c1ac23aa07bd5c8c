//! `airlift tao init`, `export` and `land`: the steps of one side, one after the other, from one file (C-49).
//!
//! A step is a command of this program as a person would type it, run as a program of its own in the
//! directory of the file: what it prints, asks for and ends with is what the command alone would.

mod file;
mod record;

use super::profile::{MODELS, ROOTS};
use crate::cli::args::{Args, InitArgs, StepsArgs};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use crate::cli::size::Count;
use airlift::error::Class;
use airlift::format::{Digest, OneLine};
use airlift::media::find;
use airlift::tao::metadata::METADATA_NAME;
use clap::{Command, CommandFactory as _};
use file::StepsFile;
use record::{Record, digest};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

const TEMPLATE: &str = include_str!("../init.toml");
/// Keys of `release` that the steps read themselves.
const RELEASE_KEYS: [&str; 3] = ["stream", "counter", "bundles"];

/// Writes a file of steps with what is assumed.
pub(super) fn init(args: &InitArgs, report: &Report) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).open(&args.file).and_then(|mut file| {
        file.write_all(TEMPLATE.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", args.file.display());
            Failure::new(Class::Refused, message, "name another file")
        }
        _ => Failure::io("write", &args.file, &error),
    })?;
    let shown = OneLine(args.file.to_string_lossy()).to_string();
    let text = format!("written: {shown}\nnext     correct it, then airlift tao export {shown}\n");
    report.result(&json!({ "result": "written", "file": args.file }), &text)
}

/// Does what the connected side has to do.
pub(super) fn export(args: &StepsArgs, report: &Report) -> Result<(), Failure> {
    let file = StepsFile::read(&args.file)?;
    let steps = Steps::new(&file);
    let (stream, counter) =
        (file.text("release", "stream", "stream = \"...\"")?, file.text("release", "counter", "counter = 1")?);
    let bundle = Path::new(file.text("release", "bundles", "bundles = \"...\"")?).join(format!("{stream}-{counter}"));
    file.check_own("roots", &ROOTS)?;
    let roots = file.texts("roots")?;
    if roots.is_empty() {
        return Err(file.missing("roots", "models = \"...\""));
    }
    let (keys, media) = (file.list_if_table("sign", "keys")?, file.list_if_table("write", "media")?);
    let models = roots.iter().find(|(name, _)| *name == MODELS).map(|(_, dir)| PathBuf::from(dir));
    let head = file.dir().join(&bundle).join("head.json");
    let mut all = Vec::new();

    if let Some(models) = models.as_ref().filter(|_| file.has("fetch")) {
        let mut step = steps.step("fetch", &["fetch"], "fetch", &[])?;
        step.words.extend(["--out".into(), models.into()]);
        step.inputs = file.list("fetch", "csv").iter().map(|path| file.dir().join(path)).collect();
        step.evidence = Some(file.dir().join(models).join(METADATA_NAME));
        all.push(step);
    }
    if let Some(models) = &models {
        let mut step = steps.step("check", &["tao", "check"], "", &[])?;
        step.words.push(models.into());
        step.inputs = vec![file.dir().join(models).join(METADATA_NAME)];
        all.push(step);
    }
    let above = file.dir().join(file.text("release", "bundles", "bundles = \"...\"")?);
    std::fs::create_dir_all(&above).map_err(|error| Failure::io("make", &above, &error))?;
    let mut step = steps.step("pack", &["pack"], "pack", &[])?;
    step.words.extend(roots.iter().map(|(name, dir)| OsString::from(format!("{name}={dir}"))));
    step.words.extend(["--out".into(), bundle.clone().into()]);
    step.words.extend(models.iter().flat_map(|_| ["--profile".into(), "tao".into()]));
    step.evidence = Some(head.clone());
    all.push(step);
    let signatures = file.dir().join(&bundle).join("signatures");
    for key in keys {
        let mut step = steps.step("sign", &["sign"], "sign", &["keys"])?;
        step.words.extend([bundle.clone().into(), key.into()]);
        step.inputs = vec![head.clone()];
        step.evidence = Some(signatures.clone());
        step.name = format!("sign {key}");
        all.push(step);
    }
    if !media.is_empty() {
        let mut step = steps.step("write", &["write"], "write", &["media"])?;
        step.words.push(bundle.into());
        step.words.extend(media.iter().map(OsString::from));
        step.inputs = vec![head];
        all.push(step);
    }
    steps.check_shared()?;
    run(&all, "export", &file, report)
}

/// Does what is to do behind the gap.
pub(super) fn land(args: &StepsArgs, report: &Report) -> Result<(), Failure> {
    let file = StepsFile::read(&args.file)?;
    let steps = Steps::new(&file);
    file.check_own("land", &["places"])?;
    let places = file.list("land", "places");
    if places.is_empty() {
        return Err(file.missing("land", "places = [\"...\"]"));
    }
    let places = releases_in(&file, &places)?;
    let with_places = |step: &mut Step| step.words.extend(places.iter().map(OsString::from));
    let mut all = Vec::new();

    let mut step = steps.step("verify", &["verify"], "", &[])?;
    with_places(&mut step);
    step.inputs = heads_of(&file, &places);
    // With some of the media only, what is there is good and is brought in.
    step.tolerated = Some(Class::Incomplete);
    all.push(step);
    let mut step = steps.step("import", &["import"], "import", &[])?;
    with_places(&mut step);
    step.words.extend(["--profile".into(), "tao".into()]);
    step.is_always = true;
    all.push(step);
    for name in ["register", "doctor"] {
        if file.has(name) {
            let mut step = steps.step(name, &["tao", name], name, &[])?;
            step.is_always = true;
            all.push(step);
        }
    }
    steps.check_shared()?;
    run(&all, "land", &file, report)
}

/// Returns for each place the directory of the release that the file names, where the place has one: a medium
/// may carry several.
fn releases_in(file: &StepsFile, places: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let name = format!(
        "{}-{}",
        file.text("release", "stream", "stream = \"...\"")?,
        file.text("release", "counter", "counter = 1")?
    );
    let release_in = |place: &&str| {
        let release = Path::new(place).join(&name);
        if file.dir().join(&release).join("head.json").exists() { release } else { place.into() }
    };
    Ok(places.iter().map(release_in).collect())
}

/// Returns the heads of the bundles that places have, where there are any.
fn heads_of(file: &StepsFile, places: &[PathBuf]) -> Vec<PathBuf> {
    let places: Vec<PathBuf> = places.iter().map(|place| file.dir().join(place)).collect();
    let media = find(&places).unwrap_or_default().into_iter().flat_map(|found| found.media);
    media.map(|medium| medium.path().join("head.json")).collect()
}

/// A command to run.
struct Step {
    name: String,
    words: Vec<OsString>,
    /// Files that it reads and that may be others next time.
    inputs: Vec<PathBuf>,
    /// What must still be there for it to be done.
    evidence: Option<PathBuf>,
    /// An end with which the next step begins all the same.
    tolerated: Option<Class>,
    /// It looks by itself at what is done.
    is_always: bool,
}

/// Makes steps from a file and the commands that there are.
struct Steps<'a> {
    file: &'a StepsFile,
    program: Command,
}

impl<'a> Steps<'a> {
    fn new(file: &'a StepsFile) -> Steps<'a> {
        Steps { file, program: Args::command() }
    }

    fn step(&self, name: &str, path: &[&str], table: &str, taken: &[&str]) -> Result<Step, Failure> {
        let bug = || Failure::new(Class::Bug, format!("there is no command {}", path.join(" ")), "report this line");
        let command = path.iter().try_fold(&self.program, |command, word| command.find_subcommand(word));
        // Who looks at what landed is told where, once for all.
        let lenders: &[&str] = match name {
            "register" => &["import", "release", "trust", "store"],
            "doctor" => &["register", "import", "release", "trust", "store"],
            "verify" | "import" => &["release", "trust", "store"],
            // The store and its authority are behind the gap.
            _ => &["release"],
        };
        let options = self.file.options((command.ok_or_else(bug)?, path), (table, lenders), taken)?;
        let words = path.iter().map(OsString::from).chain(options).collect();
        let name = name.to_owned();
        Ok(Step { name, words, inputs: Vec::new(), evidence: None, tolerated: None, is_always: false })
    }

    fn check_shared(&self) -> Result<(), Failure> {
        let tao = self.program.find_subcommand("tao").into_iter().flat_map(Command::get_subcommands);
        let commands: Vec<&Command> = self.program.get_subcommands().chain(tao).collect();
        self.file.check_shared(&commands, &RELEASE_KEYS)
    }
}

/// Runs steps until one fails.
fn run(steps: &[Step], side: &str, file: &StepsFile, report: &Report) -> Result<(), Failure> {
    let mut record = Record::open(&file.path)?;
    // What a source has may be other things for the next release.
    let release = (["stream", "counter"]).map(|key| file.list("release", key).concat());
    let mut before = Digest::of(format!("{side} {}", release.join(" ")).as_bytes());
    let (mut told, mut is_begun) = (Vec::new(), false);
    for (index, step) in steps.iter().enumerate() {
        let place = format!("step {} of {}", index + 1, steps.len());
        let now = digest(&before, &step.words, &step.inputs);
        before = now;
        let is_there = step.evidence.as_ref().is_none_or(|path| path.exists());
        // What comes behind a step that was done again is about other things.
        if !step.is_always && !is_begun && is_there && record.is_done(&step.name, &now) {
            report.note(&format!("{place}: {}: done before", step.name));
            told.push(json!({ "step": step.name, "result": "done before" }));
            continue;
        }
        report.note(&format!("{place}: airlift {}", shown(&step.words)));
        is_begun |= !step.is_always;
        let ended = start(step, file.dir(), report)?;
        let class = ended.class();
        told.push(
            json!({ "step": step.name, "result": class.map_or("done", Class::name), "document": ended.document }),
        );
        if class.is_none() {
            record.set_done(&step.name, &now)?;
        }
        if let Some(class) = class.filter(|class| step.tolerated != Some(*class)) {
            report.note(&format!(
                "stopped at {place}, {}; then repeat airlift tao {side} {}: what is done is not done again",
                step.name,
                file.path.display()
            ));
            report.result(&json!({ "result": "stopped", "steps": told }), "")?;
            // The step has said why.
            return Err(Failure { is_silent: true, ..Failure::new(class, step.name.clone(), "") });
        }
    }
    let text = format!("done: {} of airlift tao {side}\n", Count(steps.len() as u64, "step"));
    report.result(&json!({ "result": "done", "steps": told }), &text)
}

/// How a step ended.
struct Ended {
    status: ExitStatus,
    /// What it printed as its result, with `--json`.
    document: Value,
}

impl Ended {
    /// Returns the class that the step ended with; nothing where it did what it should.
    fn class(&self) -> Option<Class> {
        match self.status.code() {
            Some(0) => None,
            Some(code) => Some(Class::of_exit_code(code).unwrap_or(Class::Failed)),
            // Ended by a signal.
            None => Some(Class::Interrupted),
        }
    }
}

/// Runs a step to its end. Its progress and its errors go where ours would.
fn start(step: &Step, dir: &Path, report: &Report) -> Result<Ended, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::io("find", Path::new("airlift"), &error))?;
    let failed = |error: std::io::Error| Failure::io("run", &program, &error);
    let mut command = std::process::Command::new(&program);
    command.args(&step.words).args(report.words()).current_dir(dir).stdin(Stdio::inherit());
    if !report.is_json() {
        let status = command.status().map_err(failed)?;
        return Ok(Ended { status, document: Value::Null });
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(failed)?;
    let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok(Ended { status: output.status, document })
}

/// Displays words as a shell would read them.
fn shown(words: &[OsString]) -> String {
    let quoted = |word: &OsString| {
        let word = word.to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.into_owned(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
