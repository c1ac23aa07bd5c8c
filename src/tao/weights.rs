//! Which files the platform finds for an entry (A-40, A-43).
//!
//! A tree is shown path by path, from a directory, a manifest or a listing of a store alike, so
//! memory is bounded by the entries, not by the files.

use super::fetch::PROVENANCE_NAME;
use super::metadata::{METADATA_NAME, Metadata};
use std::collections::HashMap;

/// Ends of names that the platform takes for weights, whatever the architecture.
const WEIGHT_ENDS: [&str; 5] = [".tlt", ".hdf5", ".pth", ".pth.tar", ".pt"];
/// One more, for the architectures below.
const CHECKPOINT_END: &str = ".ckpt";
/// The architectures whose weights may be checkpoints.
const WITH_CHECKPOINTS: [&str; 4] =
    ["classification_pyt", "visual_changenet_classify", "visual_changenet_segment", "nvdinov2"];
/// The file that an entry with a specification comes with.
const SPEC_NAME: &str = "experiment.yaml";

/// What was found below the folders that the platform looks into.
#[derive(Debug)]
pub struct Weights {
    folders: HashMap<String, Folder>,
    others: Others,
}

/// What one folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// How many files it has, at any depth.
    pub file_count: u64,
    /// How many of them the platform takes for weights.
    pub weight_count: u64,
    /// How many more it takes where checkpoints are weights.
    pub checkpoint_count: u64,
    /// Whether an `experiment.yaml` is among them.
    pub has_spec: bool,
}

/// Files that belong to no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// How many they are.
    pub file_count: u64,
    /// One of them.
    pub example: Option<String>,
}

/// How the platform finds the weights of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One file whose name says that it is weights.
    Weights,
    /// Several, of which the platform takes any.
    Several,
    /// None, so the platform takes the folder.
    Folder,
    /// Nothing: a job fails.
    Nothing,
}

impl Weights {
    /// Returns where nothing was shown yet.
    pub fn of(metadata: &Metadata) -> Weights {
        let sought = metadata.entries().filter_map(|(_, entry)| entry.sought());
        Weights { folders: sought.map(|one| (one.folder, Folder::default())).collect(), others: Others::default() }
    }

    /// Counts a file. The path is below the root of the models, with slashes.
    pub fn see(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(end, _)| end);
        let mut is_sought = [METADATA_NAME, PROVENANCE_NAME].contains(&path);
        for end in ends {
            if let Some(folder) = self.folders.get_mut(&path[..end]) {
                folder.see(path);
                is_sought = true;
            }
        }
        if !is_sought {
            self.others.file_count += 1;
            self.others.example.get_or_insert_with(|| path.to_owned());
        }
    }

    /// Returns what a folder holds.
    pub fn folder(&self, folder: &str) -> Option<&Folder> {
        self.folders.get(folder)
    }

    /// Returns the files that belong to no entry: the platform never looks at them.
    pub const fn others(&self) -> &Others {
        &self.others
    }
}

impl Folder {
    fn see(&mut self, path: &str) {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.file_count += 1;
        self.weight_count += u64::from(WEIGHT_ENDS.iter().any(|end| name.ends_with(end)));
        self.checkpoint_count += u64::from(name.ends_with(CHECKPOINT_END));
        self.has_spec |= name == SPEC_NAME;
    }

    /// Returns what the platform finds here for an entry of an architecture.
    pub fn found(&self, architecture: &str) -> Found {
        let checkpoint_count = if WITH_CHECKPOINTS.contains(&architecture) { self.checkpoint_count } else { 0 };
        match (self.file_count, self.weight_count + checkpoint_count) {
            (0, _) => Found::Nothing,
            (_, 0) => Found::Folder,
            (_, 1) => Found::Weights,
            _ => Found::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(paths: &[&str]) -> Weights {
        let text = r#"{"1": {"ngc_path": "a/b/c:1"}, "2": {"ngc_path": "d/e", "source_type": "huggingface"}}"#;
        let mut weights = Weights::of(&Metadata::parse(text.as_bytes()).expect("metadata"));
        paths.iter().for_each(|path| weights.see(path));
        weights
    }

    fn found(paths: &[&str], architecture: &str) -> Found {
        seen(paths).folder("a/b/c/1/c_v1").expect("sought").found(architecture)
    }

    #[test]
    fn weights_are_found_at_any_depth_of_the_folder_alone() {
        assert_eq!(found(&["a/b/c/1/c_v1/x/y.pth"], "dino"), Found::Weights);
        assert_eq!(found(&["a/b/c/1/c_v1/y.pth.tar"], "dino"), Found::Weights);
        assert_eq!(found(&["a/b/c/1/c_v1/a.pt", "a/b/c/1/c_v1/b.tlt"], "dino"), Found::Several);
        assert_eq!(found(&["a/b/c/1/c_v1/model.safetensors"], "dino"), Found::Folder);
        assert_eq!(found(&["a/b/c/1/y.pth", "a/b/c/1/c_v10/y.pth"], "dino"), Found::Nothing);
    }

    #[test]
    fn checkpoints_are_weights_of_some_architectures() {
        assert_eq!(found(&["a/b/c/1/c_v1/y.ckpt"], "dino"), Found::Folder);
        assert_eq!(found(&["a/b/c/1/c_v1/y.ckpt"], "nvdinov2"), Found::Weights);
    }

    #[test]
    fn what_no_entry_looks_at_is_counted() {
        let weights = seen(&[METADATA_NAME, PROVENANCE_NAME, "d/e/f/1/f_v1/y.pth", "huggingface/d_e/config.json", "x"]);
        assert_eq!(*weights.others(), Others { file_count: 2, example: Some("d/e/f/1/f_v1/y.pth".to_owned()) });
        assert_eq!(weights.folder("huggingface/d_e").expect("sought").file_count, 1);
    }
}
