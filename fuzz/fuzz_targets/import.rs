//! Signed bundles, changed by a carrier or a hostile signer and imported in any number of calls, some of
//! them stopped: nothing unproven is ever visible in the store.
//!
//! Input: which bundle (u8), steps of eight bytes (`import/program.rs`), some of them calls.
#![no_main]
#![expect(dead_code, reason = "the tests use more of what they share")]

use forge::bases::{self, Base};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

#[path = "../../tests/suite/authenticator.rs"]
mod authenticator;
#[path = "../../tests/suite/by_hand.rs"]
mod by_hand;
#[path = "import/due.rs"]
mod due;
#[path = "../../tests/suite/fixture.rs"]
mod fixture;
#[path = "../../tests/suite/forge/mod.rs"]
mod forge;
#[path = "shared/place.rs"]
mod place;
#[path = "import/program.rs"]
mod program;
#[path = "import/scene.rs"]
mod scene;
#[path = "../../tests/suite/tree.rs"]
mod tree;

static BASES: LazyLock<[Base; 3]> = LazyLock::new(|| bases::small(&scene::PLACE));

fuzz_target!(|bytes: &[u8]| {
    if let Some((&which, program)) = bytes.split_first() {
        scene::Scene::new(&BASES[usize::from(which) % BASES.len()]).play(program);
    }
});
