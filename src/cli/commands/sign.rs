//! `airlift sign`.

use super::name_of;
use crate::cli::args::SignArgs;
use crate::cli::failure::Failure;
use crate::cli::opening::find_one;
use crate::cli::report::Report;
use airlift::format::OneLine;
use airlift::pipeline::sign::{Keygen, Signed};
use airlift::trust::{Namespace, Purpose, UntrustedHead};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn run(args: &SignArgs, report: &Report) -> Result<(), Failure> {
    let found = find_one(std::slice::from_ref(&args.bundle))?;
    let untrusted = UntrustedHead::decode(&found.head)?;
    let head = untrusted.head();
    let (mut documents, mut text) = (Vec::new(), String::new());
    for medium in &found.media {
        let signed = sign(&found.head, medium.path(), &args.key)?;
        let (verb, path, fingerprint) = match &signed {
            Signed::Added { path, fingerprint } => ("signed", path, fingerprint),
            Signed::Already { path, fingerprint } => ("signed before", path, fingerprint),
        };
        documents.push(json!({ "result": verb, "signature": path, "key": fingerprint.to_string() }));
        let path = OneLine(path.to_string_lossy());
        let _ = writeln!(text, "{verb}: {} by {fingerprint}, in {path}", name_of(head));
    }
    let document = json!({
        "stream": head.stream.as_str(),
        "counter": head.counter,
        "content_id": head.content_id.to_string(),
        "signatures": documents,
    });
    report.result(&document, &text)
}

/// Signs a head in one bundle directory.
///
/// # Errors
/// The head is no head, or ssh-keygen does not sign it.
pub(crate) fn sign(head: &[u8], directory: &Path, key: &Path) -> Result<Signed, Failure> {
    let stream = UntrustedHead::decode(head)?.head().stream.clone();
    let namespace = Namespace { purpose: Purpose::Head, stream };
    Ok(Keygen::default().sign(head, &namespace, key, &directory.join("signatures"))?)
}
