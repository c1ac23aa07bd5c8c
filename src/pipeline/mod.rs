//! The joined flows: pack, write, verify, import, export.

pub mod bundle;
pub mod census;
pub mod contents;
pub mod dedup;
pub mod export;
pub mod globs;
pub mod import;
pub mod inspect;
pub mod lookup;
pub mod pace;
pub mod pack;
pub mod progress;
mod proof;
pub mod reader;
pub mod resolve;
pub mod sign;
pub mod spill;
pub mod trust_files;
pub mod unpack;
pub mod verify;
pub mod volumes;
pub mod walk;
pub mod write;
