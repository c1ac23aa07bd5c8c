//! `tao init`, `export` and `land`: all of one side from one file.

use crate::fixture::directory;
use crate::program::{Transcript, airlift, files_below, shown, signing_key};
use crate::standin::{PERSONAL_KEY, Standin};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const CATALOGUE: &str = "displayName,ngc_path,network_arch,is_backbone\n\
    One,nvidia/tao/model_1:trainable_v1.0,segformer\n\
    Hub,hf_model://owner/repository-0,dino\n";

/// A directory with a file of steps and what it names.
struct Place {
    top: tempfile::TempDir,
    standin: Standin,
}

impl Place {
    fn new() -> Place {
        let top = directory();
        let dir = top.path();
        fs::write(dir.join("models.csv"), CATALOGUE).expect("written");
        fs::create_dir_all(dir.join("data/train")).expect("made");
        fs::write(dir.join("data/train/annotations.json"), "{}").expect("written");
        signing_key(dir, "release-key", "allowed_signers");
        fs::create_dir(dir.join("stick")).expect("made");
        Place { top, standin: Standin::start(&["--models", "2", "--repositories", "1"]) }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.top.path().join(below)
    }

    fn write_steps(&self, counter: u32) {
        let text = format!(
            "[release]\nstream = \"tao\"\ncounter = {counter}\nbundles = \"bundles\"\n\
             [roots]\nmodels = \"models\"\ndatasets = \"data\"\n\
             [fetch]\ncsv = \"models.csv\"\nparallel = 4\n\
             [pack]\nregistry = \"shared/models\"\nexclude = [\"**/*.tmp\"]\n\
             [sign]\nkeys = [\"release-key\"]\n\
             [write]\nmedia = [\"stick\"]\n\
             [land]\nplaces = [\"stick\"]\n\
             [trust]\nallowed_signers = \"allowed_signers\"\n\
             [store]\nto = \"dir:store\"\n\
             [import]\nregistry = \"//shared/models\"\nenrol = true\ncreate_bucket = true\n"
        );
        fs::write(self.path("tao.toml"), text).expect("written");
    }

    fn call(&self, side: &str, more: &[&str]) -> Transcript {
        // From elsewhere: what the file names is below its own directory.
        let file = self.path("tao.toml");
        let mut command = airlift(&[&["tao", side, shown(&file)], more].concat());
        let here = &self.standin.endpoint;
        command.env("AIRLIFT_NGC_ENDPOINT", here).env("AIRLIFT_NGC_AUTH_ENDPOINT", here).env("HF_ENDPOINT", here);
        command.env("PTM_API_KEY", PERSONAL_KEY).env("NO_PROXY", "127.0.0.1");
        command.env("XDG_STATE_HOME", self.path("state")).current_dir("/");
        Transcript::of(command)
    }
}

fn steps(transcript: &Transcript) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&transcript.out).expect("one JSON document");
    let steps = document["steps"].as_array().expect("steps").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    steps.map(|step| (text(&step["step"]), text(&step["result"]))).collect()
}

fn all(names: &[&str], result: &str) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), result.to_owned())).collect()
}

const EXPORT: [&str; 5] = ["fetch", "check", "pack", "sign release-key", "write"];

#[test]
fn both_sides_are_done_from_one_file_and_what_is_done_is_not_done_again() {
    let place = Place::new();
    place.write_steps(1);
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), all(&EXPORT, "done"));
    let given_count = place.standin.given().len();
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), all(&EXPORT, "done before"));
    assert_eq!(place.standin.given().len(), given_count);

    let told = place.call("land", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), all(&["verify", "import"], "done"));
    let landed = files_below(&place.path("store"));
    let fetched = files_below(&place.path("models"));
    for (path, bytes) in &fetched {
        assert!(landed[&format!("shared/models/{path}")] == *bytes, "{path}");
    }
    assert!(landed.contains_key("data/train/annotations.json"));
    let told = place.call("land", &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("step 1 of 2: verify: done before"), "{}", told.err);
    assert!(told.out.contains("done: 2 steps of airlift tao land"), "{}", told.out);

    // The next release: every step looks again, and what is there is not downloaded.
    place.write_steps(2);
    fs::write(place.path("data/train/more.json"), "[]").expect("written");
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), all(&EXPORT, "done"));
}

