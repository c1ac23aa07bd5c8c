//! `ptm_metadatas.json`: what the platform is told of its models.
//!
//! The platform reads it without a look: an entry that lacks a field is dropped without a word, and
//! one bad value breaks every listing for everyone. So each entry is checked here before it travels.

mod fields;
mod rule;

pub(super) use fields::is_time;
pub use rule::EntryRule;

use super::model::Model;
use crate::error::Class;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The name of the file, at the root of the models.
pub const METADATA_NAME: &str = "ptm_metadatas.json";
/// Longest file, in bytes.
pub const METADATA_LEN_MAX: u64 = 64 << 20;

/// The entries of a file by their keys, as they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    entries: BTreeMap<String, Entry>,
}

/// One entry, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry(Map<String, Value>);

/// Where the platform looks for the files of an entry, below the root of the models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The folder.
    pub folder: String,
    /// Whether the path names a team `no-team`, of which the folder on disk says nothing.
    pub names_no_team: bool,
}

/// A value that would break the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct BadField {
    /// The key of the entry.
    pub entry: String,
    /// The field, with dots between levels.
    pub field: String,
    /// What is wrong with it.
    pub rule: EntryRule,
}

/// Why bytes are no metadata of models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// at most 64 MiB.
    #[error("{METADATA_NAME} is longer than {METADATA_LEN_MAX} bytes")]
    TooLong,
    /// JSON in UTF-8.
    #[error("{METADATA_NAME} is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// an object of objects.
    #[error("{METADATA_NAME} is not an object that holds an object for each model")]
    NotEntries,
    /// at least one entry.
    #[error("{METADATA_NAME} has no entry, and the platform refuses to load it")]
    Empty,
}

impl MetadataError {
    /// Returns whose problem it is.
    pub const fn class(&self) -> Class {
        Class::Refused
    }
}

impl Metadata {
    /// Returns the entries that `bytes` hold, unchecked.
    ///
    /// # Errors
    /// Refuses what the platform would refuse as a whole, and what is too long.
    pub fn parse(bytes: &[u8]) -> Result<Metadata, MetadataError> {
        if bytes.len() as u64 > METADATA_LEN_MAX {
            return Err(MetadataError::TooLong);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(MetadataError::NotJson)?;
        let Value::Object(values) = value else { return Err(MetadataError::NotEntries) };
        if values.is_empty() {
            return Err(MetadataError::Empty);
        }
        let entry = |(key, value)| match value {
            Value::Object(fields) => Some((key, Entry(fields))),
            _ => None,
        };
        let entries = values.into_iter().map(entry).collect::<Option<_>>().ok_or(MetadataError::NotEntries)?;
        Ok(Metadata { entries })
    }

    /// Returns the entries with their keys, in byte order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Returns every value that would make the platform drop an entry or break its listings.
    pub fn bad_fields(&self) -> Vec<BadField> {
        self.entries.iter().flat_map(|(key, entry)| entry.bad_fields(key)).collect()
    }
}

impl Entry {
    /// Returns the text of a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Tells whether the entry says that its model comes with an `experiment.yaml`.
    pub fn expects_spec(&self) -> bool {
        let metadata = self.0.get("base_experiment_metadata");
        metadata.and_then(|fields| fields.get("spec_file_present")) == Some(&Value::Bool(true))
    }

    /// Returns where the platform looks for the files of this entry; nothing where its path
    /// makes the platform fail.
    pub fn sought(&self) -> Option<Sought> {
        let path = self.text("ngc_path")?;
        let is_repository = !path.contains(':') && path.contains('/');
        if self.text("source_type") == Some("huggingface") || is_repository {
            return Some(Sought { folder: format!("huggingface/{}", path.replace('/', "_")), names_no_team: false });
        }
        let (place, version) = path.split_once(':')?;
        let model = place.rsplit('/').next()?;
        let names_no_team = place.split('/').any(|part| part == "no-team");
        Some(Sought { folder: format!("{place}/{version}/{model}_v{version}"), names_no_team })
    }

    fn bad_fields(&self, key: &str) -> Vec<BadField> {
        let mut found = fields::broken(&self.0);
        let id = self.text("id");
        if id.is_some_and(|id| id != key) {
            found.push(("id".to_owned(), EntryRule::OtherKey { key: key.to_owned() }));
        }
        if self.text("ngc_path").is_some() && (self.model().is_none() || self.sought().is_none()) {
            found.push(("ngc_path".to_owned(), EntryRule::NoModel));
        }
        found.into_iter().map(|(field, rule)| BadField { entry: key.to_owned(), field, rule }).collect()
    }

