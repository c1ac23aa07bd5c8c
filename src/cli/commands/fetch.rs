//! `airlift fetch`.

use crate::cli::args::FetchArgs;
use crate::cli::failure::{Failure, chain};
use crate::cli::opening::now;
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::machine::{Machine, read_limited};
use airlift::pipeline::progress::Progress as _;
use airlift::tao::address::Endpoint;
use airlift::tao::architectures;
use airlift::tao::catalogue::{CATALOGUE_LEN_MAX, Catalogue, RefusedRow};
use airlift::tao::fetch::hub::{Hub, HubToken};
use airlift::tao::fetch::ngc::{Ngc, NgcKey, OrgTeam};
use airlift::tao::fetch::plan::{Discovered, LeftOut, Plan, discover, merge, of_catalogue, plan};
use airlift::tao::fetch::{Failed, FetchError, FetchOptions, Fetched, fetch};
use airlift::tao::http::{Http, HttpError, Patience, client};
use airlift::tao::model::Model;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Variables that hold a key of NGC, the first that is set first.
pub(super) const NGC_KEY_VARIABLES: [&str; 3] = ["PTM_API_KEY", "NGC_API_KEY", "NGC_KEY"];
/// Where the token of the hub may stand.
pub(super) const HUB_TOKEN_VARIABLES: [&str; 1] = ["HF_TOKEN"];
/// Longest file of a key, in bytes.
const KEY_LEN_MAX: u64 = 64 << 10;

pub(crate) fn run(args: &FetchArgs, report: &Report) -> Result<(), Failure> {
    let only = only(&args.model_names)?;
    let catalogue = args.csv.as_deref().map(read_catalogue).transpose()?.unwrap_or_default();
    let key = key(args.ngc_key_file.as_deref(), &NGC_KEY_VARIABLES)?.and_then(|text| NgcKey::new(&text));
    let token = key_of_hub(args)?;
    let progress = Shown::new(report);
    let is_stopped = || progress.is_cancelled();
    let note = |line: &str| progress.note(line);
    let http = Http::new(client(args.ca_file.as_deref(), &Patience::default())?, Patience::default(), &is_stopped)
        .with_note(&note);
    let endpoints = (endpoint(&args.ngc_endpoint)?, endpoint(&args.ngc_auth_endpoint)?);
    let ngc = key.map(|key| Ngc::new(&http, endpoints.0, endpoints.1, key));
    let hub = Hub::new(&http, endpoint(&args.hf_endpoint)?, token);

    let discovered = discovered(args, ngc.as_ref(), only.as_ref(), &progress)?;
    let mut asked = discovered.asked;
    // What the catalogue says of an entry stands before what was discovered.
    merge(&mut asked, of_catalogue(&catalogue.wanted, only.as_ref()));
    if asked.is_empty() && catalogue.refused.is_empty() && discovered.left_out.is_empty() {
        let remedy = "see how --org-teams and --model-names are spelled";
        return Err(Failure::new(Class::Refused, "no model is found that was asked for", remedy));
    }
    if ngc.is_none() && asked.keys().any(|model| matches!(model, Model::Ngc(_))) {
        return Err(FetchError::NoKey.into());
    }
    let plan = plan(ngc.as_ref(), &hub, &asked, &progress)?;
    progress.finish();
    let left = Left { refused: &catalogue.refused, left_out: &discovered.left_out };
    left.name(report);
    if args.dry_run {
        report.result(&left.beside(plan_document(&plan)), &plan_text(&plan))?;
        return ending(&plan.failed, catalogue.refused.len(), report);
    }
    let options =
        FetchOptions { out: args.out.clone(), parallel: args.parallel, fetched_at: now(), machine: Machine::default() };
    let fetched = fetch(&http, ngc.as_ref(), &hub, plan, &options, &progress);
    progress.finish();
    let fetched = fetched?;
    for path in &fetched.strays.paths {
        let path = OneLine(args.out.join(path).to_string_lossy()).to_string();
        report.warn(&format!("{path} is not of its source and will be packed; remove it if it is not meant"));
    }
    if fetched.strays.more_count > 0 {
        report.warn(&format!("{} more are not of their sources", Count(fetched.strays.more_count, "path")));
    }
    report.result(&left.beside(document(&fetched, &args.out)), &text(&fetched, &args.out))?;
    ending(&fetched.failed, catalogue.refused.len(), report)
}

/// Returns the architectures that alone are wanted; nothing where all are.
fn only(names: &[String]) -> Result<Option<BTreeSet<String>>, Failure> {
    if let Some(name) = names.iter().find(|name| architectures::architecture(name).is_none()) {
        let message = format!("--model-names: {} is no architecture of {}", OneLine(name), architectures::package());
        let known = architectures::names().collect::<Vec<_>>().join(", ");
        return Err(Failure::new(Class::Usage, message, format!("known are {known}")));
    }
    Ok((!names.is_empty()).then(|| names.iter().cloned().collect()))
}

fn read_catalogue(path: &Path) -> Result<Catalogue, Failure> {
    let bytes = read(path, CATALOGUE_LEN_MAX)?;
    Catalogue::parse(&bytes)
        .map_err(|error| Failure::of(error.class(), &error).while_doing(&path.display().to_string()))
}

fn read(path: &Path, len_max: u64) -> Result<Vec<u8>, Failure> {
    read_limited(path, len_max).map_err(|error| Failure::io("read", path, &error))
}

/// Returns what a file says, else the first variable that is set.
fn key(file: Option<&Path>, variables: &[&str]) -> Result<Option<String>, Failure> {
    match file {
        Some(path) => Ok(Some(String::from_utf8_lossy(&read(path, KEY_LEN_MAX)?).into_owned())),
        None => Ok(variables.iter().find_map(|name| std::env::var(name).ok().filter(|key| !key.trim().is_empty()))),
    }
}

