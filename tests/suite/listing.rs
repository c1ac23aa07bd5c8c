//! What the check of metadata accepts, the platform's own listings show; made-up values tell.

use crate::platform::Platform;
use airlift::tao::metadata::Metadata;
use serde_json::{Value, json};

const ID: &str = "62223099-d90e-5d3c-a39f-5502f38b01f2";

fn good() -> Value {
    let entry = include_str!("../tao/entry.json");
    serde_json::from_str(entry).expect("JSON")
}

/// What is refused though it is shown: paths that name no model, and of which no weights can be found; what
/// the platform writes over (`public`, `spec_file_present`) or keeps for jobs; numbers and texts that it takes
/// for a truth, a count or a list.
const STRICTER: [&str; 14] = [
    "ngc_path: ",
    "public: ",
    "base_experiment_metadata.spec_file_present: ",
    "jobs: ",
    "tags: ",
    "kind: ",
    "read_only: 0",
    "shared: 0",
    "tensorboard_enabled: 0",
    "base_experiment_metadata.is_backbone: 0",
    "base_experiment_metadata.is_trainable: 0",
    "checkpoint_epoch_number: {\"id\":\"1\"}",
    "accepted_dataset_intents: [null]",
    "actions: null",
];
/// Hosts of one name are none that another machine would know.
const ONE_NAME: &str = ": \"http://localhost/x\"";

/// Values that some field or other may take.
fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(i64::MAX),
        json!(""),
        json!("x"),
        json!("x".repeat(10)),
        json!("x".repeat(11)),
        json!("é".repeat(36)),
        json!("x".repeat(101)),
        json!("x".repeat(251)),
        json!("x".repeat(501)),
        json!("x".repeat(1001)),
        json!("training"),
        json!("object detection"),
        json!("https://a.b"),
        json!("http://localhost/x"),
        json!("https://a.b/ x"),
        json!("2025-01-02"),
        json!("2025-01-02T03:04:05Z"),
        json!("2025-01-02 03:04:05+01:00"),
        json!([]),
        json!(["x"]),
        json!(["train"]),
        json!(["a", "b", "c"]),
        json!([1]),
        json!([null]),
        json!({}),
        json!({"id": 1}),
        json!({"id": -1}),
        json!({"id": "1"}),
        json!({"a": {"b": []}}),
    ]
}

/// Returns entries that differ from a good one in one field.
fn changed() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let more = [
        "tensorboard_enabled",
        "workspace",
        "additional_id_info",
        "model_params",
        "status",
        "jobs",
        "tags",
        "unheard_of",
    ];
    for name in names(&good()).into_iter().chain(more.map(str::to_owned)) {
        for value in odd_values() {
            let mut entry = good();
            entry[&name] = value.clone();
            all.push((format!("{name}: {value}"), entry));
        }
        let mut entry = good();
        entry.as_object_mut().expect("an object").remove(&name);
        all.push((format!("{name} left out"), entry));
    }
    for name in names(&good()["base_experiment_metadata"]) {
        for value in odd_values() {
            let mut entry = good();
            entry["base_experiment_metadata"][&name] = value.clone();
            all.push((format!("base_experiment_metadata.{name}: {value}"), entry));
        }
        let mut entry = good();
        entry["base_experiment_metadata"].as_object_mut().expect("an object").remove(&name);
        all.push((format!("base_experiment_metadata.{name} left out"), entry));
    }
    all
}

#[test]
fn what_the_check_accepts_is_listed_and_what_it_refuses_is_not_but_for_named_exceptions() {
    let mut platform = Platform::start("/models");
    assert!(platform.shows(&json!({ ID: good() })));
    let (mut accepted_and_hidden, mut refused_and_shown) = (Vec::new(), Vec::new());
    let all = changed();
    assert!(all.len() > 1500);
    for (what, entry) in all {
        let metadata = json!({ ID: entry });
        let parsed = Metadata::parse(metadata.to_string().as_bytes()).expect("metadata");
        let is_accepted = parsed.bad_fields().is_empty();
        let is_shown = platform.shows(&metadata);
        match (is_accepted, is_shown) {
            (true, false) => accepted_and_hidden.push(what),
            (false, true) if what.ends_with(ONE_NAME) || STRICTER.iter().any(|known| what.starts_with(known)) => {}
            (false, true) => refused_and_shown.push(what),
            _ => {}
        }
    }
    assert!(accepted_and_hidden.is_empty(), "{accepted_and_hidden:#?}");
    assert!(refused_and_shown.is_empty(), "{refused_and_shown:#?}");
}

#[test]
fn every_test_that_the_table_of_traps_names_is_there() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(top.join("spec/tao.md")).expect("read");
    let (_, table) = rules.split_once("\n## Traps\n").expect("the table");
    let names: Vec<&str> = table.split('`').filter(|text| text.contains("::")).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let (module, test) = name.split_once("::").expect("a module and a test");
        let source = std::fs::read_to_string(top.join(format!("tests/suite/{module}.rs"))).expect(module);
        assert!(source.contains(&format!("#[test]\nfn {test}()")), "{name} is no test");
    }
}
