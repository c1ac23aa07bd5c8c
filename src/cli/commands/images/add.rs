//! `airlift images add`.

use super::platform;
use crate::cli::args::AddImagesArgs;
use crate::cli::failure::{Failure, chain};
use crate::cli::progress::Shown;
use crate::cli::report::Report;
use crate::cli::size::Count;
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::machine::Machine;
use airlift::pipeline::progress::Progress as _;
use airlift::tao::images::layout::{Image, Layout};
use airlift::tao::images::saved::{Archive, SavedDirectory, SavedError, add};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &AddImagesArgs, report: &Report) -> Result<(), Failure> {
    let platform = platform(&args.platform)?;
    let mut archives = Vec::new();
    for path in &args.saved {
        if path.is_dir() {
            let saved = SavedDirectory::read(path);
            let saved = saved.map_err(|error| Failure::from(error).while_doing(&path.display().to_string()))?;
            for unnamed in &saved.unnamed {
                report.warn(&format!("not added: {}: manifest.json does not name it", unnamed.display()));
            }
            archives.extend(saved.archives);
        } else {
            archives.push(Archive { path: path.clone(), image_name: None });
        }
    }
    let layout = Layout::open(&args.out, &Machine::default())?;
    let progress = Shown::new(report);
    let total_len = archives.iter().filter_map(|archive| archive.path.metadata().ok()).map(|facts| facts.len()).sum();
    progress.begin("add", total_len, 0);
    let (mut added, mut failed) = (Vec::new(), Vec::new());
    for archive in &archives {
        match add(archive, &layout, &platform, &progress) {
            Ok(images) => added.extend(images),
            Err(SavedError::Stopped) => return Err(Failure::interrupted()),
            Err(error) => failed.push((archive.path.clone(), error)),
        }
    }
    progress.finish();
    name(&layout, &added)?;
    if failed.is_empty() {
        layout.tidy()?;
    }
    print(&added, &failed, &args.out, report)?;
    ending(&failed, report)
}

/// Names the images in the layout, beside those that it has.
fn name(layout: &Layout, added: &[Image]) -> Result<(), Failure> {
    let mut images = layout.images()?;
    for image in added {
        images.retain(|known| known.image_name != image.image_name);
        images.push(image.clone());
    }
    images.sort_by(|a, b| a.image_name.cmp(&b.image_name));
    Ok(layout.name(&images)?)
}

fn print(added: &[Image], failed: &[(PathBuf, SavedError)], out: &Path, report: &Report) -> Result<(), Failure> {
    let images = added.iter().map(
        |image| json!({ "image": image.image_name.to_string(), "digest": format!("sha256:{}", image.manifest.digest) }),
    );
    let document = json!({
        "result": if failed.is_empty() { "added" } else { "incomplete" },
        "out": out,
        "images": images.collect::<Vec<_>>(),
        "failed": failed.iter().map(|(path, error)| json!({ "file": path, "why": chain(error) })).collect::<Vec<_>>(),
    });
    let mut text = String::new();
    for image in added {
        let _ = writeln!(text, "sha256:{} {}", image.manifest.digest, image.image_name);
    }
    let shown = OneLine(out.to_string_lossy()).to_string();
    let _ = writeln!(text, "added: {} to {shown}", Count(added.len() as u64, "image"));
    report.result(&document, &text)
}

/// Names what is not there, and ends as the gravest of it does.
fn ending(failed: &[(PathBuf, SavedError)], report: &Report) -> Result<(), Failure> {
    for (path, error) in failed {
        report.warn(&format!("not added: {}: {}", path.display(), chain(error)));
    }
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let grave = [Class::Damaged, Class::Refused, Class::NoSpace];
    let class = grave.into_iter().find(|class| failed.iter().any(|(_, error)| error.class() == *class));
    let message = format!("{} could not be added", Count(failed.len() as u64, "archive"));
    Err(Failure::new(class.unwrap_or(first.class()), message, "save what is named above once more, and repeat"))
}

impl From<SavedError> for Failure {
    fn from(error: SavedError) -> Failure {
        Failure::of(error.class(), &error)
    }
}
