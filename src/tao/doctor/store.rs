//! The store and what lies in its bucket.

use super::clock;
use super::finding::{Check, Note, Outcome, Wrong};
use super::{Findings, Opened, StorePlan};
use crate::pipeline::import::unfinished;
use crate::store::paging::objects;
use crate::store::{Cause, IfMissing, Store, StoreError};
use crate::tao::check::Flaw;
use crate::tao::metadata::METADATA_NAME;
use crate::tao::model_registry::ModelRegistry;
use crate::tao::register::{Landed, RegisterError, read_metadata};
use std::sync::Arc;

/// Most places that are named where metadata lie elsewhere.
const ELSEWHERE_COUNT_MAX: usize = 5;

/// Looks at the store; returns it where it can be used.
pub(super) fn look(plan: &StorePlan, opened: Opened, findings: &mut Findings<'_>) -> Result<Arc<dyn Store>, Check> {
    let endpoint = plan.endpoint.to_string();
    let dependents = [Check::StoreClock, Check::Credentials, Check::Bucket];
    match clock::ask(&plan.endpoint, plan.ca_file.as_deref(), findings.now, findings.is_stopped) {
        Err(error) => {
            findings.add(Check::Store, &endpoint, Outcome::Wrong(Wrong::StoreSilent(error)));
            return Err(findings.not_looked(&dependents, Check::Store));
        }
        Ok(skew) => {
            findings.add(Check::Store, &endpoint, Outcome::Good);
            let outcome = clock::judge(skew);
            let is_off = matches!(outcome, Outcome::Wrong(_));
            findings.add(Check::StoreClock, &endpoint, outcome);
            if is_off {
                return Err(findings.not_looked(&dependents[1..], Check::StoreClock));
            }
        }
    }
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            findings.add(Check::Credentials, &endpoint, Outcome::Wrong(Wrong::StoreOptions(error)));
            return Err(findings.not_looked(&dependents[2..], Check::Credentials));
        }
    };
    // Of a listing the store says in words what it refuses, of a look at the bucket by a number alone.
    match store.list(METADATA_NAME, None) {
        Ok(_) | Err(StoreError::BucketMissing { .. }) => findings.add(Check::Credentials, &endpoint, Outcome::Good),
        Err(error) => {
            let is_refused =
                matches!(error, StoreError::Unavailable { cause: Cause::Answer { status: 401 | 403, .. }, .. });
            let wrong = if is_refused { Wrong::Credentials(error) } else { Wrong::Store(error) };
            findings.add(Check::Credentials, &endpoint, Outcome::Wrong(wrong));
            return Err(findings.not_looked(&dependents[2..], Check::Credentials));
        }
    }
    match store.ensure_bucket(IfMissing::Refuse) {
        Ok(()) => findings.add(Check::Bucket, &plan.bucket, Outcome::Good),
        Err(error) => {
            let is_missing = matches!(error, StoreError::BucketMissing { .. });
            let wrong = if is_missing { Wrong::NoBucket(error) } else { Wrong::Store(error) };
            findings.add(Check::Bucket, &plan.bucket, Outcome::Wrong(wrong));
            return Err(Check::Bucket);
        }
    }
    Ok(store)
}

/// Looks whether imports into the bucket have come to their end.
pub(super) fn look_at_imports(plan: &StorePlan, store: &dyn Store, findings: &mut Findings<'_>) {
    let place = plan.state_prefix.as_str();
    match unfinished(store, &plan.state_prefix) {
        Ok(streams) if streams.is_empty() => findings.add(Check::Import, place, Outcome::Good),
        Ok(streams) => {
            for stream in streams {
                findings.add(Check::Import, place, Outcome::Wrong(Wrong::Unfinished(stream)));
            }
        }
        Err(error) => findings.add(Check::Import, place, Outcome::Wrong(Wrong::Store(error))),
    }
}

/// Looks at the metadata and the files of the models; returns them where there are any.
pub(super) fn look_at_models(
    store: &dyn Store,
    registry: &ModelRegistry,
    findings: &mut Findings<'_>,
) -> Result<Landed, Check> {
    let place = format!("{}{METADATA_NAME}", registry.prefix().as_str());
    let metadata = match read_metadata(store, registry) {
        Ok((_, metadata)) => metadata,
        Err(error) => {
            let wrong = match error {
                RegisterError::NoMetadata { key } => match elsewhere(store) {
                    Ok(elsewhere) => Wrong::NoMetadata { key, elsewhere },
                    Err(error) => Wrong::Store(error),
                },
                RegisterError::Store(error) => Wrong::Store(error),
                error => Wrong::Metadata(error),
            };
            findings.add(Check::Metadata, &place, Outcome::Wrong(wrong));
            return Err(findings.not_looked(&[Check::Entries, Check::Weights], Check::Metadata));
        }
    };
    findings.add(Check::Metadata, &place, Outcome::Good);
    let fields = metadata.bad_fields();
    if fields.is_empty() {
        findings.add(Check::Entries, &place, Outcome::Good);
    }
    for field in fields {
        findings.add(Check::Entries, &place, Outcome::Wrong(Wrong::Field(field)));
    }
    match Landed::of(store, registry, metadata) {
        Ok(landed) => {
            look_at_weights(&landed, registry, findings);
            Ok(landed)
        }
        Err(error) => {
            findings.add(Check::Weights, registry.as_str(), Outcome::Wrong(Wrong::Store(error)));
            Err(Check::Weights)
        }
    }
}

fn look_at_weights(landed: &Landed, registry: &ModelRegistry, findings: &mut Findings<'_>) {
    let place = registry.as_str();
    let mut is_good = true;
    for entry in landed.standings(Vec::new()).0 {
        if let Some(problem) = entry.files_problem() {
            is_good = false;
            findings.add(Check::Weights, place, Outcome::Wrong(Wrong::Entry { entry: entry.id, problem }));
        }
    }
    let checked = landed.checked();
    for flaw in checked.refused {
        if matches!(flaw, Flaw::Clash { .. }) {
            is_good = false;
            findings.add(Check::Weights, place, Outcome::Wrong(Wrong::Flaw(flaw)));
        }
    }
    for remark in checked.named {
        findings.add(Check::Weights, place, Outcome::Noted(Note::Remark(remark)));
    }
    if is_good {
        findings.add(Check::Weights, place, Outcome::Good);
    }
}

/// Returns where else in the bucket metadata lie.
fn elsewhere(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for object in objects(store, "") {
        let key = object?.key;
        if key == METADATA_NAME || key.strip_suffix(METADATA_NAME).is_some_and(|folder| folder.ends_with('/')) {
            found.push(key);
        }
        if found.len() == ELSEWHERE_COUNT_MAX {
            break;
        }
    }
    found.sort();
    Ok(found)
}