#[test]
fn what_is_packed_anew_is_signed_and_written_anew() {
    let place = Place::new();
    place.write_steps(1);
    fs::rename(place.path("stick"), place.path("away")).expect("renamed");
    let told = place.call("export", &["--json"]);
    assert_eq!(steps(&told).last().expect("a step").0, "write", "{}", told.err);
    assert_ne!(told.code, 0);
    fs::remove_dir_all(place.path("bundles")).expect("removed");
    fs::rename(place.path("away"), place.path("stick")).expect("renamed");
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), [all(&EXPORT[..2], "done before"), all(&EXPORT[2..], "done")].concat());
    let carried = files_below(&place.path("stick"));
    assert!(carried.keys().any(|path| path.starts_with("tao-1/signatures/")), "{:?}", carried.keys());
    // A signature that is gone is made again, and written.
    fs::remove_dir_all(place.path("bundles/tao-1/signatures")).expect("removed");
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), [all(&EXPORT[..3], "done before"), all(&EXPORT[3..], "done")].concat());
}

#[test]
fn a_medium_with_two_releases_gives_the_one_that_the_file_names() {
    let place = Place::new();
    for counter in [1, 2] {
        place.write_steps(counter);
        assert_eq!(place.call("export", &[]).code, 0);
    }
    for counter in [1, 2] {
        place.write_steps(counter);
        let told = place.call("land", &[]);
        assert_eq!(told.code, 0, "{}", told.err);
        assert!(told.err.contains(&format!(" stick/tao-{counter}\nstep 2 of 2: ")), "{}", told.err);
    }
}

#[test]
fn images_stay_in_the_bundle_for_their_own_commands() {
    let place = Place::new();
    place.write_steps(1);
    let file = place.path("tao.toml");
    let text = fs::read_to_string(&file).expect("read").replace("[fetch]", "images = \"images\"\n[fetch]");
    fs::write(&file, text).expect("written");
    fs::create_dir(place.path("images")).expect("made");
    fs::write(place.path("images/index.json"), "{}").expect("written");
    assert_eq!(place.call("export", &[]).code, 0);
    let told = place.call("land", &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("root images lands nowhere: airlift images push or load"), "{}", told.err);
    assert!(!files_below(&place.path("store")).keys().any(|key| key.contains("index.json")));
}

#[test]
fn a_step_that_fails_says_why_once_and_how_to_go_on() {
    let place = Place::new();
    place.write_steps(1);
    fs::rename(place.path("release-key"), place.path("elsewhere")).expect("renamed");
    let told = place.call("export", &[]);
    assert_eq!(told.code, 1, "{}", told.err);
    let file = place.path("tao.toml");
    let next = format!("stopped at step 4 of 5, sign release-key; then repeat airlift tao export {}", file.display());
    assert!(told.err.contains(&next), "{}", told.err);
    assert!(told.error().contains("ssh-keygen"), "{}", told.err);
    fs::rename(place.path("elsewhere"), place.path("release-key")).expect("renamed");
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(steps(&told), [all(&EXPORT[..3], "done before"), all(&EXPORT[3..], "done")].concat());

    // Poison ends the way before anything is packed again.
    let metadata = place.path("models/ptm_metadatas.json");
    let text = fs::read_to_string(&metadata).expect("metadata").replace("\"created_on\"", "\"made_on\"");
    fs::write(&metadata, text).expect("written");
    let told = place.call("export", &["--json"]);
    assert_eq!(told.code, 7, "{}", told.err);
    assert_eq!(steps(&told).last(), Some(&("check".to_owned(), "refused".to_owned())));
}

