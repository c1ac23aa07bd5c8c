//! `airlift tao doctor`.

use super::check::Tree;
use super::said;
use crate::cli::args::{DoctorArgs, StoreArgs};
use crate::cli::commands::fetch::{HUB_TOKEN_VARIABLES, NGC_KEY_VARIABLES};
use crate::cli::commands::pack::SORT_BUDGET_LEN;
use crate::cli::failure::{Failure, chain};
use crate::cli::opening::now;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::scratch::Scratch;
use crate::cli::size::Count;
use crate::cli::stores;
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::pipeline::progress::Progress as _;
use airlift::pipeline::walk::Links;
use airlift::tao::address::Endpoint;
use airlift::tao::doctor::{ApiPlan, Finding, KeyPlan, Opened, Outcome, Plan, StorePlan, TreePlan, Wrong, examine};
use airlift::tao::model_registry::ModelRegistryError;
use airlift::tao::tree::LookOptions;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(args: &DoctorArgs, report: &Report) -> Result<(), Failure> {
    let scratch = Scratch::new()?;
    let plan = plan(args, &scratch)?;
    let progress = Shown::new(report);
    let findings = examine(plan, &now, &progress);
    progress.finish();
    if progress.is_cancelled() {
        return Err(Failure::interrupted());
    }
    report.result(&document(&findings), &text(&findings))?;
    ending(&findings)
}

fn plan(args: &DoctorArgs, scratch: &Scratch) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    if let Some(dir) = &args.models {
        let (state_dir, exclude) = (scratch.path().to_owned(), Vec::new());
        let options = LookOptions { links: Links::Refuse, exclude, state_dir, budget_len: SORT_BUDGET_LEN };
        plan.tree = Some(TreePlan { root: Tree::of(dir)?.models, options });
    }
    plan.out.clone_from(&args.out);
    if args.models.is_some() || args.out.is_some() {
        plan.keys = vec![key("NGC", &NGC_KEY_VARIABLES), key("the hub", &HUB_TOKEN_VARIABLES)];
    }
    plan.store = store(args)?;
    let is_behind_the_gap = plan.store.is_some() || args.api.is_some();
    if args.bucket.is_some() && plan.store.is_none() {
        let remedy = "add --endpoint, or --store-endpoint where both are the same";
        return Err(Failure::new(Class::Usage, "it is not said where the store of the bucket is", remedy));
    }
    plan.said = match said(&args.registry) {
        // Without a store nothing needs it.
        Err(ModelRegistryError::NotSaid) if plan.store.is_none() => None,
        Ok(said) if said.is_empty() => plan.store.as_ref().map(|_| Err(ModelRegistryError::NotSaid)),
        said => Some(said),
    };
    if let Some(url) = &args.api {
        let org = args.org.clone().ok_or_else(|| Failure::new(Class::Usage, "--org is not given", "add --org ORG"))?;
        let (endpoint, version) = (endpoint("--api", url)?, args.api_version.choice());
        let (user, ca_file) = (args.user.clone(), args.store.ca_file.clone());
        plan.api = Some(ApiPlan { endpoint, org, version, user, ca_file });
    }
    if plan.tree.is_none() && plan.out.is_none() && plan.said.is_none() && !is_behind_the_gap {
        let remedy = "name models with --models, the store with --endpoint, or the platform with --api";
        return Err(Failure::new(Class::Usage, "nothing is named to look at", remedy));
    }
    plan.own_dirs = vec![std::env::temp_dir()];
    if plan.store.is_some() {
        plan.own_dirs.insert(0, stores::state_directory(args.state.as_deref())?);
    }
    Ok(plan)
}

/// Returns the store as it is reached from here; nothing where none is named.
fn store(args: &DoctorArgs) -> Result<Option<(StorePlan, Opened)>, Failure> {
    let seen = &args.store;
    let Some(url) = seen.endpoint.as_ref().or(args.store_endpoint.as_ref()) else { return Ok(None) };
    let bucket = args.bucket.clone().unwrap_or_else(|| super::BUCKET.to_owned());
    let store_args = StoreArgs {
        to: format!("s3://{bucket}"),
        endpoint: Some(url.clone()),
        region: seen.region.clone(),
        credentials_file: seen.credentials_file.clone(),
        aws_profile: seen.aws_profile.clone(),
        ca_file: seen.ca_file.clone(),
        plain_http: seen.plain_http,
    };
    let opened = stores::bucket(&bucket, &store_args);
    let (endpoint, ca_file) = (endpoint("--endpoint", url)?, seen.ca_file.clone());
    Ok(Some((StorePlan { endpoint, bucket, ca_file, state_prefix: args.state_prefix.clone() }, opened)))
}

fn endpoint(option: &str, url: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(url).map_err(|error| {
        let message = format!("{option}: {} is no address of a server", OneLine(error.text));
        Failure::new(Class::Usage, message, "write it such as http://HOST:8333")
    })
}

fn key(source: &'static str, names: &'static [&'static str]) -> KeyPlan {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    KeyPlan { source, names, set: names.iter().copied().find(|name| is_set(name)) }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let (check, about) = (finding.check.name(), OneLine(&finding.about).to_string());
        let place = if about.is_empty() { check.to_owned() } else { format!("{check}, {about}") };
        let line = match &finding.outcome {
            Outcome::Good => format!("ok: {place}"),
            Outcome::Noted(note) => format!("note: {place}: {note}; {}", remedy::of_note(note)),
            Outcome::Wrong(wrong) => format!("wrong: {place}: {}; {}", chain(wrong), remedy::of_wrong(wrong)),
            Outcome::NotLooked { since } => format!("not looked at: {place}, since {} is wrong", since.name()),
        };
        let _ = writeln!(text, "{}", OneLine(line));
    }
    text
}

fn document(findings: &[Finding]) -> Value {
    let is_wrong = |finding: &Finding| matches!(finding.outcome, Outcome::Wrong(_));
    let result = if findings.iter().any(is_wrong) { "wrong" } else { "ok" };
    json!({ "result": result, "findings": findings.iter().map(finding_document).collect::<Vec<_>>() })
}

fn finding_document(finding: &Finding) -> Value {
    let (result, class, what, remedy) = match &finding.outcome {
        Outcome::Good => ("ok", None, None, None),
        Outcome::Noted(note) => ("note", None, Some(note.to_string()), Some(remedy::of_note(note))),
        Outcome::Wrong(wrong) => {
            ("wrong", Some(wrong.class().name()), Some(chain(wrong)), Some(remedy::of_wrong(wrong)))
        }
        Outcome::NotLooked { since } => ("not looked at", None, Some(format!("{} is wrong", since.name())), None),
    };
    json!({
        "check": finding.check.name(),
        "about": finding.about,
        "result": result,
        "class": class,
        "what": what,
        "remedy": remedy,
    })
}

/// Ends as the gravest finding does: refused before unavailable (C-10).
fn ending(findings: &[Finding]) -> Result<(), Failure> {
    let wrong: Vec<&Wrong> = findings
        .iter()
        .filter_map(|finding| match &finding.outcome {
            Outcome::Wrong(wrong) => Some(wrong),
            _ => None,
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let is_refused = wrong.iter().any(|wrong| wrong.class() == Class::Refused);
    let class = if is_refused { Class::Refused } else { Class::Unavailable };
    let message = format!("{} wrong", Count(wrong.len() as u64, "thing"));
    Err(Failure::new(class, message, "do what is said above and repeat the command"))
}
