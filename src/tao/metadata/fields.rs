//! The fields of an entry and what the platform's listings take in each.

use super::rule::EntryRule;
use crate::tao::architectures::is_allowed;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

type Fields = Map<String, Value>;

/// What a field takes.
#[derive(Clone, Copy)]
enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    /// A truth.
    Truth,
    /// A value of the enumeration that has the field's name.
    Choice,
    /// A list of values of that enumeration.
    Choices,
    /// A list of at most so many ids.
    Ids(usize),
    /// An address of the web.
    Url,
    /// A time.
    Time,
    /// An object of anything.
    Object,
    /// An object of whole numbers from 0.
    Counts,
    /// The fields of `base_experiment_metadata`.
    Inner,
}

/// Whether a field may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Taken,
    Refused,
}

struct Field {
    name: &'static str,
    kind: Kind,
    null: Null,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, null: Null::Refused }
}

const fn or_null(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, null: Null::Taken }
}

const ID_COUNT: usize = 36;
const URL_COUNT: usize = 2048;

/// Without these the loader drops an entry, or no listing works (`created_on`).
const REQUIRED: [&str; 8] =
    ["id", "name", "network_arch", "ngc_path", "actions", "accepted_dataset_intents", "dataset_type", "created_on"];

/// What a listing checks of an entry.
const ENTRY: [Field; 35] = [
    field("kind", Kind::Text(100)),
    field("id", Kind::Text(ID_COUNT)),
    field("user_id", Kind::Text(ID_COUNT)),
    field("created_on", Kind::Time),
    field("last_modified", Kind::Time),
    field("name", Kind::Text(500)),
    field("shared", Kind::Truth),
    field("public", Kind::Truth),
    field("read_only", Kind::Truth),
    field("tensorboard_enabled", Kind::Truth),
    field("description", Kind::Text(1000)),
    field("model_description", Kind::Text(1000)),
    field("version", Kind::Text(500)),
    or_null("logo", Kind::Url),
    field("ngc_path", Kind::Text(250)),
    or_null("workspace", Kind::Text(ID_COUNT)),
    or_null("sha256_digest", Kind::Object),
    field("base_experiment_pull_complete", Kind::Choice),
    or_null("additional_id_info", Kind::Text(100)),
    field("checkpoint_choose_method", Kind::Choice),
    field("checkpoint_epoch_number", Kind::Counts),
    field("encryption_key", Kind::Text(100)),
    field("network_arch", Kind::Choice),
    field("base_experiment_ids", Kind::Ids(2)),
    field("train_datasets", Kind::Ids(usize::MAX)),
    or_null("eval_dataset", Kind::Text(ID_COUNT)),
    or_null("inference_dataset", Kind::Text(ID_COUNT)),
    or_null("calibration_dataset", Kind::Text(ID_COUNT)),
    field("dataset_type", Kind::Choice),
    or_null("dataset_formats", Kind::Choices),
    field("accepted_dataset_intents", Kind::Choices),
    field("actions", Kind::Choices),
    or_null("model_params", Kind::Object),
    field("base_experiment_metadata", Kind::Inner),
    or_null("source_type", Kind::Choice),
];

/// What a listing checks of `base_experiment_metadata`.
const INNER: [Field; 11] = [
    or_null("task", Kind::Choice),
    or_null("domain", Kind::Choice),
    or_null("backbone_type", Kind::Choice),
    or_null("backbone_class", Kind::Choice),
    or_null("license", Kind::Choice),
    or_null("num_parameters", Kind::Text(10)),
    or_null("accuracy", Kind::Text(10)),
    or_null("model_card_link", Kind::Url),
    field("is_backbone", Kind::Truth),
    field("is_trainable", Kind::Truth),
    field("spec_file_present", Kind::Truth),
];

/// Fields of a running job, which listings check as well and no model has.
const OF_JOBS: [&str; 9] = [
    "automl_settings",
    "all_jobs_cancel_status",
    "authorized_party_nca_id",
    "docker_env_vars",
    "experiment_actions",
    "jobs",
    "metric",
    "status",
    "tags",
];

/// Returns each field of an entry that would break the platform, and how.
pub(super) fn broken(entry: &Fields) -> Vec<(String, EntryRule)> {
    let missing = REQUIRED.iter().filter(|name| !entry.contains_key(**name));
    let mut found: Vec<_> = missing.map(|name| ((*name).to_owned(), EntryRule::Missing)).collect();
    let of_jobs = OF_JOBS.iter().filter(|name| entry.contains_key(**name));
    found.extend(of_jobs.map(|name| ((*name).to_owned(), EntryRule::NotOfModel)));
    check_all(entry, &ENTRY, "", &mut found);
    let large = entry.iter().filter(|(_, value)| has_large_number(value));
    found.extend(large.map(|(name, _)| (name.clone(), EntryRule::NumberTooLarge)));
    found
}

