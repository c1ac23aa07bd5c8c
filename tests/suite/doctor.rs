//! `tao doctor`: what the guide's page on trouble names, each prepared and found, against the platform's own
//! API and a real store.

use crate::fixture::directory;
use crate::hostile::faults::set_clock;
use crate::platform::Platform;
use crate::program::{Transcript, airlift, shown};
use crate::register::{CLASSES, DETR, DINO, MODELS, NEVER, REGISTRY, SECRET, Scene, document, entry, metadata};
use crate::tao;
use crate::weed::Weed;
use airlift::format::Proven;
use airlift::store::{Attributes, Condition, IfMissing, Key, Store as _};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const DEAD: &str = "http://127.0.0.1:1";

/// Looks at the store and the platform of a scene, with `more` in place of what is usual.
fn command(scene: &Scene, credentials: &Path, more: &[&str]) -> Command {
    let (api, endpoint) = (scene.platform.url(), Weed::shared().endpoint());
    let usual = [
        ("--endpoint", endpoint.as_str()),
        ("--credentials-file", shown(credentials)),
        ("--bucket", scene.bucket),
        ("--registry", REGISTRY),
        ("--api", api.as_str()),
    ];
    let mut words = vec!["tao", "doctor", "--org", "nvidia", "--json"];
    for (option, value) in usual.into_iter().filter(|(option, _)| !more.contains(option)) {
        words.extend([option, value]);
    }
    airlift(&[&words, more].concat())
}

fn look(scene: &Scene, more: &[&str]) -> Transcript {
    Transcript::of(command(scene, &Weed::shared().credentials_file(), more))
}

/// Returns each check and how it came out, in their order.
fn results(told: &Transcript) -> Vec<(String, String)> {
    let document = document(told);
    let findings = document["findings"].as_array().expect("findings").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    findings.map(|one| (text(&one["check"]), text(&one["result"]))).collect()
}

/// Sees that exactly these checks are wrong, and that one says what is wrong and what to do.
fn see(told: &Transcript, code: i32, wrong: &[&str], what: &str, remedy: &str) {
    assert_eq!(told.code, code, "{}{}", told.out, told.err);
    let mut found: Vec<String> = results(told).into_iter().filter(|one| one.1 == "wrong").map(|one| one.0).collect();
    found.dedup();
    assert_eq!(found, wrong, "{}", told.out);
    let document = document(told);
    let is_said = document["findings"].as_array().expect("findings").iter().any(|one| {
        let says = |field: &str, part: &str| one[field].as_str().is_some_and(|text| text.contains(part));
        one["result"] == "wrong" && says("what", what) && says("remedy", remedy)
    });
    assert!(is_said, "{what}; {remedy}: {}", told.out);
    assert!(told.err.contains("wrong") && !told.err.contains(SECRET) && !told.out.contains(SECRET), "{}", told.err);
}

fn not_looked(told: &Transcript) -> Vec<String> {
    results(told).into_iter().filter(|one| one.1 == "not looked at").map(|one| one.0).collect()
}

