//! `fetch`: from NGC and a hub to the tree that the platform reads, whatever happens on the way.

use crate::fixture::directory;
use crate::hostile::faults::{Act, Fault, set};
use crate::program::{Transcript, airlift, files_below, shown};
use crate::s3_server::{authority, certificate};
use crate::standin::{OLD_KEY, PERSONAL_KEY, Standin};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const HEADER: &str = "displayName,ngc_path,network_arch,is_backbone\n";
const METADATA: &str = "ptm_metadatas.json";
const PROVENANCE: &str = "airlift-provenance.json";
const ARCHITECTURES: [&str; 5] = ["dino", "segformer", "classification_pyt", "ocrnet", "pointpillars"];

/// Returns the row for a model of the stand-in.
fn row(number: usize) -> String {
    let team = if number.is_multiple_of(4) { "" } else { "tao/" };
    let architecture = ARCHITECTURES[number % 5];
    format!("Name {number},nvidia/{team}model_{number}:trainable_v{number}.0,{architecture},\n")
}

/// Returns rows for models and repositories of the stand-in.
fn rows(model_count: usize, repository_count: usize) -> String {
    let mut rows = HEADER.to_owned();
    (0..model_count).for_each(|number| rows += &row(number));
    for number in 0..repository_count {
        rows += &format!("Hub {number},hf_model://owner/repository-{number},dino,True\n");
    }
    rows
}

/// Writes a catalogue and returns its path.
fn catalogue(top: &Path, rows: &str) -> String {
    let path = top.join("models.csv");
    fs::write(&path, rows).expect("written");
    shown(&path).to_owned()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

/// Returns the files of models, without what is written about them.
fn model_files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files_below(out);
    files.retain(|path, _| ![METADATA, PROVENANCE].contains(&path.as_str()));
    files
}

/// Returns the metadata of a tree without what differs from run to run: the times of repositories.
fn entries(out: &Path) -> BTreeMap<String, Value> {
    let mut entries: BTreeMap<String, Value> = serde_json::from_value(json_of(&out.join(METADATA))).expect("an object");
    for entry in entries.values_mut().filter(|entry| entry["source_type"] == "huggingface") {
        entry["created_on"].take();
        entry["last_modified"].take();
    }
    entries
}

fn same_trees(found: &Path, expected: &Path) {
    let (found_files, expected_files) = (model_files(found), model_files(expected));
    assert!(found_files.keys().eq(expected_files.keys()), "{:?}", found_files.keys());
    assert!(found_files == expected_files, "the bytes differ");
    assert_eq!(entries(found), entries(expected));
}

fn succeeds(transcript: &Transcript) {
    assert_eq!(transcript.code, 0, "{}{}", transcript.out, transcript.err);
}

#[test]
fn twenty_models_in_sixteen_hands_are_whole_though_connections_break_and_servers_are_busy() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(20, 4));
    let (good, bad) = (top.path().join("good"), top.path().join("bad"));
    let size = ["--models", "20", "--repositories", "4"];
    succeeds(&Transcript::of(Standin::start(&size).fetch(&good, &["--csv", &csv])));

    let standin = Standin::start(&[&size[..], &["--cut", "0.3", "--busy", "0.1"]].concat());
    let told = Transcript::of(standin.fetch(&bad, &["--csv", &csv, "--parallel", "16", "--json"]));
    succeeds(&told);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((&document["result"], &document["entries"]), (&json!("fetched"), &json!(24)));
    same_trees(&bad, &good);

    let given = standin.given();
    assert!(given.iter().any(|one| one["cut"] == true), "nothing was cut");
    assert!(given.iter().any(|one| one["first"].as_u64() > Some(0)), "nothing was gone on with");
    proven(&bad, 24);
    assert!(!bad.join(".airlift-fetch").exists());
    // What is there is not asked for again, but for what only a commit tells from what it was before.
    succeeds(&Transcript::of(standin.fetch(&bad, &["--csv", &csv])));
    let again = standin.given().split_off(given.len());
    let is_fixed = |one: &Value| {
        !["config.json", "notes.txt"].iter().any(|name| one["path"].as_str().expect("a path").ends_with(name))
    };
    assert!(!again.is_empty() && !again.iter().any(is_fixed), "{again:?}");
    succeeds(&Transcript::of(airlift(&["tao", "check", shown(&bad)])));
}

