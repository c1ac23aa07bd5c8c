//! What will be fetched: models, what each is for, and their files; before any of it is.

use super::hub::{Hub, Revision};
use super::ngc::{FoundModel, Ngc, OrgTeam};
use super::remote::{RemoteError, RemoteFile};
use super::{Failed, FetchError};
use crate::error::Class;
use crate::format::Sha256;
use crate::pipeline::progress::Progress;
use crate::tao::architectures::{self, ArchitectureError};
use crate::tao::catalogue::Wanted;
use crate::tao::http::HttpError;
use crate::tao::model::{HubModel, Model, ModelError, NgcModel};
use crate::tao::ngc::{VersionAnswer, VersionDetails, VersionRule};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Questions at a time, before anything is downloaded.
const WORKER_COUNT: usize = 8;

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
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.len))
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

/// Adds what is asked for to what already is; for one architecture of one model the later stands.
pub fn merge(asked: &mut Asked, later: Asked) {
    for (model, uses) in later {
        let all = asked.entry(model).or_default();
        all.retain(|earlier| uses.iter().all(|one| one.architecture != earlier.architecture));
        all.extend(uses);
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Models that can be had.
    pub asked: Asked,
    /// What says that it is for the platform and can't be had.
    pub left_out: Vec<LeftOut>,
}

/// A version that a search found and that is not fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// `org/[team/]model:version`, as NGC spells it.
    pub path: String,
    /// Why.
    pub why: LeftOutRule,
}

/// Why a version that a search found is not fetched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOutRule {
    /// The platform would not take it.
    #[error(transparent)]
    Version(#[from] VersionRule),
    /// Its path is none that the platform can look for.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What it is for is nothing that the platform lists.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
}

/// Returns the models of a place that say what they are for, those of some architectures alone where
/// these are named. What says nothing is no model of the platform.
///
/// # Errors
/// NGC does not answer.
pub fn discover(
    ngc: &Ngc<'_>,
    place: &OrgTeam,
    only: Option<&BTreeSet<String>>,
    progress: &dyn Progress,
) -> Result<Discovered, FetchError> {
    let found = ngc.models(place)?;
    let is_failed = AtomicBool::new(false);
    let asked = in_parallel(&found, |found| {
        // What was found so far is nothing to go on with.
        if is_failed.load(Ordering::Relaxed) {
            return Ok(Discovered::default());
        }
        progress.now_at(&found.resource_id);
        let discovered = versions_of(ngc, found, only);
        is_failed.fetch_or(discovered.is_err(), Ordering::Relaxed);
        discovered
    });
    let mut all = Discovered::default();
    for discovered in asked {
        all.extend(discovered?);
    }
    Ok(all)
}

fn versions_of(ngc: &Ngc<'_>, found: &FoundModel, only: Option<&BTreeSet<String>>) -> Result<Discovered, FetchError> {
    let mut discovered = Discovered::default();
    for version in ngc.versions(found)? {
        let mut endpoints = version.endpoints();
        endpoints.retain(|name| only.is_none_or(|only| only.contains(name)));
        let Some(id) = version.version_id.as_deref().filter(|_| !endpoints.is_empty()) else { continue };
        discovered.add(found, id, &version, endpoints);
    }
    Ok(discovered)
}

/// Calls `ask` with each item, several at a time, and returns the answers in their order.
fn in_parallel<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = items.get(index) else { return };
        let answer = ask(item);
        answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
    };
    thread::scope(|scope| (0..WORKER_COUNT.min(items.len())).for_each(|_| drop(scope.spawn(worker))));
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

impl Discovered {
    /// Adds what another search found: an organisation's finds what those of its teams find.
    pub fn extend(&mut self, other: Discovered) {
        merge(&mut self.asked, other.asked);
        for one in other.left_out {
            if !self.left_out.contains(&one) {
                self.left_out.push(one);
            }
        }
    }

