//! The config file: where it is looked for, what comes before it, and that nothing in it is passed over.

use crate::fixture::{self, Packed, Size};
use crate::program::{Transcript, airlift, shown, signer_line};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A small bundle that no test changes, and beside it who may sign.
fn shared() -> &'static Packed {
    static SHARED: OnceLock<Packed> = OnceLock::new();
    SHARED.get_or_init(|| {
        let packed = Packed::new(Size { model_len: 1 << 20, noise_len: 0, noise_count: 0, small_count: 4 }, 2);
        fs::write(packed.directory.path().join("signers"), signer_line(fixture::signer().line())).expect("written");
        packed
    })
}

/// Writes a config file into a directory of its own beside the bundle.
fn config(name: &str, text: &str) -> PathBuf {
    let path = shared().directory.path().join(name).join("airlift/config.toml");
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(&path, text).expect("written");
    path
}

/// Returns what `config show --json` says of an option: its value, and the kind of its origin.
fn shows(mut command: Command, key: &str) -> (Option<String>, Value) {
    command.args(["config", "show", "--json"]);
    let told = Transcript::of(command);
    assert_eq!(told.code, 0, "{}", told.err);
    let document: Value = serde_json::from_str(&told.out).expect("JSON");
    let options = document["options"].as_array().expect("an array");
    let option = options.iter().find(|option| option["key"] == key).expect("the option");
    (option["value"].as_str().map(str::to_owned), option["origin"].clone())
}

fn with_file(path: &Path) -> Command {
    airlift(&["--config", shown(path)])
}

#[test]
fn the_file_is_found_by_option_then_variable_then_in_its_usual_places() {
    let files = ["option", "variable", "xdg"].map(|name| config(name, &format!("aws_profile = \"{name}\"\n")));
    let home = config("home/.config", "aws_profile = \"home\"\n");
    let above = |path: &Path| path.parent().and_then(Path::parent).expect("above").to_owned();
    let mut command = airlift(&[]);
    command.env("HOME", above(&home).parent().expect("above")).env_remove("XDG_CONFIG_HOME");
    assert_eq!(shows(command, "aws_profile").0.as_deref(), Some("home"));
    let mut command = airlift(&[]);
    command.env("XDG_CONFIG_HOME", above(&files[2]));
    assert_eq!(shows(command, "aws_profile").0.as_deref(), Some("xdg"));
    let named = |command: &mut Command| {
        command.env("XDG_CONFIG_HOME", above(&files[2])).env("AIRLIFT_CONFIG", &files[1]);
    };
    let mut command = airlift(&[]);
    named(&mut command);
    assert_eq!(shows(command, "aws_profile").0.as_deref(), Some("variable"));
    let mut command = with_file(&files[0]);
    named(&mut command);
    assert_eq!(shows(command, "aws_profile").0.as_deref(), Some("option"));
    assert_eq!(shows(airlift(&[]), "aws_profile").0, None);
}

#[test]
fn the_command_line_comes_before_the_environment_the_file_and_what_is_built_in() {
    let packed = shared();
    let bundle = packed.bundle();
    let verify = |options: &[&str], variable: Option<&Path>| {
        let mut command = airlift(&[&["verify", shown(&bundle)], options].concat());
        variable.map(|path| command.env("AIRLIFT_ALLOWED_SIGNERS", path));
        Transcript::of(command).code
    };
    let good = config("good", "# of every day\nallowed_signers = \"../../signers\"\n");
    let bad = config("bad", "allowed_signers = \"/nonexistent/file\"\n");
    let signers = packed.directory.path().join("signers");
    // Nothing, the file alone, the environment before the file, the command line before both.
    assert_eq!(verify(&[], None), 2);
    assert_eq!(verify(&["--config", shown(&good)], None), 0);
    assert_eq!(verify(&["--config", shown(&bad)], None), 4);
    assert_eq!(verify(&["--config", shown(&bad)], Some(&signers)), 0);
    assert_eq!(verify(&["--config", shown(&good)], Some(Path::new("/nonexistent/variable"))), 4);
    let line = ["--config", shown(&bad), "--allowed-signers", shown(&signers)];
    assert_eq!(verify(&line, Some(Path::new("/nonexistent/variable"))), 0);
    // What the file demands is demanded, and the command line may say otherwise.
    let two = config("two", "allowed_signers = \"../../signers\"\nthreshold = 2\n");
    assert_eq!(verify(&["--config", shown(&two)], None), 4);
    assert_eq!(verify(&["--config", shown(&two), "--threshold", "1"], None), 0);
    let other = config("other", "allowed_signers = \"../../signers\"\nstream = \"other\"\n");
    assert_eq!(verify(&["--config", shown(&other)], None), 4);
    // Without trust nobody is asked for, wherever it is named.
    assert_eq!(Transcript::of(airlift(&["ls", shown(&bundle), "--untrusted", "--config", shown(&bad)])).code, 0);
}