/// Compares every file with the length and digest that the provenance has.
fn proven(out: &Path, model_count: usize) {
    let sources = json_of(&out.join(PROVENANCE));
    let sources = sources.as_object().expect("an object");
    assert_eq!(sources.len(), model_count);
    let mut named = BTreeSet::new();
    for source in sources.values() {
        assert!(source["revision"].as_str().is_some_and(|revision| !revision.is_empty()), "{source}");
        assert!(source["fetched_at"].is_string() && source.get("license").is_some(), "{source}");
        for file in source["files"].as_array().expect("files") {
            let path =
                format!("{}/{}", source["folder"].as_str().expect("a folder"), file["path"].as_str().expect("one"));
            let bytes = fs::read(out.join(&path)).expect("it is there");
            assert_eq!(file["size"], bytes.len(), "{path}");
            let digest = airlift::format::Sha256::of(&bytes).to_string();
            assert_eq!(file["sha256"], digest, "{path}");
            named.insert(path);
        }
    }
    assert!(named.iter().eq(model_files(out).keys()));
}

#[test]
fn killed_at_every_step_it_leaves_nothing_half_under_its_name_and_repeating_ends_the_same() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(2, 1));
    let standin = Standin::start(&["--models", "2", "--repositories", "1"]);
    let good = top.path().join("good");
    succeeds(&Transcript::of(standin.fetch(&good, &["--csv", &csv])));
    let whole = model_files(&good);
    let mut killed_count = 0;
    for call in ["write", "sync", "rename"] {
        for from in 1.. {
            let out = top.path().join(format!("{call}-{from}"));
            let fetch = || standin.fetch(&out, &["--csv", &csv, "--parallel", "1"]);
            let mut faulty = fetch();
            let fault = Fault { call, path: shown(&out), from, every: 0, act: Act::Lose };
            set(&mut faulty, &fault);
            let output = faulty.output().expect("run");
            if output.status.success() {
                break;
            }
            assert_eq!(output.status.signal(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
            killed_count += 1;
            check_killed(&out, &whole);
            succeeds(&Transcript::of(fetch()));
            same_trees(&out, &good);
            fs::remove_dir_all(&out).expect("removed");
        }
    }
    assert!(killed_count > 30, "only {killed_count} steps");
}

/// What has its name is whole, and metadata speak of what is there alone.
fn check_killed(out: &Path, whole: &BTreeMap<String, Vec<u8>>) {
    if !out.exists() {
        return;
    }
    let mut files = files_below(out);
    let metadata = files.remove(METADATA);
    files.remove(PROVENANCE);
    files.retain(|path, _| !path.starts_with(".airlift-fetch/"));
    for (path, bytes) in &files {
        assert!(whole[path] == *bytes, "{path} is not whole");
    }
    if let Some(metadata) = metadata {
        let entries: Value = serde_json::from_slice(&metadata).expect("whole JSON");
        assert_eq!(entries.as_object().map(serde_json::Map::len), Some(3));
        assert!(files.keys().eq(whole.keys()));
    }
}

#[test]
fn what_was_stopped_lists_nothing_that_is_not_there_and_is_gone_on_with() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(12, 1));
    let standin = Standin::start(&["--models", "12", "--repositories", "1"]);
    let out = top.path().join("out");
    let mut child = standin
        .fetch(&out, &["--csv", &csv, "--parallel", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run");
    while standin.given().len() < 5 {
        thread::sleep(Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let listed = if out.join(METADATA).exists() { entries(&out) } else { BTreeMap::new() };
    assert!(listed.len() < 13, "{listed:?}");
    let sources = json_of(&out.join(PROVENANCE));
    assert_eq!(sources.as_object().map(serde_json::Map::len), Some(listed.len()));
    for source in sources.as_object().expect("an object").values() {
        let folder = out.join(source["folder"].as_str().expect("a folder"));
        for file in source["files"].as_array().expect("files") {
            assert!(folder.join(file["path"].as_str().expect("a path")).is_file(), "{file}");
        }
    }
    assert!(out.join(".airlift-fetch").exists());
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &csv])));
    proven(&out, 13);
}

