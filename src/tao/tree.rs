//! A tree of models on disk, looked at as the platform will see it.

use super::check::{Checked, check};
use super::metadata::{METADATA_LEN_MAX, METADATA_NAME, Metadata, MetadataError};
use super::weights::Weights;
use crate::error::Class;
use crate::format::Name;
use crate::machine::{Machine, read_limited};
use crate::pipeline::progress::Progress;
use crate::pipeline::walk::{Links, Roots, SourceKind, Unsupported, WalkError, WalkOptions, walk};
use std::io;
use std::path::{Path, PathBuf};

/// The parts of a dataset that the guide names.
pub const SPLITS: [&str; 3] = ["train", "val", "test"];

/// How a tree is looked at.
#[derive(Clone, Debug)]
pub struct LookOptions {
    /// What is done with links.
    pub links: Links,
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
            TreeError::NoMetadata { .. } => Class::Refused,
            TreeError::Unreadable { source, .. } => Class::of_io(source),
            TreeError::Metadata { source, .. } => source.class(),
            TreeError::Walk(error) => error.class(),
        }
    }
}

/// Returns what the platform would find wrong with the models below the directory of a root.
///
/// # Errors
/// The metadata is missing or nothing that the platform loads, or the tree can't be listed.
pub fn check_models(
    root: &(Name, PathBuf),
    options: &LookOptions,
    progress: &dyn Progress,
) -> Result<Checked, TreeError> {
    let metadata = read_metadata(&root.1)?;
    let mut weights = Weights::of(&metadata);
    let roots = Roots::open(std::slice::from_ref(root), options.links)?;
    let walk_options = WalkOptions {
        unsupported: Unsupported::Refuse,
        exclude: Vec::new(),
        own_dirs: Vec::new(),
        state_dir: options.state_dir.clone(),
        machine: Machine::default(),
        budget_len: options.budget_len,
    };
    for entry in walk(&roots, &walk_options, progress)?.entries.iter() {
        let entry = entry?;
        if entry.kind == SourceKind::File {
            weights.see(entry.path.below_root());
        }
    }
    Ok(check(&metadata, &weights))
}

/// Returns the parts of [`SPLITS`] that a directory of datasets has.
pub fn splits(dir: &Path) -> Vec<&'static str> {
    SPLITS.into_iter().filter(|split| dir.join(split).is_dir()).collect()
}

fn read_metadata(dir: &Path) -> Result<Metadata, TreeError> {
    let path = dir.join(METADATA_NAME);
    match read_limited(&path, METADATA_LEN_MAX) {
        Ok(bytes) => Metadata::parse(&bytes).map_err(|source| TreeError::Metadata { path, source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(TreeError::NoMetadata { path }),
        Err(source) => Err(TreeError::Unreadable { path, source }),
    }
}
