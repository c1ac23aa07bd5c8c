//! Where a target keeps files: in memory, so that making them durable takes no time.

use std::path::{Path, PathBuf};

/// Makes the directory of this process for a target, empty.
pub(crate) fn make(target: &str) -> PathBuf {
    let top = std::env::var_os("TMPDIR").map_or_else(|| Path::new("/dev/shm").to_owned(), PathBuf::from);
    let place = top.join(format!("airlift-fuzz-{target}-{}", std::process::id()));
    // A process that had this number before may have left its own.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("created");
    place
}