#[test]
fn a_part_that_is_whole_is_not_asked_for_beyond_its_end_and_one_fetch_works_at_a_time() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(1, 0));
    let standin = Standin::start(&["--models", "1", "--repositories", "0"]);
    let (good, out) = (top.path().join("good"), top.path().join("out"));
    succeeds(&Transcript::of(standin.fetch(&good, &["--csv", &csv])));
    let path = "nvidia/model_0/trainable_v0.0/model_0_vtrainable_v0.0/model.pth";
    let bytes = fs::read(good.join(path)).expect("read");
    // Stopped behind the last byte, and before the file had its name.
    let unfinished = out.join(".airlift-fetch");
    fs::create_dir_all(&unfinished).expect("made");
    let part = unfinished.join(airlift::format::Sha256::of(path.as_bytes()).to_string());
    fs::write(part.with_extension("part"), &bytes).expect("written");
    let note = json!({"tag": "\"t\"", "len": bytes.len(), "sha256": airlift::format::Sha256::of(&bytes).to_string()});
    fs::write(part.with_extension("note"), note.to_string()).expect("written");

    let lock = fs::File::create(unfinished.join("lock")).expect("created");
    lock.lock().expect("locked");
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv]));
    assert_eq!(told.code, 6, "{}", told.err);
    assert!(told.error().contains("another fetch works in ") && told.error().contains("; wait"), "{}", told.err);
    drop(lock);
    let before = standin.given().len();
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &csv])));
    let asked = standin.given().split_off(before);
    assert!(!asked.iter().any(|one| one["path"].as_str().expect("a path").ends_with("model.pth")), "{asked:?}");
    same_trees(&out, &good);
}

#[test]
fn links_that_end_after_one_answer_are_renewed_as_long_as_they_bring_something() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(3, 0));
    let (good, bad) = (top.path().join("good"), top.path().join("bad"));
    let size = ["--models", "3", "--repositories", "0"];
    succeeds(&Transcript::of(Standin::start(&size).fetch(&good, &["--csv", &csv])));
    let standin = Standin::start(&[&size[..], &["--cut", "0.7", "--link-uses", "1"]].concat());
    succeeds(&Transcript::of(standin.fetch(&bad, &["--csv", &csv])));
    same_trees(&bad, &good);
    let given = standin.given();
    let twice_cut = |one: &&Value| given.iter().filter(|other| other["path"] == one["path"]).count() > 2;
    assert!(given.iter().find(twice_cut).is_some(), "no link was renewed twice");

    let standin = Standin::start(&[&size[..], &["--link-uses", "0"]].concat());
    let told = Transcript::of(standin.fetch(&top.path().join("none"), &["--csv", &csv]));
    assert_eq!(told.code, 6, "{}", told.err);
    assert_eq!(told.err.matches("refuses access: 403").count(), 3, "{}", told.err);
}

#[test]
fn what_ngc_gives_page_by_page_is_found_on_every_page() {
    let top = directory();
    let standin = Standin::start(&["--models", "6", "--repositories", "0", "--pages"]);
    let told = Transcript::of(standin.fetch(&top.path().join("out"), &["--every-org", "--dry-run", "--json"]));
    succeeds(&told);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(document["models"].as_array().map(Vec::len), Some(6), "{document}");
}

#[test]
fn what_a_source_no_longer_has_is_named() {
    let top = directory();
    let out = top.path().join("out");
    let csv = catalogue(top.path(), &rows(1, 1));
    let standin = Standin::start(&["--models", "1", "--repositories", "1"]);
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &csv])));
    let folder = out.join("huggingface/owner_repository-0");
    for name in ["old/weights.pth", "a.lock", ".cache/huggingface/x"] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "x").expect("written");
    }
    let strange = folder.join(OsStr::from_bytes(b"old\xff"));
    fs::create_dir(&strange).expect("made");
    fs::write(strange.join("x"), "x").expect("written");
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv, "--json"]));
    succeeds(&told);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    let below = |path: &str| format!("huggingface/owner_repository-0/{path}");
    assert_eq!(document["strays"], json!([below("old/weights.pth"), below("old\u{fffd}/x")]));
    let line = format!("{} is not of its source and will be packed", shown(&folder.join("old/weights.pth")));
    assert!(told.err.contains(&line), "{}", told.err);
}

