//! `airlift images list`.

use super::deployment;
use crate::cli::args::ListImagesArgs;
use crate::cli::failure::Failure;
use crate::cli::report::Report;
use crate::cli::size::Count;
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::tao::images::deployment::{Deployment, DeploymentError, Need};
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::layout::read_index;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(crate) fn run(args: &ListImagesArgs, report: &Report) -> Result<(), Failure> {
    if args.needed.config_env.is_none() && args.needed.compose.is_empty() {
        let message = "nothing says which images are needed";
        return Err(Failure::new(Class::Usage, message, "name a file with --config-env, --compose, or both"));
    }
    let deployment = deployment(&args.needed)?;
    let have: Option<BTreeSet<ImageName>> = match &args.have {
        Some(path) => Some(read_index(path)?.into_iter().map(|image| image.image_name).collect()),
        None => None,
    };
    let missing: Vec<&ImageName> = match &have {
        Some(have) => deployment.images.keys().filter(|image_name| !have.contains(image_name)).collect(),
        None => Vec::new(),
    };
    print(&deployment, &missing, report)?;
    if !deployment.has_compose {
        report.note("MongoDB, SeaweedFS and nginx stand in the compose file: name it with --compose as well");
    }
    for name in &deployment.built {
        report.note(&format!("service {name} names no image: it is built where it runs"));
    }
    match missing.len() {
        0 => Ok(()),
        count => {
            let message = format!("{} of the deployment not in the layout", Count(count as u64, "image"));
            Err(Failure::new(Class::Incomplete, message, "fetch or add what is marked as missing above"))
        }
    }
}

/// Returns what a person should know of an image.
fn marks(image_name: &ImageName, need: &Need, missing: &[&ImageName]) -> Vec<String> {
    let mut marks = Vec::new();
    if !need.is_saved {
        marks.push("not saved by the vendor's script".to_owned());
    }
    if image_name.is_floating() {
        marks.push("floating tag".to_owned());
    }
    if !need.always_pulled_by.is_empty() {
        marks.push(format!("pull_policy always: {}", need.always_pulled_by.join(", ")));
    }
    if missing.contains(&image_name) {
        marks.push("missing".to_owned());
    }
    marks
}

fn print(deployment: &Deployment, missing: &[&ImageName], report: &Report) -> Result<(), Failure> {
    let mut text = String::new();
    let mut images = Vec::new();
    for (image_name, need) in &deployment.images {
        let marks = marks(image_name, need, missing);
        let _ = writeln!(text, "{image_name}");
        let _ = writeln!(text, "  {}", OneLine(need.places.join(", ")));
        if !marks.is_empty() {
            let _ = writeln!(text, "  note: {}", OneLine(marks.join("; ")));
        }
        images.push(json!({
            "image": image_name.to_string(),
            "places": need.places,
            "saved_by_vendor": need.is_saved,
            "floating": image_name.is_floating(),
            "always_pulled_by": need.always_pulled_by,
            "missing": missing.contains(&image_name),
        }));
    }
    report.result(&json!({ "images": images, "built": deployment.built }), &text)
}

impl From<DeploymentError> for Failure {
    fn from(error: DeploymentError) -> Failure {
        let remedy = match &error {
            DeploymentError::NoValue { .. } => "name the file that gives it a value with --config-env",
            _ => "correct that file, or name another one",
        };
        Failure::new(error.class(), crate::cli::failure::chain(&error), remedy)
    }
}