    /// Adds a version, or names it where the platform would not take it: nothing is downloaded in vain.
    fn add(&mut self, found: &FoundModel, id: &str, version: &VersionDetails, endpoints: Vec<String>) {
        let path = format!("{}:{id}", found.resource_id);
        let checked = version.check().map_err(LeftOutRule::from);
        let model = match checked.and_then(|()| Ok(NgcModel::parse(&path)?)) {
            Ok(model) => Model::Ngc(model),
            Err(why) => return self.left_out.push(LeftOut { path, why }),
        };
        for architecture in endpoints {
            match architectures::usable(&architecture) {
                Ok(_) => {
                    let name = found.display_name.clone().unwrap_or_else(|| architecture.clone());
                    let one = Use { name, architecture, is_backbone: None };
                    self.asked.entry(model.clone()).or_default().push(one);
                }
                Err(why) => self.left_out.push(LeftOut { path: path.clone(), why: why.into() }),
            }
        }
    }
}

/// What will be fetched, and what can't be.
#[derive(Debug, Default)]
pub struct Plan {
    /// What will be fetched.
    pub planned: Vec<PlannedModel>,
    /// What can't be, and why.
    pub failed: Vec<Failed>,
}

impl Plan {
    /// Returns the length of all files, in bytes.
    pub fn total_len(&self) -> u64 {
        self.planned.iter().fold(0, |sum, model| sum.saturating_add(model.total_len()))
    }
}

/// Returns what there is to fetch of all models that are asked for. A model that can't be had is no
/// error of the whole.
///
/// # Errors
/// A person asked to stop.
pub fn plan(ngc: Option<&Ngc<'_>>, hub: &Hub<'_>, asked: &Asked, progress: &dyn Progress) -> Result<Plan, FetchError> {
    progress.begin("ask", 0, asked.len() as u64);
    let mut folders: HashMap<String, &Model> = HashMap::new();
    // Their files would lie among one another.
    let jobs: Vec<_> = asked.iter().map(|(model, uses)| (model, uses, folders.insert(model.folder(), model))).collect();
    let answers = in_parallel(&jobs, |(model, uses, other)| {
        progress.now_at(&model.to_string());
        let planned = match other {
            Some(other) => Err(FetchError::SameFolder { folder: model.folder(), other: (*other).clone() }),
            None if progress.is_cancelled() => Err(HttpError::Stopped.into()),
            None => plan_one(ngc, hub, model, uses),
        };
        progress.advance(0, 1);
        planned
    });
    let mut plan = Plan::default();
    for ((model, ..), planned) in jobs.iter().zip(answers) {
        match planned {
            Ok(planned) => plan.planned.push(planned),
            Err(error) if error.class() == Class::Interrupted => return Err(error),
            Err(error) => plan.failed.push(Failed { model: (*model).clone(), error }),
        }
    }
    Ok(plan)
}

fn plan_one(ngc: Option<&Ngc<'_>>, hub: &Hub<'_>, model: &Model, uses: &[Use]) -> Result<PlannedModel, FetchError> {
    let (said, files) = match model {
        Model::Ngc(model) => plan_ngc(ngc.ok_or(FetchError::NoKey)?, model)?,
        Model::Hub(model) => plan_hub(hub, model)?,
    };
    check_apart(&files)?;
    Ok(PlannedModel { model: model.clone(), uses: uses.to_vec(), said, files })
}

/// Refuses files that could not lie beside one another: two of one name, and a file that is also a folder.
fn check_apart(files: &[RemoteFile]) -> Result<(), FetchError> {
    if files.is_empty() {
        return Err(FetchError::NoFiles);
    }
    let mut names = HashSet::new();
    let twice = |path: &str| RemoteError::Twice { path: path.to_owned() };
    files.iter().try_for_each(|file| if names.insert(file.path.as_str()) { Ok(()) } else { Err(twice(&file.path)) })?;
    for file in files {
        let mut above = file.path.rmatch_indices('/').map(|(at, _)| &file.path[..at]);
        if let Some(folder) = above.find(|folder| names.contains(folder)) {
            return Err(twice(folder).into());
        }
    }
    Ok(())
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