#[test]
fn a_model_that_is_gone_is_listed_by_no_later_fetch() {
    let top = directory();
    let out = top.path().join("out");
    let rows = |number: usize| catalogue(top.path(), &(HEADER.to_owned() + &row(number)));
    let standin = Standin::start(&["--models", "3", "--repositories", "0"]);
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &rows(1)])));
    fs::remove_dir_all(out.join("nvidia/tao/model_1")).expect("removed");
    let gone = Standin::start(&["--models", "0", "--repositories", "0"]);
    assert_eq!(Transcript::of(gone.fetch(&out, &["--csv", &rows(1)])).code, 6);
    assert_eq!(entries(&out).len(), 0);
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &rows(2)])));
    let listed: Vec<Value> = entries(&out).into_values().map(|entry| entry["ngc_path"].clone()).collect();
    assert_eq!(listed, [json!("nvidia/tao/model_2:trainable_v2.0")]);
}

#[test]
fn every_mode_finds_what_it_should_and_names_what_it_leaves_out() {
    let top = directory();
    let standin = Standin::start(&["--models", "6", "--repositories", "0", "--unusable"]);
    let names = |out: &Path| -> BTreeMap<String, String> {
        let text = |entry: &Value, field: &str| entry[field].as_str().expect("a text").to_owned();
        entries(out).values().map(|entry| (text(entry, "ngc_path"), text(entry, "name"))).collect()
    };
    let fetch = |name: &str, more: &[&str]| {
        let out = top.path().join(name);
        let told = Transcript::of(standin.fetch(&out, more));
        succeeds(&told);
        (names(&out), told)
    };

    let (team, told) = fetch("team", &["--org-teams", "nvidia/tao"]);
    assert_eq!(team.len(), 4);
    for (model, why) in [
        ("pending", "its status is UPLOAD_PENDING"),
        ("untrainable", "it is not trainable"),
        ("later", "it is for versions [\">=99.0.0\"] of the platform"),
        ("unknown", "\"resnet_152\" is no architecture of"),
        ("poison", "models of huggingface break the platform's listing"),
    ] {
        let line = format!("left out: nvidia/tao/{model}:v1: {why}");
        assert_eq!(told.err.matches(&line).count(), 1, "{}", told.err);
    }
    assert!(!told.err.contains("silent"), "{}", told.err);
    let odd = |one: &Value| one["path"].as_str().is_some_and(|path| path.contains(":v1"));
    assert!(!standin.given().iter().any(odd), "what is left out was downloaded");

    let (all, told) = fetch("all", &["--every-org"]);
    assert_eq!(all.len(), 6);
    assert_eq!(told.err.matches("nvidia/tao/pending:v1").count(), 1, "{}", told.err);
    let (organisation, _) = fetch("organisation", &["--org-teams", "nvidia/no-team"]);
    assert_eq!(organisation, all);

    let (some, told) = fetch("some", &["--org-teams", "nvidia", "--model-names", "segformer,ocrnet"]);
    assert_eq!(
        some.keys().collect::<Vec<_>>(),
        ["nvidia/tao/model_1:trainable_v1.0", "nvidia/tao/model_3:trainable_v3.0"]
    );
    assert!(!told.err.contains("left out"), "{}", told.err);

    let csv = catalogue(top.path(), &rows(2, 0));
    let (both, _) = fetch("both", &["--org-teams", "nvidia", "--csv", &csv]);
    assert_eq!(both.len(), 6);
    assert_eq!(both["nvidia/tao/model_1:trainable_v1.0"], "Name 1");
    assert_eq!(both["nvidia/tao/model_2:trainable_v2.0"], "Model 2");
}

