//! `airlift images fetch`.

use super::{Login, deployment, image_names, platform};
use crate::cli::args::FetchImagesArgs;
use crate::cli::failure::{Failure, chain};
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::machine::Machine;
use airlift::pipeline::progress::Progress as _;
use airlift::tao::http::{Http, HttpError, Patience, client};
use airlift::tao::images::fetch::{FailedImage, FetchedImages, Fetching, ImageError, PlannedImage, fetch, plan};
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::layout::Layout;
use airlift::tao::images::manifest::Platform;
use airlift::tao::images::registry::{Registry, RegistryError};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(args: &FetchImagesArgs, report: &Report) -> Result<(), Failure> {
    let platform = platform(&args.platform)?;
    let mut wanted: BTreeSet<ImageName> = image_names(&args.image_names)?.into_iter().collect();
    wanted.extend(deployment(&args.needed)?.images.into_keys());
    let login = Login::read(&args.registry)?;
    let progress = Shown::new(report);
    let is_stopped = || progress.is_cancelled();
    let patience = Patience::default();
    let note = |line: &str| progress.note(line);
    let http = Http::new(client(args.registry.ca_file.as_deref(), &patience)?, patience, &is_stopped).with_note(&note);
    let registries = registries(&http, &login, &wanted)?;
    let mut plans = planned(&registries, &wanted, &platform)?;
    for one in plans.planned.iter().filter(|one| one.is_of_list) {
        report.note(&format!("of a list one image travels, by its own digest: {}", one.image_name));
    }
    if args.dry_run {
        progress.finish();
        report.result(&plans.document(), &plans.text())?;
        return ending(&plans.failed, report);
    }
    let layout = Layout::open(&args.out, &Machine::default())?;
    let fetching = Fetching {
        http: &http,
        registries: &registries,
        layout: &layout,
        platform: &platform,
        parallel: args.parallel,
    };
    let lost: Vec<ImageName> = plans.failed.iter().map(|failed| failed.image_name.clone()).collect();
    let fetched = fetch(&fetching, &plans.planned, &lost, &progress);
    progress.finish();
    let mut fetched = fetched?;
    fetched.failed.append(&mut plans.failed);
    report.result(&document(&fetched, &args.out), &text(&fetched, &args.out))?;
    ending(&fetched.failed, report)
}

fn registries<'a>(
    http: &'a Http<'a>,
    login: &Login,
    wanted: &BTreeSet<ImageName>,
) -> Result<HashMap<String, Registry<'a>>, Failure> {
    let mut registries = HashMap::new();
    for name in wanted.iter().map(ImageName::registry) {
        if !registries.contains_key(name) {
            let registry = Registry::new(http, name, login.transport, login.credentials(name)?);
            let bad =
                || Failure::new(Class::Usage, format!("{name} is no registry"), "name a host, perhaps with a port");
            registries.insert(name.to_owned(), registry.ok_or_else(bad)?);
        }
    }
    Ok(registries)
}

/// What will be fetched, and what can't be.
#[derive(Default)]
struct Plans {
    planned: Vec<PlannedImage>,
    failed: Vec<FailedImage>,
}

fn planned(
    registries: &HashMap<String, Registry<'_>>,
    wanted: &BTreeSet<ImageName>,
    platform: &Platform,
) -> Result<Plans, Failure> {
    let mut plans = Plans::default();
    for image_name in wanted {
        let Some(registry) = registries.get(image_name.registry()) else { continue };
        match plan(registry, image_name, platform) {
            Ok(planned) => plans.planned.push(planned),
            Err(error) if error.class() == Class::Interrupted => return Err(Failure::interrupted()),
            Err(error) => plans.failed.push(FailedImage { image_name: image_name.clone(), error: Arc::new(error) }),
        }
    }
    Ok(plans)
}

impl Plans {
    /// Returns the bytes of all blobs and manifests, each counted once.
    fn unique_len(&self) -> u64 {
        let blobs = self.planned.iter().flat_map(|one| one.manifest.blobs().chain([&one.descriptor]));
        blobs.map(|blob| (blob.digest, blob.len)).collect::<BTreeMap<_, _>>().values().sum()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.planned {
            let layers = Count(one.manifest.layers.len() as u64, "layer");
            let _ = writeln!(text, "{:>10}  {layers:<12} {}", Size(one.total_len()).to_string(), one.image_name);
        }
        let images = Count(self.planned.len() as u64, "image");
        let _ = writeln!(text, "would fetch: {images}, {}", Size(self.unique_len()));
        text
    }

    fn document(&self) -> Value {
        let images = self.planned.iter().map(|one| {
            json!({
                "image": one.image_name.to_string(),
                "digest": format!("sha256:{}", one.descriptor.digest),
                "layers": one.manifest.layers.len(),
                "bytes": one.total_len(),
            })
        });
        json!({
            "result": "would fetch",
            "images": images.collect::<Vec<_>>(),
            "bytes": self.unique_len(),
            "failed": failed_document(&self.failed),
        })
    }
}

fn text(fetched: &FetchedImages, out: &Path) -> String {
    let mut text = String::new();
    for image in &fetched.images {
        let _ = writeln!(text, "sha256:{} {}", image.manifest.digest, image.image_name);
    }
    let images = Count(fetched.images.len() as u64, "image");
    let shown = OneLine(out.to_string_lossy()).to_string();
    let _ = writeln!(text, "fetched: {images} to {shown}");
    let _ = writeln!(text, "next     airlift pack images={shown} ...");
    text
}

fn document(fetched: &FetchedImages, out: &Path) -> Value {
    let images = fetched.images.iter().map(|image| {
        json!({
            "image": image.image_name.to_string(),
            "digest": format!("sha256:{}", image.manifest.digest),
            "platform": image.platform.as_ref().map(ToString::to_string),
        })
    });
    json!({
        "result": if fetched.failed.is_empty() { "fetched" } else { "incomplete" },
        "out": out,
        "images": images.collect::<Vec<_>>(),
        "failed": failed_document(&fetched.failed),
    })
}

fn failed_document(failed: &[FailedImage]) -> Vec<Value> {
    let document = |one: &FailedImage| json!({ "image": one.image_name.to_string(), "why": chain(one.error.as_ref()) });
    failed.iter().map(document).collect()
}

/// Names what is not there, and ends as the gravest of it does: what is refused will be refused again.
fn ending(failed: &[FailedImage], report: &Report) -> Result<(), Failure> {
    for one in failed {
        report.warn(&format!("not fetched: {}: {}", one.image_name, chain(one.error.as_ref())));
    }
    let is = |class| failed.iter().any(|one| one.error.class() == class);
    if failed.is_empty() {
        return Ok(());
    }
    if is(Class::Interrupted) {
        return Err(Failure::interrupted());
    }
    let message = format!("{} could not be fetched", Count(failed.len() as u64, "image"));
    let is_login = |one: &FailedImage| {
        matches!(*one.error, ImageError::Registry(RegistryError::Http(HttpError::AccessRefused { .. })))
    };
    let (class, remedy) = match () {
        () if failed.iter().any(is_login) => {
            (Class::Refused, "log in by docker login, or name a file with --auth-file, and repeat the command")
        }
        () if is(Class::Refused) => (Class::Refused, "correct what is named above, or ask without it, and repeat"),
        () if is(Class::NoSpace) => (Class::NoSpace, "free some space and repeat the command"),
        () => (Class::Unavailable, "repeating the command fetches what is named above and leaves what is here"),
    };
    Err(Failure::new(class, message, remedy))
}
