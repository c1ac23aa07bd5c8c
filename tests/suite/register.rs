//! `tao register` and `tao values`, against the platform's own API and a real store.

use crate::fixture::directory;
use crate::platform::Platform;
use crate::program::{Transcript, airlift, files_below, shown};
use crate::weed::Weed;
use airlift::error::Class;
use airlift::format::Proven;
use airlift::store::{Attributes, Condition, IfMissing, Key, Keys, S3Store, Store};
use airlift::tao::address::Endpoint;
use airlift::tao::api::{Api, ApiError, LoadCause, Version, Workspace};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

/// An entry as a tree has it: its id, its path, its architecture, and where its file lies.
pub(crate) type Model = (&'static str, &'static str, &'static str, &'static str);

pub(crate) const DINO: Model = (
    "d6279a9a-2613-532f-be65-be0e17c2783b",
    "nvidia/tao/pretrained_dino:v1.0",
    "dino",
    "nvidia/tao/pretrained_dino/v1.0/pretrained_dino_vv1.0/weights/model.pth",
);
pub(crate) const CLASSES: Model = (
    "d748cc57-2e9c-5280-96b8-e2a466c5f947",
    "nvidia/classes:1",
    "classification_pyt",
    "nvidia/classes/1/classes_v1/last.ckpt",
);
pub(crate) const DETR: Model = (
    "4ccd4d1f-bb24-5e8f-899a-18df28b0d1f7",
    "facebook/detr-resnet-50",
    "dino",
    "huggingface/facebook_detr-resnet-50/model.safetensors",
);
pub(crate) const NEVER: Model = ("7f54a275-8437-5b5c-922a-b44fa288913e", "nvidia/tao/never:1", "segformer", "");
pub(crate) const MODELS: [Model; 3] = [DINO, CLASSES, DETR];
pub(crate) const REGISTRY: &str = "shared-storage/models";
pub(crate) const SECRET: &str = "canary-secret-key";

pub(crate) fn entry(model: &Model) -> Value {
    let (id, path, architecture, _) = model;
    json!({
        "id": id,
        "name": format!("model {architecture}"),
        "network_arch": architecture,
        "dataset_type": airlift::tao::architectures::architecture(architecture).expect("known").dataset_type,
        "accepted_dataset_intents": ["training"],
        "actions": ["train"],
        "created_on": "2025-01-02T03:04:05.678Z",
        "ngc_path": path,
        "source_type": if path.contains(':') { "ngc" } else { "huggingface" },
    })
}

pub(crate) fn metadata(models: &[Model]) -> Value {
    models.iter().map(|model| (model.0.to_owned(), entry(model))).collect::<Map<_, _>>().into()
}

/// A bucket of a real store, and a platform that looks into its folder.
pub(crate) struct Scene {
    pub(crate) store: S3Store,
    pub(crate) bucket: &'static str,
    pub(crate) platform: Platform,
}

impl Scene {
    pub(crate) fn new(bucket: &'static str) -> Scene {
        Scene::told(bucket, "/shared-storage/models")
    }

    /// Returns a platform that is told its folder in this spelling.
    fn told(bucket: &'static str, registry: &str) -> Scene {
        let store = Weed::shared().store(bucket);
        store.ensure_bucket(IfMissing::Create).expect("a bucket");
        Scene { store, bucket, platform: Platform::start(registry) }
    }

    fn put(&self, path: &str, bytes: Vec<u8>) {
        let key = Key::parse(&format!("{REGISTRY}/{path}")).expect("a key");
        self.store.put(&key, &Proven::record(bytes), &Attributes::default(), &Condition::Any).expect("put");
    }

    pub(crate) fn put_metadata(&self, metadata: &Value) {
        self.put("ptm_metadatas.json", metadata.to_string().into_bytes());
    }

