//! `airlift tao register`.

use super::{note_spelling, registry, workspace};
use crate::cli::args::{RegisterArgs, StoreArgs};
use crate::cli::failure::{Failure, chain};
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::Count;
use crate::cli::stores;
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::pipeline::progress::Progress as _;
use airlift::tao::address::Endpoint;
use airlift::tao::api::{Api, ApiError};
use airlift::tao::http::HttpError;
use airlift::tao::register::{Landed, RegisterError, Registered, Standing, Visible};
use airlift::tao::weights::Found;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(args: &RegisterArgs, report: &Report) -> Result<(), Failure> {
    let said = registry(&args.registry)?;
    let address = Endpoint::parse(&args.api).map_err(|error| {
        let message = format!("--api: {}", OneLine(error.text));
        Failure::new(Class::Usage, message + " is no address of an API", "write it such as http://HOST:8090")
    })?;
    let store_args = store_args(args);
    let keys = stores::keys(&store_args)?;
    let store = stores::open(&store_args)?.store;
    if address.is_plain_beyond_this_machine() {
        report.note("note: the API is asked by plain http, and the credentials of the store go there");
    }
    note_spelling(&said, report);
    let progress = Shown::new(report);
    let is_stopped = || progress.is_cancelled();
    let api = Api::new(address, &args.org, args.api_version.choice(), args.store.ca_file.as_deref(), &is_stopped)?;
    let workspace = workspace(&args.place, Some(args), keys);
    let registered = Landed::read(store.as_ref(), &said.registry).and_then(|landed| {
        let session = api.log_in(args.user.as_deref())?;
        landed.register(&session, &workspace)
    });
    progress.finish();
    if let Err(RegisterError::Poisoned { fields, .. }) = &registered {
        for bad in fields {
            report.warn(&format!("refused: entry {}: {} {}", bad.entry, bad.field, bad.rule));
        }
    }
    let registered = registered?;
    report.result(&document(&registered), &text(&registered))?;
    ending(&registered)
}

/// Returns the store as it is reached from here.
fn store_args(args: &RegisterArgs) -> StoreArgs {
    let store = &args.store;
    StoreArgs {
        to: format!("s3://{}", args.place.bucket),
        endpoint: Some(store.endpoint.clone().unwrap_or_else(|| args.place.store_endpoint.clone())),
        region: store.region.clone(),
        credentials_file: store.credentials_file.clone(),
        aws_profile: store.aws_profile.clone(),
        ca_file: store.ca_file.clone(),
        plain_http: store.plain_http,
    }
}

fn text(registered: &Registered) -> String {
    let mut text = String::new();
    for entry in &registered.entries {
        for problem in entry.problems() {
            let _ = writeln!(text, "missing: {} ({}): {problem}", entry.id, OneLine(&entry.name));
        }
    }
    for clash in &registered.clashes {
        let _ = writeln!(text, "note: {}", OneLine(clash.to_string()));
    }
    for remark in &registered.remarks {
        let _ = writeln!(text, "note: {}", OneLine(remark.to_string()));
    }
    if registered.other_count > 0 {
        let others = Count(registered.other_count, "other model");
        let _ =
            writeln!(text, "note: the platform lists {others}, which the metadata do not have: a load removes none");
    }
    let (visible, found) = (registered.visible_count(), registered.found_count());
    let entries = Count(registered.entries.len() as u64, "entry");
    let verb = if is_whole(registered) { "registered" } else { "not whole" };
    let workspace = OneLine(&registered.workspace);
    let _ = writeln!(text, "{verb}: {entries}, {visible} listed, {found} with files; workspace {workspace}");
    text
}

fn is_whole(registered: &Registered) -> bool {
    registered.entries.iter().all(|entry| entry.problems().is_empty())
}

fn document(registered: &Registered) -> Value {
    let missing = registered.entries.iter().any(|entry| entry.visible != Visible::Yes);
    let result = match (missing, is_whole(registered)) {
        (true, _) => "refused",
        (false, false) => "incomplete",
        (false, true) => "registered",
    };
    let remarks = registered.remarks.iter().map(ToString::to_string);
    let notes: Vec<String> = registered.clashes.iter().map(ToString::to_string).chain(remarks).collect();
    json!({
        "result": result,
        "workspace": registered.workspace,
        "entries": registered.entries.iter().map(entry_document).collect::<Vec<_>>(),
        "listed": registered.visible_count(),
        "with_files": registered.found_count(),
        "others_listed": registered.other_count,
        "notes": notes,
    })
}

fn entry_document(entry: &Standing) -> Value {
    let found = match entry.found {
        Found::Weights => "weights",
        Found::Several => "several",
        Found::Folder => "folder",
        Found::Nothing => "nothing",
    };
    json!({
        "id": entry.id,
        "name": entry.name,
        "listed": entry.visible == Visible::Yes,
        "folder": entry.folder,
        "files": entry.file_count,
        "found": found,
        "problems": entry.problems().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Ends as the gravest problem does: what is not listed is refused, what has no files is incomplete.
fn ending(registered: &Registered) -> Result<(), Failure> {
    let hidden_count = registered.entries.len() - registered.visible_count();
    let empty_count = registered.entries.len() - registered.found_count();
    if hidden_count > 0 {
        let message = format!("the platform does not list {}", Count(hidden_count as u64, "entry"));
        let remedy = "see that its LOCAL_MODEL_REGISTRY is --registry and its version 7.0.1 or later, and repeat the \
                      command";
        return Err(Failure::new(Class::Refused, message, remedy));
    }
    if empty_count > 0 {
        let message = format!("there are no files for {}", Count(empty_count as u64, "entry"));
        let remedy = "import the models that are named above and repeat the command";
        return Err(Failure::new(Class::Incomplete, message, remedy));
    }
    Ok(())
}

impl From<RegisterError> for Failure {
    fn from(error: RegisterError) -> Failure {
        match error {
            RegisterError::Store(error) => error.into(),
            RegisterError::Api(error) => error.into(),
            error => Failure { remedy: remedy::of_register(&error).into(), ..Failure::of(error.class(), &error) },
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        if let ApiError::Http(HttpError::Stopped) = error {
            return Failure::interrupted();
        }
        Failure::new(error.class(), chain(&error), remedy::of_api(&error))
    }
}
