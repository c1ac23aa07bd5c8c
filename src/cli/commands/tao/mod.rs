//! `airlift tao`.

mod check;
mod register;
mod values;

use crate::cli::args::{PlaceArgs, RegisterArgs, TaoArgs, TaoCommand};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use airlift::error::Class;
use airlift::store::Keys;
use airlift::tao::api::Workspace;
use airlift::tao::registry::Registry;

/// The region that signatures name where nothing says another.
const REGION: &str = "us-east-1";

pub(crate) fn run(args: &TaoArgs, report: &Report) -> Result<(), Failure> {
    match &args.command {
        TaoCommand::Check(args) => check::run(args, report),
        TaoCommand::Register(args) => register::run(args, report),
        TaoCommand::Values(args) => values::run(args, report),
    }
}

fn registry(text: &str) -> Result<Registry, Failure> {
    Registry::parse(text).map_err(|error| {
        let remedy = "give what LOCAL_MODEL_REGISTRY of the platform is, such as /shared-storage/models";
        Failure { remedy: remedy.into(), ..Failure::of(Class::Usage, &error).while_doing("--registry") }
    })
}

/// Returns the store as the platform sees it.
fn workspace(place: &PlaceArgs, named: Option<&RegisterArgs>, keys: Keys) -> Workspace {
    Workspace {
        name: named.map_or("airlift", |args| args.workspace.as_str()).to_owned(),
        endpoint: place.store_endpoint.clone(),
        region: named.and_then(|args| args.store.region.clone()).unwrap_or_else(|| REGION.to_owned()),
        bucket: place.bucket.clone(),
        keys,
    }
}
