//! What is wrong with a tree of models before it travels, or with a bucket after it landed.

use super::metadata::{BadField, Entry, Metadata};
use super::weights::{Found, Others, Weights};
use std::collections::BTreeMap;

/// What a look at metadata and files found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// How many entries there are.
    pub entry_count: u64,
    /// Bytes of the files, where they lie in a directory.
    pub files_len: u64,
    /// What must not travel.
    pub refused: Vec<Flaw>,
    /// What a person should know.
    pub named: Vec<Remark>,
}

/// What makes the platform fail.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A value that breaks a listing, or drops the entry.
    #[error("entry {} of {}: {} {}", .0.entry, METADATA, .0.field, .0.rule)]
    Field(BadField),
    /// no file where the platform looks.
    #[error("entry {entry} has no file in {folder}, where the platform looks for it")]
    NoFiles {
        /// The key of the entry.
        entry: String,
        /// The folder that is sought.
        folder: String,
    },
    /// two models fall onto one folder.
    #[error("{first} and {second} both lie in {folder}")]
    Clash {
        /// The path of one model.
        first: String,
        /// The path of the other.
        second: String,
        /// Their folder.
        folder: String,
    },
}

/// What works, and may surprise.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Remark {
    /// the folder stands for the weights.
    #[error("entry {entry}: no file in {folder} is named as weights are, so the platform takes the folder")]
    FolderIsWeights {
        /// The key of the entry.
        entry: String,
        /// The folder.
        folder: String,
    },
    /// several files stand for the weights.
    #[error("entry {entry}: several files in {folder} are named as weights are, and the platform takes any")]
    SeveralWeights {
        /// The key of the entry.
        entry: String,
        /// The folder.
        folder: String,
    },
    /// the entry promises a specification.
    #[error("entry {entry} says that it has a specification, and {folder} has no experiment.yaml")]
    NoSpec {
        /// The key of the entry.
        entry: String,
        /// The folder.
        folder: String,
    },
    /// the path names a team that is none.
    #[error("entry {entry} has no-team in its path, and the platform looks below no-team: write ORG/MODEL:VERSION")]
    NoTeam {
        /// The key of the entry.
        entry: String,
    },
    /// files that no entry is about.
    #[error("files that belong to no entry: {count}, among them {example}; the platform never looks at them")]
    Others {
        /// How many.
        count: u64,
        /// One of them.
        example: String,
    },
}

const METADATA: &str = super::metadata::METADATA_NAME;

/// Returns what is wrong with the entries and the files that were seen.
pub fn check(metadata: &Metadata, weights: &Weights) -> Checked {
    let mut checked = Checked { entry_count: metadata.entries().len() as u64, ..Checked::default() };
    checked.refused.extend(metadata.bad_fields().into_iter().map(Flaw::Field));
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (key, entry) in metadata.entries() {
        checked.look(key, entry, weights);
        checked.refused.extend(clash(entry, &mut owners));
    }
    if let Others { file_count: count @ 1.., example: Some(example) } = weights.others().clone() {
        checked.named.push(Remark::Others { count, example });
    }
    checked
}

impl Checked {
    fn look(&mut self, key: &str, entry: &Entry, weights: &Weights) {
        let Some(sought) = entry.sought() else { return };
        let (entry_key, folder) = (key.to_owned(), sought.folder);
        if sought.names_no_team {
            self.named.push(Remark::NoTeam { entry: entry_key.clone() });
        }
        let Some(held) = weights.folder(&folder) else { return };
        if entry.expects_spec() && !held.has_spec {
            self.named.push(Remark::NoSpec { entry: entry_key.clone(), folder: folder.clone() });
        }
        match held.found(entry.text("network_arch").unwrap_or_default()) {
            Found::Nothing => self.refused.push(Flaw::NoFiles { entry: entry_key, folder }),
            Found::Folder => self.named.push(Remark::FolderIsWeights { entry: entry_key, folder }),
            Found::Several => self.named.push(Remark::SeveralWeights { entry: entry_key, folder }),
            Found::Weights => {}
        }
    }
}

/// Remembers whose folder it is, and returns what is wrong where it is another model's already.
fn clash<'a>(entry: &'a Entry, owners: &mut BTreeMap<String, &'a str>) -> Option<Flaw> {
    let (path, folder) = (entry.text("ngc_path")?, entry.sought()?.folder);
    let first = *owners.entry(folder.clone()).or_insert(path);
    (first != path).then(|| Flaw::Clash { first: first.to_owned(), second: path.to_owned(), folder })
}
