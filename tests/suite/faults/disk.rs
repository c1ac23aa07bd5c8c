//! A disk that is cut off: what was done to it step by step, and every state in which a power cut may
//! leave it.
//!
//! The model is that of POSIX. What was synced is there. Of everything else any part may be: a write, a
//! piece of it, its length without its bytes; a name, or the one before it. A rename is done or not.

use airlift::machine::{Gate, Step};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a change of a disk is lost or kept by itself; beyond, all are.
const ALONE_COUNT_MAX: usize = 6;

/// A step that was done.
#[derive(Clone, Debug)]
enum Done {
    Create(PathBuf),
    Open(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    SetLen(PathBuf, u64),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    MakeDirectory(PathBuf),
    RemoveDirectory(PathBuf),
    SyncDirectory(PathBuf),
}

impl Done {
    fn of(step: &Step<'_>) -> Done {
        let owned = Path::to_owned;
        match *step {
            Step::Create(path) => Done::Create(owned(path)),
            Step::Open(path) => Done::Open(owned(path)),
            Step::Write { path, offset, slices } => {
                let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                Done::Write { path: owned(path), offset, bytes }
            }
            Step::SetLen(path, len) => Done::SetLen(owned(path), len),
            Step::Sync(path) => Done::Sync(owned(path)),
            Step::Rename(from, to) => Done::Rename(owned(from), owned(to)),
            Step::RemoveFile(path) => Done::RemoveFile(owned(path)),
            Step::MakeDirectory(path) => Done::MakeDirectory(owned(path)),
            Step::RemoveDirectory(path) => Done::RemoveDirectory(owned(path)),
            Step::SyncDirectory(path) => Done::SyncDirectory(owned(path)),
        }
    }
}

/// What befalls the steps and reads of a machine. Steps and reads are counted from 0, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// This step and all behind it are never done, and the machine is off.
    Cut(u64),
    /// This step fails with this error of the system.
    Step(u64, i32),
    /// This step is a write that fails half done, as on a full disk.
    Half(u64),
    /// This read fails.
    Read(u64),
    /// This read and all behind it fail.
    Reads(u64),
    /// This read gives one byte.
    Short(u64),
    /// Whatever this read is of has ended.
    End(u64),
}

/// Records what is done, and makes trouble.
pub(crate) struct Recorder {
    trouble: Trouble,
    done: Mutex<Vec<Done>>,
    step_count: AtomicU64,
    read_count: AtomicU64,
    is_met: AtomicBool,
    is_off: AtomicBool,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

impl Recorder {
    pub(crate) fn new(trouble: Trouble) -> Recorder {
        Recorder {
            trouble,
            done: Mutex::default(),
            step_count: AtomicU64::new(0),
            read_count: AtomicU64::new(0),
            is_met: AtomicBool::new(false),
            is_off: AtomicBool::new(false),
        }
    }

    /// Tells whether the trouble was met.
    pub(crate) fn is_met(&self) -> bool {
        self.is_met.load(Ordering::SeqCst)
    }

    /// Tells whether the machine is off.
    pub(crate) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::SeqCst)
    }

    pub(crate) fn step_count(&self) -> u64 {
        self.done.lock().expect("no panic elsewhere").len() as u64
    }

    /// Returns the step before this one.
    pub(crate) fn step_before(&self, at: u64) -> Option<String> {
        let done = self.done.lock().expect("no panic elsewhere");
        at.checked_sub(1).and_then(|at| done.get(at as usize)).map(|step| match step {
            Done::Write { path, offset, bytes } => format!("{} bytes to {} at {offset}", bytes.len(), path.display()),
            other => format!("{other:?}"),
        })
    }

    /// Returns the number of the first step that gives a file this name.
    pub(crate) fn first_rename_to(&self, name: &str) -> Option<u64> {
        let done = self.done.lock().expect("no panic elsewhere");
        let at = done.iter().position(|one| matches!(one, Done::Rename(_, to) if to.ends_with(name)));
        at.map(|at| at as u64)
    }

    /// Counts how often a file of this name was synced before a step.
    pub(crate) fn synced_count(&self, at: u64, name: &str) -> usize {
        let done = self.done.lock().expect("no panic elsewhere");
        done.iter().take(at as usize).filter(|one| matches!(one, Done::Sync(path) if path.ends_with(name))).count()
    }

    fn error(&self, number: i32) -> io::Error {
        self.is_met.store(true, Ordering::SeqCst);
        io::Error::from_raw_os_error(number)
    }
}

