//! The profile `tao` of `pack` and `import`: the models are checked before they travel, and land where the
//! platform looks for them.

use super::check::{datasets_text, look, refuse_flaws, split_names};
use super::registry;
use crate::cli::args::{PackArgs, PlatformArgs, ProfileArg};
use crate::cli::failure::Failure;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::Count;
use airlift::error::Class;
use airlift::format::{Head, Name, OneLine};
use airlift::pipeline::globs::Glob;
use airlift::pipeline::import::{Destination, Prefix};
use airlift::pipeline::pack::PackOptions;
use airlift::tao::metadata::METADATA_NAME;
use airlift::tao::model_registry::{ModelRegistryError, Said, packed_for};
use airlift::tao::tree::left_out;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The roots that the profile knows.
pub(super) const MODELS: &str = "models";
const DATASETS: &str = "datasets";
const IMAGES: &str = "images";
pub(super) const ROOTS: [&str; 3] = [MODELS, DATASETS, IMAGES];
/// Where the platform's datasets lie in the bucket.
const DATASETS_PREFIX: &str = "data/";

/// What the profile found in the roots that are packed.
pub(crate) struct Checked {
    entry_count: u64,
    notes: Vec<String>,
    datasets: Option<PathBuf>,
}

/// Checks the roots as the platform will see them, before anything is written, and has the pack leave out
/// what never travels; nothing without the profile.
///
/// # Errors
/// There is no root of models, or something in it would break the platform: each is named.
pub(crate) fn check_roots(
    args: &PackArgs,
    options: &mut PackOptions,
    report: &Report,
) -> Result<Option<Checked>, Failure> {
    let Some(ProfileArg::Tao) = args.profile else { return Ok(None) };
    let root = |name: &str| args.roots.iter().find(|(root, _)| root.as_str() == name);
    let Some(models) = root(MODELS) else {
        return Err(Failure::new(Class::Usage, "the profile tao is about models", "name them as models=DIR"));
    };
    if let Some(text) = &args.registry {
        let registry = Said::by_option(text)?.registry;
        let ext = registry.ext().ok_or_else(|| {
            let message = format!("--registry {registry} is longer than 1 KiB or not ASCII");
            Failure::new(Class::Usage, message, "say it to import alone")
        })?;
        options.ext.extend([ext]);
    }
    if !args.dry_run && args.out.join("head.json").exists() {
        // A bundle that was finished before is left as it is, whatever became of its roots.
        return Ok(None);
    }
    let checked = look(models, options.links, &options.exclude, report)?;
    for flaw in &checked.refused {
        report.warn(&format!("refused: {flaw}"));
    }
    let notes: Vec<String> = checked.named.iter().map(ToString::to_string).collect();
    notes.iter().for_each(|note| report.note(&format!("note: {note}")));
    refuse_flaws(&checked)?;
    options.exclude.extend(left_out(&models.0));
    let datasets = root(DATASETS).map(|(_, dir)| dir.clone());
    Ok(Some(Checked { entry_count: checked.entry_count, notes, datasets }))
}

impl Checked {
    pub(crate) fn text(&self) -> String {
        let mut text = format!("platform      {}", Count(self.entry_count, "entry"));
        if let Some(datasets) = &self.datasets {
            let _ = write!(text, ", datasets {}", datasets_text(datasets));
        }
        text + "\n"
    }

    pub(crate) fn document(&self) -> Value {
        let (splits, empty_splits) = self.datasets.as_deref().map(split_names).unzip();
        json!({
            "entries": self.entry_count,
            "notes": self.notes,
            "splits": splits,
            "empty_splits": empty_splits,
        })
    }
}

/// Where the profile has the roots land, and what lands last.
#[derive(Debug, Default)]
pub(crate) struct Landing {
    pub(crate) map: Vec<(Name, Destination)>,
    pub(crate) last: Vec<Glob>,
    /// The path of the models in the bucket and who says it, where there are models.
    pub(crate) said: Option<Said>,
    /// Whether there are images, which land nowhere.
    pub(crate) has_images: bool,
}

/// Returns where the roots of a bundle land that `map` says nothing of; nothing without the profile.
///
/// # Errors
/// It is not said where the models lie, or two say it differently, or `map` says it as well.
pub(crate) fn landing(
    args: &PlatformArgs,
    map: &[(Name, Destination)],
    (head, roots): (&Head, &[String]),
) -> Result<Landing, Failure> {
    let mut landing = Landing::default();
    let Some(ProfileArg::Tao) = args.profile else {
        return match args.registry.is_empty() {
            true => Ok(landing),
            false => {
                Err(Failure::new(Class::Usage, "where the models lie is said to the profile tao", "add --profile tao"))
            }
        };
    };
    let is_free =
        |name: &str| roots.iter().any(|root| root == name) && !map.iter().any(|(root, _)| root.as_str() == name);
    let is_mapped = |(root, to): &(Name, Destination)| root.as_str() == MODELS && *to != Destination::LeftOut;
    if map.iter().any(is_mapped) {
        let message = "--map and the profile tao both say where the models land";
        return Err(Failure::new(Class::Usage, message, "say it with --registry alone, or leave the profile out"));
    }
    let name = |text: &str| Name::parse(text).map_err(|error| Failure::of(Class::Bug, &error));
    if is_free(MODELS) {
        let models = name(MODELS)?;
        let said = registry(&args.registry).map_err(|error| hinted(error, head))?;
        said.check_bundle(head)?;
        for glob in [METADATA_NAME.to_owned(), format!("**/{METADATA_NAME}")] {
            let glob = Glob::parse(&glob).map_err(|error| Failure::of(Class::Bug, &error))?;
            landing.last.push(glob.of_root(&models));
        }
        landing.map.push((models, Destination::Prefix(said.registry.prefix().clone())));
        landing.said = Some(said);
    }
    if is_free(DATASETS) {
        let prefix = Prefix::parse(DATASETS_PREFIX).map_err(|error| Failure::of(Class::Bug, &error))?;
        landing.map.push((name(DATASETS)?, Destination::Prefix(prefix)));
    }
    if is_free(IMAGES) {
        // They go to a registry or an engine, by a command of their own.
        landing.map.push((name(IMAGES)?, Destination::LeftOut));
        landing.has_images = true;
    }
    Ok(landing)
}

/// Adds what the bundle says where nobody here says anything.
fn hinted(error: ModelRegistryError, head: &Head) -> Failure {
    let packed = packed_for(head).filter(|_| matches!(error, ModelRegistryError::NotSaid));
    let mut failure = Failure::from(error);
    if let Some(packed) = packed {
        failure.message = format!("{}, and the bundle was packed for {}", failure.message, OneLine(packed));
    }
    failure
}

impl From<ModelRegistryError> for Failure {
    fn from(error: ModelRegistryError) -> Failure {
        Failure { remedy: remedy::of_model_registry(&error).into(), ..Failure::of(error.class(), &error) }
    }
}
