//! Makes the entry of a model: what the vendor's downloader would write, without what breaks the
//! platform and without numbers that nobody measured.

use super::architectures::{Architecture, is_allowed};
use super::catalogue::NAME_COUNT_MAX;
use super::metadata::is_time;
use super::model::{HubModel, Model, NgcModel};
use super::ngc::{VersionAnswer, is_true};
use crate::format::Time;
use serde_json::{Map, Value, json};

/// Longest description, in characters.
const DESCRIPTION_COUNT_MAX: usize = 1000;
/// Longest figure of a model card, in characters.
const FIGURE_COUNT_MAX: usize = 10;
/// What stands where a figure is not known.
const UNKNOWN: &str = "Unknown";

/// What a model is fetched for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// The name that people see.
    pub name: &'a str,
    /// The name of the architecture.
    pub architecture: &'a str,
    /// What the platform says of it.
    pub known: &'a Architecture,
    /// Whether it is a backbone; nothing where nobody said so.
    pub is_backbone: Option<bool>,
    /// The content of its `experiment.yaml`; nothing where it has none.
    pub spec: Option<&'a Value>,
    /// When it was fetched; stands where its source gives no time.
    pub fetched_at: Time,
}

/// Returns the entry of a model of NGC.
pub fn of_ngc(model: &NgcModel, answer: &VersionAnswer, purpose: &Purpose<'_>) -> Value {
    let attributes = answer.model_version.attributes();
    let given_time = |text: &Option<String>| text.clone().filter(|text| is_time(text));
    let time = |text: &Option<String>| given_time(text).unwrap_or_else(|| purpose.fetched_at.to_string());
    let short = given(answer.model.short_description.as_deref());
    let default = format!("Base Experiment for {}", purpose.architecture);
    let description = given(answer.model_version.description.as_deref()).or(short).unwrap_or(&default);
    let is_backbone = purpose.is_backbone.or_else(|| attributes.get("is_backbone").map(is_true)).unwrap_or(true);
    let mut entry = common(&Model::Ngc(model.clone()), purpose);
    let own = json!({
        "read_only": answer.model.is_read_only.unwrap_or(true),
        "logo": "https://www.nvidia.com",
        "description": cut(description, DESCRIPTION_COUNT_MAX),
        "model_description": cut(short.unwrap_or(&default), DESCRIPTION_COUNT_MAX),
        "version": model.version(),
        "created_on": time(&answer.model_version.created_date),
        "last_modified": time(&answer.model.updated_date),
        "sha256_digest": attributes.get("sha256_digest").filter(|one| one.is_object()).cloned().unwrap_or(json!({})),
        "base_experiment_metadata": {
            "task": choice(&attributes, "task"),
            "domain": choice(&attributes, "domain"),
            "backbone_type": choice(&attributes, "backbone_type"),
            "backbone_class": choice(&attributes, "backbone_class"),
            "license": choice(&attributes, "license"),
            "is_backbone": is_backbone,
            "is_trainable": attributes.get("trainable").is_some_and(is_true),
            "num_parameters": figure(&attributes, "num_parameters", "M"),
            "accuracy": figure(&attributes, "accuracy", ""),
            "model_card_link": format!("https://catalog.ngc.nvidia.com/orgs/nvidia/teams/tao/models/{}", model.model()),
            "spec_file_present": purpose.spec.is_some_and(is_true),
            "specs": purpose.spec.cloned().unwrap_or(json!({})),
        },
        "base_experiment_pull_complete": if purpose.known.is_pull_complete { "pull_complete" } else { "starting" },
        "source_type": "ngc",
    });
    merge(&mut entry, own)
}

/// Returns the entry of a repository of a hub.
pub fn of_hub(model: &HubModel, purpose: &Purpose<'_>) -> Value {
    let mut entry = common(&Model::Hub(model.clone()), purpose);
    let own = json!({
        "read_only": false,
        "logo": "https://huggingface.co/front/assets/huggingface_logo-noborder.svg",
        "description": format!("Hugging Face model {model} for {}", purpose.architecture),
        "model_description": format!("Hugging Face model: {model}"),
        "version": "latest",
        "created_on": purpose.fetched_at.to_string(),
        "last_modified": purpose.fetched_at.to_string(),
        "sha256_digest": {},
        "base_experiment_metadata": {
            "task": null,
            "domain": null,
            "backbone_type": null,
            "backbone_class": null,
            "license": null,
            "is_backbone": purpose.is_backbone.unwrap_or(true),
            "is_trainable": true,
            "num_parameters": UNKNOWN,
            "accuracy": UNKNOWN,
            "model_card_link": format!("https://huggingface.co/{model}"),
            // The platform reads a specification for models of NGC alone.
            "spec_file_present": false,
            "specs": {},
        },
        "base_experiment_pull_complete": "pull_complete",
        "source_type": "huggingface",
    });
    merge(&mut entry, own)
}