/// Tells whether a value has a number in it that the platform's database can't hold. A value that was
/// parsed is nested no deeper than its parser allows.
fn has_large_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some_and(|number| i64::try_from(number).is_err()),
        Value::Array(items) => items.iter().any(has_large_number),
        Value::Object(fields) => fields.values().any(has_large_number),
        _ => false,
    }
}

fn check_all(fields: &Fields, known: &[Field], above: &str, found: &mut Vec<(String, EntryRule)>) {
    for field in known {
        let Some(value) = fields.get(field.name) else { continue };
        let name = format!("{above}{}", field.name);
        match (field.kind, value) {
            (_, Value::Null) if field.null == Null::Taken => {}
            (Kind::Inner, Value::Object(inner)) => check_all(inner, &INNER, &format!("{name}."), found),
            (kind, value) => found.extend(check(field.name, kind, value).err().map(|rule| (name, rule))),
        }
    }
}

fn check(name: &str, kind: Kind, value: &Value) -> Result<(), EntryRule> {
    match kind {
        Kind::Text(max) => check_len(text(value)?, max),
        Kind::Truth => value.as_bool().map(drop).ok_or_else(|| wrong_type("true or false", value)),
        Kind::Choice => check_choice(name, text(value)?),
        Kind::Choices => list(value)?.iter().try_for_each(|item| check_choice(name, text(item)?)),
        Kind::Ids(max) => check_ids(list(value)?, max),
        Kind::Url => check_url(text(value)?),
        Kind::Time => check_time(text(value)?),
        Kind::Object | Kind::Inner => object(value).map(drop),
        Kind::Counts => {
            let are_counts = object(value)?.values().all(|count| count.is_null() || is_count(count));
            if are_counts { Ok(()) } else { Err(EntryRule::NotCount) }
        }
    }
}

/// The platform's counts are whole and fit 63 bits.
fn is_count(value: &Value) -> bool {
    value.as_u64().is_some_and(|count| i64::try_from(count).is_ok())
}

fn check_len(text: &str, max: usize) -> Result<(), EntryRule> {
    let found = text.chars().count();
    if found > max { Err(EntryRule::TooLong { max, found }) } else { Ok(()) }
}

fn check_choice(name: &str, value: &str) -> Result<(), EntryRule> {
    let is_known = match name {
        "network_arch" => crate::tao::architectures::architecture(value).is_some(),
        name => is_allowed(name, value),
    };
    if is_known { Ok(()) } else { Err(EntryRule::Unknown { found: value.to_owned() }) }
}

fn check_ids(ids: &[Value], max: usize) -> Result<(), EntryRule> {
    if ids.len() > max {
        return Err(EntryRule::TooMany { max, found: ids.len() });
    }
    ids.iter().try_for_each(|id| check_len(text(id)?, ID_COUNT))
}

/// Takes what browsers and the platform both take: a scheme of the web, and a host of at least two names, the
/// last of at least two letters.
fn check_url(text: &str) -> Result<(), EntryRule> {
    check_len(text, URL_COUNT)?;
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    let has_host =
        |url: Url| url.domain().and_then(|name| Some(name.trim_end_matches('.').rsplit_once('.')?.1.len() >= 2));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_url = is_web && is_plain && Url::parse(text).ok().and_then(has_host) == Some(true);
    if is_url { Ok(()) } else { Err(EntryRule::NotUrl { found: text.to_owned() }) }
}

/// Tells whether a text is a time of ISO 8601 with a time of day; its offset may be left out, as the
/// vendor does.
pub(in crate::tao) fn is_time(text: &str) -> bool {
    let with_offset = |text: &str| OffsetDateTime::parse(text, &Rfc3339).is_ok();
    text.is_ascii() && (with_offset(text) || with_offset(&format!("{text}Z")))
}

fn check_time(text: &str) -> Result<(), EntryRule> {
    if is_time(text) { Ok(()) } else { Err(EntryRule::NotTime { found: text.to_owned() }) }
}

fn text(value: &Value) -> Result<&str, EntryRule> {
    value.as_str().ok_or_else(|| wrong_type("a text", value))
}

fn list(value: &Value) -> Result<&[Value], EntryRule> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type("a list", value))
}

fn object(value: &Value) -> Result<&Fields, EntryRule> {
    value.as_object().ok_or_else(|| wrong_type("an object", value))
}

const fn wrong_type(expected: &'static str, value: &Value) -> EntryRule {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    EntryRule::WrongType { expected, found }
}
