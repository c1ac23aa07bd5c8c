//! Group D: resources. The limit of memory holds for every call of the table; here what is large meets it.

use super::bench::Bench;
use super::faults::set_slow;
use super::server::Server;
use super::{Line, checked, ends, tests};
use crate::fixture::{STREAM, sign};
use crate::program::{files_below, shown};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(super) const LINES: &[Line] = &[
    checked(
        "D01",
        "1 TiB bundle",
        "a sparse file of 1 GiB stands for it: packed, verified and streamed, with half of the memory (256 MiB, then 128)",
        &[ends("pack verify export", 0, "")],
        sparse,
    ),
    checked(
        "D02",
        "ten million tiny files",
        "20,000, with half of the memory (256 MiB, then 128); what progress is shown is not looked at",
        &[ends("pack verify ls export import", 0, "")],
        tiny,
    ),
    checked(
        "D04",
        "no temporary space",
        "`TMPDIR` and `HOME` name what is not there; the store is a server",
        &[ends("pack verify ls info cat export import", 0, "")],
        |bench| {
            bench.set_variable("TMPDIR", "/nonexistent");
            bench.set_variable("HOME", "/nonexistent");
            bench.pack_tree(&[("a.txt", b"a".to_vec()), ("b.txt", vec![b'b'; 200_000])]);
            let medium = bench.good();
            bench.read_all(&medium);
            bench.import_to(&Server::honest(), &medium, &["--state", shown(&bench.path("state-2"))]);
        },
    ),
    checked(
        "D05",
        "one core at low priority, slow medium, slow store",
        "`taskset` and `nice`; each read takes 30 ms, each answer 100 ms",
        &[ends("import", 0, "")],
        slow,
    ),
];

tests!(d01 d02 d04 d05);

impl Bench {
    /// Packs files below the root `models` and signs the bundle.
    fn pack_tree(&self, files: &[(&str, Vec<u8>)]) -> PathBuf {
        let tree = self.directory("tree/models");
        for (path, bytes) in files {
            fs::write(tree.join(path), bytes).expect("written");
        }
        self.pack_directory(&tree)
    }

    fn pack_directory(&self, tree: &Path) -> PathBuf {
        let (root, out) = (format!("models={}", shown(tree)), self.path("packed"));
        let arguments = ["pack", &root, "--out", shown(&out), "--stream", STREAM, "--counter", "1"];
        self.call(&arguments);
        sign(&out);
        out
    }
}

/// Runs a command within another.
fn wrapped(command: &Command, mut outer: Command) -> Command {
    outer.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

fn sparse(bench: &Bench) {
    let tree = bench.directory("tree/models");
    fs::File::create(tree.join("sparse.bin")).and_then(|file| file.set_len(1 << 30)).expect("made");
    bench.set_cap(256);
    let medium = bench.pack_directory(&tree);
    bench.watch(&medium);
    bench.set_cap(128);
    bench.verify(&medium);
    let arguments = ["export", shown(&medium), "--to", "-"];
    let mut command = bench.command(&arguments);
    command.stdout(fs::File::create("/dev/null").expect("opened"));
    bench.judge(&arguments, command);
}

fn tiny(bench: &Bench) {
    let tree = bench.directory("tree/models");
    for number in 0..20_000u32 {
        let directory = tree.join((number / 1000).to_string());
        fs::create_dir_all(&directory).expect("made");
        fs::write(directory.join(format!("{number}.txt")), number.to_string()).expect("written");
    }
    bench.set_cap(256);
    let medium = bench.pack_directory(&tree);
    bench.set_files(files_below(&bench.path("tree")));
    bench.watch(&medium);
    bench.set_cap(128);
    bench.verify(&medium);
    bench.ls(&medium);
    bench.export(&medium);
    bench.import(&medium);
}

fn slow(bench: &Bench) {
    let medium = bench.good();
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(100));
        None
    });
    let arguments = bench.arguments_to(&server, &medium, &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = bench.command(&arguments);
    set_slow(&mut command, 30_000);
    let mut outer = Command::new("taskset");
    outer.args(["-c", "0", "nice", "-n", "19"]);
    let called = bench.judge(&arguments, wrapped(&command, outer));
    assert_eq!(called.code, 0);
    assert_eq!(server.landed().len(), bench.files().len());
}