    /// Writes a tree, lets `tao check` judge it, and brings it into the bucket.
    pub(crate) fn land(&self, models: &[Model]) {
        let tree = directory();
        for (.., file) in models {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "weights").expect("written");
        }
        fs::write(tree.path().join("ptm_metadatas.json"), metadata(models).to_string()).expect("written");
        let checked = Transcript::of(airlift(&["tao", "check", shown(tree.path())]));
        assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
        for (path, bytes) in files_below(tree.path()) {
            self.put(&path, bytes);
        }
    }

    pub(crate) fn register(&self, more: &[&str]) -> Transcript {
        self.register_with(&Weed::shared().credentials_file(), more)
    }

    fn register_with(&self, credentials: &Path, more: &[&str]) -> Transcript {
        let (api, endpoint) = (self.platform.url(), Weed::shared().endpoint());
        let usual = [
            ("--api", api.as_str()),
            ("--bucket", self.bucket),
            ("--registry", REGISTRY),
            ("--store-endpoint", &endpoint),
            ("--credentials-file", shown(credentials)),
        ];
        let mut words = vec!["tao", "register", "--org", "nvidia"];
        for (option, value) in usual.into_iter().filter(|(option, _)| !more.contains(option)) {
            words.extend([option, value]);
        }
        Transcript::of(airlift(&[&words, more].concat()))
    }

    pub(crate) fn api<'a>(&self, is_stopped: &'a (dyn Fn() -> bool + Sync)) -> Api<'a> {
        let endpoint = Endpoint::parse(&self.platform.url()).expect("an endpoint");
        Api::new(endpoint, "nvidia", Version::V1, None, is_stopped).expect("a client")
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace {
            name: "test".to_owned(),
            endpoint: Weed::shared().endpoint(),
            region: "us-east-1".to_owned(),
            bucket: self.bucket.to_owned(),
            keys: Keys { access: "canary-access-key".to_owned(), secret: SECRET.to_owned() },
        }
    }
}

pub(crate) fn document(told: &Transcript) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err))
}

