//! The second reader, which was written from the specification alone, on bundles of ours.

use crate::fixture::{Packed, Size};
use crate::program::{files_below, shown};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the Python that has what the reader needs; it is installed on first use.
pub(crate) fn python() -> PathBuf {
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let target = program.ancestors().nth(3).expect("the target directory").to_owned();
    let (venv, lock) = (target.join("reader-venv"), target.join("reader-venv.lock"));
    let python = venv.join("bin/python");
    let lock = File::create(lock).expect("create the lock");
    lock.lock().expect("one installation at a time");
    let has_all = |python: &Path| {
        let imported = Command::new(python).args(["-c", "import blake3, zstandard"]).stderr(Stdio::null()).status();
        imported.is_ok_and(|status| status.success())
    };
    if !has_all(&python) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        let requirements = reader().join("requirements.txt");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&python).args(pip).arg(requirements));
    }
    python
}

/// Returns where the second reader lies.
pub(crate) fn reader() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/reference")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_second_reader_checks_and_extracts_what_the_library_packed() {
    // Shared chunks, planes, a file of two parts with its mark, small files, an empty directory.
    let packed = Packed::new(Size { model_len: 3 << 20, noise_len: 33 << 20, noise_count: 1, small_count: 40 }, 1);
    let (bundle, out) = (packed.bundle(), packed.directory.path().join("extracted"));
    let read = |arguments: &[&str]| {
        let mut command = Command::new(python());
        command.args(["-m", "airlift_reader"]).args(arguments);
        run(command.env("PYTHONPATH", reader()).env("PYTHONDONTWRITEBYTECODE", "1"));
    };
    read(&["check", shown(&bundle)]);
    read(&["extract", shown(&bundle), shown(&out)]);
    let (found, expected) = (files_below(&out), files_below(&packed.tree()));
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (path, bytes) in &expected {
        assert!(found[path] == *bytes, "{path} differs");
    }
    assert!(out.join("models/org/empty/v1").is_dir());
}
