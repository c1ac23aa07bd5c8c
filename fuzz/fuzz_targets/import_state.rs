//! The journal, the records and the lease of an import, torn anywhere.
//!
//! Input: which of them (u8), its bytes.
#![no_main]

use airlift::pipeline::import::torn;
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Files here are kept in memory: making them durable takes no time.
const MEMORY: &str = "/dev/shm";

static PLACE: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new(MEMORY).join(format!("airlift-fuzz-import-{}", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, bytes)) => torn::uploads(&PLACE, bytes),
        Some((1, bytes)) => torn::slots(&PLACE, bytes),
        Some((2, bytes)) => torn::lease(bytes),
        _ => {}
    }
});
