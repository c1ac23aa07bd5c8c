//! Lets a platform load the models of a bucket, and proves that it did.
//!
//! The platform says that all is well whatever it loaded, and never looks at weights. So the metadata
//! are read and checked before it is told of them, its list is compared with them afterwards, and the
//! files are looked for where it will look.

use super::api::{ApiError, ListedModel, LoadCause, Session, Workspace};
use super::check::{Checked, Flaw, Remark, check};
use super::http::HttpError;
use super::metadata::{BadField, METADATA_LEN_MAX, METADATA_NAME, Metadata, MetadataError};
use super::model_registry::ModelRegistry;
use super::weights::{Found, Weights};
use crate::error::Class;
use crate::format::Shown;
use crate::store::paging::objects;
use crate::store::{KeyError, Store, StoreError};
use std::collections::HashMap;

/// Models in a bucket: what is said of them, and which files there are.
#[derive(Debug)]
pub struct Landed {
    registry: ModelRegistry,
    metadata: Metadata,
    weights: Weights,
}

/// How a platform stands after its models were registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The id of the workspace.
    pub workspace: String,
    /// The entries of the metadata, in byte order of their ids.
    pub entries: Vec<Standing>,
    /// How many models the platform lists that are not in the metadata: a load never removes any.
    pub other_count: u64,
    /// What works, and may surprise.
    pub remarks: Vec<Remark>,
    /// Two models in one folder.
    pub clashes: Vec<Flaw>,
}

/// How one entry stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// Where the platform looks for its files, below the folder of the models.
    pub folder: String,
    /// How many files lie there.
    pub file_count: u64,
    /// What the platform finds there.
    pub found: Found,
    /// Whether the platform lists it.
    pub visible: Visible,
}

/// Whether a platform lists an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// As the metadata say.
    Yes,
    /// Not at all.
    No,
    /// Under another path than the metadata say.
    OtherPath {
        /// The path that is listed.
        found: String,
    },
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// it is not listed.
    #[error("the platform does not list it")]
    NotListed,
    /// it is listed with another path.
    #[error("the platform lists it as {shown}, so it loaded other metadata", shown = Shown(.found))]
    OtherPath {
        /// The path that is listed.
        found: String,
    },
    /// there is no file where the platform looks.
    #[error("there is no file in {folder}, where the platform looks for it", folder = Shown(.folder))]
    NoFiles {
        /// The folder, as a key of the bucket.
        folder: String,
    },
}

/// Why models were not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The store of the models can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of the models is too long for a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file that says what the models are is not there.
    #[error("the bucket has no {key}")]
    NoMetadata {
        /// Where it should lie.
        key: String,
    },
    /// It is nothing that the platform loads.
    #[error("{key} is not accepted")]
    Metadata {
        /// Where it lies.
        key: String,
        /// The broken rule.
        source: MetadataError,
    },
    /// a value would break every list, or drop its entry. The platform was not told of it.
    #[error("{key} would break the lists of the platform: entry {}: {} {}", .first.entry, .first.field, .first.rule)]
    Poisoned {
        /// Where it lies.
        key: String,
        /// The first of them.
        first: Box<BadField>,
        /// All of them.
        fields: Vec<BadField>,
    },
    /// The platform looks for the metadata elsewhere.
    #[error("the platform looks for {server}, and the metadata are {ours}", server = Shown(.server), ours = Shown(.ours))]
    OtherRegistry {
        /// The key that the platform looks for.
        server: String,
        /// The key where they lie.
        ours: String,
    },
    /// an entry breaks the list for all.
    #[error("entry {entry} breaks the list of the platform, {origin}", origin = if *.is_ours { "and is one of the metadata" } else { "and is of an earlier load" })]
    ListBroken {
        /// Its id.
        entry: String,
        /// Whether it is in the metadata.
        is_ours: bool,
        /// What the platform answers.
        source: Box<ApiError>,
    },
    /// The platform refuses, or does not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl RegisterError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            RegisterError::Store(error) => error.class(),
            RegisterError::Api(error) => error.class(),
            RegisterError::Metadata { source, .. } => source.class(),
            RegisterError::Key(_) => Class::Usage,
            RegisterError::NoMetadata { .. }
            | RegisterError::Poisoned { .. }
            | RegisterError::OtherRegistry { .. }
            | RegisterError::ListBroken { .. } => Class::Refused,
        }
    }
}

impl Landed {
    /// Reads the metadata of the models in a bucket, and lists their files.
    ///
    /// # Errors
    /// The store fails, or there are no metadata that the platform could load.
    pub fn read(store: &dyn Store, registry: &ModelRegistry) -> Result<Landed, RegisterError> {
        let (key, metadata) = read_metadata(store, registry)?;
        let fields = metadata.bad_fields();
        if let Some(first) = fields.first() {
            return Err(RegisterError::Poisoned { key, first: Box::new(first.clone()), fields });
        }
        Ok(Landed::of(store, registry, metadata)?)
    }

