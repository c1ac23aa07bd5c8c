//! What will be fetched: models, what each is for, and their files; before any of it is.

use super::FetchError;
use super::hub::{Hub, Revision};
use super::ngc::{FoundModel, Ngc, OrgTeam};
use super::remote::RemoteFile;
use crate::format::Sha256;
use crate::tao::architectures;
use crate::tao::catalogue::Wanted;
use crate::tao::model::{HubModel, Model, NgcModel};
use crate::tao::ngc::VersionAnswer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a model is fetched for: one entry of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The name that people see.
    pub name: String,
    /// The architecture.
    pub architecture: String,
    /// Whether it is a backbone; nothing where nobody said so.
    pub is_backbone: Option<bool>,
}

/// What the source says of a model.
#[derive(Clone, Debug)]
pub enum Said {
    /// By NGC.
    Ngc(Box<VersionAnswer>),
    /// By a hub.
    Hub(Revision),
}

/// A model that will be fetched.
#[derive(Clone, Debug)]
pub struct PlannedModel {
    /// Which.
    pub model: Model,
    /// What for.
    pub uses: Vec<Use>,
    /// What its source says of it.
    pub said: Said,
    /// Its files, in order of their paths.
    pub files: Vec<RemoteFile>,
}

impl PlannedModel {
    /// Returns the length of all its files, in bytes.
    pub fn total_len(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }
}

/// The models that are asked for, each with what it is for.
pub type Asked = BTreeMap<Model, Vec<Use>>;

/// Returns what rows of a catalogue ask for, those of some architectures alone where these are named.
pub fn of_catalogue(rows: &[Wanted], only: Option<&BTreeSet<String>>) -> Asked {
    let mut asked = Asked::new();
    for row in rows.iter().filter(|row| only.is_none_or(|only| only.contains(&row.architecture))) {
        let one = Use { name: row.name.clone(), architecture: row.architecture.clone(), is_backbone: row.is_backbone };
        asked.entry(row.model.clone()).or_default().push(one);
    }
    asked
}

/// Returns the models of a place that say what they are for, those of some architectures alone where
/// these are named. What says nothing is no model of the platform.
///
/// # Errors
/// NGC does not answer.
pub fn discover(ngc: &Ngc<'_>, place: &OrgTeam, only: Option<&BTreeSet<String>>) -> Result<Asked, FetchError> {
    let mut asked = Asked::new();
    for found in ngc.models(place)? {
        for version in ngc.versions(&found)? {
            let Some(id) = &version.version_id else { continue };
            let Ok(model) = NgcModel::parse(&format!("{}:{id}", found.resource_id)) else { continue };
            // Nothing is downloaded that the platform would not take.
            if version.check().is_err() {
                continue;
            }
            let uses: Vec<Use> =
                version.endpoints().into_iter().filter_map(|name| use_of(&found, name, only)).collect();
            if !uses.is_empty() {
                asked.insert(Model::Ngc(model), uses);
            }
        }
    }
    Ok(asked)
}

fn use_of(found: &FoundModel, architecture: String, only: Option<&BTreeSet<String>>) -> Option<Use> {
    let is_wanted = only.is_none_or(|only| only.contains(&architecture));
    let is_known = architectures::is_usable(&architecture);
    let name = found.display_name.clone().unwrap_or_else(|| architecture.clone());
    (is_wanted && is_known).then_some(Use { name, architecture, is_backbone: None })
}

/// Returns what there is to fetch of a model.
///
/// # Errors
/// Its source does not answer, or the platform would not take it.
pub fn plan(ngc: Option<&Ngc<'_>>, hub: &Hub<'_>, model: &Model, uses: &[Use]) -> Result<PlannedModel, FetchError> {
    let (said, files) = match model {
        Model::Ngc(model) => plan_ngc(ngc.ok_or(FetchError::NoKey)?, model)?,
        Model::Hub(model) => plan_hub(hub, model)?,
    };
    if files.is_empty() {
        return Err(FetchError::NoFiles);
    }
    Ok(PlannedModel { model: model.clone(), uses: uses.to_vec(), said, files })
}

fn plan_ngc(ngc: &Ngc<'_>, model: &NgcModel) -> Result<(Said, Vec<RemoteFile>), FetchError> {
    let answer = ngc.version(model)?;
    answer.model_version.check().map_err(FetchError::Version)?;
    let mut files = ngc.files(model, &published(&answer))?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((Said::Ngc(Box::new(answer)), files))
}

fn plan_hub(hub: &Hub<'_>, model: &HubModel) -> Result<(Said, Vec<RemoteFile>), FetchError> {
    let revision = hub.revision(model)?;
    let mut files = hub.files(model, &revision)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((Said::Hub(revision), files))
}

/// Returns the digests that a version publishes, by the paths of its files.
fn published(answer: &VersionAnswer) -> HashMap<String, Sha256> {
    let attributes = answer.model_version.attributes();
    let digests = attributes.get("sha256_digest").and_then(Value::as_object);
    let parse = |(path, hex): (&String, &Value)| Some((path.clone(), Sha256::from_hex(&hex.as_str()?.to_lowercase())?));
    digests.into_iter().flatten().filter_map(parse).collect()
}