    /// Returns the model that the entry is about; nothing where its path names none.
    pub fn model(&self) -> Option<Model> {
        let path = self.text("ngc_path")?;
        match self.text("source_type") == Some("huggingface") || !path.contains(':') {
            true => Model::parse(&format!("hf_model://{path}")).ok(),
            false => Model::parse(path).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "62223099-d90e-5d3c-a39f-5502f38b01f2";

    fn good() -> Value {
        let entry = include_str!("../../../tests/tao/entry.json");
        serde_json::from_str(entry).expect("JSON")
    }

    fn parse(entry: Value) -> Metadata {
        Metadata::parse(json!({ ID: entry }).to_string().as_bytes()).expect("metadata")
    }

    #[test]
    fn an_entry_of_the_vendor_is_good() {
        assert_eq!(parse(good()).bad_fields(), []);
    }

    #[test]
    fn each_value_that_breaks_a_listing_is_named_with_its_field() {
        for (field, value) in [
            ("created_on", json!("yesterday")),
            ("created_on", json!("2025-02-30T00:00:00Z")),
            ("created_on", json!(1735787045)),
            ("last_modified", json!(null)),
            ("network_arch", json!("resnet_152")),
            ("dataset_type", json!(null)),
            ("dataset_formats", json!(["coco", "voc"])),
            ("accepted_dataset_intents", json!(["inference"])),
            ("accepted_dataset_intents", json!("training")),
            ("actions", json!(["fly"])),
            ("name", json!("n".repeat(501))),
            ("description", json!("d".repeat(1001))),
            ("model_description", json!(null)),
            ("version", json!(7)),
            ("logo", json!("www.nvidia.com")),
            ("logo", json!("ht!tp://x")),
            ("user_id", json!("0".repeat(37))),
            ("public", json!("true")),
            ("sha256_digest", json!([])),
            ("checkpoint_choose_method", json!("worst_model")),
            ("checkpoint_epoch_number", json!({"id": -1})),
            ("base_experiment_ids", json!(["a", "b", "c"])),
            ("base_experiment_pull_complete", json!("done")),
            ("source_type", json!("ftp")),
            ("encryption_key", json!("k".repeat(101))),
            ("ngc_path", json!("pretrained")),
            ("ngc_path", json!("a/b:../../c")),
            ("id", json!("62223099-d90e-5d3c-a39f-5502f38b01f3")),
            ("status", json!("Done")),
            ("jobs", json!({})),
            ("specs", json!({"a": [{"b": u64::MAX}]})),
        ] {
            let mut entry = good();
            entry[field] = value.clone();
            let bad = parse(entry).bad_fields();
            assert!(bad.iter().any(|one| one.field == field && one.entry == ID), "{field} {value}: {bad:?}");
            assert!(bad.iter().all(|one| one.field == field), "{field} {value}: {bad:?}");
        }
    }

    #[test]
    fn each_value_inside_that_breaks_a_listing_is_named() {
        for (field, value) in [
            ("task", json!("flying")),
            ("license", json!("MIT")),
            ("domain", json!(1)),
            ("backbone_class", json!("Swin")),
            ("is_backbone", json!(null)),
            ("num_parameters", json!(48)),
            ("accuracy", json!("61.2345678 %")),
            ("model_card_link", json!("catalog")),
        ] {
            let mut entry = good();
            entry["base_experiment_metadata"][field] = value.clone();
            let bad = parse(entry).bad_fields();
            let fields: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
            assert_eq!(fields, [format!("base_experiment_metadata.{field}")], "{value}");
        }
    }

    #[test]
    fn each_field_without_which_an_entry_is_dropped_or_a_listing_broken_is_missed() {
        for field in [
            "id",
            "name",
            "network_arch",
            "ngc_path",
            "actions",
            "accepted_dataset_intents",
            "dataset_type",
            "created_on",
        ] {
            let mut entry = good();
            entry.as_object_mut().expect("an object").remove(field);
            let bad = parse(entry).bad_fields();
            let missing = BadField { entry: ID.to_owned(), field: field.to_owned(), rule: EntryRule::Missing };
            assert_eq!(bad, [missing]);
        }
    }

    #[test]
    fn refuses_a_file_that_the_platform_cannot_load() {
        for text in ["", "[]", "{}", "{\"a\": 1}", "{\"a\": {}", "\"x\"", "{\"a\": {\"b\": NaN}}"] {
            assert!(Metadata::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(matches!(Metadata::parse(b"{\"a\":{\"b\":\"\xff\"}}"), Err(MetadataError::NotJson(_))));
    }

    #[test]
    fn folders_are_sought_where_the_platform_seeks_them() {
        let sought = |path: &str, source: Value| {
            let metadata = parse(json!({"ngc_path": path, "source_type": source}));
            let entry = metadata.entries().next().expect("one").1.clone();
            entry.sought().map(|one| (one.folder, one.names_no_team))
        };
        let found = |folder: &str, names_no_team| Some((folder.to_owned(), names_no_team));
        assert_eq!(sought("a/b/c:1", json!("ngc")), found("a/b/c/1/c_v1", false));
        assert_eq!(sought("a/no-team/c:1", json!("ngc")), found("a/no-team/c/1/c_v1", true));
        assert_eq!(sought("a/b", json!("ngc")), found("huggingface/a_b", false));
        assert_eq!(sought("gpt2", json!("huggingface")), found("huggingface/gpt2", false));
        assert_eq!(sought("a/b/c:1:2", json!(null)), found("a/b/c/1:2/c_v1:2", false));
        assert_eq!(sought("abc", json!(null)), None);
    }
}
