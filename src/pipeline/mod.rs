//! The joined flows: pack, verify, import, export.

pub mod spill;