fn key_of_hub(args: &FetchArgs) -> Result<Option<HubToken>, Failure> {
    Ok(key(args.hf_token_file.as_deref(), &HUB_TOKEN_VARIABLES)?.and_then(|text| HubToken::new(&text)))
}

fn endpoint(text: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(text).map_err(|error| Failure::of(Class::Usage, &error))
}

fn discovered(
    args: &FetchArgs,
    ngc: Option<&Ngc<'_>>,
    only: Option<&BTreeSet<String>>,
    progress: &Shown,
) -> Result<Discovered, Failure> {
    if !args.every_org && args.org_teams.is_empty() {
        return Ok(Discovered::default());
    }
    let ngc = ngc.ok_or(FetchError::NoKey)?;
    let places = match args.every_org {
        true => ngc.org_teams().map_err(FetchError::from)?,
        false => args.org_teams.iter().filter(|text| !text.trim().is_empty()).map(|text| org_team(text)).collect(),
    };
    let mut all = Discovered::default();
    progress.begin("search", 0, places.len() as u64);
    for place in &places {
        progress.now_at(&place.to_string());
        all.extend(discover(ngc, place, only, progress)?);
        progress.advance(0, 1);
    }
    Ok(all)
}

fn org_team(text: &str) -> OrgTeam {
    let text = text.trim().trim_end_matches("/no-team");
    let (org, team) = text.split_once('/').map_or((text, None), |(org, team)| (org, Some(team.to_owned())));
    OrgTeam { org: org.to_owned(), team }
}

/// What was named and is not asked for.
struct Left<'a> {
    refused: &'a [RefusedRow],
    left_out: &'a [LeftOut],
}

impl Left<'_> {
    fn name(&self, report: &Report) {
        for row in self.refused {
            report.warn(&format!("refused: line {}: {}", row.line_number, row.rule));
        }
        for one in self.left_out {
            report.note(&format!("left out: {}: {}", OneLine(&one.path), one.why));
        }
    }

    /// Puts what was left into a document.
    fn beside(&self, mut document: Value) -> Value {
        let refused = self.refused.iter().map(|row| json!({ "line": row.line_number, "why": row.rule.to_string() }));
        let left_out = self.left_out.iter().map(|one| json!({ "model": one.path, "why": one.why.to_string() }));
        document["refused"] = refused.collect();
        document["left_out"] = left_out.collect();
        document
    }
}

fn plan_text(plan: &Plan) -> String {
    let mut text = String::new();
    for planned in &plan.planned {
        let files = Count(planned.files.len() as u64, "file").to_string();
        let _ = writeln!(text, "{:>10}  {files:<12} {}", Size(planned.total_len()).to_string(), planned.model);
    }
    let models = Count(plan.planned.len() as u64, "model");
    let _ = writeln!(text, "would fetch: {models}, {}", Size(plan.total_len()));
    text
}

fn plan_document(plan: &Plan) -> Value {
    let models = plan.planned.iter().map(|planned| {
        json!({
            "model": planned.model.to_string(),
            "folder": planned.model.folder(),
            "architectures": planned.uses.iter().map(|one| one.architecture.as_str()).collect::<Vec<_>>(),
            "files": planned.files.len(),
            "bytes": planned.total_len(),
        })
    });
    json!({
        "result": "would fetch",
        "models": models.collect::<Vec<_>>(),
        "bytes": plan.total_len(),
        "failed": failed_document(&plan.failed),
    })
}

fn text(fetched: &Fetched, out: &Path) -> String {
    let models = Count(fetched.models.len() as u64, "model");
    let entries = Count(fetched.entry_count as u64, "entry");
    let shown = OneLine(out.to_string_lossy()).to_string();
    format!("fetched: {models} to {shown}, whose metadata have {entries}\nnext     airlift tao check {shown}\n")
}

fn document(fetched: &Fetched, out: &Path) -> Value {
    json!({
        "result": if fetched.failed.is_empty() { "fetched" } else { "incomplete" },
        "out": out,
        "models": fetched.models.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "entries": fetched.entry_count,
        "strays": fetched.strays.paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "more_strays": fetched.strays.more_count,
        "failed": failed_document(&fetched.failed),
    })
}

fn failed_document(failed: &[Failed]) -> Vec<Value> {
    let document = |one: &Failed| json!({ "model": one.model.to_string(), "why": chain(&one.error) });
    failed.iter().map(document).collect()
}

/// Names what is not there: it may be had later.
fn ending(failed: &[Failed], refused_count: usize, report: &Report) -> Result<(), Failure> {
    for one in failed {
        report.warn(&format!("not fetched: {}: {}", one.model, chain(&one.error)));
    }
    let is_stopped = failed.iter().any(|one| one.error.class() == Class::Interrupted);
    if is_stopped {
        return Err(Failure::interrupted());
    }
    let not_here = Count(failed.len() as u64, "model");
    match (failed.len(), refused_count) {
        (0, 0) => Ok(()),
        (0, _) => {
            let message = format!("{} of the catalogue can't be fetched", Count(refused_count as u64, "row"));
            Err(Failure::new(Class::Refused, message, "correct the rows that are named above and repeat the command"))
        }
        _ => {
            let message = format!("{not_here} could not be fetched");
            let remedy = "repeating the command fetches what is named above and leaves what is here";
            Err(Failure::new(Class::Unavailable, message, remedy))
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        Failure { remedy: remedy::of_fetch(&error).into(), ..Failure::of(error.class(), &error) }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        FetchError::from(error).into()
    }
}
