//! The packer's own directory in the output, there until the bundle is finished.

use super::error::PackError;
use super::journal::{Journal, Line};
use super::records::Log;
use super::write::Logs;
use super::{Attached, PackOptions};
use crate::format::head::Release;
use crate::format::packs::VolumeNumber;
use crate::format::{Name, Sha256, Time};
use crate::machine::{Lock, Machine};
use crate::pipeline::walk::{Links, Unsupported};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

const STATE_DIR: &str = ".pack";
const JOURNAL: &str = "journal";
const ARGUMENTS: &str = "arguments";
const HEAD: &str = "head.json";
/// A file until it has its name.
const NEW: &str = "new";

/// The directory, held by this process alone.
pub(super) struct State {
    pub(super) machine: Machine,
    pub(super) out: PathBuf,
    pub(super) dir: PathBuf,
    /// When packing began, by the first run.
    pub(super) created_at: Time,
    _lock: Lock,
}

/// What an earlier run has left.
pub(super) struct Progressed {
    pub(super) logs: Logs,
    pub(super) journal: Journal,
    /// The line of the last finished volume.
    pub(super) line: Option<Line>,
}

/// What has to be the same when a run is repeated.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Arguments {
    version: String,
    roots: Vec<(Name, String)>,
    follows_links: bool,
    skips_unsupported: bool,
    exclude: Vec<String>,
    stream: Name,
    counter: u64,
    volume_len: u64,
    previous: Option<Release>,
    not_after: Option<Time>,
    audience: Option<Name>,
    attachments: Vec<(Name, u64, Sha256)>,
    ext: BTreeMap<Name, String>,
    created_at: Time,
}

impl Arguments {
    fn new(options: &PackOptions, attachments: &[Attached]) -> Arguments {
        let root = |(name, path): &(Name, PathBuf)| {
            let path = path.canonicalize().unwrap_or(path.clone());
            (name.clone(), path.as_os_str().as_bytes().escape_ascii().to_string())
        };
        let mut roots: Vec<_> = options.roots.iter().map(root).collect();
        roots.sort();
        let mut exclude: Vec<String> = options.exclude.iter().map(ToString::to_string).collect();
        exclude.sort();
        exclude.dedup();
        let attached = |one: &Attached| (one.facts.kind.clone(), one.facts.length, one.facts.sha256);
        Arguments {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roots,
            follows_links: options.links == Links::FollowInside,
            skips_unsupported: options.unsupported == Unsupported::Skip,
            exclude,
            stream: options.stream.clone(),
            counter: options.counter,
            volume_len: options.volume_len,
            previous: options.previous,
            not_after: options.not_after,
            audience: options.audience.clone(),
            attachments: attachments.iter().map(attached).collect(),
            ext: options.ext.clone(),
            created_at: options.created_at,
        }
    }

    /// Returns the first argument that differs. Times differ from run to run, and the first counts.
    fn difference(&self, other: &Arguments) -> Option<&'static str> {
        [
            (self.version == other.version, "version of the program"),
            (self.roots == other.roots, "set of roots"),
            (self.follows_links == other.follows_links, "choice about links"),
            (self.skips_unsupported == other.skips_unsupported, "choice about entries that cannot be carried"),
            (self.exclude == other.exclude, "set of globs to leave out"),
            (self.stream == other.stream, "stream"),
            (self.counter == other.counter, "counter"),
            (self.volume_len == other.volume_len, "volume size"),
            (self.previous == other.previous, "previous release"),
            (self.not_after == other.not_after, "end of validity"),
            (self.audience == other.audience, "audience"),
            (self.attachments == other.attachments, "set of attachments"),
            (self.ext == other.ext, "set of further facts"),
        ]
        .into_iter()
        .find_map(|(is_same, argument)| (!is_same).then_some(argument))
    }
}

impl State {
    /// Takes the output directory: a new or empty one, or one in which packing began with the same
    /// arguments.
    pub(super) fn open(machine: &Machine, options: &PackOptions, attachments: &[Attached]) -> Result<State, PackError> {
        let out = options.out.clone();
        let dir = out.join(STATE_DIR);
        if !dir.is_dir() {
            make_dir(machine, &out, 0o755)?;
            let mut listing = std::fs::read_dir(&out).map_err(PackError::io("read", &out))?;
            if listing.next().is_some() {
                return Err(PackError::OutputInUse { path: out });
            }
            make_dir(machine, &dir, 0o700)?;
        }
        let lock = lock(machine, &out, &dir)?;
        let arguments = Arguments::new(options, attachments);
        let path = dir.join(ARGUMENTS);
        let created_at = match machine.read(&path).map_err(PackError::io("read", &path))? {
            Some(bytes) => {
                let begun: Arguments =
                    serde_json::from_slice(&bytes).map_err(|_| PackError::StateDamaged { path: path.clone() })?;
                if let Some(argument) = begun.difference(&arguments) {
                    return Err(PackError::OtherArguments { path: out, argument });
                }
                begun.created_at
            }
            None => {
                // Names, numbers and texts always serialise.
                let bytes = serde_json::to_vec_pretty(&arguments).unwrap_or_default();
                machine.write_durably(&dir.join(NEW), &path, &bytes).map_err(PackError::io("write", &path))?;
                options.created_at
            }
        };
        make_dir(machine, &out.join("volumes"), 0o755)?;
        Ok(State { machine: machine.clone(), out, dir, created_at, _lock: lock })
    }