#[test]
fn an_import_takes_its_stream_and_state_from_the_file() {
    let packed = shared();
    let top = packed.directory.path().join("import");
    let text =
        "allowed_signers = \"../../signers\"\nstream = \"models-eu\"\nstate = \"state\"\nstate_prefix = \".ours/\"\n";
    let file = config("daily", text);
    let (bundle, to) = (packed.bundle(), format!("dir:{}", shown(&top.join("store"))));
    let mapped = ["--map", "models=m/", "--map", "datasets=d/", "--enrol", "--create-bucket"];
    let fixed = ["import", shown(&bundle), "--to", &to, "--config", shown(&file)];
    let imported = Transcript::of(airlift(&[&fixed[..], &mapped].concat()));
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert!(top.join("store/.ours").is_dir() && file.with_file_name("state").is_dir());
}

#[test]
fn every_option_is_shown_with_its_value_and_where_it_comes_from() {
    let file = config("origin", "\nvolume_size = \"4GiB\"\nregion = \"eu\"\nca_file = \"ca.pem\"\n");
    let (value, origin) = shows(with_file(&file), "volume_size");
    assert_eq!((value.as_deref(), origin["kind"].as_str()), (Some("4GiB"), Some("file")));
    assert_eq!((origin["path"].as_str(), origin["line"].as_u64()), (Some(shown(&file)), Some(2)));
    let (value, origin) = shows(with_file(&file), "threshold");
    assert_eq!((value.as_deref(), origin["kind"].as_str()), (Some("1"), Some("built-in")));
    assert_eq!(shows(with_file(&file), "quiet").0.as_deref(), Some("false"));
    let mut command = with_file(&file);
    command.env("XDG_STATE_HOME", "/nonexistent/state");
    assert_eq!(shows(command, "state").0.as_deref(), Some("/nonexistent/state/airlift"));
    assert_eq!(shows(with_file(&file), "ca_file").0.as_deref(), Some(shown(&file.with_file_name("ca.pem"))));
    let mut command = with_file(&file);
    command.env("AWS_REGION", "us").env("AWS_ACCESS_KEY_ID", "canary");
    let (value, origin) = shows(command, "region");
    assert_eq!((value.as_deref(), origin["variable"].as_str()), (Some("us"), Some("AWS_REGION")));
    let mut command = with_file(&file);
    command.args(["config", "show", "--origin"]).env("AWS_ACCESS_KEY_ID", "canary");
    let told = Transcript::of(command);
    assert!(!told.out.contains("canary") && told.out.contains("environment variable AWS_ACCESS_KEY_ID"));
    let line = told.out.lines().find(|line| line.starts_with("volume_size ")).expect("a line");
    assert!(line.contains("4GiB") && line.ends_with(&format!("{}, line 2", shown(&file))), "{line}");
}

#[test]
fn what_the_file_must_not_say_ends_every_command_with_file_line_and_key() {
    for (name, text, part) in [
        ("misspelt", "threads = 1\nalowed_signers = \"x\"\n", "line 2: \"alowed_signers\" is no option"),
        ("type", "threshold = \"2\"\n", "line 1: threshold must be a number from 1"),
        ("value", "\n\nvolume_size = \"4G\"\n", "line 3: volume_size must be a size"),
        ("form", "threads 1\n", "line 1: "),
        ("secret", "aws_secret_access_key = \"canary\"\n", "line 1: \"aws_secret_access_key\" is no option: a secret"),
    ] {
        let file = config(name, text);
        for command in [&["verify", "."][..], &["config", "show"], &["ls", "x", "--json"]] {
            let refused = Transcript::of(airlift(&[command, &["--config", shown(&file)]].concat()));
            assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{name}: {}", refused.err);
            assert!(refused.err.contains(shown(&file)) && !refused.err.contains("canary"), "{}", refused.err);
            assert!(refused.err.replace("\\\"", "\"").contains(part), "{}", refused.err);
        }
    }
    let named = Transcript::of(airlift(&["config", "show", "--config", "/nonexistent/config.toml"]));
    assert_eq!(named.code, 2);
    assert!(named.error().contains("/nonexistent/config.toml"), "{}", named.err);
    // A file in the usual place that can't be read is no absent file.
    let directory = config("odd", "");
    fs::remove_file(&directory).expect("removed");
    fs::create_dir(&directory).expect("made");
    let mut command = airlift(&["config", "show"]);
    command.env("XDG_CONFIG_HOME", directory.parent().and_then(Path::parent).expect("above"));
    assert_eq!(Transcript::of(command).code, 2);
}
