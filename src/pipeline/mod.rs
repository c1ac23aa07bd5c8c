//! The joined flows: pack, verify, import, export.

pub mod progress;
pub mod spill;
