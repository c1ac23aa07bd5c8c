//! Fetches models to the layout that the platform reads, on the connected side.
//!
//! All that will be fetched is known before any of it is. A file gets its name when it is proven, a
//! model its entry when all its files have theirs, and the metadata are written last: what they say is
//! there.

pub mod file;
pub mod hub;
pub mod ngc;
pub mod plan;
pub mod remote;

mod record;
mod strays;

pub use record::PROVENANCE_NAME;
pub use strays::Strays;

use super::http::{Http, HttpError};
use super::metadata::{METADATA_NAME, MetadataError};
use super::model::Model;
use super::ngc::VersionRule;
use crate::error::Class;
use crate::format::{Sha256, Time};
use crate::machine::{Lock, Machine};
use crate::pipeline::progress::Progress;
use file::{Fetcher, FileError, Target};
use hub::Hub;
use ngc::Ngc;
use plan::{Plan, PlannedModel, Said};
use remote::{RemoteError, RemoteFile};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use url::Url;

/// Where bytes lie until their file has its name, below the directory that is fetched to.
pub const UNFINISHED_NAME: &str = ".airlift-fetch";

/// Most files at a time, whatever is asked for.
const PARALLEL_MAX: usize = 256;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// The root of the models.
    pub out: PathBuf,
    /// How many files at once.
    pub parallel: NonZeroUsize,
    /// The time that stands where a source gives none.
    pub fetched_at: Time,
    /// What is written on.
    pub machine: Machine,
}

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Its source does not answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A file of it was not fetched.
    #[error(transparent)]
    File(#[from] FileError),
    /// The platform would not take it.
    #[error("the platform would not take it")]
    Version(#[source] VersionRule),
    /// Another model has its folder.
    #[error("its folder {folder} is that of {other}")]
    SameFolder {
        /// The folder, below the root of the models.
        folder: String,
        /// The other model.
        other: Model,
    },
    /// It has no file.
    #[error("it has no file")]
    NoFiles,
    /// NGC wants a key.
    #[error("NGC wants a key, and none is given")]
    NoKey,
    /// Its `experiment.yaml` can't be read.
    #[error("cannot read {path}", path = .path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The metadata that are there can't be gone on with.
    #[error("{METADATA_NAME} is there and is not accepted")]
    Metadata(#[source] MetadataError),
    /// Another fetch works there.
    #[error("another fetch works in {path}", path = .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file of this machine fails.
    #[error("cannot {action} {path}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl FetchError {
    /// Returns whose problem it is.
    pub fn class(&self) -> Class {
        match self {
            FetchError::Remote(error) => error.class(),
            FetchError::File(error) => error.class(),
            FetchError::NoKey => Class::Usage,
            FetchError::InUse { .. } => Class::Unavailable,
            FetchError::Version(_) | FetchError::SameFolder { .. } | FetchError::NoFiles | FetchError::Metadata(_) => {
                Class::Refused
            }
            FetchError::Spec { source, .. } | FetchError::Io { source, .. } => Class::of_io(source),
        }
    }
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> FetchError {
        FetchError::Remote(error.into())
    }
}

/// A model that is not there, and why.
#[derive(Debug)]
pub struct Failed {
    /// Which.
    pub model: Model,
    /// Why.
    pub error: FetchError,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Models that are there, whole and proven.
    pub models: Vec<Model>,
    /// Models that are not, each with its first failure. None of them is in the metadata.
    pub failed: Vec<Failed>,
    /// What lies in the folders of those that are there and is not of their sources.
    pub strays: Strays,
    /// Entries of the metadata, those of earlier fetches included.
    pub entry_count: usize,
}

/// Fetches models that were planned.
///
/// # Errors
/// The metadata can't be written. A model that fails is no error of the whole: it is named.
pub fn fetch(
    http: &Http<'_>,
    ngc: Option<&Ngc<'_>>,
    hub: &Hub<'_>,
    plan: Plan,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Fetched, FetchError> {
    let _lock = lock_out(options)?;
    let (planned, total_len) = (plan.planned.as_slice(), plan.total_len());
    let total_count = planned.iter().map(|model| model.files.len() as u64).sum();
    progress.begin("fetch", total_len, total_count);
    let fetcher = Fetcher { http, machine: &options.machine, progress };
    let run = Run { fetcher, ngc, hub, planned, options, links: planned.iter().map(|_| Mutex::default()).collect() };
    let results = run.all_files();
    let mut fetched = Fetched { failed: plan.failed, ..Fetched::default() };
    let mut whole = Vec::new();
    for (model, result) in planned.iter().zip(results) {
        match result {
            Ok(digests) => whole.push((model, digests)),
            Err(error) => fetched.failed.push(Failed { model: model.model.clone(), error }),
        }
    }
    fetched.models = whole.iter().map(|(model, _)| model.model.clone()).collect();
    fetched.entry_count = record::write(&whole, &fetched.failed, options)?;
    for (model, _) in &whole {
        fetched.strays.add(&options.out, &model.model.folder(), &model.files);
    }
    if fetched.failed.is_empty() {
        let unfinished = options.out.join(UNFINISHED_NAME);
        let removed = options.machine.remove_tree(&unfinished);
        removed.map_err(|source| FetchError::Io { action: "remove", path: unfinished, source })?;
    }
    Ok(fetched)
}

/// Holds the directory for this fetch alone: two would write into one another's parts.
fn lock_out(options: &FetchOptions) -> Result<Lock, FetchError> {
    let unfinished = options.out.join(UNFINISHED_NAME);
    let made = options.machine.make_directories(&unfinished, 0o777);
    let locked = made.and_then(|()| options.machine.lock(&unfinished.join("lock")));
    let locked = locked.map_err(|source| FetchError::Io { action: "lock", path: unfinished, source })?;
    locked.ok_or_else(|| FetchError::InUse { path: options.out.clone() })
}

/// A file to fetch: which model, and which of its files.
#[derive(Clone, Copy)]
struct Job {
    model: usize,
    file: usize,
}

type Digests = Vec<Sha256>;

struct Run<'a> {
    fetcher: Fetcher<'a>,
    ngc: Option<&'a Ngc<'a>>,
    hub: &'a Hub<'a>,
    planned: &'a [PlannedModel],
    options: &'a FetchOptions,
    /// Where the bytes of NGC's files are, by model; asked for when they are needed, and again when
    /// they are refused.
    links: Vec<Mutex<Option<HashMap<String, Url>>>>,
}

impl Run<'_> {
    /// Fetches every file, many at once, and returns for each model the digests of its files.
    fn all_files(&self) -> Vec<Result<Digests, FetchError>> {
        let jobs: Vec<Job> = self
            .planned
            .iter()
            .enumerate()
            .flat_map(|(model, planned)| (0..planned.files.len()).map(move |file| Job { model, file }))
            .collect();
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Result<Digests, FetchError>>> =
            Mutex::new(self.planned.iter().map(|planned| Ok(vec![Sha256::of(b""); planned.files.len()])).collect());
        let worker = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let is_lost = lock(&results)[job.model].is_err();
                let found = match self.fetcher.progress.is_cancelled() {
                    _ if is_lost => continue,
                    // What was not begun is not there.
                    true => Err(HttpError::Stopped.into()),
                    false => self.file(*job),
                };
                let mut results = lock(&results);
                match (found, &mut results[job.model]) {
                    (Ok(digest), Ok(digests)) => digests[job.file] = digest,
                    (Err(error), result @ Ok(_)) => *result = Err(error),
                    (_, Err(_)) => {}
                }
            }
        };
        let worker_count = self.options.parallel.get().min(jobs.len()).min(PARALLEL_MAX);
        thread::scope(|scope| (0..worker_count).for_each(|_| drop(scope.spawn(worker))));
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, job: Job) -> Result<Sha256, FetchError> {
        let planned = &self.planned[job.model];
        let file = &planned.files[job.file];
        self.fetcher.progress.now_at(&format!("{}/{}", planned.model, file.path));
        let target = self.target(planned, file);
        match (&planned.model, &planned.said) {
            (Model::Hub(model), Said::Hub(revision)) => {
                let ask = |client: &_| self.hub.question(model, revision, &file.path, client);
                Ok(self.fetcher.fetch(file, &target, &ask)?)
            }
            _ => self.file_of_ngc(job, file, &target),
        }
    }

    /// Fetches by a link. Where that is refused it may be too old, and another one is asked for: once, and
    /// again as long as each brings some of the file.
    fn file_of_ngc(&self, job: Job, file: &RemoteFile, target: &Target) -> Result<Sha256, FetchError> {
        let mut url = self.link(job, file)?;
        let mut renewed_at_len = None;
        loop {
            match self.fetcher.fetch(file, target, &|client: &_| client.get(url.clone())) {
                Err(error @ FileError::Http(HttpError::AccessRefused { .. } | HttpError::NotFound { .. })) => {
                    let len = std::fs::metadata(&target.part).map_or(0, |part| part.len());
                    if renewed_at_len.is_some_and(|before| len <= before) {
                        return Err(error.into());
                    }
                    self.forget_link(job, file, &url);
                    (renewed_at_len, url) = (Some(len), self.link(job, file)?);
                }
                other => return Ok(other?),
            }
        }
    }

    /// Forgets the links of a model, unless another file has got new ones since this link was given.
    fn forget_link(&self, job: Job, file: &RemoteFile, refused: &Url) {
        let mut links = lock(&self.links[job.model]);
        if links.as_ref().is_some_and(|links| links.get(&file.path) == Some(refused)) {
            *links = None;
        }
    }

    fn link(&self, job: Job, file: &RemoteFile) -> Result<Url, FetchError> {
        let Model::Ngc(model) = &self.planned[job.model].model else { return Err(FetchError::NoFiles) };
        let ngc = self.ngc.ok_or(FetchError::NoKey)?;
        let mut links = lock(&self.links[job.model]);
        if links.is_none() {
            *links = Some(ngc.links(model)?);
        }
        let link = links.as_ref().and_then(|links| links.get(&file.path)).cloned();
        link.ok_or_else(|| RemoteError::BadLink { path: file.path.clone() }.into())
    }

    fn target(&self, planned: &PlannedModel, file: &RemoteFile) -> Target {
        let folder = planned.model.folder();
        // One name for each file, whatever characters its path has.
        let name = format!("{}.part", Sha256::of(format!("{folder}/{}", file.path).as_bytes()));
        Target {
            path: self.options.out.join(&folder).join(&file.path),
            part: self.options.out.join(UNFINISHED_NAME).join(name),
        }
    }
}

/// Returns the path of a model's `experiment.yaml`.
fn spec_path(out: &Path, model: &Model) -> PathBuf {
    out.join(model.folder()).join("experiment.yaml")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
