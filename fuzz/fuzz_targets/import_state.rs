//! The journal, the records, the lease and the receipt of an import, torn anywhere.
//!
//! Input: which of them (u8), its bytes.
#![no_main]

use airlift::pipeline::import::{Receipt, torn};
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
        Some((3, bytes)) => {
            if let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) {
                let again = serde_json::from_slice::<Receipt>(&receipt.encode());
                assert_eq!(again.expect("an own receipt"), receipt);
            }
        }
        _ => {}
    }
});
