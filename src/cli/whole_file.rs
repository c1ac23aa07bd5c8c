//! Files that appear under their name when they are whole and durable.

use super::failure::Failure;
use airlift::error::Class;
use rustix::fs::{AtFlags, CWD, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// What to do where something has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it and say so.
    Refuse,
    /// Put the new file in its place.
    Replace,
}

/// Writes a file whole: killed at any time, its name has what it had before or all of `bytes`.
///
/// # Errors
/// Something is there already and is not to be replaced, or the file can't be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let unfinished = path.with_file_name(format!(".{name}.{}.unfinished", std::process::id()));
    let settled = write_durably(&unfinished, bytes).and_then(|()| settle(&unfinished, path, existing));
    settled.map_err(|error| {
        // What can't be removed either is told by the same error.
        let _ = std::fs::remove_file(&unfinished);
        match error.kind() {
            io::ErrorKind::AlreadyExists if existing == Existing::Refuse => in_the_way(path),
            _ => Failure::io("write", path, &error),
        }
    })
}

/// Returns the failure of a file whose name is taken.
pub(crate) fn in_the_way(path: &Path) -> Failure {
    let message = format!("{} is there already", path.display());
    Failure::new(Class::Refused, message, "nothing was written; name a new file, or remove that one")
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn settle(unfinished: &Path, path: &Path, existing: Existing) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    match existing {
        Existing::Replace => renameat(CWD, unfinished, CWD, path)?,
        Existing::Refuse => match renameat_with(CWD, unfinished, CWD, path, flags) {
            // Some file systems can't tell whether they would replace something, but can link.
            Err(Errno::INVAL | Errno::NOSYS) => linkat(CWD, unfinished, CWD, path, AtFlags::empty())
                .and_then(|()| unlinkat(CWD, unfinished, AtFlags::empty()))?,
            moved => moved?,
        },
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
