//! `airlift sign`.

use super::name_of;
use crate::cli::args::SignArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::find_one;
use crate::cli::report::Report;
use airlift::pipeline::sign::{Keygen, Signed};
use airlift::trust::{Namespace, Purpose, UntrustedHead};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &SignArgs, report: &Report) -> Result<(), Failure> {
    let found = find_one(std::slice::from_ref(&args.bundle))?;
    let directories: Vec<PathBuf> = found.media.iter().map(|medium| medium.path().to_owned()).collect();
    for directory in &directories {
        sign_one(&found.head, directory, &args.key, report)?;
    }
    Ok(())
}

/// Signs the head in one bundle directory.
///
/// # Errors
/// The head is no head, or ssh-keygen does not sign it.
pub(crate) fn sign_one(head: &[u8], directory: &Path, key: &Path, report: &Report) -> Result<(), Failure> {
    let untrusted = UntrustedHead::decode(head)?;
    let namespace = Namespace { purpose: Purpose::Head, stream: untrusted.head().stream.clone() };
    let signed = Keygen::default().sign(head, &namespace, key, &directory.join("signatures"))?;
    let (verb, path, fingerprint) = match &signed {
        Signed::Added { path, fingerprint } => ("signed", path, fingerprint),
        Signed::Already { path, fingerprint } => ("already signed", path, fingerprint),
    };
    let document = json!({
        "result": verb,
        "stream": untrusted.head().stream.as_str(),
        "counter": untrusted.head().counter,
        "content_id": untrusted.head().content_id.to_string(),
        "signature": path,
        "key": fingerprint.to_string(),
    });
    let release = name_of(untrusted.head());
    report.result(&document, &format!("{verb}: {release} by {fingerprint}, in {}\n", path.display()))
}
