//! As `import`, with a file of two parts: nothing of an upload is visible before all of it is proven. A
//! program takes long here, so that few are tried.
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

static BASE: LazyLock<Base> = LazyLock::new(|| bases::two_parts(&scene::PLACE));

fuzz_target!(|bytes: &[u8]| scene::Scene::new(&BASE).play(bytes));
