//! The platform's own API, from its own package, for tests.

use crate::fixture::directory;
use crate::venv::{packages, python, scripts};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
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
        Platform::start_by(Command::new(python("platform-venv", "requirements.txt")), registry)
    }

    /// Starts a platform of version 6.26.3, which loads models and lists none.
    pub(crate) fn start_old(registry: &str) -> Platform {
        let python = python("platform-venv", "requirements.txt");
        let packages = packages("old-platform", "old-requirements.txt", &python);
        let mut command = Command::new(python);
        command.env("PYTHONPATH", packages);
        Platform::start_by(command, registry)
    }

    fn start_by(mut command: Command, registry: &str) -> Platform {
        let directory = directory();
        let log = File::create(directory.path().join("log")).expect("created");
        let mut child = command
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

    /// Loads metadata as it would, and tells whether it lists every entry in both versions of its API.
    pub(crate) fn shows(&mut self, metadata: &Value) -> bool {
        writeln!(self.questions.as_mut().expect("it runs"), "{}", json!({ "show": metadata })).expect("asked");
        let line = self.line();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}\n{}", self.log()));
        answer["statuses"] == json!([200, 200]) && answer["listed"] == true
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
