//! What is written down of a fetch: the metadata for the platform, and where everything is from.

use super::plan::{PlannedModel, Said, Use};
use super::{Failed, FetchError, FetchOptions, UNFINISHED_NAME, spec_path};
use crate::format::Sha256;
use crate::tao::architectures::architecture;
use crate::tao::entry::{Purpose, of_hub, of_ngc};
use crate::tao::metadata::{METADATA_LEN_MAX, METADATA_NAME, MetadataError};
use crate::tao::model::Model;
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// The name of the file that says where the models are from.
pub const PROVENANCE_NAME: &str = "airlift-provenance.json";
/// Longest `experiment.yaml` that is put into the metadata, in bytes.
const SPEC_LEN_MAX: u64 = 1 << 20;

/// Writes metadata and provenance, and returns how many entries there are. Entries of earlier fetches
/// stay, but for those of models that are not there.
pub(super) fn write(
    whole: &[(&PlannedModel, Vec<Sha256>)],
    failed: &[Failed],
    options: &FetchOptions,
) -> Result<usize, FetchError> {
    let mut entries = earlier(&options.out.join(METADATA_NAME), options)?;
    let lost: Vec<String> = failed.iter().map(|failed| failed.model.to_string()).collect();
    entries.retain(|_, entry| !lost.iter().any(|path| entry["ngc_path"] == path.as_str()));
    for (planned, _) in whole {
        for one in &planned.uses {
            let entry = entry_of(planned, one, options)?;
            entries.insert(planned.model.id(&one.architecture).to_string(), entry);
        }
    }
    let mut sources = earlier(&options.out.join(PROVENANCE_NAME), options)?;
    sources.retain(|model, _| !lost.contains(model));
    sources.extend(
        whole.iter().map(|(planned, digests)| (planned.model.to_string(), source_of(planned, digests, options))),
    );
    let entry_count = entries.len();
    keep(PROVENANCE_NAME, &Value::Object(sources), options)?;
    let is_there = options.out.join(METADATA_NAME).exists();
    if entry_count > 0 || is_there {
        // Last: what it says is there.
        keep(METADATA_NAME, &Value::Object(entries), options)?;
    }
    Ok(entry_count)
}

/// Returns what an earlier fetch wrote; empty where there was none.
fn earlier(path: &Path, options: &FetchOptions) -> Result<Map<String, Value>, FetchError> {
    let failed = |source| FetchError::Io { action: "read", path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(there) if there.len() > METADATA_LEN_MAX => return Err(FetchError::Metadata(MetadataError::TooLong)),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let Some(bytes) = options.machine.read(path).map_err(failed)? else { return Ok(Map::new()) };
    serde_json::from_slice(&bytes).map_err(|source| FetchError::Metadata(MetadataError::NotJson(source)))
}

fn entry_of(planned: &PlannedModel, one: &Use, options: &FetchOptions) -> Result<Value, FetchError> {
    let Some(known) = architecture(&one.architecture) else { return Err(FetchError::NoFiles) };
    let spec = read_spec(planned, options)?;
    let purpose = Purpose {
        name: &one.name,
        architecture: &one.architecture,
        known,
        is_backbone: one.is_backbone,
        spec: spec.as_ref(),
        fetched_at: options.fetched_at,
    };
    Ok(match (&planned.model, &planned.said) {
        (Model::Ngc(model), Said::Ngc(answer)) => of_ngc(model, answer, &purpose),
        (Model::Hub(model), _) => of_hub(model, &purpose),
        (Model::Ngc(_), Said::Hub(_)) => return Err(FetchError::NoFiles),
    })
}

/// Returns what the model's `experiment.yaml` says; nothing where there is none. One that is too long or
/// no YAML is none for the platform either, and travels all the same.
fn read_spec(planned: &PlannedModel, options: &FetchOptions) -> Result<Option<Value>, FetchError> {
    let path = spec_path(&options.out, &planned.model);
    let mut text = String::new();
    let read =
        options.machine.open_to_read(&path).and_then(|file| file.take(SPEC_LEN_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(len) if len as u64 > SPEC_LEN_MAX => Ok(None),
        Ok(_) => Ok(parse_spec(&text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(source) => Err(FetchError::Spec { path, source }),
    }
}

/// Returns what a text says as the platform reads it: `yes` and `off` are texts (YAML 1.2).
fn parse_spec(text: &str) -> Option<Value> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).ok()
}

fn source_of(planned: &PlannedModel, digests: &[Sha256], options: &FetchOptions) -> Value {
    let (source, revision, license) = match &planned.said {
        Said::Ngc(answer) => {
            let attributes = answer.model_version.attributes();
            ("ngc", answer.model_version.version_id.clone(), attributes.get("license").cloned())
        }
        Said::Hub(revision) => ("huggingface", Some(revision.sha.clone()), revision.license.clone().map(Value::String)),
    };
    let files = planned.files.iter().zip(digests).map(|(file, digest)| {
        json!({
            "path": file.path,
            "size": file.len,
            "sha256": digest.to_string(),
            "published": file.sha256.is_some(),
        })
    });
    json!({
        "source": source,
        "revision": revision,
        "license": license,
        "folder": planned.model.folder(),
        "fetched_at": options.fetched_at.to_string(),
        "files": files.collect::<Vec<_>>(),
    })
}

fn keep(name: &str, value: &Value, options: &FetchOptions) -> Result<(), FetchError> {
    let path = options.out.join(name);
    let new = options.out.join(UNFINISHED_NAME).join(name);
    let bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    let made = options.machine.make_directories(&options.out.join(UNFINISHED_NAME), 0o777);
    let written = made.and_then(|()| options.machine.write_durably(&new, &path, &bytes));
    written.map_err(|source| FetchError::Io { action: "write", path, source })
}
