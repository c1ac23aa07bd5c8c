//! Bytes ↔ values, pure: nothing here opens, asks or guesses. `spec/format.md` is the authority.

pub mod digest;
pub mod head;
pub mod limits;
pub mod mark;
pub mod name;
pub mod path;
pub mod proof;
mod shown;
pub mod time;

pub use digest::{Digest, Sha256, Structure};
pub use head::Head;
pub use mark::Mark;
pub use name::Name;
pub use path::EntryPath;
pub use proof::Proven;
pub use shown::Shown;
pub use time::Time;