#[test]
fn a_file_that_no_step_understands_is_refused_with_its_line() {
    let place = Place::new();
    for (text, part) in [
        (
            "[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\n[roots]\nmodels = 'm'\n[pack]\nvolume = 3\n",
            "line 8: \"volume\" is no option of pack",
        ),
        (
            "[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\ncolour = 1\n[roots]\nmodels = 'm'\n",
            "line 5: \"colour\" is no option of any step",
        ),
        ("[release]\ncounter = 1\n", "the table release has no stream"),
        (
            "[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\n[roots]\nmodel = 'm'\n",
            "line 6: \"model\" is nothing that roots has; write one of models, datasets, images",
        ),
        ("[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\n", "the table roots has no models = \"...\""),
        (
            "[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\n[roots]\nmodels = 'm'\n[sign]\nkey = ['k']\n",
            "the table sign has no keys = [\"...\"]; add that line, or remove the table: then",
        ),
        (
            "[release]\nstream = 'a'\ncounter = 1\nbundles = 'b'\n[roots]\nmodels = 'm'\n[write]\nmedai = ['k']\n",
            "the table write has no media",
        ),
        ("[release]\nstream = 'a'\n", "the table release has no counter = 1"),
        ("[releases]\n", "line 1: \"releases\" is no table"),
        ("stream = 'a'\n", "line 1: \"stream\" stands in no table"),
        ("[fetch]\nngc_token = 'x'\n", "line 2: \"ngc_token\" is no option: a secret does not belong in this file"),
        ("[fetch]\ncsv = { a = 1 }\n", "line 2: \"csv\" must be a text"),
        ("[pack\n", "line 1: "),
    ] {
        fs::write(place.path("tao.toml"), text).expect("written");
        let told = place.call("export", &[]);
        assert_eq!(told.code, 2, "{text}: {}", told.err);
        assert!(told.error().contains(part), "{text}: {}", told.err);
    }
    assert_eq!(place.call("land", &[]).code, 2);
}

#[test]
fn init_writes_a_file_that_both_sides_understand_and_writes_over_nothing() {
    let top = directory();
    let file = top.path().join("airlift-tao.toml");
    let told = Transcript::of(airlift(&["tao", "init", shown(&file), "--json"]));
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(serde_json::from_str::<Value>(&told.out).expect("JSON")["result"], json!("written"));
    let told = Transcript::of(airlift(&["tao", "init", shown(&file)]));
    assert_eq!(told.code, 7, "{}", told.err);
    assert!(told.error().contains("is there already"), "{}", told.err);
    for side in ["export", "land"] {
        let mut command = airlift(&["tao", side, shown(&file)]);
        command.env("XDG_STATE_HOME", top.path());
        let told = Transcript::of(command);
        // The file is understood: it is the first step that fails, for want of what the file names.
        assert!(told.err.contains("stopped at step 1 of "), "{}", told.err);
    }
    check_is_known(&file);
}

#[test]
fn what_looks_at_what_landed_is_told_once_where_it_lies() {
    let place = Place::new();
    place.write_steps(1);
    fs::create_dir_all(place.path("bundles")).expect("made");
    let told = place.call("export", &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    let dead = "http://127.0.0.1:1";
    let more = format!(
        "[register]\napi = \"{dead}\"\norg = \"o\"\nbucket = \"models\"\nstore_endpoint = \"{dead}\"\n\
         [doctor]\nstate_prefix = \".other/\"\n"
    );
    let file = place.path("tao.toml");
    let text = fs::read_to_string(&file).expect("read") + &more;
    fs::write(&file, &text).expect("written");
    let told = place.call("land", &[]);
    assert!(told.err.contains("step 3 of 4: airlift tao register --api"), "{}", told.err);
    assert!(told.err.contains("--registry //shared/models"), "{}", told.err);
    // Nobody is told of anything, and the doctor is asked alone.
    let text = text.replace("[register]", "[doctor]").replace("[doctor]\nstate_prefix", "state_prefix");
    fs::write(&file, text).expect("written");
    let told = place.call("land", &[]);
    assert_eq!(told.code, 6, "{}", told.err);
    assert!(told.err.contains("step 3 of 3: airlift tao doctor --api"), "{}", told.err);
    assert!(told.err.contains("--registry //shared/models"), "{}", told.err);
    assert!(told.out.contains("wrong: store, ") && told.out.contains("wrong: api, "), "{}", told.out);
}

/// Every key that is written as a comment is an option as well.
fn check_is_known(file: &Path) {
    let text = fs::read_to_string(file).expect("read");
    let is_key = |line: &&str| line.starts_with("# ") && line.contains(" = ");
    let with_all: String =
        text.lines().map(|line| if is_key(&line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n");
    assert!(text.lines().filter(is_key).count() > 5);
    fs::write(file, with_all).expect("written");
    for side in ["export", "land"] {
        let mut command = airlift(&["tao", side, shown(file)]);
        command.env("XDG_STATE_HOME", file.with_extension("state"));
        let told = Transcript::of(command);
        assert!(told.err.contains("stopped at step 1 of "), "{}", told.err);
    }
}
