//! Faults of the system below the program: reads, writes and clocks that fail or lie, and a process that
//! ends in the middle of a call. A small library in C, put before the C library, makes them.

use super::bench::{Bench, Called};
use crate::program::shown;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Which calls fail, and how.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'a> {
    /// `read`, `write`, `sync` or `rename`.
    pub(crate) call: &'a str,
    /// What the path of the file has in it.
    pub(crate) path: &'a str,
    /// The first of these calls that fails, from 1.
    pub(crate) from: usize,
    /// Each so many calls another one; 0 where it is only one.
    pub(crate) every: usize,
    pub(crate) act: Act<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Act<'a> {
    /// The call fails with this number.
    Errno(rustix::io::Errno),
    /// The process is killed instead.
    Kill,
    /// The process is killed, and what it wrote to the file without making it durable is lost.
    Lose,
    /// The call gives other bytes.
    OtherBytes,
    /// The file is cut to half its length before the call.
    Cut(&'a Path),
    /// The file grows before the call.
    Grow(&'a Path),
}

impl Bench {
    /// Returns a call with this fault.
    pub(super) fn faulty(&self, arguments: &[&str], fault: &Fault<'_>) -> Command {
        let mut command = self.command(arguments);
        set(&mut command, fault);
        command
    }

    /// Calls the program with this fault.
    pub(super) fn faulty_call(&self, arguments: &[&str], fault: &Fault<'_>) -> Called {
        self.judge(arguments, self.faulty(arguments, fault))
    }

    /// Imports into the directory store with this fault.
    pub(super) fn faulty_import(&self, medium: &Path, fault: &Fault<'_>) -> Called {
        self.import_by(medium, &[], |command| set(command, fault))
    }
}

/// Puts a fault before the libraries of a command.
pub(crate) fn set(command: &mut Command, fault: &Fault<'_>) {
    let (what, file) = match fault.act {
        Act::Errno(errno) => (errno.raw_os_error().to_string(), None),
        Act::Kill => ("kill".to_owned(), None),
        Act::Lose => ("lose".to_owned(), None),
        Act::OtherBytes => ("other".to_owned(), None),
        Act::Cut(file) => ("cut".to_owned(), Some(file)),
        Act::Grow(file) => ("grow".to_owned(), Some(file)),
    };
    command.env("LD_PRELOAD", library());
    command.env("FAULT_CALL", fault.call).env("FAULT_PATH", fault.path).env("FAULT_DO", what);
    command.env("FAULT_FROM", fault.from.to_string()).env("FAULT_EVERY", fault.every.to_string());
    if let Some(file) = file {
        command.env("FAULT_FILE", file);
    }
}

/// Lets a command believe that it is this second.
pub(crate) fn set_clock(command: &mut Command, second: u64) {
    command.env("LD_PRELOAD", library()).env("FAULT_CLOCK", second.to_string());
}

/// Lets each read of a volume take so long.
pub(crate) fn set_slow(command: &mut Command, microseconds: u32) {
    command.env("LD_PRELOAD", library()).env("FAULT_SLOW_US", microseconds.to_string());
}

/// Returns the library, which is made on first use.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(top).expect("made");
        let (source, library) = (top.join("faults.c"), top.join(format!("faults-{}.so", std::process::id())));
        fs::write(&source, include_str!("faults.c")).expect("written");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", shown(&library), shown(&source), "-ldl"])
            .status();
        assert!(status.expect("a C compiler").success());
        // One name for all runs, put there at once.
        let lasting = top.join("faults.so");
        fs::rename(library, &lasting).expect("renamed");
        lasting
    })
}
