//! The whole air-gap job, command by command, with the real store and the platform's own API.

use crate::fixture::directory;
use crate::platform::Platform;
use crate::program::{Transcript, airlift, files_below, shown, signing_key};
use crate::standin::Standin;
use crate::weed::Weed;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// One of each: an organisation's own model, those of a team, with and without an experiment, a repository.
const CATALOGUE: &str = "displayName,ngc_path,network_arch,is_backbone\n\
    # What the release is made of, with comments, as the guide shows them\n\n\
    Own,nvidia/no-team/model_0:trainable_v0.0,dino,True\n\
    One,nvidia/tao/model_1:trainable_v1.0,segformer\n\
    Two,ngc://nvidia/tao/model_2:trainable_v2.0,classification_pyt,False\n\
    Three,nvidia/tao/model_3:trainable_v3.0,ocrnet,\n\
    Hub,hf_model://owner/repository-0,dino\n";

fn succeeds(mut command: Command, more: &[&str]) -> Value {
    command.args(more).arg("--json");
    let told = Transcript::of(command);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    serde_json::from_str(&told.out).expect("JSON")
}

#[test]
fn models_that_were_fetched_are_listed_with_their_ids_and_found_by_the_platform_itself() {
    let directory = directory();
    let top = directory.path();
    let key = signing_key(top, "key", "signers");
    fs::write(top.join("models.csv"), CATALOGUE).expect("written");
    let (models, data) = (top.join("models"), top.join("data"));
    fs::create_dir_all(data.join("train")).expect("made");
    fs::write(data.join("train/annotations.json"), "{}").expect("written");
    fs::write(data.join("train/images.tar.gz"), "").expect("written");

    // The connected side.
    let standin = Standin::start(&["--models", "4", "--repositories", "1"]);
    succeeds(standin.fetch(&models, &["--csv", shown(&top.join("models.csv"))]), &[]);
    fs::write(models.join("experiment_lock.lock"), "").expect("written");
    succeeds(airlift(&["tao", "check", shown(&models)]), &[]);
    let (bundle, roots) = (top.join("tao-1"), [("models", &models), ("datasets", &data)]);
    let roots = roots.map(|(name, dir)| format!("{name}={}", dir.display()));
    let pack = ["pack", &roots[0], &roots[1], "--out", shown(&bundle), "--stream", "tao", "--counter", "1"];
    succeeds(airlift(&pack), &["--profile", "tao", "--registry", "/shared-storage/models", "--sign", &key]);
    let media = ["a", "b"].map(|name| top.join(name));
    media.iter().for_each(|medium| fs::create_dir(medium).expect("made"));
    succeeds(airlift(&["write", shown(&bundle), shown(&media[0]), shown(&media[1])]), &[]);

    // Behind the gap, with the path in another spelling.
    let (weed, bucket) = (Weed::shared(), "whole-way");
    let config = top.join("config.env");
    fs::write(&config, "AIRGAPPED_MODE=true\nLOCAL_MODEL_REGISTRY=/shared-storage/models\n").expect("written");
    let (credentials, endpoint) = (weed.credentials_file(), weed.endpoint());
    let mut import = airlift(&["import", shown(&media[0]), shown(&media[1]), "--stream", "tao", "--enrol"]);
    import.arg("--allowed-signers").arg(top.join("signers")).arg("--state").arg(top.join("state"));
    import.args(["--to", &format!("s3://{bucket}"), "--endpoint", &endpoint, "--create-bucket"]);
    import.arg("--credentials-file").arg(&credentials).arg("--config-env").arg(&config);
    succeeds(import, &["--profile", "tao"]);

    let mut platform = Platform::start("/shared-storage/models");
    let api = platform.url();
    let mut register = airlift(&["tao", "register", "--api", &api, "--org", "nvidia", "--bucket", bucket]);
    register.args(["--store-endpoint", &endpoint]).arg("--credentials-file").arg(&credentials);
    register.arg("--config-env").arg(&config);
    let registered = succeeds(register, &[]);
    assert_eq!(
        (&registered["result"], &registered["listed"], &registered["with_files"]),
        (&json!("registered"), &json!(5), &json!(5))
    );

    // The server's own word: each id, and the folder where its own lookup finds the weights.
    let workspace = registered["workspace"].as_str().expect("a workspace").to_owned();
    let entries: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(models.join("ptm_metadatas.json")).expect("read")).expect("an object");
    assert_eq!(entries.len(), 5);
    for (id, entry) in &entries {
        let found = platform.lookup(id, &workspace).unwrap_or_else(|| panic!("{id} is not found"));
        let folder = match entry["source_type"].as_str() {
            Some("huggingface") => "shared-storage/models/huggingface/owner_repository-0",
            _ => "/model_",
        };
        assert!(found.contains(folder), "{id}: {found}");
    }
    let landed = files_in(bucket);
    for (path, bytes) in files_below(&models).iter().filter(|(path, _)| !path.ends_with(".lock")) {
        assert_eq!(landed.get(&format!("shared-storage/models/{path}")), Some(&bytes.len()), "{path}");
    }
    assert_eq!(landed.get("data/train/images.tar.gz"), Some(&0));
    assert!(!landed.keys().any(|key| key.ends_with(".lock")));
}

fn files_in(bucket: &str) -> BTreeMap<String, usize> {
    use airlift::store::paging::objects;
    let store = Weed::shared().store(bucket);
    let all = objects(&store, "").map(|object| object.expect("listed"));
    all.map(|object| (object.key.clone(), usize::try_from(object.len).expect("small"))).collect()
}
