//! The platform, and what it lists.

use super::clock;
use super::finding::{Check, Note, Outcome, Wrong};
use super::{ApiPlan, Findings};
use crate::tao::api::{Api, ApiError, ListedModel, Session};
use crate::tao::register::Landed;

/// What versions begin with of which some load models and never list them (contract of the platform, A-104).
const OLD_VERSIONS: [&str; 2] = ["6.25", "6.26"];

/// Looks at the platform; compares its list with the models of the bucket where there are any.
pub(super) fn look(plan: &ApiPlan, landed: Result<&Landed, Check>, findings: &mut Findings<'_>) {
    let place = plan.endpoint.to_string();
    let dependents = [Check::ApiClock, Check::Version, Check::List, Check::Listed];
    match clock::ask(&plan.endpoint, plan.ca_file.as_deref(), findings.now, findings.is_stopped) {
        Err(error) => {
            findings.add(Check::Api, &place, Outcome::Wrong(Wrong::ApiSilent(error)));
            findings.not_looked(&dependents, Check::Api);
            return;
        }
        // The platform signs what it asks of the store by its own clock.
        Ok(skew) => findings.add(Check::ApiClock, &place, clock::judge(skew)),
    }
    let ca_file = plan.ca_file.as_deref();
    let api = match Api::new(plan.endpoint.clone(), &plan.org, plan.version, ca_file, findings.is_stopped) {
        Ok(api) => api,
        Err(error) => {
            findings.add(Check::Api, &place, Outcome::Wrong(Wrong::Api(error)));
            findings.not_looked(&dependents[1..], Check::Api);
            return;
        }
    };
    match api.log_in(plan.user.as_deref()) {
        Ok(session) => {
            findings.add(Check::Api, &place, Outcome::Good);
            look_at_version(&api, &place, findings);
            look_at_list(&session, &place, landed, findings);
        }
        Err(error) => {
            findings.add(Check::Api, &place, Outcome::Wrong(Wrong::Api(error)));
            findings.not_looked(&dependents[1..], Check::Api);
        }
    }
}

/// Looks which version it is of; one that does not say it is judged by its list alone.
fn look_at_version(api: &Api<'_>, place: &str, findings: &mut Findings<'_>) {
    match api.release() {
        Ok(Some(version)) if OLD_VERSIONS.iter().any(|old| version.starts_with(old)) => {
            findings.add(Check::Version, place, Outcome::Wrong(Wrong::OldVersion { version }));
        }
        Ok(Some(version)) => findings.add(Check::Version, &format!("{place}, {version}"), Outcome::Good),
        Ok(None) => {}
        Err(error) => findings.add(Check::Version, place, Outcome::Wrong(Wrong::Api(error))),
    }
}

fn look_at_list(session: &Session<'_>, place: &str, landed: Result<&Landed, Check>, findings: &mut Findings<'_>) {
    let listed = match session.models() {
        Ok(listed) => listed,
        Err(error) => {
            let wrong = blame(session, landed.ok(), error);
            findings.add(Check::List, place, Outcome::Wrong(wrong));
            findings.not_looked(&[Check::Listed], Check::List);
            return;
        }
    };
    findings.add(Check::List, place, Outcome::Good);
    match landed {
        Ok(landed) => compare(landed, listed, place, findings),
        Err(since) => drop(findings.not_looked(&[Check::Listed], since)),
    }
}

/// Names the entry that breaks the list, where it can be told.
fn blame(session: &Session<'_>, landed: Option<&Landed>, error: ApiError) -> Wrong {
    if !matches!(error, ApiError::ListBroken { .. }) {
        return Wrong::Api(error);
    }
    match session.poison() {
        Ok(Some(entry)) => {
            let is_ours = landed.is_some_and(|landed| landed.has(&entry));
            Wrong::ListBroken { entry, is_ours, source: error }
        }
        Ok(None) | Err(_) => Wrong::Api(error),
    }
}

fn compare(landed: &Landed, listed: Vec<ListedModel>, place: &str, findings: &mut Findings<'_>) {
    let (entries, other_count) = landed.standings(listed);
    let problems: Vec<_> =
        entries.iter().filter_map(|entry| Some((entry.id.clone(), entry.listing_problem()?))).collect();
    let is_none_listed = entries.iter().all(|entry| entry.visible == crate::tao::register::Visible::No);
    if problems.is_empty() {
        findings.add(Check::Listed, place, Outcome::Good);
    } else if is_none_listed {
        findings.add(Check::Listed, place, Outcome::Wrong(Wrong::NoneListed { count: entries.len() }));
    } else {
        for (entry, problem) in problems {
            findings.add(Check::Listed, place, Outcome::Wrong(Wrong::Entry { entry, problem }));
        }
    }
    if other_count > 0 {
        findings.add(Check::Listed, place, Outcome::Noted(Note::OthersListed { count: other_count }));
    }
}