impl Gate for Recorder {
    fn before(&self, step: &Step<'_>) -> io::Result<()> {
        let mut done = self.done.lock().expect("no panic elsewhere");
        let number = self.step_count.fetch_add(1, Ordering::SeqCst);
        match (self.trouble, step) {
            (Trouble::Cut(at), _) if number >= at => {
                self.is_off.store(true, Ordering::SeqCst);
                return Err(self.error(EIO));
            }
            (Trouble::Step(at, error), _) if number == at => return Err(self.error(error)),
            (Trouble::Half(at), Step::Write { path, offset, slices }) if number == at => {
                let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                let file = fs::OpenOptions::new().write(true).open(path)?;
                file.write_all_at(&bytes[..bytes.len() / 2], *offset)?;
                return Err(self.error(ENOSPC));
            }
            // No step but a write is ever half done.
            (Trouble::Half(at), _) if number == at => self.is_met.store(true, Ordering::SeqCst),
            _ => {}
        }
        done.push(Done::of(step));
        Ok(())
    }

    fn read(&self, _: &Path, _: u64, len: usize) -> io::Result<usize> {
        let number = self.read_count.fetch_add(1, Ordering::SeqCst);
        if self.is_off() {
            return Err(self.error(EIO));
        }
        match self.trouble {
            Trouble::Read(at) if number == at => Err(self.error(EIO)),
            Trouble::Reads(at) if number >= at => Err(self.error(EIO)),
            Trouble::Short(at) if number == at => {
                self.is_met.store(true, Ordering::SeqCst);
                Ok(1)
            }
            Trouble::End(at) if number == at => {
                self.is_met.store(true, Ordering::SeqCst);
                Ok(0)
            }
            _ => Ok(len),
        }
    }

    fn pace(&self, duration: Duration) -> Duration {
        if duration >= Duration::from_secs(10) { duration } else { Duration::ZERO }
    }
}

type Inode = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(Inode),
    Directory,
}

