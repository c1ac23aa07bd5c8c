//! A tree of models on disk, looked at as the platform will see it.

use super::check::{Checked, check};
use super::fetch::UNFINISHED_NAME;
use super::metadata::{METADATA_LEN_MAX, METADATA_NAME, Metadata, MetadataError};
use super::weights::Weights;
use crate::error::Class;
use crate::format::Name;
use crate::machine::{Machine, read_limited};
use crate::pipeline::globs::Glob;
use crate::pipeline::progress::Progress;
use crate::pipeline::walk::{Links, Roots, SourceKind, Unsupported, WalkError, WalkOptions, walk};
use std::io;
use std::path::{Path, PathBuf};

/// What of the models never travels: locks, and what the client of a hub keeps for itself.
const LEFT_OUT: [&str; 2] = ["**/*.lock", "**/.cache/huggingface"];

/// The parts of a dataset that the guide names.
pub const SPLITS: [&str; 3] = ["train", "val", "test"];

/// How a tree is looked at.
#[derive(Clone, Debug)]
pub struct LookOptions {
    /// What is done with links.
    pub links: Links,
    /// What is left out beside that of [`left_out`].
    pub exclude: Vec<Glob>,
    /// Where the list of files goes while it is sorted.
    pub state_dir: PathBuf,
    /// Memory to sort in, in bytes.
    pub budget_len: usize,
}

/// Why a tree was not looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The file that says what the models are is not there.
    #[error("{path} is not there", path = .path.display())]
    NoMetadata {
        /// Where it should lie.
        path: PathBuf,
    },
    /// It is there, and would not travel.
    #[error("{path} would be left out", path = .path.display())]
    MetadataLeftOut {
        /// The file.
        path: PathBuf,
    },
    /// a fetch has not come to its end.
    #[error("{path} is there: a fetch of these models has not come to its end", path = .path.display())]
    Unfinished {
        /// What it keeps until then.
        path: PathBuf,
    },
    /// It can't be read.
    #[error("cannot read {path}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is nothing that the platform loads.
    #[error("{path} is not accepted", path = .path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The broken rule.
        source: MetadataError,
    },
    /// The files can't be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

impl TreeError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            TreeError::NoMetadata { .. } | TreeError::MetadataLeftOut { .. } | TreeError::Unfinished { .. } => {
                Class::Refused
            }
            TreeError::Unreadable { source, .. } => Class::of_io(source),
            TreeError::Metadata { source, .. } => source.class(),
            TreeError::Walk(error) => error.class(),
        }
    }
}

/// Returns what never travels of the models below a root.
pub fn left_out(root: &Name) -> Vec<Glob> {
    never_travels().map(|glob| glob.of_root(root)).collect()
}

/// Returns the same, about every root.
pub(super) fn never_travels() -> impl Iterator<Item = Glob> {
    LEFT_OUT.iter().filter_map(|glob| Glob::parse(glob).ok())
}

/// Returns what the platform would find wrong with the models below the directory of a root.
///
/// # Errors
/// A fetch is unfinished, the metadata is missing or nothing that the platform loads, or the tree can't be
/// listed.
pub fn check_models(
    root: &(Name, PathBuf),
    options: &LookOptions,
    progress: &dyn Progress,
) -> Result<Checked, TreeError> {
    let unfinished = root.1.join(UNFINISHED_NAME);
    if unfinished.symlink_metadata().is_ok() {
        return Err(TreeError::Unfinished { path: unfinished });
    }
    let metadata = read_metadata(&root.1)?;
    let mut weights = Weights::of(&metadata);
    let roots = Roots::open(std::slice::from_ref(root), options.links)?;
    let walk_options = WalkOptions {
        unsupported: Unsupported::Refuse,
        exclude: left_out(&root.0).into_iter().chain(options.exclude.iter().cloned()).collect(),
        own_dirs: Vec::new(),
        state_dir: options.state_dir.clone(),
        machine: Machine::default(),
        budget_len: options.budget_len,
    };
    let (mut has_metadata, mut files_len) = (false, 0u64);
    for entry in walk(&roots, &walk_options, progress)?.entries.iter() {
        let entry = entry?;
        if entry.kind == SourceKind::File {
            weights.see(entry.path.below_root());
            files_len = files_len.saturating_add(entry.len);
            has_metadata |= entry.path.below_root() == METADATA_NAME;
        }
    }
    if !has_metadata {
        return Err(TreeError::MetadataLeftOut { path: root.1.join(METADATA_NAME) });
    }
    Ok(Checked { files_len, ..check(&metadata, &weights) })
}

/// A part of a dataset, as the guide lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// One of [`SPLITS`].
    pub name: &'static str,
    /// Whether nothing is in it; it then has no place in a store.
    pub is_empty: bool,
}

/// Returns the parts of [`SPLITS`] that a directory of datasets has.
pub fn splits(dir: &Path) -> Vec<Split> {
    let split = |name| {
        let mut listing = dir.join(name).read_dir().ok()?;
        Some(Split { name, is_empty: listing.next().is_none() })
    };
    SPLITS.into_iter().filter_map(split).collect()
}

fn read_metadata(dir: &Path) -> Result<Metadata, TreeError> {
    let path = dir.join(METADATA_NAME);
    match read_limited(&path, METADATA_LEN_MAX) {
        Ok(bytes) => Metadata::parse(&bytes).map_err(|source| TreeError::Metadata { path, source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(TreeError::NoMetadata { path }),
        Err(source) => Err(TreeError::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glob_of_what_is_left_out_is_one() {
        assert_eq!(left_out(&Name::parse("models").expect("a name")).len(), LEFT_OUT.len());
    }
}