#[test]
fn what_a_source_does_not_give_as_it_lists_it_is_named_and_never_listed_as_present() {
    let top = directory();
    let standin = Standin::start(&["--models", "2", "--repositories", "2", "--lying"]);
    let mut rows = rows(2, 1);
    for name in ["digest", "longer", "outside", "twice", "absent"] {
        rows += &format!("{name},nvidia/tao/{name}:v1,dino,\n");
    }
    rows += "one folder,hf_model://owner_repository-0,dino,\n";
    let csv = catalogue(top.path(), &rows);
    let out = top.path().join("out");
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv]));
    assert_eq!(told.code, 6, "{}{}", told.out, told.err);
    assert!(told.error().starts_with("error: 6 models could not be fetched; "), "{}", told.err);
    let zeros = "0".repeat(64);
    for (model, why) in [
        ("nvidia/tao/digest:v1", format!("and its source publishes {zeros}")),
        ("nvidia/tao/longer:v1", "has 5000 bytes, and its source lists 1000".to_owned()),
        ("nvidia/tao/outside:v1", "outside.txt\" is not allowed".to_owned()),
        ("nvidia/tao/twice:v1", "\"model.pth\" is there twice".to_owned()),
        ("nvidia/tao/absent:v1", "is not there".to_owned()),
        ("owner_repository-0", "its folder huggingface/owner_repository-0 is that of ".to_owned()),
    ] {
        let named = |line: &str| line.starts_with(&format!("not fetched: {model}: ")) && line.contains(&why);
        assert!(told.err.lines().any(named), "{model}: {}", told.err);
    }
    let there: BTreeSet<String> = entries(&out).values().map(|entry| entry["ngc_path"].to_string()).collect();
    assert_eq!(there.len(), 3, "{there:?}");
    let lying = |path: &String| ["digest", "longer", "outside", "twice"].iter().any(|name| path.contains(name));
    assert!(!model_files(&out).keys().any(|path| lying(path) && !path.starts_with(".airlift-fetch/")));
    assert!(!top.path().join("outside.txt").exists());

    // Rows that ask for nothing that can be had are refused with their lines, and the others stand.
    let csv = catalogue(
        top.path(),
        &format!(
            "{HEADER}# rows, with, comments\n\nName,nvidia/tao/model_1:trainable_v1.0,dino,,\n\
        Other,nvidia/tao/model_1:trainable_v1.0,segformer\n"
        ),
    );
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv]));
    assert_eq!(told.code, 7);
    assert!(told.err.contains("refused: line 4: it has 5 columns, not 3 or 4"), "{}", told.err);
    assert_eq!(entries(&out).len(), 3);
}

#[test]
fn a_dry_run_lists_sizes_and_downloads_nothing() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(2, 1));
    let standin = Standin::start(&[]);
    let out = top.path().join("out");
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv, "--dry-run", "--json"]));
    succeeds(&told);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!((&document["result"], &document["models"].as_array().map(Vec::len)), (&json!("would fetch"), &Some(3)));
    assert_eq!(document["models"][0]["files"], 3);
    let len: u64 = document["models"].as_array().expect("models").iter().filter_map(|one| one["bytes"].as_u64()).sum();
    assert_eq!((document["bytes"].as_u64(), len > 1_000_000), (Some(len), true));
    assert!(!out.exists() && standin.given().is_empty());
    let told = Transcript::of(standin.fetch(&out, &["--csv", &csv, "--dry-run"]));
    assert!(told.out.contains("would fetch: 3 models, ") && told.out.contains("4 files"), "{}", told.out);
}

#[test]
fn a_key_comes_from_a_file_or_a_variable_is_renewed_and_is_never_shown() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(4, 0));
    let standin = Standin::start(&["--token-uses", "5"]);
    let key_file = top.path().join("key");
    fs::write(&key_file, format!("{OLD_KEY}\n")).expect("written");
    let mut command =
        standin.fetch(&top.path().join("old"), &["--csv", &csv, "--parallel", "1", "--ngc-key-file", shown(&key_file)]);
    command.env("PTM_API_KEY", "not this one");
    // A token is good for five questions, and each model takes three.
    succeeds(&Transcript::of(command));

    let mut command = standin.fetch(&top.path().join("wrong"), &["--csv", &csv]);
    command.env("PTM_API_KEY", "nvapi-wrong");
    let told = Transcript::of(command);
    assert_eq!(told.code, 6);
    assert!(told.err.contains("refuses access: 401"), "{}", told.err);
    assert!(!told.err.contains("nvapi-wrong") && !told.err.contains(PERSONAL_KEY), "{}", told.err);
    assert!(!top.path().join("wrong").join(METADATA).exists());

    let mut command = standin.fetch(&top.path().join("none"), &["--org-teams", "nvidia"]);
    command.env_remove("PTM_API_KEY");
    let told = Transcript::of(command);
    assert_eq!(told.code, 2);
    assert!(told.error().contains("set PTM_API_KEY, or name a file with --ngc-key-file"), "{}", told.err);
}

#[test]
fn without_a_key_nothing_is_fetched_where_ngc_is_asked() {
    let top = directory();
    let standin = Standin::start(&["--models", "1", "--repositories", "1"]);
    let csv = catalogue(top.path(), &rows(1, 1));
    let mut command = standin.fetch(&top.path().join("out"), &["--csv", &csv]);
    command.env_remove("PTM_API_KEY");
    let told = Transcript::of(command);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.error().contains("set PTM_API_KEY"), "{}", told.err);
    assert!(!top.path().join("out").exists());
    let csv = catalogue(top.path(), &rows(0, 1));
    let mut command = standin.fetch(&top.path().join("out"), &["--csv", &csv]);
    command.env_remove("PTM_API_KEY");
    succeeds(&Transcript::of(command));
}

