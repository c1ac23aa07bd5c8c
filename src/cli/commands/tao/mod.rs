//! `airlift tao`.

mod check;
mod doctor;
pub(super) mod profile;
mod register;
mod steps;
mod values;

use crate::cli::args::{ModelRegistryArgs, PlaceArgs, RegisterArgs, TaoArgs, TaoCommand};
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use airlift::store::Keys;
use airlift::tao::api::Workspace;
use airlift::tao::model_registry::{ModelRegistryError, Said, VARIABLE, agreed};

/// The region that signatures name where nothing says another.
const REGION: &str = "us-east-1";
/// The bucket of the models where nothing says another.
const BUCKET: &str = "tao-storage";

pub(crate) fn run(args: &TaoArgs, report: &Report) -> Result<(), Failure> {
    match &args.command {
        TaoCommand::Check(args) => check::run(args, report),
        TaoCommand::Doctor(args) => doctor::run(args, report),
        TaoCommand::Init(args) => steps::init(args, report),
        TaoCommand::Export(args) => steps::export(args, report),
        TaoCommand::Land(args) => steps::land(args, report),
        TaoCommand::Register(args) => register::run(args, report),
        TaoCommand::Values(args) => values::run(args, report),
    }
}

/// Returns where the models lie, as options, files and environment say together.
fn registry(args: &ModelRegistryArgs) -> Result<Said, ModelRegistryError> {
    agreed(said(args)?)
}

/// Returns what each says of where the models lie: options, files and environment.
fn said(args: &ModelRegistryArgs) -> Result<Vec<Said>, ModelRegistryError> {
    let mut said = Vec::new();
    said.extend(args.registry.as_deref().map(Said::by_option).transpose()?);
    said.extend(args.config_env.as_deref().map(Said::by_config_env).transpose()?);
    said.extend(args.values.as_deref().map(Said::by_values).transpose()?);
    if let Some(text) = std::env::var_os(VARIABLE) {
        said.extend(Said::by_environment(&text.to_string_lossy())?);
    }
    Ok(said)
}

/// Warns of a spelling with which the platform lists models and finds no weights.
pub(super) fn note_spelling(said: &Said, report: &Report) {
    if said.hides_weights {
        report.note(&format!(
            "note: {} spells {VARIABLE} with a slash behind or blanks around: a platform that is told so lists models, \
             and its jobs find no weights: write /{}",
            said.by,
            said.registry.as_str()
        ));
    }
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