    /// Lists the files of models that are said to be there.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn of(store: &dyn Store, registry: &ModelRegistry, metadata: Metadata) -> Result<Landed, StoreError> {
        let mut weights = Weights::of(&metadata);
        let prefix = registry.prefix().as_str();
        for object in objects(store, prefix) {
            let object = object?;
            // What ends in a slash is a folder that some client has made, and no file.
            if let Some(path) = object.key.strip_prefix(prefix).filter(|path| !path.ends_with('/')) {
                weights.see(path);
            }
        }
        Ok(Landed { registry: registry.clone(), metadata, weights })
    }

    /// Tells whether the metadata have an entry.
    pub(super) fn has(&self, entry: &str) -> bool {
        self.metadata.entries().any(|(key, _)| key == entry)
    }

    /// Returns what works and may surprise, and what would break the platform.
    pub(super) fn checked(&self) -> Checked {
        check(&self.metadata, &self.weights)
    }

    /// Lets the platform load the metadata, and returns how their entries stand then. Repeating it
    /// changes nothing.
    ///
    /// # Errors
    /// The platform refuses, does not answer, or can't list its models.
    pub fn register(&self, session: &Session<'_>, workspace: &Workspace) -> Result<Registered, RegisterError> {
        let id = session.workspace(workspace)?;
        session.load(&id).map_err(|error| self.because(error))?;
        let listed = match session.models() {
            Ok(listed) => listed,
            Err(error @ ApiError::ListBroken { .. }) => return Err(self.blame(session, error)),
            Err(error) => return Err(error.into()),
        };
        Ok(self.compare(id, listed))
    }

    /// Tells a platform that looks elsewhere from one that does not see what is there.
    fn because(&self, error: ApiError) -> RegisterError {
        let ours = format!("{}{METADATA_NAME}", self.registry.prefix().as_str());
        match error {
            ApiError::NotLoaded { cause: LoadCause::NoObject { key } } if key != ours => {
                RegisterError::OtherRegistry { server: key, ours }
            }
            error => error.into(),
        }
    }

    /// Names the entry that breaks the list, where it can be told.
    fn blame(&self, session: &Session<'_>, error: ApiError) -> RegisterError {
        match session.poison() {
            Ok(Some(entry)) => {
                let is_ours = self.has(&entry);
                RegisterError::ListBroken { entry, is_ours, source: Box::new(error) }
            }
            Err(stopped @ ApiError::Http(HttpError::Stopped)) => stopped.into(),
            // That it can't be told is no news beside a list that is broken.
            Ok(None) | Err(_) => error.into(),
        }
    }

    fn compare(&self, workspace: String, listed: Vec<ListedModel>) -> Registered {
        let (entries, other_count) = self.standings(listed);
        let checked = self.checked();
        let clashes = checked.refused.into_iter().filter(|flaw| matches!(flaw, Flaw::Clash { .. })).collect();
        Registered { workspace, entries, other_count, remarks: checked.named, clashes }
    }

    /// Returns how each entry stands with a platform that lists these models, and how many others it lists.
    pub(super) fn standings(&self, listed: Vec<ListedModel>) -> (Vec<Standing>, u64) {
        let listed_count = listed.len();
        let mut paths: HashMap<String, Option<String>> =
            listed.into_iter().map(|model| (model.id, model.ngc_path)).collect();
        let twin_count = listed_count - paths.len();
        let mut entries = Vec::new();
        for (key, entry) in self.metadata.entries() {
            let path = entry.text("ngc_path").unwrap_or_default();
            let visible = match paths.remove(key) {
                None => Visible::No,
                Some(found) if found.as_deref() == Some(path) => Visible::Yes,
                Some(found) => Visible::OtherPath { found: found.unwrap_or_default() },
            };
            let folder = entry.sought().map(|sought| sought.folder).unwrap_or_default();
            let held = self.weights.folder(&folder);
            entries.push(Standing {
                id: key.to_owned(),
                name: entry.text("name").unwrap_or_default().to_owned(),
                file_count: held.map_or(0, |held| held.file_count),
                found: held.map_or(Found::Nothing, |held| held.found(entry.text("network_arch").unwrap_or_default())),
                folder: format!("{}{folder}", self.registry.prefix().as_str()),
                visible,
            });
        }
        (entries, (paths.len() + twin_count) as u64)
    }
}