    /// Returns the path of a file of the state.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns what an earlier run finished, and lets go of what it did not finish.
    pub(super) fn recover(&self) -> Result<Progressed, PackError> {
        let (mut journal, mut lines) = Journal::open(&self.machine, &self.path(JOURNAL))?;
        let line_count = lines.len();
        let logs = loop {
            match lines.last() {
                Some(line) => match self.resume_logs(line)? {
                    Some(logs) => break logs,
                    None => lines.pop(),
                },
                None => break self.create_logs()?,
            };
        };
        if lines.len() < line_count {
            journal.rewrite(&lines)?;
        }
        // The journal and the logs must not lose their names once the journal says something.
        self.machine.sync_directory(&self.dir).map_err(PackError::io("write", &self.dir))?;
        self.keep_volumes(&lines)?;
        Ok(Progressed { logs, journal, line: lines.pop() })
    }

    /// Removes what `open` has made, unless an earlier run has finished a volume.
    pub(super) fn abandon(self) -> Result<(), PackError> {
        let journal = self.path(JOURNAL);
        let lines = self.machine.read(&journal).map_err(PackError::io("read", &journal))?;
        if lines.is_some_and(|lines| !lines.is_empty()) {
            return Ok(());
        }
        let volumes = self.out.join("volumes");
        self.machine.remove_directory(&volumes).map_err(PackError::io("remove", &volumes))?;
        self.remove()
    }

    /// Removes the directory; the bundle is finished.
    pub(super) fn remove(self) -> Result<(), PackError> {
        self.machine.remove_tree(&self.dir).map_err(PackError::io("remove", &self.dir))?;
        self.machine.sync_directory(&self.out).map_err(PackError::io("write", &self.out))
    }

    fn create_logs(&self) -> Result<Logs, PackError> {
        Ok(Logs {
            entries: Log::create(&self.machine, &self.path(LOG_NAMES[0]))?,
            rows: Log::create(&self.machine, &self.path(LOG_NAMES[1]))?,
            marks: Log::create(&self.machine, &self.path(LOG_NAMES[2]))?,
            packs: Log::create(&self.machine, &self.path(LOG_NAMES[3]))?,
        })
    }

    fn resume_logs(&self, line: &Line) -> Result<Option<Logs>, PackError> {
        let open = |index: usize| Log::resume(&self.machine, &self.path(LOG_NAMES[index]), &line.logs[index]);
        let (Some(entries), Some(rows), Some(marks), Some(packs)) = (open(0)?, open(1)?, open(2)?, open(3)?) else {
            return Ok(None);
        };
        Ok(Some(Logs { entries, rows, marks, packs }))
    }

    /// Checks that finished volumes are there and removes what was behind them.
    fn keep_volumes(&self, lines: &[Line]) -> Result<(), PackError> {
        let dir = self.out.join("volumes");
        for line in lines {
            let damaged = || PackError::StateDamaged { path: dir.join(format!("{:06}.vol", line.volume)) };
            let path = dir.join(VolumeNumber::new(line.volume).ok_or_else(damaged)?.file_name());
            let len = std::fs::symlink_metadata(&path).map_err(PackError::io("read", &path))?.len();
            if len != line.volume_len {
                return Err(damaged());
            }
        }
        let last = lines.last().map_or(0, |line| line.volume);
        for item in std::fs::read_dir(&dir).map_err(PackError::io("read", &dir))? {
            let path = item.map_err(PackError::io("read", &dir))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if stem.parse().is_ok_and(|number: u32| number > last) {
                self.machine.remove_file(&path).map_err(PackError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The names of the logs, in the order in which the journal has their states.
pub(super) const LOG_NAMES: [&str; 4] = ["packed-entries", "packed-rows", "packed-marks", "packed-packs"];

/// Returns the bytes of the head of a finished bundle, nothing where there is none; and removes the
/// state that a run which was stopped at its very end left beside it.
pub(super) fn finished_head(machine: &Machine, out: &Path) -> Result<Option<Vec<u8>>, PackError> {
    let path = out.join(HEAD);
    let Some(head) = machine.read(&path).map_err(PackError::io("read", &path))? else { return Ok(None) };
    let dir = out.join(STATE_DIR);
    if dir.is_dir() {
        let _lock = lock(machine, out, &dir)?;
        machine.remove_tree(&dir).map_err(PackError::io("remove", &dir))?;
    }
    Ok(Some(head))
}

fn lock(machine: &Machine, out: &Path, dir: &Path) -> Result<Lock, PackError> {
    let path = dir.join("lock");
    let locked = machine.lock(&path).map_err(PackError::io("lock", &path))?;
    locked.ok_or_else(|| PackError::OutputLocked { path: out.to_owned() })
}

fn make_dir(machine: &Machine, path: &Path, mode: u32) -> Result<(), PackError> {
    machine.make_directory(path, mode).map_err(PackError::io("create", path))
}

impl State {
    /// Creates a directory of the bundle unless it is there.
    pub(super) fn make_dir(&self, path: &Path) -> Result<(), PackError> {
        make_dir(&self.machine, path, 0o755)
    }

    /// Writes a file of the bundle so that it is either whole or not there.
    pub(super) fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), PackError> {
        self.machine.write_durably(&self.path(NEW), path, bytes).map_err(PackError::io("write", path))
    }
}
