//! Files of a release out of its volumes, without a store: one file, a tar stream, or a directory.
//!
//! No byte leaves before it is proven. [`write_file`] and [`write_tar`] stop at the first that can't
//! be had; [`write_directory`] leaves out the files that can't and names them.

mod destination;
mod directory;
mod error;
mod settle;
mod stream;

pub use directory::write_directory;
pub use error::ExportError;
pub use stream::{write_file, write_tar};

use super::contents::ReadReport;
use super::verify::gravity;
use crate::error::Class;

/// What was exported.
#[derive(Debug, Default)]
pub struct ExportReport {
    /// Files that were written whole.
    pub file_count: u64,
    /// Their bytes.
    pub file_len: u64,
    /// Files that were there already, with the same bytes.
    pub already_count: u64,
    /// Files that can't be had.
    pub lost_count: u64,
    /// What reading came to.
    pub read: ReadReport,
}

impl ExportReport {
    /// Returns the class of the whole; nothing where every file that was wanted is there.
    pub fn class(&self) -> Option<Class> {
        if self.lost_count == 0 && !self.read.is_cancelled {
            // Damage of a copy that another made up for costs nobody a file.
            return None;
        }
        let grave = self.read.findings.iter().map(|finding| finding.class);
        let missing = (!self.read.missing_volumes.is_empty()).then_some(Class::Incomplete);
        let cancelled = self.read.is_cancelled.then_some(Class::Interrupted);
        grave.chain(missing).chain(cancelled).max_by_key(|class| gravity(*class)).or(Some(Class::Damaged))
    }
}