fn common(model: &Model, purpose: &Purpose<'_>) -> Value {
    json!({
        "id": model.id(purpose.architecture).to_string(),
        "kind": "experiment",
        "user_id": "00000000-0000-0000-0000-000000000000",
        "shared": false,
        "public": true,
        "base_experiment_ids": [],
        "train_datasets": [],
        "eval_dataset": null,
        "calibration_dataset": null,
        "inference_dataset": null,
        "checkpoint_choose_method": "best_model",
        "checkpoint_epoch_number": {"id": 0},
        "encryption_key": "tlt_encode",
        "network_arch": purpose.architecture,
        "dataset_type": purpose.known.dataset_type,
        "dataset_formats": purpose.known.dataset_formats,
        "accepted_dataset_intents": purpose.known.accepted_dataset_intents,
        "actions": purpose.known.actions,
        "name": cut(purpose.name, NAME_COUNT_MAX),
        "ngc_path": model.to_string(),
    })
}

fn merge(entry: &mut Value, own: Value) -> Value {
    if let (Value::Object(entry), Value::Object(own)) = (&mut *entry, own) {
        entry.extend(own);
    }
    entry.take()
}

/// Returns a text that says something.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Returns at most as many characters as a listing takes: one more breaks it for everyone.
fn cut(text: &str, count_max: usize) -> &str {
    text.char_indices().nth(count_max).map_or(text, |(end, _)| &text[..end])
}

/// Returns the value of an enumeration as the platform spells it; null where it has none.
fn choice(attributes: &Map<String, Value>, field: &str) -> Value {
    let spelled =
        attributes.get(field).and_then(Value::as_str).map(|text| text.replace(['-', '_'], " ").to_lowercase());
    spelled.filter(|text| is_allowed(field, text)).map_or(Value::Null, Value::String)
}

/// Returns a figure of the model card. The vendor makes one up where there is none.
fn figure(attributes: &Map<String, Value>, field: &str, end: &str) -> String {
    let text = match attributes.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let is_figure = !text.is_empty() && text.ends_with(end) && text.chars().count() <= FIGURE_COUNT_MAX;
    if is_figure { text } else { UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::architectures::architecture;
    use super::super::metadata::Metadata;
    use super::*;

    fn purpose() -> Purpose<'static> {
        Purpose {
            name: "DINO",
            architecture: "dino",
            known: architecture("dino").expect("known"),
            is_backbone: None,
            spec: None,
            fetched_at: Time::from_unix(1_700_000_000),
        }
    }

    fn answer(description: &str, attributes: &[(&str, &str)]) -> VersionAnswer {
        let attributes: Vec<Value> =
            attributes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let version = json!({
            "versionId": "v1", "status": "UPLOAD_COMPLETE", "description": description,
            "createdDate": "2025-01-02T03:04:05.678Z", "customMetrics": [{"attributes": attributes}],
        });
        serde_json::from_value(json!({"model": {"shortDescription": "short"}, "modelVersion": version}))
            .expect("an answer")
    }

    fn of(description: &str, attributes: &[(&str, &str)]) -> Value {
        of_ngc(&NgcModel::parse("nvidia/tao/dino:v1").expect("a model"), &answer(description, attributes), &purpose())
    }

    #[test]
    fn an_entry_breaks_nothing_whatever_the_model_says_of_itself() {
        let odd = [
            ("task", "flying"),
            ("license", "MIT"),
            ("is_backbone", "None"),
            ("num_parameters", "48"),
            ("accuracy", "0.123456789123"),
            ("sha256_digest", "abc"),
            ("trainable", "yes"),
        ];
        let hub = of_hub(&HubModel::parse("a/b").expect("a model"), &purpose());
        for entry in [of("", &[]), of(&"long ".repeat(300), &odd), hub] {
            let id = entry["id"].as_str().expect("an id").to_owned();
            let metadata = Metadata::parse(json!({ id: entry }).to_string().as_bytes()).expect("metadata");
            assert_eq!(metadata.bad_fields(), []);
        }
    }

    #[test]
    fn figures_that_nobody_gave_are_unknown() {
        let inner = |entry: &Value, field: &str| entry["base_experiment_metadata"][field].clone();
        let entry = of("", &[("num_parameters", "48.0M"), ("accuracy", "61.2%"), ("task", "object_detection")]);
        assert_eq!(inner(&entry, "num_parameters"), "48.0M");
        assert_eq!(inner(&entry, "accuracy"), "61.2%");
        assert_eq!(inner(&entry, "task"), "object detection");
        let entry = of("", &[("num_parameters", "many")]);
        assert_eq!((inner(&entry, "num_parameters"), inner(&entry, "accuracy")), (json!(UNKNOWN), json!(UNKNOWN)));
        assert_eq!(entry["description"], "short");
    }
}
