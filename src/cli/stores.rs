//! From `--to` to a store (C-07).

use super::args::StoreArgs;
use super::failure::Failure;
use airlift::error::Class;
use airlift::store::{DirectoryStore, Keys, Store, StoreError};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

/// A store and what names it for good.
pub(crate) struct Target {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) name: String,
}

/// Opens the store that the options name. Nothing is written yet.
///
/// # Errors
/// The options name no store, or not well.
pub(crate) fn open(args: &StoreArgs) -> Result<Target, Failure> {
    match args.to.split_once(':') {
        Some(("s3", bucket)) => open_s3(bucket, args),
        Some(("dir", path)) => open_directory(Path::new(path)),
        _ => open_directory(Path::new(&args.to)),
    }
}

fn open_directory(path: &Path) -> Result<Target, Failure> {
    if path.as_os_str().is_empty() {
        return Err(Failure::new(Class::Usage, "no directory is named behind dir:", "write --to dir:PATH"));
    }
    // The state belongs to the directory, whatever way leads there.
    let path = path.canonicalize().or_else(|_| absolute(path)).map_err(|error| Failure::io("use", path, &error))?;
    let name = format!("dir:{}", path.display());
    Ok(Target { store: Arc::new(DirectoryStore::new(path)), name })
}

#[cfg(feature = "s3")]
fn open_s3(bucket: &str, args: &StoreArgs) -> Result<Target, Failure> {
    use airlift::store::S3Store;
    let Some(bucket) = bucket.strip_prefix("//").map(|bucket| bucket.trim_end_matches('/')) else {
        return Err(Failure::new(Class::Usage, "the bucket is not named", "write --to s3://BUCKET"));
    };
    if bucket.contains('/') {
        return Err(Failure::new(Class::Usage, "--to names a bucket alone", "put prefixes into --map ROOT=PREFIX"));
    }
    let options = options(bucket, args);
    let store = S3Store::open(&options)?;
    let name = format!("s3:{}/{bucket}", store.endpoint());
    Ok(Target { store: Arc::new(store), name })
}

/// Returns the keys that the options name, for a server that has to be told of them.
///
/// # Errors
/// There are none.
#[cfg(feature = "s3")]
pub(crate) fn keys(args: &StoreArgs) -> Result<Keys, Failure> {
    Ok(options("", args).keys()?)
}

/// Returns the store of a bucket, or what is wrong with how it is named.
///
/// # Errors
/// The options name no store, or not well.
#[cfg(feature = "s3")]
pub(crate) fn bucket(bucket: &str, args: &StoreArgs) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(airlift::store::S3Store::open(&options(bucket, args))?))
}

#[cfg(feature = "s3")]
fn options(bucket: &str, args: &StoreArgs) -> airlift::store::S3Options {
    use airlift::store::S3Options;
    use airlift::store::s3::PlainHttp;
    S3Options {
        endpoint: args.endpoint.clone(),
        region: args.region.clone(),
        profile: args.aws_profile.clone(),
        credentials_file: args.credentials_file.clone(),
        ca_file: args.ca_file.clone(),
        plain_http: if args.plain_http { PlainHttp::Allow } else { PlainHttp::Refuse },
        ..S3Options::new(bucket)
    }
}

#[cfg(not(feature = "s3"))]
pub(crate) fn keys(_: &StoreArgs) -> Result<Keys, Failure> {
    Err(no_s3())
}

#[cfg(not(feature = "s3"))]
pub(crate) fn bucket(_: &str, _: &StoreArgs) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::BadOption { option: "S3", problem: "is no part of this airlift" })
}

#[cfg(not(feature = "s3"))]
fn open_s3(_: &str, _: &StoreArgs) -> Result<Target, Failure> {
    Err(no_s3())
}

#[cfg(not(feature = "s3"))]
fn no_s3() -> Failure {
    let message = "this airlift was built without S3";
    Failure::new(Class::Usage, message, "build it with the feature s3, or import to dir:PATH")
}

/// Returns where the local state lies: as asked, else where the system keeps state.
///
/// # Errors
/// Neither is known.
pub(crate) fn state_directory(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        return Ok(path.to_owned());
    }
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|path| path.join("airlift")).ok_or_else(|| {
        let message = "it is not known where local state belongs: neither XDG_STATE_HOME nor HOME is set";
        Failure::new(Class::Usage, message, "name a directory with --state")
    })
}
