//! Programs of Python with what they need, installed on first use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the Python of an environment of this name below the target directory, which has what a file of
/// `tests/tao` lists, and nothing that its packages ask for beside.
pub(crate) fn python(name: &str, requirements: &str) -> PathBuf {
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let target = program.ancestors().nth(3).expect("the target directory").to_owned();
    let venv = target.join(name);
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    let lock = File::create(target.join(format!("{name}.lock"))).expect("create the lock");
    lock.lock().expect("one installation at a time");
    let requirements = scripts().join(requirements);
    let wanted = fs::read_to_string(&requirements).expect("read");
    if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "-r"];
        run(Command::new(&python).args(pip).arg(&requirements));
        fs::write(done, wanted).expect("written");
    }
    python
}

/// Returns where the programs of Python for the tests lie.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tao")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