/// A change of a file that was not synced.
#[derive(Clone, Debug)]
enum Edit {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// A change of names that was not synced.
#[derive(Clone, Debug)]
enum Naming {
    Add(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

impl Naming {
    fn is_in(&self, directory: &Path) -> bool {
        let is_in = |path: &Path| path.parent() == Some(directory);
        match self {
            Naming::Add(path, _) | Naming::Remove(path) => is_in(path),
            Naming::Rename(from, to, _) => is_in(from) || is_in(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Naming::Add(path, node) => drop(names.insert(path.clone(), *node)),
            Naming::Remove(path) => drop(names.remove(path)),
            Naming::Rename(from, to, node) => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct FileState {
    durable: Vec<u8>,
    edits: Vec<Edit>,
}

/// A directory tree with what is durable of it and what is not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    top: PathBuf,
    files: Vec<FileState>,
    durable: BTreeMap<PathBuf, Node>,
    /// As a running program sees them.
    names: BTreeMap<PathBuf, Node>,
    namings: Vec<Naming>,
}

/// Files, and directories, below a place.
pub(crate) type State = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// Returns the tree below `top` as it is now, all of it durable.
    pub(crate) fn of(top: &Path) -> Disk {
        let mut disk = Disk { top: top.to_owned(), ..Disk::default() };
        for (path, bytes) in state_of(top) {
            let node = match bytes {
                None => Node::Directory,
                Some(durable) => {
                    disk.files.push(FileState { durable, edits: Vec::new() });
                    Node::File(disk.files.len() - 1)
                }
            };
            disk.names.insert(top.join(path), node);
        }
        disk.durable = disk.names.clone();
        disk
    }

    /// Does what was recorded.
    pub(crate) fn replay(&mut self, recorder: &Recorder, count: u64) {
        let done = recorder.done.lock().expect("no panic elsewhere");
        done.iter().take(count as usize).for_each(|one| self.step(one));
    }

    fn step(&mut self, done: &Done) {
        match done {
            Done::Create(path) => match self.file(path) {
                Some(file) => self.files[file].edits.push(Edit::SetLen(0)),
                None => self.add(path),
            },
            Done::Open(path) if self.file(path).is_none() => self.add(path),
            Done::Open(_) => {}
            Done::Write { path, offset, bytes } => self.edit(path, Edit::Write(*offset, bytes.clone())),
            Done::SetLen(path, len) => self.edit(path, Edit::SetLen(*len)),
            Done::Sync(path) => {
                let file = self.file(path).expect("synced files are there");
                let FileState { durable, edits } = &mut self.files[file];
                edits.drain(..).for_each(|edit| edit.apply(durable));
            }
            Done::Rename(from, to) => {
                let node = self.names[from];
                self.name(Naming::Rename(from.clone(), to.clone(), node));
            }
            Done::RemoveFile(path) | Done::RemoveDirectory(path) if self.names.contains_key(path) => {
                self.name(Naming::Remove(path.clone()));
            }
            Done::RemoveFile(_) | Done::RemoveDirectory(_) => {}
            Done::MakeDirectory(path) if self.names.contains_key(path) || *path == self.top => {}
            Done::MakeDirectory(path) => self.name(Naming::Add(path.clone(), Node::Directory)),
            Done::SyncDirectory(path) => {
                let (synced, rest) = self.namings.drain(..).partition(|naming| naming.is_in(path));
                self.namings = rest;
                let synced: Vec<Naming> = synced;
                synced.iter().for_each(|naming| naming.apply(&mut self.durable));
            }
        }
    }

    fn file(&self, path: &Path) -> Option<Inode> {
        match self.names.get(path) {
            Some(Node::File(file)) => Some(*file),
            _ => None,
        }
    }

    fn add(&mut self, path: &Path) {
        self.files.push(FileState::default());
        self.name(Naming::Add(path.to_owned(), Node::File(self.files.len() - 1)));
    }

    fn edit(&mut self, path: &Path, edit: Edit) {
        let file = self.file(path).expect("written files are there");
        self.files[file].edits.push(edit);
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    /// Returns the states in which a power cut may leave the tree now: all changes lost, all kept, names
    /// without bytes and bytes without names, and each change lost or kept by itself.
    pub(crate) fn crash_states(&self) -> Vec<State> {
        let mut seen = HashSet::new();
        let mut states = Vec::new();
        let all = |_: usize| true;
        let none = |_: usize| false;
        let mut add = |state: State| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                states.push(state);
            }
        };
        for data in [Data::Kept, Data::Lost, Data::Zeroes, Data::LastTorn, Data::LastLost, Data::OnlyLast] {
            add(self.state(&all, data));
        }
        for data in [Data::Lost, Data::Kept] {
            add(self.state(&none, data));
        }
        let count = self.namings.len();
        for alone in count.saturating_sub(ALONE_COUNT_MAX)..count {
            for data in [Data::Kept, Data::Lost] {
                add(self.state(&|naming| naming == alone, data));
                add(self.state(&|naming| naming != alone, data));
                add(self.state(&|naming| naming < alone, data));
            }
        }
        states
    }

    fn state(&self, is_named: &dyn Fn(usize) -> bool, data: Data) -> State {
        let mut names = self.durable.clone();
        for (number, naming) in self.namings.iter().enumerate() {
            if is_named(number) {
                naming.apply(&mut names);
            }
        }
        let is_there = |path: &Path| {
            let above = path.ancestors().skip(1).take_while(|above| *above != self.top);
            above.into_iter().all(|above| names.get(above) == Some(&Node::Directory))
        };
        let kept = names.iter().filter(|(path, _)| is_there(path));
        let content = |node: &Node| match node {
            Node::Directory => None,
            Node::File(file) => Some(self.files[*file].content(data)),
        };
        let below = |path: &Path| path.strip_prefix(&self.top).expect("below").to_owned();
        kept.map(|(path, node)| (below(path), content(node))).collect()
    }
}

/// What is left of the bytes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Kept,
    Lost,
    /// The lengths are there, the bytes are not.
    Zeroes,
    LastTorn,
    LastLost,
    OnlyLast,
}

impl FileState {
    fn content(&self, data: Data) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let last = self.edits.len().wrapping_sub(1);
        for (number, edit) in self.edits.iter().enumerate() {
            match (data, edit) {
                (Data::Lost, _) => {}
                (Data::LastLost, _) if number == last => {}
                (Data::OnlyLast, _) if number != last => {}
                (Data::Zeroes, Edit::Write(offset, written)) => {
                    Edit::Write(*offset, vec![0; written.len()]).apply(&mut bytes);
                }
                (Data::LastTorn, Edit::Write(offset, written)) if number == last => {
                    Edit::Write(*offset, written[..written.len() / 2].to_vec()).apply(&mut bytes);
                }
                _ => edit.apply(&mut bytes),
            }
        }
        bytes
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Edit::SetLen(len) => bytes.resize(*len as usize, 0),
            Edit::Write(offset, written) => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
        }
    }
}

/// Returns what is below a directory.
pub(crate) fn state_of(top: &Path) -> State {
    let mut state = State::new();
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(&directory).into_iter().flatten() {
            let path = item.expect("an entry").path();
            let below = path.strip_prefix(top).expect("below").to_owned();
            if path.is_dir() {
                state.insert(below, None);
                directories.push(path);
            } else {
                state.insert(below, Some(fs::read(&path).expect("read")));
            }
        }
    }
    state
}

/// Makes a directory hold this and nothing else.
pub(crate) fn put_state(top: &Path, state: &State) {
    if top.exists() {
        fs::remove_dir_all(top).expect("removed");
    }
    fs::create_dir_all(top).expect("made");
    // A directory sorts before what is in it.
    for (path, bytes) in state {
        match bytes {
            None => fs::create_dir(top.join(path)).expect("made"),
            Some(bytes) => fs::write(top.join(path), bytes).expect("written"),
        }
    }
}
