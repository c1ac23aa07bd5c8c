//! Where a case is run: its media, its trust, its store, and what holds for every call of the program.

use super::End;
use crate::by_hand::{self, Lay};
use crate::damage::packs;
use crate::fixture::{STREAM, objects, scratch, signer};
use crate::program::{airlift, files_below, shown, signer_line};
use airlift::store::DirectoryStore;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Files by path, or objects by key.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Codes after which nothing may have been changed.
pub(super) const REFUSALS: [i32; 5] = [2, 4, 7, 8, 9];

/// What a call printed, and how it ended.
pub(super) struct Called {
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

impl Called {
    pub(super) fn all(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.out), self.err)
    }
}

pub(super) struct Bench {
    id: &'static str,
    ends: &'static [End],
    top: tempfile::TempDir,
    seen: RefCell<BTreeSet<(String, i32)>>,
    media: RefCell<Vec<PathBuf>>,
    /// What the bundle holds, by path.
    files: RefCell<Files>,
    /// Objects that were there before.
    foreign: RefCell<Files>,
    /// Options of every call that trusts.
    options: RefCell<Vec<String>>,
    /// Variables of every call.
    variables: RefCell<Vec<(String, String)>>,
    out_count: Cell<usize>,
    cap_mib: Cell<Option<u64>>,
}

impl Bench {
    pub(super) fn new(id: &'static str, ends: &'static [End]) -> Bench {
        let bench = Bench {
            id,
            ends,
            top: scratch(),
            seen: RefCell::default(),
            media: RefCell::default(),
            files: RefCell::default(),
            foreign: RefCell::default(),
            options: RefCell::default(),
            variables: RefCell::default(),
            out_count: Cell::new(0),
            cap_mib: Cell::new(None),
        };
        bench.set_signers(&signer_line(signer().line()));
        bench
    }

