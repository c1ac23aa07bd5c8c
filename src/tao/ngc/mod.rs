//! What NGC says of a version of a model, and whether the platform takes it.

mod literal;

use serde::Deserialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// The version of the platform that models are compared with, where none is given.
pub const TAO_VERSION: &str = "7.3.0";

/// The answer to a question for one version of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionAnswer {
    /// What is said of all versions.
    pub model: ModelAnswer,
    /// What is said of this one.
    pub model_version: VersionDetails,
}

/// What is said of all versions of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelAnswer {
    /// Whether nobody may change it.
    #[serde(default)]
    pub is_read_only: Option<bool>,
    /// A sentence.
    #[serde(default)]
    pub short_description: Option<String>,
    /// When it was changed last.
    #[serde(default)]
    pub updated_date: Option<String>,
}

/// What is said of one version of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionDetails {
    /// Its name.
    #[serde(default)]
    pub version_id: Option<String>,
    /// Whether all of it is there.
    #[serde(default)]
    pub status: Option<String>,
    /// A text.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_date: Option<String>,
    /// What the platform wants to know of it.
    #[serde(default)]
    custom_metrics: Option<Vec<Metrics>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Metrics {
    #[serde(default)]
    attributes: Option<Vec<Attribute>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Attribute {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
}

/// Why a version can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionRule {
    /// its upload is not complete.
    #[error("its status is {found}, not UPLOAD_COMPLETE")]
    NotComplete {
        /// What it is.
        found: String,
    },
    /// it is for another version of the platform.
    #[error("it is for versions {wanted} of the platform, not {TAO_VERSION}")]
    OtherVersion {
        /// What it is for.
        wanted: String,
    },
    /// it says that it can't be trained.
    #[error("it is not trainable")]
    NotTrainable,
}

impl VersionDetails {
    /// Returns the attributes by their keys; a later one stands for an earlier one.
    pub fn attributes(&self) -> Map<String, Value> {
        let metrics = self.custom_metrics.iter().flatten();
        let attributes = metrics.flat_map(|one| one.attributes.iter().flatten());
        let value = |text: &String| literal::parse(text).unwrap_or_else(|| Value::String(text.clone()));
        attributes.filter_map(|one| Some((one.key.clone()?, value(one.value.as_ref()?)))).collect()
    }

    /// Returns the architectures that the version says it is for; empty where it says nothing.
    pub fn endpoints(&self) -> Vec<String> {
        let endpoints = self.attributes().remove("endpoints");
        let list = endpoints.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Says whether the platform would take this version.
    ///
    /// # Errors
    /// Names the first of that it breaks.
    pub fn check(&self) -> Result<(), VersionRule> {
        let status = self.status.as_deref().unwrap_or_default();
        if status != "UPLOAD_COMPLETE" {
            return Err(VersionRule::NotComplete { found: status.to_owned() });
        }
        if self.custom_metrics.as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let attributes = self.attributes();
        let wanted = attributes.get("tao_version").filter(|wanted| is_true(wanted));
        let fits = |wanted| constraints(wanted).is_some_and(|all| all.iter().all(|one| holds(one, TAO_VERSION)));
        if let Some(wanted) = wanted.filter(|wanted| !fits(wanted)) {
            return Err(VersionRule::OtherVersion { wanted: wanted.to_string() });
        }
        if attributes.get("trainable").is_some_and(is_true) { Ok(()) } else { Err(VersionRule::NotTrainable) }
    }
}

/// Tells whether Python takes a value for true.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Returns the constraints of a list of them, or of one; nothing where there is anything else.
fn constraints(wanted: &Value) -> Option<Vec<&str>> {
    match wanted {
        Value::String(one) => Some(vec![one]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Tells whether a version fulfils a constraint such as `>=6.0`; one that is not understood is not.
fn holds(constraint: &str, version: &str) -> bool {
    let constraint = constraint.trim();
    let at = constraint.find(|c| !"<>=! ".contains(c)).unwrap_or(constraint.len());
    let (operator, wanted) = constraint.split_at(at);
    let (Some(found), Some(wanted)) = (numbers(version), numbers(wanted)) else { return false };
    let order = found.cmp(&wanted);
    match operator.trim() {
        "<=" => order != Ordering::Greater,
        "<" => order == Ordering::Less,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        _ => false,
    }
}

/// Returns the numbers of a version, without zeros at its end: `5.0` is `5`.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers: Vec<u64> = version.trim().split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn details(status: &str, attributes: Value) -> VersionDetails {
        let attributes = attributes.as_object().expect("an object").iter();
        let attributes: Vec<Value> = attributes.map(|(key, value)| json!({"key": key, "value": value})).collect();
        let answer = json!({"status": status, "customMetrics": [{"attributes": attributes}]});
        serde_json::from_value(answer).expect("details")
    }

    #[test]
    fn a_version_is_taken_as_the_platform_takes_it() {
        let check = |status, attributes| details(status, attributes).check();
        assert_eq!(check("UPLOAD_COMPLETE", json!({"trainable": "True"})), Ok(()));
        assert_eq!(check("UPLOAD_COMPLETE", json!({"trainable": "true"})), Ok(()));
        assert_eq!(check("UPLOAD_COMPLETE", json!({"trainable": "False"})), Err(VersionRule::NotTrainable));
        assert_eq!(check("UPLOAD_COMPLETE", json!({})), Err(VersionRule::NotTrainable));
        let pending = VersionRule::NotComplete { found: "UPLOAD_PENDING".to_owned() };
        assert_eq!(check("UPLOAD_PENDING", json!({"trainable": "True"})), Err(pending));
        for (wanted, is_taken) in [
            ("['>=5.0.0', '<8']", true),
            ("['==7.3']", true),
            ("['!=7.3.0']", false),
            ("['>=5.0.0', '>7.3.0']", false),
            ("'>=6'", true),
            ("['about 7']", false),
            ("[7]", false),
            ("[]", true),
        ] {
            let found = check("UPLOAD_COMPLETE", json!({"trainable": "True", "tao_version": wanted}));
            assert_eq!(found.is_ok(), is_taken, "{wanted}");
        }
    }

    #[test]
    fn endpoints_are_a_list_or_none() {
        let endpoints = |text: &str| details("", json!({"endpoints": text})).endpoints();
        assert_eq!(endpoints("['dino', 'segformer']"), ["dino", "segformer"]);
        assert_eq!(endpoints("dino"), Vec::<String>::new());
        assert_eq!(endpoints("['dino', 3]"), ["dino"]);
    }

    #[test]
    fn an_answer_without_what_is_not_needed_is_read() {
        let answer: VersionAnswer =
            serde_json::from_value(json!({"model": {}, "modelVersion": {}})).expect("an answer");
        assert!(answer.model_version.attributes().is_empty());
    }
}