/// Returns the metadata of the models in a bucket, unchecked, and the key where they lie.
///
/// # Errors
/// The store fails, or there are none that the platform could load.
pub(super) fn read_metadata(store: &dyn Store, registry: &ModelRegistry) -> Result<(String, Metadata), RegisterError> {
    let key = registry.key(METADATA_NAME)?;
    let loaded = store.load(&key, METADATA_LEN_MAX)?;
    let key = key.to_string();
    let Some(loaded) = loaded else { return Err(RegisterError::NoMetadata { key }) };
    let metadata =
        Metadata::parse(&loaded.bytes).map_err(|source| RegisterError::Metadata { key: key.clone(), source })?;
    Ok((key, metadata))
}

impl Registered {
    /// Returns how many entries the platform lists as the metadata say.
    pub fn visible_count(&self) -> usize {
        self.entries.iter().filter(|entry| entry.visible == Visible::Yes).count()
    }

    /// Returns for how many entries there are files where the platform looks.
    pub fn found_count(&self) -> usize {
        self.entries.iter().filter(|entry| entry.found != Found::Nothing).count()
    }
}

impl Standing {
    /// Returns what is wrong with the entry.
    pub fn problems(&self) -> Vec<Problem> {
        self.listing_problem().into_iter().chain(self.files_problem()).collect()
    }

    /// Returns what is wrong with how it is listed.
    pub fn listing_problem(&self) -> Option<Problem> {
        match &self.visible {
            Visible::Yes => None,
            Visible::No => Some(Problem::NotListed),
            Visible::OtherPath { found } => Some(Problem::OtherPath { found: found.clone() }),
        }
    }

    /// Returns what is wrong with its files.
    pub fn files_problem(&self) -> Option<Problem> {
        (self.found == Found::Nothing).then(|| Problem::NoFiles { folder: self.folder.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Proven;
    use crate::store::{Attributes, Condition, MemoryStore};
    use serde_json::json;

    fn landed(files: &[&str]) -> Landed {
        let entry = |id: &str, path: &str| {
            json!({
                "id": id, "name": "n", "network_arch": "dino", "dataset_type": "object_detection",
                "accepted_dataset_intents": [], "actions": ["train"], "created_on": "2025-01-02T03:04:05Z",
                "ngc_path": path,
            })
        };
        let metadata = json!({ "1": entry("1", "a/b:1"), "2": entry("2", "c/d:1"), "3": entry("3", "e/f:1") });
        let (store, registry) = (MemoryStore::default(), ModelRegistry::parse("m").expect("a folder"));
        let put = |path: &str, bytes: Vec<u8>| {
            let key = registry.key(path).expect("a key");
            store.put(&key, &Proven::record(bytes), &Attributes::default(), &Condition::Any).expect("put");
        };
        put(METADATA_NAME, metadata.to_string().into_bytes());
        files.iter().for_each(|path| put(path, b"weights".to_vec()));
        Landed::read(&store, &registry).expect("read")
    }

    fn listed(models: &[(&str, Option<&str>)]) -> Vec<ListedModel> {
        let model =
            |(id, path): &(&str, Option<&str>)| ListedModel { id: (*id).to_owned(), ngc_path: path.map(str::to_owned) };
        models.iter().map(model).collect()
    }

    #[test]
    fn an_entry_is_whole_when_it_is_listed_with_its_path_and_has_a_file() {
        let landed = landed(&["a/b/1/b_v1/x.pth", "c/d/1/d_v1/x.pth", "e/f/1/x.pth"]);
        let list = listed(&[("1", Some("a/b:1")), ("2", Some("c/d:2")), ("9", None), ("9", None)]);
        let registered = landed.compare("w".to_owned(), list);
        let problems: Vec<Vec<Problem>> = registered.entries.iter().map(Standing::problems).collect();
        let no_files = Problem::NoFiles { folder: "m/e/f/1/f_v1".to_owned() };
        assert_eq!(
            problems,
            [vec![], vec![Problem::OtherPath { found: "c/d:2".to_owned() }], vec![Problem::NotListed, no_files]]
        );
        assert_eq!((registered.visible_count(), registered.found_count(), registered.other_count), (1, 2, 2));
        let others = Remark::Others { count: 1, example: "e/f/1/x.pth".to_owned() };
        assert!(registered.remarks.contains(&others), "{:?}", registered.remarks);
    }

    #[test]
    fn a_platform_that_looks_elsewhere_is_told_from_one_that_does_not_see() {
        let landed = landed(&[]);
        let because = |key: &str| {
            let cause = LoadCause::NoObject { key: key.to_owned() };
            landed.because(ApiError::NotLoaded { cause })
        };
        assert!(matches!(because("n/ptm_metadatas.json"), RegisterError::OtherRegistry { .. }));
        assert!(matches!(because("m/ptm_metadatas.json"), RegisterError::Api(ApiError::NotLoaded { .. })));
    }
}
