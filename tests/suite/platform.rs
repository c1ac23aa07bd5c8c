//! The platform's own API, from its own package, for tests.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running platform with a database of its own.
pub(crate) struct Platform {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: u16,
    directory: tempfile::TempDir,
}

impl Platform {
    /// Starts a platform that looks for its models in this folder of any bucket.
    pub(crate) fn start(registry: &str) -> Platform {
        let directory = tempfile::tempdir().expect("a directory");
        let log = File::create(directory.path().join("log")).expect("created");
        let mut child = Command::new(python())
            .arg(scripts().join("server.py"))
            .args(["--registry", registry])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("started");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut platform = Platform { child, questions, answers, port: 0, directory };
        let line = platform.line();
        platform.port = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line}\n{}", platform.log()));
        platform
    }

    /// Returns the URL of its API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns where its own lookup finds the weights of an entry.
    pub(crate) fn lookup(&mut self, id: &str, workspace: &str) -> Option<String> {
        let question = json!({ "lookup": id, "workspace": workspace });
        writeln!(self.questions.as_mut().expect("it runs"), "{question}").expect("asked");
        let line = self.line();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}\n{}", self.log()));
        answer.as_str().map(str::to_owned)
    }

    /// Returns what it has written into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("read")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tao")
}

/// Returns the Python that has the platform: `AIRLIFT_TAO_PYTHON`, or one that is installed on first use.
fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("AIRLIFT_TAO_PYTHON") {
        return path.into();
    }
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let target = program.ancestors().nth(3).expect("the target directory").to_owned();
    let (venv, lock) = (target.join("platform-venv"), target.join("platform-venv.lock"));
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    let lock = File::create(lock).expect("create the lock");
    lock.lock().expect("one installation at a time");
    let wanted = fs::read_to_string(scripts().join("requirements.txt")).expect("read");
    if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
        run(Command::new(&python).args(pip).arg(scripts().join("requirements.txt")));
        fs::write(done, wanted).expect("written");
    }
    python
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
