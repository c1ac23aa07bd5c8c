//! `tao check`: what the platform would find wrong is found before it travels.

use crate::fixture::directory;
use crate::program::{Transcript, airlift, shown};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(crate) const ID: &str = "62223099-d90e-5d3c-a39f-5502f38b01f2";
pub(crate) const FOLDER: &str =
    "nvidia/tao/pretrained_dino_coco/dino_fan_small_trainable_v1.0/pretrained_dino_coco_vdino_fan_small_trainable_v1.0";

pub(crate) fn entry() -> Value {
    json!({
        "id": ID,
        "name": "DINO",
        "network_arch": "dino",
        "dataset_type": "object_detection",
        "accepted_dataset_intents": ["training"],
        "actions": ["train"],
        "created_on": "2025-01-02T03:04:05.678Z",
        "ngc_path": "nvidia/tao/pretrained_dino_coco:dino_fan_small_trainable_v1.0",
        "source_type": "ngc",
    })
}

/// Writes a tree of one model with this entry and these files in its folder.
pub(crate) fn write(models: &Path, entry: &Value, files: &[&str]) {
    fs::create_dir_all(models.join(FOLDER)).expect("made");
    let metadata = json!({ ID: entry }).to_string();
    fs::write(models.join("ptm_metadatas.json"), metadata).expect("written");
    for name in files {
        fs::write(models.join(FOLDER).join(name), "weights").expect("written");
    }
}

pub(crate) fn check(dir: &Path, more: &[&str]) -> Transcript {
    Transcript::of(airlift(&[&["tao", "check", shown(dir)], more].concat()))
}

#[test]
fn a_good_tree_is_good_and_datasets_beside_it_are_recognised() {
    let top = directory();
    write(&top.path().join("models"), &entry(), &["model.pth"]);
    fs::create_dir_all(top.path().join("datasets/train")).expect("made");
    let told = check(top.path(), &["--json"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(document["result"], "good");
    assert_eq!((&document["entries"], &document["splits"]), (&json!(1), &json!(["train"])));
    assert_eq!((&document["refused"], &document["notes"]), (&json!([]), &json!([])));
    let told = check(&top.path().join("models"), &[]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert!(told.out.starts_with("good: 1 entry in "), "{}", told.out);
}

#[test]
fn an_empty_folder_and_a_value_that_breaks_listings_are_refused_with_their_names() {
    let top = directory();
    let mut poisoned = entry();
    poisoned["network_arch"] = json!("resnet_152");
    write(top.path(), &poisoned, &[]);
    let told = check(top.path(), &[]);
    assert_eq!(told.code, 7);
    assert!(told.out.contains(&format!("entry {ID} has no file in {FOLDER}")), "{}", told.out);
    assert!(told.out.contains("network_arch has \"resnet_152\", which the platform does not know"), "{}", told.out);
    assert!(told.error().starts_with("error: 2 "), "{}", told.err);
}

#[test]
fn what_surprises_is_named_and_not_refused() {
    let top = directory();
    write(top.path(), &entry(), &["model.safetensors"]);
    fs::write(top.path().join("stray.bin"), "x").expect("written");
    let told = check(top.path(), &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("so the platform takes the folder"), "{}", told.out);
    assert!(told.out.contains("among them stray.bin"), "{}", told.out);
}

#[test]
fn a_tree_without_metadata_or_with_broken_ones_is_refused() {
    let top = directory();
    let told = check(top.path(), &[]);
    assert_eq!(told.code, 7);
    assert!(told.error().contains("ptm_metadatas.json is not there; name the directory"), "{}", told.err);
    fs::write(top.path().join("ptm_metadatas.json"), "{}").expect("written");
    let told = check(top.path(), &[]);
    assert_eq!(told.code, 7);
    assert!(told.error().contains("has no entry"), "{}", told.err);
}