#[test]
fn a_proxy_is_used_and_an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let top = directory();
    let csv = catalogue(top.path(), &rows(1, 1));
    let standin = Standin::start(&[]);
    let elsewhere = ["--ngc-endpoint", "http://ngc.invalid", "--hf-endpoint", "http://hub.invalid"];
    let arguments = ["fetch", "--csv", &csv, "--out"];
    let out = top.path().join("proxy");
    let mut command = airlift(&[&arguments[..], &[shown(&out)], &elsewhere].concat());
    command.env("PTM_API_KEY", PERSONAL_KEY).env("HTTP_PROXY", &standin.endpoint).env_remove("NO_PROXY");
    succeeds(&Transcript::of(command));
    assert_eq!(entries(&out).len(), 2);

    let dir = top.path();
    authority(dir, "ours");
    certificate(dir, "server", "ours", "IP:127.0.0.1", &[]);
    let [certificate, key] = ["server.pem", "server.key"].map(|name| shown(&dir.join(name)).to_owned());
    let standin = Standin::start(&["--tls", &certificate, &key]);
    let ours = shown(&dir.join("ours.pem")).to_owned();
    let out = top.path().join("tls");
    succeeds(&Transcript::of(standin.fetch(&out, &["--csv", &csv, "--ca-file", &ours])));
    assert_eq!(entries(&out).len(), 2);
    let told = Transcript::of(standin.fetch(&top.path().join("untrusted"), &["--csv", &csv]));
    assert_eq!(told.code, 6);
    assert!(told.err.contains("is refused: ") && told.err.contains("UnknownIssuer"), "{}", told.err);
}

#[test]
fn the_metadata_are_those_of_the_platforms_own_downloader_but_for_what_it_makes_up() {
    let top = directory();
    let standin = Standin::start(&["--models", "10", "--repositories", "2", "--unusable"]);
    let csv = catalogue(top.path(), &rows(10, 2));
    // With an organisation they list its own models alone, after they downloaded those of its teams as well.
    let ours: [&[&str]; 2] =
        [&["--csv", &csv, "--org-teams", "nvidia/tao"], &["--org-teams", "nvidia", "--model-names", "dino,ocrnet"]];
    let theirs: [&[&str]; 2] = [
        &["--use-both", "--csv-path", &csv, "--org-teams", "nvidia/tao"],
        &["--org-teams", "nvidia,nvidia/tao", "--model-names", "dino,ocrnet"],
    ];
    for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let [our_out, their_out, home] =
            ["ours", "theirs", "home"].map(|name| top.path().join(format!("{name}-{number}")));
        succeeds(&Transcript::of(standin.fetch(&our_out, ours)));
        let output = standin.vendor(&their_out, &home, theirs).output().expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut their_entries = entries(&their_out);
        // It lists what then breaks every listing.
        their_entries.retain(|_, entry| entry["network_arch"] != "huggingface");
        assert_same_entries(&entries(&our_out), &their_entries);
        // It leaves locks, the cache of the hub's library, and models that it does not list.
        let mut their_files = model_files(&their_out);
        their_files.retain(|path, _| !path.contains("/.cache/") && !path.ends_with(".lock") && !path.contains("/v1/"));
        assert!(model_files(&our_out) == their_files, "{:?}", their_files.keys());
    }
}

/// Compares entry by entry; a figure that the model does not give is unknown with us, and random with them.
fn assert_same_entries(ours: &BTreeMap<String, Value>, theirs: &BTreeMap<String, Value>) {
    assert!(ours.keys().eq(theirs.keys()), "{:?} {:?}", ours.keys(), theirs.keys());
    for (id, ours) in ours {
        let mut theirs = theirs[id].clone();
        for figure in ["num_parameters", "accuracy"] {
            let our_figure = &ours["base_experiment_metadata"][figure];
            if our_figure == "Unknown" {
                theirs["base_experiment_metadata"][figure] = our_figure.clone();
            }
        }
        assert_eq!(*ours, theirs, "{id}");
    }
}