    /// Fails where the table states an ending that was not seen.
    pub(super) fn finish(self) {
        let stated =
            self.ends.iter().flat_map(|end| end.commands.split(' ').map(|command| (command.to_owned(), end.code)));
        assert_eq!(self.seen.into_inner(), stated.collect(), "{}: other endings than the table states", self.id);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Makes a directory with this name and returns it.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.path(name)).expect("made");
        self.path(name)
    }

    pub(super) fn set_signers(&self, lines: &str) {
        fs::write(self.path("signers"), lines).expect("written");
        self.set_variable("AIRLIFT_ALLOWED_SIGNERS", shown(&self.path("signers")));
    }

    pub(super) fn set_variable(&self, name: &str, value: &str) {
        let mut variables = self.variables.borrow_mut();
        variables.retain(|(one, _)| one != name);
        variables.push((name.to_owned(), value.to_owned()));
    }

    /// Options of each later call that asks whom to trust.
    pub(super) fn set_options(&self, options: &[&str]) {
        *self.options.borrow_mut() = options.iter().map(|&option| option.to_owned()).collect();
    }

    /// From now on calls have this much memory.
    pub(super) fn set_cap(&self, mib: u64) {
        self.cap_mib.set(Some(mib));
    }

    /// From now on this place must not change.
    pub(super) fn watch(&self, medium: &Path) {
        self.media.borrow_mut().push(medium.to_owned());
    }

    /// No place is watched any more: the case itself changes them while the program runs.
    pub(super) fn unwatch(&self) {
        self.media.borrow_mut().clear();
    }

    /// What the bundle holds, by path.
    pub(super) fn set_files(&self, files: Files) {
        *self.files.borrow_mut() = files;
    }

    pub(super) fn files(&self) -> Files {
        self.files.borrow().clone()
    }

    /// Puts an object of somebody else into the store.
    pub(super) fn put_foreign(&self, key: &str, bytes: &[u8]) {
        let path = self.store().join(key);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
        self.foreign.borrow_mut().insert(key.to_owned(), bytes.to_vec());
    }

    pub(super) fn forget_foreign(&self) {
        self.foreign.borrow_mut().clear();
    }

    /// Makes a bundle of four packs in two volumes, release `counter` of the stream.
    pub(super) fn bundle(&self, name: &str, counter: u64, seed: u64) -> (PathBuf, Vec<Lay>) {
        let place = self.path(name);
        let lays = by_hand::write(&place, counter, &packs(seed));
        let files = packs(seed).into_iter().flat_map(|pack| pack.files);
        self.set_files(files.map(|(path, bytes)| (path.to_owned(), bytes)).collect());
        self.watch(&place);
        (place, lays)
    }

    /// Makes the usual bundle.
    pub(super) fn good(&self) -> PathBuf {
        self.bundle("medium", 1, 10).0
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Returns every object outside the state prefix.
    pub(super) fn landed(&self) -> Files {
        if self.store().exists() { objects(&DirectoryStore::new(self.store())) } else { Files::new() }
    }

    /// Returns what the bundle's files are in the store.
    pub(super) fn due(&self) -> Files {
        let files = self.files.borrow();
        let mut due: Files = files.iter().map(|(path, bytes)| (format!("landed/{path}"), bytes.clone())).collect();
        for (key, bytes) in &*self.foreign.borrow() {
            due.entry(key.clone()).or_insert_with(|| bytes.clone());
        }
        due
    }

    /// Runs each command that reads a bundle on this one.
    pub(super) fn read_all(&self, medium: &Path) {
        self.verify(medium);
        self.ls(medium);
        self.call(&["info", shown(medium)]);
        self.cat(medium);
        self.export(medium);
        self.import(medium);
    }

    pub(super) fn verify(&self, medium: &Path) -> Called {
        self.call(&["verify", shown(medium)])
    }

    pub(super) fn ls(&self, medium: &Path) -> Called {
        let called = self.call(&["ls", shown(medium)]);
        let files = self.files.borrow();
        let text = String::from_utf8(called.out.clone()).expect("UTF-8");
        let listed: Vec<&str> = text.lines().filter(|line| !line.ends_with('/')).collect();
        assert!(listed.iter().all(|path| files.contains_key(*path)), "{}: {text}", self.id);
        assert!(called.code != 0 || listed.len() == files.len(), "{}: {text}", self.id);
        called
    }

    /// Writes the last file, which may refer to earlier ones.
    pub(super) fn cat(&self, medium: &Path) -> Called {
        let files = self.files.borrow();
        let (path, bytes) = files.last_key_value().expect("a file");
        let called = self.call(&["cat", shown(medium), path]);
        assert!(bytes.starts_with(&called.out), "{}: cat wrote other bytes", self.id);
        assert!(called.code != 0 || *bytes == called.out, "{}: cat wrote too little", self.id);
        called
    }

    /// Exports to a new directory.
    pub(super) fn export(&self, medium: &Path) -> Called {
        self.out_count.set(self.out_count.get() + 1);
        self.export_to(medium, &self.path(&format!("out-{}", self.out_count.get())))
    }

    pub(super) fn export_to(&self, medium: &Path, out: &Path) -> Called {
        let called = self.call(&["export", shown(medium), "--to", shown(out)]);
        let mut found = if out.exists() { files_below(out) } else { Files::new() };
        found.retain(|path, _| !path.starts_with(".airlift-export/"));
        self.check("export", &called, &found, &self.files.borrow());
        called
    }

    pub(super) fn import(&self, medium: &Path) -> Called {
        self.import_with(&[medium], &["--enrol", "--create-bucket"])
    }

    /// Imports with the state of this bench; each root lands below `landed/`.
    pub(super) fn import_with(&self, media: &[&Path], options: &[&str]) -> Called {
        let to = format!("dir:{}", shown(&self.store()));
        let arguments = self.import_arguments(media, options);
        self.import_as(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--to", &to]].concat())
    }

    /// Returns the arguments of an import but for the store.
    pub(super) fn import_arguments(&self, media: &[&Path], options: &[&str]) -> Vec<String> {
        let mut arguments = vec!["import".to_owned()];
        arguments.extend(media.iter().map(|medium| shown(medium).to_owned()));
        for (option, value) in [("--stream", STREAM), ("--state", shown(&self.path("state")))] {
            if !options.contains(&option) && !self.options.borrow().iter().any(|one| one == option) {
                arguments.extend([option.to_owned(), value.to_owned()]);
            }
        }
        let roots: BTreeSet<String> = self
            .files
            .borrow()
            .keys()
            .filter_map(|path| path.split_once('/'))
            .map(|(root, _)| root.to_owned())
            .collect();
        if !options.contains(&"--map") {
            let roots = if roots.is_empty() { BTreeSet::from(["models".to_owned()]) } else { roots };
            arguments.extend(roots.into_iter().flat_map(|root| ["--map".to_owned(), format!("{root}=landed/{root}/")]));
        }
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        arguments
    }

    /// Imports with exactly these arguments, and judges what is in the directory store then.
    pub(super) fn import_as(&self, arguments: &[&str]) -> Called {
        self.import_changed(arguments, |_| ())
    }

    /// Imports a medium with a command that is changed before it runs.
    pub(super) fn import_by(&self, medium: &Path, options: &[&str], change: impl FnOnce(&mut Command)) -> Called {
        let to = format!("dir:{}", shown(&self.store()));
        let options = [&["--enrol", "--create-bucket", "--to", &to], options].concat();
        let arguments = self.import_arguments(&[medium], &options);
        self.import_changed(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), change)
    }

    fn import_changed(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Called {
        let before = self.store().exists().then(|| snapshot(&self.store()));
        let mut command = self.command(arguments);
        change(&mut command);
        let called = self.judge(arguments, command);
        if REFUSALS.contains(&called.code) {
            let after = self.store().exists().then(|| snapshot(&self.store()));
            assert!(before == after, "{}: a refused import has changed the store", self.id);
            return called;
        }
        // Where a root is mapped elsewhere the case itself compares.
        if arguments.iter().any(|argument| argument.contains("=landed/")) {
            self.check("import", &called, &self.landed(), &self.due());
        }
        called
    }

    /// Whatever is found is due, and after success it is all of it.
    pub(super) fn check(&self, what: &str, called: &Called, found: &Files, due: &Files) {
        for (path, bytes) in found {
            let is_true = due.get(path).or(self.foreign.borrow().get(path)).is_some_and(|due| due == bytes)
                || self.foreign.borrow().get(path) == Some(bytes);
            assert!(is_true, "{}: {what} shows {path}, which nobody signed", self.id);
        }
        let missing: Vec<_> = due.keys().filter(|path| !found.contains_key(*path)).collect();
        assert!(called.code != 0 || missing.is_empty(), "{}: {what} lacks {missing:?}", self.id);
    }

    /// Calls the program and judges what holds for every call.
    pub(super) fn call(&self, arguments: &[&str]) -> Called {
        let command = self.command(arguments);
        self.judge(arguments, command)
    }

    /// Runs a command that was made by [`Bench::command`].
    pub(super) fn judge(&self, arguments: &[&str], mut command: Command) -> Called {
        let before = self.media_now();
        let output = command.output().expect("run");
        assert!(before == self.media_now(), "{}: {arguments:?} has changed a medium", self.id);
        self.ended(arguments, output)
    }

    fn media_now(&self) -> Vec<(String, Vec<u8>)> {
        self.media.borrow().iter().flat_map(|medium| snapshot(medium)).collect()
    }

    /// Judges how a call ended.
    pub(super) fn ended(&self, arguments: &[&str], output: Output) -> Called {
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        let about = format!("{}: {arguments:?}: {}{err}", self.id, String::from_utf8_lossy(&output.stdout));
        let code = output.status.code().unwrap_or_else(|| panic!("{}, {about}", output.status));
        let called = Called { code, out: output.stdout, err };
        assert!(!called.all().contains("panicked"), "{about}");
        let mut ends = self.ends.iter().filter(|end| end.commands.split(' ').any(|one| one == arguments[0]));
        let end = ends.find(|end| end.code == code && called.all().contains(end.says));
        assert!(end.is_some(), "ends with {code}, {about}");
        self.seen.borrow_mut().insert((arguments[0].to_owned(), code));
        if arguments.contains(&"--json") {
            assert!(code == 0 || called.err.lines().any(|line| line.starts_with("{\"error\":")), "{about}");
            return called;
        }
        let errors: Vec<&str> = called.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), usize::from(code != 0), "{about}");
        assert!(errors.iter().all(|line| line.contains("; ")), "no remedy: {about}");
        called
    }

    /// Returns a call with the memory and the time that it is held to.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        self.capped(arguments, "timeout -s KILL 120 ")
    }

    /// Returns a call that is the process started here, to be killed or sent a signal.
    pub(super) fn bare(&self, arguments: &[&str]) -> Command {
        self.capped(arguments, "")
    }

    fn capped(&self, arguments: &[&str], before: &str) -> Command {
        let plain = airlift(arguments);
        let cap_mib = self.cap_mib.get().unwrap_or(if arguments[0] == "pack" { 512 } else { 256 });
        let cap_kib = cap_mib << 10;
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -c 0; ulimit -d {cap_kib}; exec {before}\"$0\" \"$@\""));
        command.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
        take_variables(&mut command, &plain);
        command.envs(self.variables.borrow().iter().map(|(name, value)| (name, value)));
        if arguments[0] != "pack" && arguments[0] != "sign" {
            command.args(&*self.options.borrow());
        }
        command
    }
}

/// Gives a command the variables that another one was given.
pub(super) fn take_variables(command: &mut Command, other: &Command) {
    for (name, value) in other.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Returns every name below a place with what it is: bytes of files, and the kind of all else, unread.
pub(super) fn snapshot(top: &Path) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("metadata");
        let kind = metadata.file_type();
        let held = if kind.is_file() {
            fs::read(&path).expect("read")
        } else if kind.is_dir() {
            left.extend(fs::read_dir(&path).expect("a directory").map(|item| item.expect("an entry").path()));
            b"directory".to_vec()
        } else if kind.is_symlink() {
            shown(&fs::read_link(&path).expect("a link")).as_bytes().to_vec()
        } else {
            vec![u8::from(kind.is_fifo()), u8::from(kind.is_socket())]
        };
        seen.push((format!("{} {:o}", path.display(), metadata.mode()), held));
    }
    seen.sort();
    seen
}
