//! Calls of the built program, and what they leave.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A line of allowed signers: the key may speak for every stream, and for receipts.
pub(crate) fn signer_line(key: String) -> String {
    format!("release-team namespaces=\"airlift-head@v1/*,airlift-receipt@v1/*\" {key}\n")
}

/// Makes a key in a directory, and beside it the file of those who may sign with it alone; returns its path.
pub(crate) fn signing_key(dir: &Path, name: &str, signers: &str) -> String {
    let key = shown(&dir.join(name)).to_owned();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &key]).status();
    assert!(made.expect("ssh-keygen").success());
    let public = fs::read_to_string(format!("{key}.pub")).expect("a public key");
    fs::write(dir.join(signers), signer_line(public.trim().to_owned())).expect("written");
    key
}

/// A call of the program with an environment of its own.
pub(crate) fn airlift(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airlift"));
    command.args(arguments).stdin(Stdio::null());
    // Whoever runs the tests may have a config file.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy().into_owned();
        if text.starts_with("AIRLIFT_") || text.starts_with("AWS_") {
            command.env_remove(variable);
        }
    }
    command
}

/// What a call printed, and how it ended.
pub(crate) struct Transcript {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Transcript {
    pub(crate) fn of(mut command: Command) -> Transcript {
        let Output { status, stdout, stderr } = command.output().expect("run");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Transcript { code: status.code().expect("a code"), out: text(stdout), err: text(stderr) }
    }

    /// Returns the one line of an ending that is no success.
    pub(crate) fn error(&self) -> &str {
        let lines: Vec<&str> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{}", self.err);
        assert!(lines[0].contains("; "), "no remedy: {}", lines[0]);
        lines[0]
    }
}

pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Flips a bit of a file.
pub(crate) fn flip(path: &Path, offset: u64) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).expect("open");
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).expect("seek");
    file.read_exact(&mut byte).expect("read");
    file.seek(SeekFrom::Start(offset)).expect("seek");
    file.write_all(&[byte[0] ^ 1]).expect("written");
}

/// Returns every file below a directory, by its path there.
pub(crate) fn files_below(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for item in fs::read_dir(&directory).expect("a directory") {
            let path = item.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let below = shown(path.strip_prefix(top).expect("below")).to_owned();
                files.insert(below, fs::read(&path).expect("read"));
            }
        }
    }
    files
}
