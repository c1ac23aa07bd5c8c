//! `pack` and `import` with `--profile tao`: what would break the platform does not travel, and what travels
//! lands where the platform looks.

use crate::fixture::{directory, sign, signer};
use crate::program::{Transcript, airlift, files_below, shown, signer_line};
use crate::tao::{FOLDER, check, entry, write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const METADATA: &str = "ptm_metadatas.json";

/// A tree of models and datasets, and room for a bundle and stores.
struct Place(tempfile::TempDir);

impl Place {
    /// Makes a good tree with all that vendors, hubs and repositories leave in one.
    fn new() -> Place {
        let place = Place(directory());
        write(&place.models(), &entry(), &["model.pth", ".gitignore"]);
        place.file(&format!("models/{FOLDER}/empty.txt"), b"");
        place.file(&format!("models/{FOLDER}/experiment_lock.lock"), b"");
        place.file("models/ptm_metadatas_lock.lock", b"");
        place.file(&format!("models/{FOLDER}/.cache/huggingface/.gitignore"), b"*\n");
        place.file(&format!("models/{FOLDER}/.cache/huggingface/download/model.pth.metadata"), b"x");
        place.file("models/airlift-provenance.json", b"{}");
        place.file("datasets/train/images.tar.gz", b"images");
        place.file("datasets/odd.lock", b"a set may have any file");
        fs::create_dir_all(place.path("datasets/val")).expect("made");
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn models(&self) -> PathBuf {
        self.path("models")
    }

    fn file(&self, below: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().expect("above")).expect("made");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn pack(&self, more: &[&str]) -> Transcript {
        let roots = ["models", "datasets"].map(|root| format!("{root}={}", shown(&self.path(root))));
        let out = self.path("bundle");
        let fixed = ["pack", &roots[0], &roots[1], "--stream", "tao", "--counter", "1", "--out", shown(&out)];
        Transcript::of(airlift(&[&fixed[..], &["--profile", "tao"], more].concat()))
    }

    /// Packs with these arguments, and signs.
    fn packed(self, more: &[&str]) -> Place {
        let packed = self.pack(more);
        assert_eq!(packed.code, 0, "{}", packed.err);
        sign(&self.path("bundle"));
        fs::write(self.path("signers"), signer_line(signer().line())).expect("written");
        self
    }

    /// Returns a call about the bundle and a store of this name.
    fn call(&self, verb: &str, store: &str, more: &[&str]) -> Command {
        let (bundle, to) = (self.path("bundle"), format!("dir:{}", shown(&self.path(store))));
        let state = self.path(&format!("{store}-state"));
        let fixed = [verb, shown(&bundle), "--stream", "tao", "--to", &to, "--state", shown(&state)];
        let mut command = airlift(&[&fixed[..], &["--profile", "tao"], more].concat());
        command.env("AIRLIFT_ALLOWED_SIGNERS", self.path("signers")).env_remove("LOCAL_MODEL_REGISTRY");
        command
    }

    fn import(&self, store: &str, more: &[&str]) -> Command {
        self.call("import", store, &[&["--enrol", "--create-bucket"], more].concat())
    }
}

/// Returns the keys of a directory store, without those of the state.
fn keys(store: &Path) -> BTreeSet<String> {
    let files = files_below(store).into_keys();
    files.filter(|path| !path.split('/').any(|part| part.starts_with(".airlift"))).collect()
}

/// Returns the keys where the models lie below `registry`.
fn due(registry: &str) -> BTreeSet<String> {
    let folder = ["model.pth", ".gitignore", "empty.txt"].map(|name| format!("{registry}/{FOLDER}/{name}"));
    let top = [METADATA, "airlift-provenance.json"].map(|name| format!("{registry}/{name}"));
    let datasets = ["train/images.tar.gz", "odd.lock"].map(|name| format!("data/{name}"));
    folder.into_iter().chain(top).chain(datasets).collect()
}

#[test]
fn locks_and_hub_caches_stay_and_all_else_travels() {
    let place = Place::new();
    let told = check(&place.models(), &["--json"]);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    // Neither provenance nor what stays belongs to no entry.
    assert_eq!((told.code, &document["notes"]), (0, &json!([])), "{}", told.out);
    let looked = place.pack(&["--dry-run"]);
    assert!(looked.out.contains("\nplatform      1 entry, datasets with train, val (empty)\n"), "{}", looked.out);
    let packed = place.pack(&["--json"]);
    assert_eq!((packed.code, packed.err.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&packed.out).expect("JSON");
    let counted = |glob: &str, count: u64| json!({ "glob": glob, "entries": count });
    assert_eq!(
        document["excluded"],
        json!([counted("models/**/*.lock", 2), counted("models/**/.cache/huggingface", 1)])
    );
    assert_eq!(
        document["tao"],
        json!({ "entries": 1, "notes": [], "splits": ["train", "val"], "empty_splits": ["val"] })
    );
    let listed = Transcript::of(airlift(&["ls", shown(&place.path("bundle")), "--untrusted"]));
    let listed: BTreeSet<String> = listed.out.lines().filter(|line| !line.ends_with('/')).map(str::to_owned).collect();
    let expected: BTreeSet<String> = due("models").iter().map(|key| key.replacen("data/", "datasets/", 1)).collect();
    assert_eq!(listed, expected);
    // The bundle is finished: repeating leaves it, also when its roots are gone bad.
    fs::write(place.models().join(METADATA), "{}").expect("written");
    assert_eq!(place.pack(&[]).code, 0);
}

#[test]
fn what_check_refuses_is_not_packed_and_is_named_alike() {
    let place = Place::new();
    let mut poisoned = entry();
    poisoned["network_arch"] = json!("resnet_152");
    poisoned["created_on"] = json!("yesterday");
    write(&place.models(), &poisoned, &[]);
    let told = check(&place.models(), &[]);
    let named: Vec<&str> = told.out.lines().filter(|line| line.starts_with("refused: ")).collect();
    assert_eq!((told.code, named.len()), (7, 2), "{}", told.out);
    for more in [&["--dry-run"][..], &[]] {
        let refused = place.pack(more);
        assert_eq!((refused.code, refused.out.as_str()), (7, ""), "{}", refused.err);
        assert!(named.iter().all(|line| refused.err.lines().any(|one| one == *line)), "{}", refused.err);
        assert_eq!(refused.error(), told.error());
        assert!(!place.path("bundle").exists());
    }
}

#[test]
fn what_is_left_out_counts_for_nothing_in_a_folder() {
    let place = Place::new();
    let folder = place.models().join(FOLDER);
    for name in ["model.pth", ".gitignore", "empty.txt"] {
        fs::remove_file(folder.join(name)).expect("removed");
    }
    let refused = place.pack(&[]);
    assert_eq!(refused.code, 7);
    assert!(refused.err.contains(&format!("has no file in {FOLDER}")), "{}", refused.err);
    let place = Place::new();
    let refused = place.pack(&["--exclude", "nvidia/**"]);
    assert!(refused.code == 7 && refused.err.contains("has no file in"), "{}", refused.err);
    let refused = place.pack(&["--exclude", "*.json"]);
    assert_eq!(refused.code, 7);
    assert!(
        refused.error().contains("ptm_metadatas.json would be left out; leave away the --exclude"),
        "{}",
        refused.err
    );
    assert!(!place.path("bundle").exists());
}

#[test]
fn an_unfinished_fetch_is_refused() {
    let place = Place::new();
    place.file("models/.airlift-fetch/0.part", b"x");
    for told in [check(&place.models(), &[]), place.pack(&["--exclude", ".airlift-fetch"])] {
        assert_eq!((told.code, told.out.as_str()), (7, ""));
        assert!(told.error().contains("a fetch of these models has not come to its end; repeat"), "{}", told.err);
    }
    assert!(!place.path("bundle").exists());
}

#[test]
fn the_profile_is_about_models() {
    let place = Place::new();
    let (root, out) = (format!("model={}", shown(&place.models())), place.path("bundle"));
    let fixed = ["pack", &root, "--stream", "tao", "--counter", "1", "--out", shown(&out)];
    let refused = Transcript::of(airlift(&[&fixed[..], &["--profile", "tao"]].concat()));
    assert_eq!(refused.code, 2);
    assert!(refused.error().contains("name them as models=DIR"), "{}", refused.err);
    let refused = Transcript::of(airlift(&[&fixed[..], &["--registry", "a"]].concat()));
    assert_eq!(refused.code, 2, "without the profile it means nothing: {}", refused.err);
}

#[test]
fn whoever_says_where_the_models_lie_they_land_there_and_what_is_said_of_them_last() {
    let place = Place::new().packed(&[]);
    let config = place.file("config.env", b"# ours\nexport LOCAL_MODEL_REGISTRY=\"/shared-storage/models/\"\n");
    let values =
        place.file("values.yaml", b"airgapped:\n  environment:\n    LOCAL_MODEL_REGISTRY: shared-storage/models\n");
    let sources: [&[&str]; 4] = [
        &["--registry", " //shared-storage/models/ "],
        &["--config-env", shown(&config)],
        &["--values", shown(&values)],
        &["--registry", "shared-storage/models", "--config-env", shown(&config), "--values", shown(&values)],
    ];
    for (number, source) in sources.iter().enumerate() {
        let store = format!("store-{number}");
        let imported = Transcript::of(place.import(&store, source));
        assert_eq!(imported.code, 0, "{source:?}: {}", imported.err);
        assert!(imported.out.contains("\nmodels        below shared-storage/models\n"), "{}", imported.out);
        assert_eq!(keys(&place.path(&store)), due("shared-storage/models"));
    }
    let mut from_environment = place.import("store-4", &["--json"]);
    from_environment.env("LOCAL_MODEL_REGISTRY", "/shared-storage/models");
    let imported = Transcript::of(from_environment);
    let document: Value = serde_json::from_str(&imported.out).expect("JSON");
    assert_eq!((&document["registry"], &document["plan"]["last"]), (&json!("shared-storage/models"), &json!(1)));
    let store = place.path("store-4");
    assert_eq!(keys(&store), due("shared-storage/models"));
    let written = |key: &String| fs::metadata(store.join(key)).and_then(|facts| facts.modified()).expect("a time");
    let metadata = format!("shared-storage/models/{METADATA}");
    assert!(keys(&store).iter().all(|key| written(key) <= written(&metadata)));
    assert_eq!(fs::metadata(store.join(format!("shared-storage/models/{FOLDER}/empty.txt"))).expect("there").len(), 0);
    // The other commands about the import know the profile as well.
    let status = Transcript::of(place.call("status", "store-0", &["--registry", "shared-storage/models"]));
    assert!(status.code == 0 && status.out.starts_with("installed: "), "{}{}", status.out, status.err);
}

#[test]
fn nothing_is_assumed_and_what_differs_is_refused_with_both_paths() {
    let place = Place::new().packed(&["--registry", "/shared-storage/models"]);
    let config = place.file("config.env", b"LOCAL_MODEL_REGISTRY=/shared-storage/ptm/airgapped-models\n");
    let none = Transcript::of(place.import("store", &[]));
    assert_eq!(none.code, 2);
    assert!(none.error().contains("it is not said where the models lie"), "{}", none.err);
    assert!(none.error().contains("the bundle was packed for shared-storage/models; give --registry"), "{}", none.err);
    let differ = Transcript::of(place.import("store", &["--registry", "a/b", "--config-env", shown(&config)]));
    assert_eq!(differ.code, 7);
    let both = "config.env at \"shared-storage/ptm/airgapped-models\"; correct";
    assert!(differ.error().contains("--registry says that the models lie at \"a/b\", and "), "{}", differ.err);
    assert!(differ.error().contains(both), "{}", differ.err);
    let mut environment = place.import("store", &["--registry", "a/b"]);
    environment.env("LOCAL_MODEL_REGISTRY", "a/c");
    let differ = Transcript::of(environment);
    assert!(differ.code == 7 && differ.error().contains("the environment at \"a/c\""), "{}", differ.err);
    let other = Transcript::of(place.import("store", &["--config-env", shown(&config)]));
    assert_eq!(other.code, 7);
    let packed = "the bundle was packed for models at \"shared-storage/models\", and ";
    assert!(other.error().contains(packed), "{}", other.err);
    assert!(other.error().contains("says that they lie at \"shared-storage/ptm/airgapped-models\";"), "{}", other.err);
    let mapped = Transcript::of(place.import("store", &["--registry", "a/b", "--map", "models=c/"]));
    assert!(mapped.code == 2 && mapped.error().contains("both say where the models land"), "{}", mapped.err);
    let overlaps = Transcript::of(place.import("store", &["--registry", "data"]));
    assert_eq!(overlaps.code, 7, "another path than that of the bundle: {}", overlaps.err);
    assert!(!place.path("store").exists(), "nothing was written");
    let same = Transcript::of(place.import("store", &["--registry", "shared-storage/models/"]));
    assert_eq!(same.code, 0, "{}", same.err);
    assert_eq!(keys(&place.path("store")), due("shared-storage/models"));
}

#[test]
fn models_that_are_left_out_need_no_place() {
    let place = Place::new().packed(&[]);
    let imported = Transcript::of(place.import("store", &["--map", "models=-", "--map", "datasets=sets/"]));
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert_eq!(
        keys(&place.path("store")),
        BTreeSet::from(["sets/odd.lock", "sets/train/images.tar.gz"].map(str::to_owned))
    );
}

/// The real server: empty files, an odd spelling, and a bucket that is to be made.
#[cfg(feature = "s3")]
#[test]
fn a_bundle_lands_in_a_real_bucket_as_the_platform_needs_it() {
    use crate::fixture::objects;
    use crate::weed::Weed;
    let place = Place::new().packed(&["--registry", "shared-storage/models"]);
    let weed = Weed::shared();
    let (bundle, state) = (place.path("bundle"), place.path("state"));
    let fixed = ["import", shown(&bundle), "--stream", "tao", "--state", shown(&state), "--enrol", "--create-bucket"];
    let mut command = airlift(&[&fixed[..], &["--profile", "tao", "--registry", "/shared-storage/models/"]].concat());
    command.args(["--to", "s3://profile-tao", "--endpoint", &weed.endpoint(), "--read-back"]);
    command.arg("--credentials-file").arg(weed.credentials_file());
    command.env("AIRLIFT_ALLOWED_SIGNERS", place.path("signers")).env_remove("LOCAL_MODEL_REGISTRY");
    let imported = Transcript::of(command);
    assert_eq!(imported.code, 0, "{}", imported.err);
    let found = objects(&weed.store("profile-tao"));
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), due("shared-storage/models"));
    assert_eq!(found[&format!("shared-storage/models/{FOLDER}/empty.txt")], b"");
    assert_eq!(
        found[&format!("shared-storage/models/{METADATA}")],
        fs::read(place.models().join(METADATA)).expect("read")
    );
}
