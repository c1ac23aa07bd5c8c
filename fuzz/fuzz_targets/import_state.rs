//! The journal, the records and the lease of an import, torn anywhere.
//!
//! Input: which of them (u8), its bytes.
#![no_main]

use airlift::pipeline::import::torn;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

#[path = "shared/place.rs"]
mod place;

static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place::make("import-state").join("state"));

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, bytes)) => torn::uploads(&PLACE, bytes),
        Some((1, bytes)) => torn::slots(&PLACE, bytes),
        Some((2, bytes)) => torn::lease(bytes),
        _ => {}
    }
});
