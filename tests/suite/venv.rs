//! Programs of Python with what they need, installed on first use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Nothing that packages ask for beside; the rest of what is needed is listed.
const PIP_INSTALL: [&str; 7] =
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"];

/// Returns the Python of an environment of this name below the target directory, which has what a file of
/// `tests/tao` lists, and nothing that its packages ask for beside.
pub(crate) fn python(name: &str, requirements: &str) -> PathBuf {
    let place = once(name, requirements, |venv, requirements| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
        run(Command::new(venv.join("bin/python")).args(PIP_INSTALL).arg("-r").arg(requirements));
    });
    place.join("bin/python")
}

/// Returns a directory of this name below the target directory with the packages that a file of `tests/tao`
/// lists, which stand before those of a Python that is told of it.
pub(crate) fn packages(name: &str, requirements: &str, python: &Path) -> PathBuf {
    once(name, requirements, |place, requirements| {
        let _ = fs::remove_dir_all(place);
        run(Command::new(python).args(PIP_INSTALL).arg("--target").arg(place).arg("-r").arg(requirements));
    })
}

/// Installs what a file lists, unless that is done, and returns where.
fn once(name: &str, requirements: &str, install: impl Fn(&Path, &Path)) -> PathBuf {
    // The test program is target/<profile>/deps/suite-...
    let program = std::env::current_exe().expect("own path");
    let target = program.ancestors().nth(3).expect("the target directory").to_owned();
    let place = target.join(name);
    let done = place.join("installed");
    let lock = File::create(target.join(format!("{name}.lock"))).expect("create the lock");
    lock.lock().expect("one installation at a time");
    let requirements = scripts().join(requirements);
    let wanted = fs::read_to_string(&requirements).expect("read");
    if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        install(&place, &requirements);
        fs::write(done, wanted).expect("written");
    }
    place
}

/// Returns where the programs of Python for the tests lie.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tao")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