#[test]
fn all_is_well_and_then_each_breakage_is_named_with_its_remedy() {
    let scene = Scene::new("doctor");
    scene.land(&MODELS);
    let told = look(&scene, &[]);
    see(&told, 7, &["listed"], "lists none of the entries of the metadata", "airlift tao register has it load them");
    assert_eq!(scene.register(&[]).code, 0);

    let told = look(&scene, &[]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    assert_eq!(document(&told)["result"], "ok");
    let mut checks: Vec<String> = results(&told).into_iter().filter(|one| one.1 == "ok").map(|one| one.0).collect();
    checks.sort();
    let mut expected = [
        "registry",
        "store",
        "store-clock",
        "credentials",
        "bucket",
        "import",
        "metadata",
        "entries",
        "weights",
        "api",
        "api-clock",
        "version",
        "list",
        "listed",
        "space",
        "space",
    ];
    expected.sort_unstable();
    assert_eq!(checks, expected);

    see_what_is_said_wrongly(&scene);
    see_what_the_bucket_lacks(&scene);
    see_what_breaks_lists(&scene);
}

fn see_what_is_said_wrongly(scene: &Scene) {
    let told = look(scene, &["--registry", "elsewhere"]);
    see(
        &told,
        7,
        &["metadata"],
        &format!("has \"{REGISTRY}/ptm_metadatas.json\""),
        "set the server's LOCAL_MODEL_REGISTRY",
    );
    assert_eq!(not_looked(&told), ["entries", "weights", "listed"]);

    let directory = directory();
    let config = directory.path().join("config.env");
    fs::write(&config, format!("LOCAL_MODEL_REGISTRY=/{REGISTRY}/\n")).expect("written");
    let told = look(scene, &["--config-env", shown(&config)]);
    see(&told, 7, &["registry"], "has a slash behind", "one slash before and none behind");
    fs::write(&config, "LOCAL_MODEL_REGISTRY=/other\n").expect("written");
    let told = look(scene, &["--config-env", shown(&config)]);
    see(&told, 7, &["registry"], "says that the models lie at", "correct the wrong one");

    let wrong = directory.path().join("credentials");
    let text = "[default]\naws_access_key_id = canary-access-key\naws_secret_access_key = canary-other-secret\n";
    fs::write(&wrong, text).expect("written");
    let told = Transcript::of(command(scene, &wrong, &[]));
    see(&told, 7, &["credentials"], "refuses the credentials", "use the access key and the secret");
    assert!(!told.out.contains("canary-other-secret"));
    assert_eq!(not_looked(&told), ["bucket", "import", "metadata", "entries", "weights", "listed"]);

    let told = look(scene, &["--endpoint", DEAD]);
    see(&told, 6, &["store"], "does not answer", "see that --endpoint is the store's address");
    // The platform is looked at all the same.
    assert!(results(&told).contains(&("list".to_owned(), "ok".to_owned())), "{}", told.out);
    let told = look(scene, &["--api", DEAD]);
    see(&told, 6, &["api"], "does not answer", "see that --api is the platform's address");
    assert_eq!(not_looked(&told), ["api-clock", "version", "list", "listed"]);
    let told = look(scene, &["--bucket", "no-such-bucket"]);
    see(&told, 7, &["bucket"], "\"no-such-bucket\" does not exist", "--create-bucket");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_secs();
    for (second, code) in [(now + 1000, 7), (now - 120, 0)] {
        let mut slow = command(scene, &Weed::shared().credentials_file(), &[]);
        set_clock(&mut slow, second);
        let told = Transcript::of(slow);
        if code == 0 {
            assert_eq!(told.code, 0, "{}", told.err);
            assert!(results(&told).contains(&("store-clock".to_owned(), "note".to_owned())), "{}", told.out);
        } else {
            see(&told, code, &["store-clock", "api-clock"], "behind that of this machine", "set both clocks");
        }
    }

    let old = Platform::start_old(REGISTRY);
    let told = scene.register(&["--api", &old.url()]);
    assert!(told.code == 7 && told.error().contains("its version 7.0.1 or later"), "{}{}", told.out, told.err);
    let told = look(scene, &["--api", &old.url()]);
    see(&told, 7, &["version", "listed"], "it is of version \"6.26.3\"", "use 7.0.1 or later");
}

fn see_what_the_bucket_lacks(scene: &Scene) {
    let empty = Weed::shared().store("doctor-empty");
    empty.ensure_bucket(IfMissing::Create).expect("a bucket");
    let put = |key: &str, bytes: &'static str| {
        let key = Key::parse(key).expect("a key");
        empty.put(&key, &Proven::record(bytes), &Attributes::default(), &Condition::Any).expect("put");
    };
    let told = look(scene, &["--bucket", "doctor-empty"]);
    see(&told, 7, &["metadata"], "has no shared-storage/models/ptm_metadatas.json", "import the models there");
    // A lease that is left is that of an import that has not come to its end.
    put(".airlift/tao/lease", r#"{"host":"h","boot_id":"b","process":7,"started":1,"counter":1,"beat":1}"#);
    put(".airlift/tao/installed", "{}");
    put(".airlift/tao/releases/2-00/spool/3", "waits");
    let told = look(scene, &["--bucket", "doctor-empty"]);
    let what =
        "import of stream \"tao\" has not come to its end, begun by process 7 on h, packs that wait for others: 1";
    see(&told, 7, &["import", "metadata"], what, "repeat that airlift import");

    scene.put_metadata(&metadata(&[DINO, CLASSES, NEVER]));
    let told = look(scene, &[]);
    see(&told, 7, &["weights", "listed"], "there is no file in", "import the models again with all volumes");
    assert!(told.out.contains(NEVER.0), "{}", told.out);
}

/// Entries with one value each that the platform loads, and that then breaks its listing for all.
fn poisoned(good: &Value) -> [(&'static str, Value); 6] {
    let mut late = good.clone();
    late.as_object_mut().expect("an object").remove("created_on");
    let with = |field: &str, value: Value| {
        let mut entry = good.clone();
        entry[field] = value;
        entry
    };
    [
        ("created_on is missing", late),
        ("created_on is \"yesterday\"", with("created_on", json!("yesterday"))),
        ("network_arch has \"resnet_152\"", with("network_arch", json!("resnet_152"))),
        ("actions", with("actions", json!(["train", "fly"]))),
        ("description", with("description", json!("d".repeat(1001)))),
        (
            "base_experiment_metadata.model_card_link",
            with("base_experiment_metadata", json!({ "model_card_link": "no address" })),
        ),
    ]
}

fn see_what_breaks_lists(scene: &Scene) {
    for (what, bad) in poisoned(&entry(&CLASSES)) {
        let mut all = metadata(&MODELS);
        all[CLASSES.0] = bad;
        scene.put_metadata(&all);
        let told = look(scene, &[]);
        see(&told, 7, &["entries"], &format!("entry {}: {what}", CLASSES.0), "correct the metadata");
    }

    let mut bad = entry(&DETR);
    bad["network_arch"] = json!("resnet_152");
    scene.put_metadata(&json!({ DETR.0: bad }));
    let is_stopped = || false;
    let api = scene.api(&is_stopped);
    let session = api.log_in(None).expect("a session");
    let workspace = session.workspace(&scene.workspace()).expect("a workspace");
    session.load(&workspace).expect("loaded without a look");
    scene.put_metadata(&metadata(&[DINO, CLASSES]));
    let told = look(scene, &[]);
    let what = format!("entry {} breaks its list, and is none of the metadata", DETR.0);
    see(&told, 7, &["list"], &what, "load that entry once more with good values");
    assert_eq!(not_looked(&told), ["listed"]);
}

#[test]
fn what_would_break_lists_is_named_on_the_connected_side_and_is_not_packed() {
    let top = directory();
    let models = top.path().join("models");
    for (what, bad) in poisoned(&tao::entry()) {
        tao::write(&models, &bad, &["model.pth"]);
        let told = Transcript::of(airlift(&["tao", "doctor", "--json", "--models", shown(&models)]));
        let what = format!("entry {} of ptm_metadatas.json: {what}", tao::ID);
        see(&told, 7, &["tree"], &what, "correct ");
        let (root, out) = (format!("models={}", shown(&models)), top.path().join("bundle"));
        let words = ["pack", &root, "--stream", "tao", "--counter", "1", "--profile", "tao", "--out", shown(&out)];
        let refused = Transcript::of(airlift(&words));
        assert_eq!(refused.code, 7, "{what}: {}", refused.err);
        assert!(refused.err.contains(&what), "{}", refused.err);
        assert!(!out.exists(), "{what}");
    }
}

#[test]
fn the_connected_side_is_looked_at_without_any_server() {
    let top = directory();
    let models = top.path().join("models");
    tao::write(&models, &tao::entry(), &["model.pth"]);
    let call = |more: &[&str]| {
        let mut command = airlift(&[&["tao", "doctor", "--json", "--models", shown(&models)], more].concat());
        command.env("PTM_API_KEY", SECRET).env_remove("HF_TOKEN");
        Transcript::of(command)
    };
    let out = top.path().join("bundles");
    let told = call(&["--out", shown(&out)]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    let expected = [("tree", "ok"), ("keys", "ok"), ("keys", "note"), ("space", "ok"), ("space", "ok")];
    assert_eq!(results(&told), expected.map(|(check, result)| (check.to_owned(), result.to_owned())));
    assert!(told.out.contains("PTM_API_KEY") && !told.out.contains(SECRET), "{}", told.out);
    assert!(!out.exists());

    let large = models.join(tao::FOLDER).join("large.bin");
    fs::File::create(&large).and_then(|file| file.set_len(8 << 40)).expect("a sparse file");
    see(&call(&["--out", shown(&out)]), 6, &["space"], "bytes are free, and 8796093", "free some space there");
    fs::remove_file(large).expect("removed");

    fs::create_dir(models.join(".airlift-fetch")).expect("made");
    let told = call(&["--out", shown(&out)]);
    see(&told, 7, &["tree"], "has not come to its end", "repeat that airlift fetch");
    assert_eq!(not_looked(&told), ["space"]);

    assert_eq!(Transcript::of(airlift(&["tao", "doctor"])).code, 2);
    let told = Transcript::of(airlift(&["tao", "doctor", "--bucket", "models"]));
    assert_eq!(told.code, 2);
    assert!(told.error().contains("add --endpoint"), "{}", told.err);
    let told = Transcript::of(airlift(&["tao", "doctor", "--models", shown(top.path())]));
    assert_eq!(told.code, 7);
    assert!(told.out.starts_with("wrong: tree, ") && told.out.contains("; repeat that airlift fetch"), "{}", told.out);
}
