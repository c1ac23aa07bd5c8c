//! The joined flows: pack, verify, import, export.

pub mod progress;
pub mod sign;
pub mod trust_files;
