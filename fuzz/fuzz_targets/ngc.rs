//! Whatever NGC says of a version, the entry that is made of it breaks no listing.
#![no_main]

use airlift::format::Time;
use airlift::tao::architectures::architecture;
use airlift::tao::entry::{Purpose, of_ngc};
use airlift::tao::metadata::Metadata;
use airlift::tao::model::NgcModel;
use airlift::tao::ngc::VersionAnswer;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|bytes: &[u8]| {
    let Ok(answer) = serde_json::from_slice::<VersionAnswer>(bytes) else { return };
    let is_taken = answer.model_version.check().is_ok();
    let endpoints = answer.model_version.endpoints();
    if !is_taken && endpoints.is_empty() {
        return;
    }
    let known = architecture("dino").expect("known");
    let (spec, name) = (Value::Bool(true), endpoints.concat());
    let purpose = Purpose {
        name: &name,
        architecture: "dino",
        known,
        is_backbone: None,
        spec: Some(&spec),
        fetched_at: Time::from_unix(1_700_000_000),
    };
    let entry = of_ngc(&NgcModel::parse("nvidia/tao/dino:v1").expect("a model"), &answer, &purpose);
    let id = entry["id"].as_str().expect("an id").to_owned();
    let entries = Value::Object(Map::from_iter([(id, entry)]));
    let metadata = Metadata::parse(entries.to_string().as_bytes()).expect("metadata");
    assert_eq!(metadata.bad_fields(), []);
});
