//! The guide's page on trouble, as a look at everything that it names, on both sides.
//!
//! Each check stands alone: one that finds something wrong ends no other. What can't be looked at since
//! another check failed says so. Nothing is written, here or elsewhere.

mod clock;
mod finding;
mod local;
mod platform;
mod store;

pub use finding::{Check, Finding, Note, Outcome, Skew, Wrong};

use super::address::Endpoint;
use super::api::Version;
use super::model_registry::{ModelRegistryError, Said, agreed};
use super::tree::LookOptions;
use crate::format::{Name, Time};
use crate::pipeline::import::Prefix;
use crate::pipeline::progress::Progress;
use crate::store::{Store, StoreError};
use std::path::PathBuf;
use std::sync::Arc;

/// What a directory of this program's own has to have free, in bytes.
const FREE_LEN_MIN: u64 = 256 << 20;

/// What is looked at; what is not named is not.
#[derive(Default)]
pub struct Plan {
    /// Models on disk.
    pub tree: Option<TreePlan>,
    /// Where a bundle of them would go.
    pub out: Option<PathBuf>,
    /// Keys of what models are fetched from.
    pub keys: Vec<KeyPlan>,
    /// What each says of where the models lie in the bucket.
    pub said: Option<Result<Vec<Said>, ModelRegistryError>>,
    /// The store, and how it can be used or what is wrong with how it is named.
    pub store: Option<(StorePlan, Opened)>,
    /// The platform.
    pub api: Option<ApiPlan>,
    /// Directories that this program needs some room in.
    pub own_dirs: Vec<PathBuf>,
}

/// A store that can be used, or what is wrong with how it is named.
pub type Opened = Result<Arc<dyn Store>, StoreError>;

/// Models on disk.
pub struct TreePlan {
    /// The name and the directory of their root.
    pub root: (Name, PathBuf),
    /// How they are looked at.
    pub options: LookOptions,
}

/// A key, of which it is only asked whether it is set.
#[derive(Clone, Copy, Debug)]
pub struct KeyPlan {
    /// What it is for.
    pub source: &'static str,
    /// The variables that may hold it.
    pub names: &'static [&'static str],
    /// The one that does.
    pub set: Option<&'static str>,
}

/// A store and its bucket.
pub struct StorePlan {
    /// Where it is, as seen from here.
    pub endpoint: Endpoint,
    /// The bucket.
    pub bucket: String,
    /// A file with authorities beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Where imports keep their state in it.
    pub state_prefix: Prefix,
}

/// A platform.
#[derive(Clone, Debug)]
pub struct ApiPlan {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The organisation that it is asked for.
    pub org: String,
    /// The version of its API.
    pub version: Version,
    /// Who logs in.
    pub user: Option<String>,
    /// A file with authorities beside those of the machine.
    pub ca_file: Option<PathBuf>,
}

/// Looks at all that is planned, and returns what each check found, in their order. A look that a person
/// stopped has fewer findings; `progress` tells.
pub fn examine(plan: Plan, now: &dyn Fn() -> Time, progress: &dyn Progress) -> Vec<Finding> {
    let is_stopped = || progress.is_cancelled();
    let mut findings = Findings { found: Vec::new(), now, is_stopped: &is_stopped };
    connected(&plan, progress, &mut findings);
    behind_the_gap(plan, &mut findings);
    findings.found
}

/// The findings so far, and what every check may ask.
struct Findings<'a> {
    found: Vec<Finding>,
    now: &'a dyn Fn() -> Time,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Findings<'_> {
    fn add(&mut self, check: Check, about: &str, outcome: Outcome) {
        self.found.push(Finding { check, about: about.to_owned(), outcome });
    }

    /// Says of checks that another stands before them, which is returned.
    fn not_looked(&mut self, checks: &[Check], since: Check) -> Check {
        checks.iter().for_each(|&check| self.add(check, "", Outcome::NotLooked { since }));
        since
    }
}

fn connected(plan: &Plan, progress: &dyn Progress, findings: &mut Findings<'_>) {
    let len = plan.tree.as_ref().map(|tree| local::look_at_tree(tree, progress, findings));
    plan.keys.iter().for_each(|key| local::look_at_key(key, findings));
    if let Some(out) = &plan.out {
        match len.unwrap_or(Ok(FREE_LEN_MIN)) {
            Ok(len) => local::look_at_space(out, len, findings),
            Err(since) => drop(findings.not_looked(&[Check::Space], since)),
        }
    }
}

fn behind_the_gap(plan: Plan, findings: &mut Findings<'_>) {
    let registry = plan.said.map_or(Err(Check::Registry), |said| look_at_registry(said, findings));
    let mut landed = Err(Check::Store);
    if let Some((place, opened)) = plan.store {
        let models = [Check::Metadata, Check::Entries, Check::Weights];
        landed = match store::look(&place, opened, findings) {
            Err(since) => {
                findings.not_looked(&[Check::Import], since);
                Err(findings.not_looked(&models, since))
            }
            Ok(store) => {
                store::look_at_imports(&place, store.as_ref(), findings);
                match &registry {
                    Ok(registry) => store::look_at_models(store.as_ref(), &registry.registry, findings),
                    Err(since) => Err(findings.not_looked(&models, *since)),
                }
            }
        };
    }
    if let Some(api) = &plan.api {
        platform::look(api, landed.as_ref().map_err(|since| *since), findings);
    }
    plan.own_dirs.iter().for_each(|dir| local::look_at_space(dir, FREE_LEN_MIN, findings));
}

/// Looks whether all say the same of where the models lie, and spell it so that weights are found.
fn look_at_registry(said: Result<Vec<Said>, ModelRegistryError>, findings: &mut Findings<'_>) -> Result<Said, Check> {
    let all = said.as_ref().map(|said| said.clone()).unwrap_or_default();
    match said.and_then(agreed) {
        Err(error) => {
            findings.add(Check::Registry, "", Outcome::Wrong(Wrong::Registry(error)));
            Err(Check::Registry)
        }
        Ok(first) => {
            let path = format!("/{}", first.registry.as_str());
            for one in all.iter().filter(|one| one.hides_weights) {
                let wrong = Wrong::HidesWeights { by: one.by.clone(), path: path.clone() };
                findings.add(Check::Registry, &path, Outcome::Wrong(wrong));
            }
            if !all.iter().any(|one| one.hides_weights) {
                findings.add(Check::Registry, &path, Outcome::Good);
            }
            Ok(first)
        }
    }
}
