//! `airlift images`.

mod add;
mod fetch;
mod list;
mod load;
mod push;

use crate::cli::args::{ImagesArgs, ImagesCommand, NeededArgs, RegistryArgs};
use crate::cli::failure::Failure;
use crate::cli::remedy;
use crate::cli::report::Report;
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::machine::read_limited;
use airlift::tao::images::auth::{AUTH_LEN_MAX, AuthFile, Credentials, usual_place};
use airlift::tao::images::carried::{CarriedError, CarriedImages};
use airlift::tao::images::deployment::{DEPLOYMENT_LEN_MAX, Deployment, parse_env};
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::layout::LayoutError;
use airlift::tao::images::manifest::Platform;
use airlift::tao::images::push::PushError;
use airlift::tao::images::registry::Transport;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &ImagesArgs, report: &Report) -> Result<(), Failure> {
    match &args.command {
        ImagesCommand::List(args) => list::run(args, report),
        ImagesCommand::Fetch(args) => fetch::run(args, report),
        ImagesCommand::Add(args) => add::run(args, report),
        ImagesCommand::Push(args) => push::run(args, report),
        ImagesCommand::Load(args) => load::run(args, report),
    }
}

fn image_names(texts: &[String]) -> Result<Vec<ImageName>, Failure> {
    let parse = |text: &String| ImageName::parse(text).map_err(|error| Failure::of(Class::Usage, &error));
    texts.iter().map(parse).collect()
}

fn platform(text: &str) -> Result<Platform, Failure> {
    Platform::parse(text).ok_or_else(|| {
        let message = format!("{} is no platform", OneLine(text));
        Failure::new(Class::Usage, message, "write it as linux/amd64 or linux/arm64/v8")
    })
}

fn read(path: &Path, len_max: u64) -> Result<Vec<u8>, Failure> {
    read_limited(path, len_max).map_err(|error| Failure::io("read", path, &error))
}

/// Returns what the files of a deployment say.
fn deployment(args: &NeededArgs) -> Result<Deployment, Failure> {
    let in_file = |path: &Path| {
        let path = path.display().to_string();
        move |error| Failure::from(error).while_doing(&path)
    };
    let variables = match &args.config_env {
        Some(path) => parse_env(&read(path, DEPLOYMENT_LEN_MAX)?).map_err(in_file(path))?,
        None => Vec::new(),
    };
    let mut deployment = Deployment::of_variables(variables).map_err(Failure::from)?;
    for path in &args.compose {
        deployment.add_compose(&read(path, DEPLOYMENT_LEN_MAX)?).map_err(in_file(path))?;
    }
    Ok(deployment)
}

/// The credentials at hand, and how registries are asked.
struct Login {
    file: AuthFile,
    transport: Transport,
}

impl Login {
    fn read(args: &RegistryArgs) -> Result<Login, Failure> {
        let transport = if args.plain_http { Transport::Plain } else { Transport::Tls };
        let dir = |name| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let usual = usual_place(dir("DOCKER_CONFIG").as_deref(), dir("HOME").as_deref());
        // A file that was named must be there; the usual one may be.
        let path = args.auth_file.clone().or_else(|| usual.filter(|path| path.is_file()));
        let Some(path) = path else { return Ok(Login { file: AuthFile::default(), transport }) };
        let file = AuthFile::parse(&read(&path, AUTH_LEN_MAX)?);
        let file = file.map_err(|error| Failure::of(error.class(), &error).while_doing(&path.display().to_string()))?;
        Ok(Login { file, transport })
    }

    fn credentials(&self, registry: &str) -> Result<Option<Credentials>, Failure> {
        self.file.credentials(registry).map_err(|error| {
            let remedy = "write user and password to a file for --auth-file, as docker login without a helper does";
            Failure::new(error.class(), error.to_string(), remedy)
        })
    }
}

/// Returns the images that were asked for, or all.
fn only(carried: CarriedImages, texts: &[String]) -> Result<CarriedImages, Failure> {
    carried.only(&image_names(texts)?).map_err(|missing| {
        let message = format!("the bundle has no image {missing}");
        Failure::new(Class::Usage, message, "airlift cat BUNDLE images/index.json shows which it has")
    })
}

impl From<CarriedError> for Failure {
    fn from(error: CarriedError) -> Failure {
        match error {
            CarriedError::Bundle(error) => error.into(),
            CarriedError::NoLayout => {
                let remedy = "pack a directory that airlift images fetch or airlift images add wrote";
                Failure::new(Class::Usage, error.to_string(), remedy)
            }
            error => Failure::of(error.class(), &error),
        }
    }
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Failure {
        let remedy = match &error {
            LayoutError::NoLayout { .. } => "name a new or empty directory with --out, or that of an earlier fetch",
            LayoutError::InUse { .. } => "wait until that is done",
            error => remedy::of_class(error.class()),
        };
        Failure::new(error.class(), crate::cli::failure::chain(&error), remedy)
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Failure {
        let remedy = match &error {
            PushError::Clash { .. } => "push them one by one to other prefixes, with --only",
            PushError::Registry(error) => remedy::of_registry(error),
            PushError::Bundle(_) | PushError::BadName { .. } => remedy::of_class(error.class()),
            _ => remedy::of_class(error.class()),
        };
        match error {
            PushError::Bundle(error) => error.into(),
            error => Failure::new(error.class(), crate::cli::failure::chain(&error), remedy),
        }
    }
}
