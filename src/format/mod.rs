//! Bytes ↔ values, pure: nothing here opens, asks or guesses. `spec/format.md` is the authority.
//!
//! The chain of proof runs [`head`] → [`manifest`] and [`packs`] roots → their pages → [`index`] →
//! frames → chunks; [`walk`] and [`cover`] check pages against each other.

pub mod cover;
pub mod digest;
pub mod element;
pub mod error;
pub mod head;
pub mod index;
pub mod limits;
pub mod manifest;
pub mod mark;
pub mod name;
pub mod packs;
pub mod path;
pub mod proof;
mod shown;
mod signature_file;
pub mod time;
pub mod walk;
mod wire;

pub use self::time::Time;
pub use digest::{Digest, Sha256, Structure};
pub use element::Element;
pub use error::FormatError;
pub use head::Head;
pub use mark::Mark;
pub use name::Name;
pub use path::EntryPath;
pub use proof::Proven;
pub use shown::{OneLine, Shown};
pub use signature_file::SignatureFile;