#[test]
fn every_model_is_listed_with_its_id_and_found_by_the_platforms_own_lookup() {
    let mut scene = Scene::new("registered");
    scene.land(&MODELS);
    let mut workspaces = Vec::new();
    for version in ["v1", "v1", "v2"] {
        let told = scene.register(&["--api-version", version, "--json"]);
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{version}");
        let document = document(&told);
        assert_eq!(document["result"], "registered");
        assert_eq!((&document["listed"], &document["with_files"]), (&json!(3), &json!(3)));
        let ids: Vec<&str> = document["entries"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(ids, [DETR.0, DINO.0, CLASSES.0]);
        workspaces.push(document["workspace"].as_str().expect("an id").to_owned());
        // Version 2 is not asked unless it is named, for this reason.
        assert_eq!(scene.platform.log().contains(SECRET), version == "v2", "{version}");
    }
    // A repeated run finds the workspace of the first.
    workspaces.dedup();
    assert_eq!(workspaces.len(), 1);
    for (id, _, _, file) in [DINO, CLASSES] {
        let found = scene.platform.lookup(id, &workspaces[0]);
        assert_eq!(found, Some(format!("seaweedfs://{}/{REGISTRY}/{file}", scene.bucket)));
    }
    // Nothing there is named as weights are: the platform takes the folder, and it is named.
    let found = scene.platform.lookup(DETR.0, &workspaces[0]);
    assert_eq!(found, Some(format!("seaweedfs://{}/{REGISTRY}/huggingface/facebook_detr-resnet-50", scene.bucket)));
    let told = scene.register(&[]);
    assert!(told.out.contains(&format!("note: entry {}: no file in ", DETR.0)), "{}", told.out);
    assert!(told.out.contains("registered: 3 entries, 3 listed, 3 with files; workspace "), "{}", told.out);

    see_what_is_missing(&mut scene, &workspaces[0]);

    // A load removes nothing: what went from the metadata stays listed, and is counted.
    scene.put_metadata(&metadata(&[DINO, DETR]));
    let told = scene.register(&[]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("note: the platform lists 2 other models"), "{}", told.out);

    let is_stopped = || false;
    let api = scene.api(&is_stopped);
    let other = api.log_in(Some("somebody else")).expect("a session");
    let refused = other.load(&workspaces[0]).expect_err("not theirs");
    assert!(matches!(refused, ApiError::OtherUser { .. }), "{refused}");
    assert_eq!(refused.class(), Class::Refused);
}

fn see_what_is_missing(scene: &mut Scene, workspace: &str) {
    // One that never landed, and one whose file went: of that SeaweedFS keeps the folder, which the
    // platform takes for the model.
    scene.put_metadata(&metadata(&[DINO, CLASSES, DETR, NEVER]));
    scene.store.remove(&Key::parse(&format!("{REGISTRY}/{}", CLASSES.3)).expect("a key")).expect("removed");
    let told = scene.register(&[]);
    assert_eq!(told.code, 5);
    for (model, name, folder) in [
        (&CLASSES, "classification_pyt", "nvidia/classes/1/classes_v1"),
        (&NEVER, "segformer", "nvidia/tao/never/1/never_v1"),
    ] {
        let line = format!("missing: {} (model {name}): there is no file in \"{REGISTRY}/{folder}\"", model.0);
        assert!(told.out.contains(&line), "{}", told.out);
    }
    assert!(told.out.contains("not whole: 4 entries, 4 listed, 2 with files"), "{}", told.out);
    assert!(told.error().contains("no files for 2 entries; import the models"), "{}", told.err);
    assert_eq!(scene.platform.lookup(NEVER.0, workspace), None);
    let folder = format!("seaweedfs://{}/{REGISTRY}/nvidia/classes/1/classes_v1", scene.bucket);
    assert_eq!(scene.platform.lookup(CLASSES.0, workspace), Some(folder));
}

#[test]
fn an_entry_that_breaks_the_list_is_refused_before_and_named_after_it_was_loaded() {
    let scene = Scene::new("poisoned");
    scene.land(&MODELS);
    assert_eq!(scene.register(&[]).code, 0);
    let mut poisoned = metadata(&MODELS);
    poisoned[CLASSES.0].as_object_mut().expect("an object").remove("created_on");
    scene.put_metadata(&poisoned);
    let told = scene.register(&[]);
    assert_eq!(told.code, 7);
    assert!(told.err.contains(&format!("refused: entry {}: created_on is missing", CLASSES.0)), "{}", told.err);
    assert!(told.error().contains("the platform was told nothing"), "{}", told.err);
    // The platform has the good values of before.
    scene.put_metadata(&metadata(&[DINO]));
    assert_eq!(scene.register(&[]).code, 0);

    // Somebody else loads such values: an id of no entry of ours, and a value that is unknown.
    let is_stopped = || false;
    let api = scene.api(&is_stopped);
    let session = api.log_in(None).expect("a session");
    let workspace = session.workspace(&scene.workspace()).expect("a workspace");
    let mut bad = entry(&DETR);
    bad["network_arch"] = json!("resnet_152");
    scene.put_metadata(&json!({ DETR.0: bad }));
    session.load(&workspace).expect("loaded without a look");
    scene.put_metadata(&metadata(&[DINO, CLASSES]));
    for version in ["v1", "v2"] {
        let told = scene.register(&["--api-version", version]);
        assert_eq!(told.code, 7, "{}", told.out);
        let line = format!("error: entry {} breaks the list of the platform, and is of an earlier load", DETR.0);
        assert!(told.error().starts_with(&line), "{}", told.err);
        assert!(told.err.contains("resnet_152"), "{}", told.err);
    }
    // Good values heal it.
    scene.put_metadata(&metadata(&MODELS));
    assert_eq!(scene.register(&[]).code, 0);
}

#[test]
fn a_store_or_platform_that_is_not_as_it_is_told_is_named_with_what_to_do() {
    // The platform loads from such a folder, and finds no weights there.
    let mut scene = Scene::told("mistaken", "/shared-storage/models/");
    scene.land(&[DINO]);
    let told = scene.register(&["--registry", "/shared-storage/models/", "--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("jobs find no weights: write /shared-storage/models"), "{}", told.err);
    let workspace = document(&told)["workspace"].as_str().expect("an id").to_owned();
    assert_eq!(scene.platform.lookup(DINO.0, &workspace), None);
    assert!(!scene.register(&[]).err.contains("no weights"));

    let directory = directory();
    let wrong = directory.path().join("credentials");
    let text = "[default]\naws_access_key_id = canary-access-key\naws_secret_access_key = canary-other-secret\n";
    fs::write(&wrong, text).expect("written");
    let dead = "http://127.0.0.1:1";
    let endpoint = Weed::shared().endpoint();
    let cases: [(&[&str], i32, &str, &str); 6] = [
        (&["--registry", "models"], 7, "the bucket has no models/ptm_metadatas.json", "import the models there"),
        (&["--registry", "/"], 2, "LOCAL_MODEL_REGISTRY is \"/\" by --registry", "--registry shared-storage/models"),
        (&["--bucket", "no-such-bucket"], 2, "bucket \"no-such-bucket\" does not exist", "name another one"),
        (&["--api", dead], 6, "http://127.0.0.1:1/api/v1/login does not answer", "see that --api"),
        (&["--api", "platform"], 2, "--api: platform is no address of an API", "http://HOST:8090"),
        (
            &["--store-endpoint", dead, "--endpoint", &endpoint],
            6,
            "it does not reach the store: \"Could not connect to the endpoint URL",
            "give the store as the platform reaches it with --store-endpoint",
        ),
    ];
    for (more, code, what, remedy) in cases {
        let told = scene.register(more);
        assert_eq!(told.code, code, "{more:?}: {}{}", told.out, told.err);
        assert!(told.error().contains(what) && told.error().contains(remedy), "{more:?}: {}", told.err);
        assert!(!told.err.contains(SECRET), "{more:?}");
    }
    let told = scene.register_with(&wrong, &[]);
    assert_eq!(told.code, 6, "{}", told.err);
    assert!(told.error().contains("403") && !told.err.contains("canary-other-secret"), "{}", told.err);

    // The platform looks elsewhere than the models are.
    let elsewhere = Key::parse("elsewhere/ptm_metadatas.json").expect("a key");
    let bytes = Proven::record(metadata(&[DINO]).to_string().into_bytes());
    scene.store.put(&elsewhere, &bytes, &Attributes::default(), &Condition::Any).expect("put");
    scene.store.remove(&Key::parse(&format!("{REGISTRY}/ptm_metadatas.json")).expect("a key")).expect("removed");
    let told = scene.register(&["--registry", "elsewhere"]);
    assert_eq!(told.code, 7);
    let both =
        format!("looks for \"{REGISTRY}/ptm_metadatas.json\", and the metadata are \"elsewhere/ptm_metadatas.json\"");
    assert!(told.error().contains(&both), "{}", told.err);

    see_what_the_store_answers_to_the_platform_alone(&scene);
    see_a_signal_end_it(&scene);
}

/// A platform may think for minutes, and a person does not have to.
fn see_a_signal_end_it(scene: &Scene) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let api = format!("http://{}", silent.local_addr().expect("bound"));
    // The file of every day serves commands below commands as well.
    let directory = directory();
    let config = directory.path().join("config.toml");
    let credentials = Weed::shared().credentials_file();
    fs::write(&config, format!("credentials_file = {:?}\n", shown(&credentials))).expect("written");
    let endpoint = Weed::shared().endpoint();
    let mut command = airlift(&["tao", "register", "--api", &api, "--org", "nvidia", "--bucket", scene.bucket]);
    command.args(["--registry", "elsewhere", "--store-endpoint", &endpoint, "--config", shown(&config)]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let asked = silent.accept().expect("a question");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("run");
    assert!(killed.success());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    drop(asked);
}

/// Answers one question after another, each with what it is given, and returns what was asked.
fn answering(answers: &[(&str, &str)]) -> (Endpoint, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = |(status, body): &(&str, &str)| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let answers: Vec<String> = answers.iter().map(answer).collect();
    let asked = thread::spawn(move || {
        let hear = |answer: &String| {
            let (mut stream, _) = listener.accept().expect("a question");
            let (mut question, mut piece) = (Vec::new(), [0; 4096]);
            while !question.ends_with(b"}") {
                let len = stream.read(&mut piece).expect("read");
                question.extend_from_slice(&piece[..len]);
            }
            stream.write_all(answer.as_bytes()).expect("written");
            String::from_utf8(question).expect("UTF-8")
        };
        answers.iter().map(hear).collect()
    });
    (Endpoint::parse(&endpoint).expect("an endpoint"), asked)
}

#[test]
fn what_is_no_platform_is_told_from_one_that_refuses() {
    let full = r#"{"error": "Disk space is nearly full. PVC free space remaining is 1 bytes"}"#;
    let cases: [(&str, &str, Class, &str); 7] = [
        ("404 Not Found", "{}", Class::Usage, "this is no v1 API of the platform"),
        ("200 OK", "<html>", Class::Failed, "is not what was asked for"),
        ("200 OK", "{\"user_id\": \"a b\"}", Class::Failed, "a user that no request can name"),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", "{}", Class::Refused, "answers 302"),
        ("401 Unauthorized", "{\"error_desc\": \"who?\"}", Class::Refused, "answers 401: \"who?\""),
        ("502 Bad Gateway", "", Class::Unavailable, "answers 502"),
        ("500 Internal Server Error", full, Class::NoSpace, "its disk is nearly full"),
    ];
    let is_stopped = || false;
    for (status, body, class, says) in cases {
        let (endpoint, asked) = answering(&[(status, body)]);
        let api = Api::new(endpoint, "nvidia", Version::V1, None, &is_stopped).expect("a client");
        let error = api.log_in(None).err().unwrap_or_else(|| panic!("{status}: logged in"));
        assert!(error.to_string().contains(says), "{status}: {error}");
        assert_eq!(error.class(), class, "{status}: {error}");
        assert_eq!(asked.join().expect("answered").len(), 1, "{status}");
    }
}

#[test]
fn a_token_of_the_login_stands_behind_bearer_and_else_the_user() {
    let is_stopped = || false;
    for (login, bearer) in [("{\"user_id\": \"u-1\", \"token\": \"t-1\"}", "t-1"), ("{\"user_id\": \"u-1\"}", "u-1")] {
        let (endpoint, asked) = answering(&[("200 OK", login), ("201 Created", "{\"id\": \"w-1\"}")]);
        let api = Api::new(endpoint, "nvidia", Version::V2, None, &is_stopped).expect("a client");
        let session = api.log_in(Some("somebody")).expect("a session");
        let keys = Keys { access: "a".to_owned(), secret: "s".to_owned() };
        let text = |text: &str| text.to_owned();
        let (name, endpoint, region, bucket) = (text("n"), text("http://s"), text("r"), text("b"));
        let workspace = Workspace { name, endpoint, region, bucket, keys };
        assert_eq!((session.workspace(&workspace).expect("made").as_str(), session.user()), ("w-1", "u-1"));
        let asked = asked.join().expect("answered");
        assert!(asked[0].starts_with("POST /api/v2/login ") && asked[0].ends_with("{\"username\":\"somebody\"}"));
        assert!(!asked[0].to_lowercase().contains("authorization"), "{}", asked[0]);
        assert!(asked[1].starts_with("POST /api/v2/orgs/nvidia/workspaces "), "{}", asked[1]);
        assert!(asked[1].to_lowercase().contains(&format!("authorization: bearer {bearer}\r\n")), "{}", asked[1]);
        assert!(asked[1].contains("content-type: application/json\r\n"), "{}", asked[1]);
    }
}

fn see_what_the_store_answers_to_the_platform_alone(scene: &Scene) {
    let is_stopped = || false;
    let api = scene.api(&is_stopped);
    let session = api.log_in(None).expect("a session");
    let mut keys = scene.workspace();
    keys.keys.secret = "canary-other-secret".to_owned();
    let bucket = Workspace { bucket: "no-such-bucket".to_owned(), ..scene.workspace() };
    for (workspace, expected) in [(keys, LoadCause::KeysRefused), (bucket, LoadCause::NoBucket)] {
        let id = session.workspace(&workspace).expect("a workspace");
        match session.load(&id) {
            Err(ApiError::NotLoaded { cause }) => assert_eq!(cause, expected),
            other => panic!("{other:?}"),
        }
    }
    let refused = session.workspace(&Workspace { endpoint: "127.0.0.1:8333".to_owned(), ..scene.workspace() });
    let refused = refused.expect_err("no URL");
    assert!(
        matches!(&refused, ApiError::Refused { status: 400, message, .. } if message.contains("endpoint_url")),
        "{refused}"
    );
    assert_eq!(refused.class(), Class::Refused);
}

#[test]
fn values_print_one_folder_whatever_its_spelling() {
    let told = Transcript::of(airlift(&["tao", "values", "--registry", "shared-storage/models/", "--json"]));
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let document = document(&told);
    assert_eq!(document["registry"], "/shared-storage/models");
    let details = &document["workspace"]["cloud_specific_details"];
    assert_eq!(details["endpoint_url"], "http://seaweedfs-s3:8333");
    assert_eq!(details["cloud_bucket_name"], "tao-storage");
    let told = Transcript::of(airlift(&["tao", "values", "--registry", "/shared-storage/models", "--bucket", "b-1"]));
    assert_eq!(told.code, 0);
    for line in [
        "    LOCAL_MODEL_REGISTRY: \"/shared-storage/models\"",
        "LOCAL_MODEL_REGISTRY=/shared-storage/models",
        "    \"cloud_bucket_name\": \"b-1\",",
    ] {
        assert!(told.out.lines().any(|found| found == line), "{line}: {}", told.out);
    }
    assert_eq!(Transcript::of(airlift(&["tao", "values", "--registry", "a//b"])).code, 2);
}
