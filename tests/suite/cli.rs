//! Transcripts of the program: what it prints where, and how it ends (spec/cli.md).

use crate::by_hand::{self, HandPack};
use crate::fixture::{self, Packed, STREAM, Size, directory, name, pack_options, sign, signer, write_tree};
use crate::program::{Transcript, airlift, files_below, flip, shown, signer_line};
use airlift::format::head::Base;
use airlift::format::{Digest, Head, Sha256};
use airlift::pipeline::pack::pack;
use airlift::pipeline::progress::Quiet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub(crate) const COMMANDS: [&str; 18] = [
    "pack",
    "sign",
    "write",
    "verify",
    "ls",
    "cat",
    "info",
    "export",
    "import",
    "fetch",
    "status",
    "abort",
    "tao",
    "images",
    "demo",
    "config",
    "completions",
    "man",
];
/// Commands of commands.
pub(crate) const SUBCOMMANDS: [&str; 13] = [
    "config show",
    "tao check",
    "tao register",
    "tao values",
    "tao doctor",
    "tao init",
    "tao export",
    "tao land",
    "images list",
    "images fetch",
    "images add",
    "images push",
    "images load",
];
const MODEL: &str = "models/org/base/v1/model.safetensors";

/// A bundle of two volumes that no test changes, and beside it who may sign.
fn shared() -> &'static Packed {
    static SHARED: OnceLock<Packed> = OnceLock::new();
    SHARED.get_or_init(|| {
        let packed = Packed::new(Size { model_len: 100 << 20, noise_len: 0, noise_count: 0, small_count: 40 }, 2);
        fs::write(signers(&packed), signer_line(signer().line())).expect("written");
        packed
    })
}

fn signers(packed: &Packed) -> PathBuf {
    packed.directory.path().join("signers")
}

/// A call that trusts the fixture's signer.
fn trusting(packed: &Packed, arguments: &[&str]) -> Command {
    let mut command = airlift(arguments);
    command.env("AIRLIFT_ALLOWED_SIGNERS", signers(packed));
    command
}

#[test]
fn help_of_every_command_shows_an_example() {
    let overview = Transcript::of(airlift(&["--help"]));
    assert_eq!(overview.code, 0);
    for command in COMMANDS {
        assert!(overview.out.contains(&format!("\n  {command}")), "{command} is not listed");
        let help = Transcript::of(airlift(&[command, "--help"]));
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{command}");
        let examples = help.out.split_once("Examples:\n").map(|(_, examples)| examples).unwrap_or_default();
        assert!(examples.contains(&format!("airlift {command}")), "{command} has no example");
    }
}

#[test]
fn a_clean_bundle_is_one_line() {
    let packed = shared();
    let verified = Transcript::of(trusting(packed, &["verify", shown(&packed.bundle())]));
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.starts_with("clean: models-eu release 2, "), "{}", verified.out);
    assert!(verified.out.ends_with("signed by release-team\n"), "{}", verified.out);
    assert_eq!((verified.out.lines().count(), verified.err.as_str()), (1, ""));
}

#[test]
fn damage_is_named_with_volume_bytes_rule_and_files() {
    let packed = shared();
    let medium = packed.medium("flipped", &packed.volume_numbers());
    flip(&medium.join("volumes/000001.vol"), 40 << 20);
    let verified = Transcript::of(trusting(packed, &["verify", shown(&medium)]));
    assert_eq!(verified.code, 3);
    assert!(verified.out.starts_with("damaged: volume 1, bytes "), "{}", verified.out);
    assert!(verified.out.contains("(F-101)"), "{}", verified.out);
    assert!(verified.out.contains(&format!("\n  affects {MODEL}\n")), "{}", verified.out);
    assert!(verified.error().contains("get another copy of what is named"));
    let verified = Transcript::of(trusting(packed, &["verify", shown(&medium), "--json"]));
    let document: Value = serde_json::from_str(&verified.out).expect("JSON");
    let finding = &document["findings"][0];
    assert_eq!((document["result"].as_str(), finding["volume"].as_u64()), (Some("damaged"), Some(1)));
    let range = finding["start"].as_u64().expect("a number")..finding["end"].as_u64().expect("a number");
    assert!(range.contains(&(40 << 20)), "{range:?}");
    let error: Value = serde_json::from_str(verified.err.trim_end()).expect("one JSON object");
    assert_eq!((error["error"]["class"].as_str(), error["error"]["exit_code"].as_u64()), (Some("damaged"), Some(3)));
    // At the depth of the head nobody looks at volumes.
    assert_eq!(Transcript::of(trusting(packed, &["verify", shown(&medium), "--depth", "head"])).code, 0);
}

#[test]
fn a_missing_volume_is_named_and_another_medium_brings_it() {
    let packed = shared();
    let (first, rest) = (packed.medium("first", &[1]), packed.medium("rest", &[2]));
    let verified = Transcript::of(trusting(packed, &["verify", shown(&first)]));
    assert_eq!(verified.code, 5);
    assert!(verified.error().contains("volume 2 of 2 is missing"), "{}", verified.err);
    assert_eq!(Transcript::of(trusting(packed, &["verify", shown(&first), shown(&rest)])).code, 0);
}

#[test]
fn trust_has_no_default() {
    let packed = shared();
    let bundle = packed.bundle();
    for command in [&["verify"][..], &["ls"], &["info"], &["export", "--to", "nowhere"]] {
        let asked = Transcript::of(airlift(&[command, &[shown(&bundle)]].concat()));
        assert_eq!(asked.code, 2, "{command:?}");
        assert!(asked.error().contains("--allowed-signers"), "{}", asked.err);
        assert_eq!(asked.out, "");
    }
    let asked = Transcript::of(airlift(&["verify", shown(&bundle), "--allowed-signers", "/nonexistent/signers"]));
    assert_eq!(asked.code, 4);
    assert!(asked.error().contains("cannot read /nonexistent/signers"));
}

#[test]
fn an_unknown_signer_a_short_threshold_and_another_stream_are_untrusted() {
    let packed = shared();
    let bundle = packed.bundle();
    let stranger = packed.directory.path().join("stranger");
    fs::write(&stranger, signer_line(crate::authenticator::TestKey::ed25519(7).line())).expect("written");
    let cases: [&[&str]; 3] = [&["--allowed-signers", shown(&stranger)], &["--threshold", "2"], &["--stream", "other"]];
    for options in cases {
        for command in ["verify", "ls", "info"] {
            let asked = Transcript::of(trusting(packed, &[&[command, shown(&bundle)], options].concat()));
            assert_eq!((asked.code, asked.out.as_str()), (4, ""), "{command} {options:?}: {}", asked.err);
            assert!(asked.error().contains("is not trusted"), "{}", asked.err);
        }
    }
}

#[test]
fn looking_without_trust_shows_a_banner_that_nothing_silences() {
    let packed = shared();
    let bundle = packed.bundle();
    for options in [&[][..], &["--quiet"], &["--json"]] {
        let asked = Transcript::of(airlift(&[&["ls", shown(&bundle), "--untrusted"], options].concat()));
        assert_eq!(asked.code, 0);
        assert!(asked.err.contains("UNTRUSTED"), "{options:?}");
        assert!(asked.out.contains(MODEL));
    }
}

#[test]
fn wrong_usage_is_told_and_secrets_are_not_repeated() {
    let packed = shared();
    let bundle = packed.bundle();
    let file = bundle.join("manifest");
    let cases: [&[&str]; 7] = [
        &[],
        &["fly"],
        &["ls"],
        &["ls", shown(&bundle), "models/none"],
        &["verify", "/nonexistent/medium"],
        &["verify", shown(&file)],
        &["pack", "models=.", "--out", "x", "--stream", "s", "--counter", "1", "--volume-size", "4G"],
    ];
    for arguments in cases {
        let asked = Transcript::of(trusting(packed, arguments));
        assert_eq!((asked.code, asked.out.as_str()), (2, ""), "{arguments:?}: {}", asked.err);
    }
    let asked = Transcript::of(airlift(&["import", "--json", "--secret-access-key=canary"]));
    assert_eq!(asked.code, 2);
    assert!(!asked.err.contains("canary"), "{}", asked.err);
    let error: Value = serde_json::from_str(asked.err.trim_end()).expect("one JSON object");
    assert_eq!(error["error"]["class"].as_str(), Some("usage"));
    assert!(error["error"]["remedy"].as_str().is_some_and(|remedy| remedy.contains("--credentials-file")));
    let asked = Transcript::of(airlift(&["ls", "--json"]));
    let error: Value = serde_json::from_str(asked.err.trim_end()).expect("one JSON object");
    assert_eq!((asked.code, error["error"]["exit_code"].as_u64()), (2, Some(2)));
}

#[test]
fn a_name_from_outside_cannot_act_on_the_terminal() {
    let asked = Transcript::of(airlift(&["ls", "--untrusted", "/nonexistent/\u{1b}[2J\nerror: all is well"]));
    assert_eq!(asked.code, 2);
    assert!(!asked.err.contains('\u{1b}'));
    assert!(asked.error().contains("\\u{1b}"), "{}", asked.err);
}

#[test]
fn lists_and_sums_up_without_any_volume() {
    let packed = shared();
    let medium = packed.medium("bare", &[]);
    let listed = Transcript::of(trusting(packed, &["ls", shown(&medium), "models/org/base", "--long"]));
    let expected = fs::read(packed.tree().join(MODEL)).expect("read");
    let sha256 = Sha256::of(&expected);
    assert_eq!(listed.out.lines().count(), 1);
    for part in [expected.len().to_string(), sha256.to_string(), "safetensors".to_owned(), MODEL.to_owned()] {
        assert!(listed.out.contains(&part), "{part} is not in {}", listed.out);
    }
    let listed = Transcript::of(trusting(packed, &["ls", shown(&medium), "--json"]));
    let document: Value = serde_json::from_str(&listed.out).expect("JSON");
    let entries = document["entries"].as_array().expect("an array");
    assert_eq!(entries.len(), files_below(&packed.tree()).len() + 1);
    assert!(entries.iter().any(|entry| entry["directory"].as_bool() == Some(true)));
    let info = Transcript::of(trusting(packed, &["info", shown(&medium), "--json"]));
    let document: Value = serde_json::from_str(&info.out).expect("JSON");
    assert_eq!(
        (document["trusted"].as_bool(), document["volumes_here"].as_array().map(Vec::len)),
        (Some(true), Some(0))
    );
    assert_eq!(document["signers"][0].as_str(), Some("release-team"));
    let info = Transcript::of(trusting(packed, &["info", shown(&packed.bundle())]));
    for part in ["models-eu release 2", "release-team", "deduplicated", "planes"] {
        assert!(info.out.contains(part), "{part} is not in {}", info.out);
    }
}

#[test]
fn info_says_where_content_was_the_same_and_its_parts_add_up() {
    let directory = directory();
    let (tree, out) = (directory.path().join("tree"), directory.path().join("out"));
    let random = |seed, len| crate::tree::Random::new(seed).bytes(len);
    let (large, small) = (random(1, 40 << 20), random(2, 100_000));
    let files = [
        ("a/large.bin", large.clone()),
        ("b/large.bin", large.clone()),
        ("c/tuned.bin", [&large[..20 << 20], &random(3, 14 << 20)].concat()),
        ("d/one.bin", small.clone()),
        ("d/two.bin", small),
    ];
    for (path, bytes) in &files {
        fs::create_dir_all(tree.join(path).parent().expect("a parent")).expect("made");
        fs::write(tree.join(path), bytes).expect("written");
    }
    let pack = ["pack", &format!("m={}", shown(&tree)), "--stream", "s", "--counter", "1", "--out", shown(&out)];
    assert!(airlift(&pack).output().expect("run").status.success());
    let info = Transcript::of(airlift(&["info", shown(&out), "--untrusted", "--json"]));
    let document: Value = serde_json::from_str(&info.out).expect("JSON");
    let (packs, dedup) = (&document["packs_here"], &document["packs_here"]["dedup"]);
    let number = |value: &Value| value.as_u64().expect("a number");
    // The second of two equal files, of 40 MiB and of 100,000 bytes.
    assert_eq!(number(&dedup["whole_files"]["count"]), 2);
    assert_eq!(number(&dedup["whole_files"]["bytes"]), (40 << 20) + 100_000);
    let profiles = dedup["profiles"].as_array().expect("an array");
    let sum = |what: &str| profiles.iter().map(|one| number(&one[what]["bytes"])).sum::<u64>();
    let whole_len = number(&dedup["whole_files"]["bytes"]);
    assert_eq!(whole_len + sum("chunks"), number(&packs["content_bytes"]));
    let twice_len = number(&packs["repeated_bytes"]) + number(&packs["referenced_bytes"]);
    assert_eq!(whole_len + sum("repeats") + sum("references"), twice_len);
    let tuned_len = sum("references");
    assert!((19 << 20..=20 << 20).contains(&tuned_len), "{tuned_len}");
    let runs = dedup["reference_runs"].as_array().expect("an array");
    let run_len: u64 = runs.iter().map(|one| number(&one["runs"]["bytes"])).sum();
    assert_eq!(run_len, number(&packs["referenced_bytes"]));
    let text = Transcript::of(airlift(&["info", shown(&out), "--untrusted", "--dedup"]));
    for part in ["the same", "whole files            2", "runs from"] {
        assert!(text.out.contains(part), "{part} is not in {}", text.out);
    }
}

#[test]
fn cat_writes_the_file_or_a_proven_beginning_of_it() {
    let packed = shared();
    let expected = fs::read(packed.tree().join(MODEL)).expect("read");
    let whole = trusting(packed, &["cat", shown(&packed.bundle()), MODEL]).output().expect("run");
    assert!(whole.status.success() && whole.stdout == expected);
    let medium = packed.medium("cat", &packed.volume_numbers());
    flip(&medium.join("volumes/000001.vol"), 40 << 20);
    let partly = trusting(packed, &["cat", shown(&medium), MODEL]).output().expect("run");
    assert_eq!(partly.status.code(), Some(3));
    assert!(partly.stdout.len() < expected.len() && expected.starts_with(&partly.stdout));
    let error = String::from_utf8(partly.stderr).expect("UTF-8");
    assert!(error.contains(&format!("error: {MODEL} is damaged")), "{error}");
    // The good copy on another medium makes up for it.
    let bundle = packed.bundle();
    let arguments = ["cat", shown(&medium), MODEL, "--medium", shown(&bundle)];
    let healed = trusting(packed, &arguments).output().expect("run");
    assert!(healed.status.success() && healed.stdout == expected);
}

#[test]
fn exports_what_was_packed_and_resumes() {
    let packed = shared();
    let to = packed.directory.path().join("exported");
    let bundle = packed.bundle();
    let arguments = ["export", shown(&bundle), "--to", shown(&to)];
    let exported = Transcript::of(trusting(packed, &arguments));
    assert_eq!(exported.code, 0, "{}", exported.err);
    assert!(files_below(&to) == files_below(&packed.tree()));
    assert!(to.join("models/org/empty/v1").is_dir());
    fs::remove_file(to.join(MODEL)).expect("removed");
    let again = Transcript::of(trusting(packed, &[&arguments[..], &["--json"]].concat()));
    let document: Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(document["files"].as_u64(), Some(1));
    assert!(files_below(&to) == files_below(&packed.tree()));
}

#[test]
fn an_export_goes_neither_through_a_link_nor_over_a_file() {
    let packed = shared();
    let to = packed.directory.path().join("guarded");
    let outside = packed.directory.path().join("outside");
    fs::create_dir_all(&to).expect("made");
    fs::create_dir_all(&outside).expect("made");
    symlink(&outside, to.join("models")).expect("linked");
    let exported = Transcript::of(trusting(packed, &["export", shown(&packed.bundle()), "--to", shown(&to)]));
    assert_eq!(exported.code, 7);
    assert!(exported.error().contains("is there already"), "{}", exported.err);
    assert_eq!(files_below(&outside).len(), 0);
    fs::remove_file(to.join("models")).expect("removed");
    fs::create_dir_all(to.join(MODEL).parent().expect("a parent")).expect("made");
    fs::write(to.join(MODEL), b"mine").expect("written");
    let exported = Transcript::of(trusting(packed, &["export", shown(&packed.bundle()), "--to", shown(&to)]));
    assert_eq!(exported.code, 7);
    assert_eq!(fs::read(to.join(MODEL)).expect("read"), b"mine");
}

#[test]
fn an_export_leaves_out_what_is_damaged_and_a_second_one_waits() {
    let packed = shared();
    let medium = packed.medium("lossy", &packed.volume_numbers());
    flip(&medium.join("volumes/000001.vol"), 40 << 20);
    let to = packed.directory.path().join("lossy-out");
    let exported = Transcript::of(trusting(packed, &["export", shown(&medium), "--to", shown(&to)]));
    assert_eq!(exported.code, 3, "{}", exported.err);
    assert!(exported.error().contains("can't be had"));
    let (found, mut expected) = (files_below(&to), files_below(&packed.tree()));
    expected.retain(|path, _| found.contains_key(path));
    assert!(!found.contains_key(MODEL) && found.len() > 50 && found == expected);
    let work = to.join(".airlift-export");
    fs::create_dir(&work).expect("made");
    let lock = fs::File::open(&work).expect("open");
    lock.lock().expect("locked");
    let exported = Transcript::of(trusting(packed, &["export", shown(&packed.bundle()), "--to", shown(&to)]));
    assert_eq!(exported.code, 6, "{}", exported.err);
}

#[test]
fn a_tar_stream_has_every_entry_or_no_end() {
    let packed = shared();
    let streamed = trusting(packed, &["export", shown(&packed.bundle()), "--to", "-"]).output().expect("run");
    assert!(streamed.status.success());
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(&streamed.stdout[..]).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_str().expect("UTF-8").to_owned();
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read");
            files.insert(path, bytes);
        }
    }
    assert!(files == files_below(&packed.tree()));
    assert!(streamed.stdout.ends_with(&[0; 1024]));
    let first = packed.medium("tar", &[1]);
    let partly = trusting(packed, &["export", shown(&first), "--to", "-"]).output().expect("run");
    assert_eq!(partly.status.code(), Some(5));
    assert!(!partly.stdout.ends_with(&[0; 1024]));
}

/// Arguments of an import from `place` into a directory store below `top`.
fn import_arguments<'a>(place: &'a Path, to: &'a str, state: &'a Path) -> Vec<&'a str> {
    let mapped = ["--map", "models=registry/models/", "--map", "datasets=data/"];
    let fixed = [shown(place), "--stream", STREAM, "--to", to, "--state", shown(state)];
    [&["import"][..], &fixed, &mapped].concat()
}

#[test]
fn imports_in_two_runs_and_says_each_time_how_it_stands() {
    let packed = shared();
    let top = packed.directory.path();
    let (to, state) = (format!("dir:{}", shown(&top.join("store"))), top.join("state"));
    let (first, rest) = (packed.medium("import-1", &[1]), packed.medium("import-2", &[2]));
    let run = |place: &Path, more: &[&str]| {
        Transcript::of(trusting(packed, &[&import_arguments(place, &to, &state)[..], more].concat()))
    };
    let refused = run(&first, &[]);
    assert_eq!((refused.code, top.join("store").exists()), (2, false), "{}", refused.err);
    assert!(refused.error().contains("--create-bucket"));
    let refused = run(&first, &["--create-bucket"]);
    assert_eq!((refused.code, top.join("store").exists()), (7, false), "{}", refused.err);
    assert!(refused.error().contains("--enrol"));
    let looked = run(&first, &["--create-bucket", "--enrol", "--dry-run"]);
    assert_eq!((looked.code, top.join("store").exists()), (0, false), "{}", looked.err);
    let partly = run(&first, &["--create-bucket", "--enrol"]);
    assert_eq!(partly.code, 5, "{}", partly.err);
    assert!(partly.error().contains("is missing"), "{}", partly.err);
    let done = run(&rest, &["--enrol", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let document: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(document["result"].as_str(), Some("imported"));
    assert_eq!(document["receipt"]["signers"][0].as_str(), Some("release-team"));
    let store = airlift::store::DirectoryStore::new(top.join("store"));
    fixture::assert_same(&fixture::objects(&store), packed.expected());
    let mut status = import_arguments(&rest, &to, &state);
    status[0] = "status";
    let told = Transcript::of(trusting(packed, &status));
    assert!(told.code == 0 && told.out.starts_with("installed: models-eu release 2"), "{}{}", told.out, told.err);
    let mut abort = status.clone();
    abort[0] = "abort";
    assert_eq!(Transcript::of(trusting(packed, &abort)).code, 0);
    // An older release of the stream does not follow.
    let older = older_release(top, |_| ());
    let refused = Transcript::of(trusting(packed, &import_arguments(&older, &to, &state)));
    assert_eq!(refused.code, 9, "{}", refused.err);
    assert!(refused.error().contains("older"), "{}", refused.err);
}

#[test]
fn foreign_objects_and_missing_bases_refuse() {
    let packed = shared();
    let top = packed.directory.path().join("refusals");
    let object = top.join("store/data/odd/a b?#+%&=é.txt");
    fs::create_dir_all(object.parent().expect("a parent")).expect("made");
    fs::write(&object, b"mine").expect("written");
    let (to, state) = (format!("dir:{}", shown(&top.join("store"))), top.join("state"));
    let bundle = packed.bundle();
    let arguments = [&import_arguments(&bundle, &to, &state)[..], &["--enrol"]].concat();
    let refused = Transcript::of(trusting(packed, &arguments));
    assert_eq!(refused.code, 7, "{}", refused.err);
    assert!(refused.error().contains("--on-existing"), "{}", refused.err);
    assert_eq!(fs::read(&object).expect("read"), b"mine");
    let building = older_release(&top, |head| {
        head.bases = vec![Base { stream: name("base"), counter: 1, content_id: Digest::of(b"base") }];
    });
    let refused =
        Transcript::of(trusting(packed, &[&import_arguments(&building, &to, &state)[..], &["--enrol"]].concat()));
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(refused.error().contains("import the release that it builds on"), "{}", refused.err);
}

/// Packs and signs a small release 1 below `top`, with its head changed before it is signed.
fn older_release(top: &Path, change: impl FnOnce(&mut Head)) -> PathBuf {
    let out = top.join("older");
    let roots = write_tree(
        &top.join("older-tree"),
        Size { model_len: 1 << 20, noise_len: 0, noise_count: 0, small_count: 4 },
        1,
    );
    let mut head = pack(&pack_options(roots, &out, 1), &Quiet).expect("packed").head;
    change(&mut head);
    fs::write(out.join("head.json"), head.encode()).expect("written");
    sign(&out);
    out
}

#[test]
fn packs_once_and_leaves_a_finished_bundle_alone() {
    let directory = directory();
    let (tree, out) = (directory.path().join("tree"), directory.path().join("bundle"));
    fs::create_dir(&tree).expect("made");
    fs::write(tree.join("file"), b"bytes").expect("written");
    let root = format!("data={}", shown(&tree));
    let arguments = ["pack", &root, "--stream", "s", "--counter", "3", "--out", shown(&out)];
    let looked = Transcript::of(airlift(&[&arguments[..], &["--dry-run"]].concat()));
    assert_eq!((looked.code, out.exists()), (0, false), "{}", looked.err);
    assert!(looked.out.starts_with("would pack: 1 file"), "{}", looked.out);
    symlink("file", tree.join("link")).expect("linked");
    let refused = Transcript::of(airlift(&arguments));
    assert_eq!(refused.code, 7, "{}", refused.err);
    assert!(refused.err.contains("refused: \"data/link\": it is a symbolic link\n"), "{}", refused.err);
    let packed = Transcript::of(airlift(&[&arguments[..], &["--skip-unsupported"]].concat()));
    assert!(packed.code == 0 && packed.out.starts_with("packed: s release 3 "), "{}{}", packed.out, packed.err);
    assert!(packed.err.contains("skipped: \"data/link\""), "{}", packed.err);
    let head = fs::read(out.join("head.json")).expect("read");
    let again = Transcript::of(airlift(&[&arguments[..], &["--skip-unsupported", "--json"]].concat()));
    let document: Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!((again.code, document["result"].as_str()), (0, Some("packed before")));
    assert_eq!(fs::read(out.join("head.json")).expect("read"), head);
    // Nobody has signed it: for a receiver it is untrusted.
    let verified = Transcript::of(trusting(shared(), &["verify", shown(&out)]));
    assert_eq!(verified.code, 4);
    assert!(verified.error().contains("airlift sign"), "{}", verified.err);
}

#[test]
fn what_is_left_out_is_counted_and_said() {
    let directory = directory();
    let (tree, out) = (directory.path().join("tree"), directory.path().join("bundle"));
    fs::create_dir_all(tree.join("d/.git")).expect("made");
    for path in ["file", ".gitignore", "d/a.lock", "d/.git/config", "d/.git/HEAD"] {
        fs::write(tree.join(path), b"file\n").expect("written");
    }
    let root = format!("data={}", shown(&tree));
    let globs = ["--exclude", "**/*.lock", "--exclude", "**/.git", "--exclude", "*.tmp"];
    let begin = ["pack", &root, "--stream", "s", "--counter", "3", "--out", shown(&out)];
    let arguments = [&begin[..], &globs].concat();
    let looked = Transcript::of(airlift(&[&arguments[..], &["--dry-run"]].concat()));
    assert!(looked.out.starts_with("would pack: 2 files, "), "{}", looked.out);
    assert!(looked.out.ends_with("left out      2 entries\n"), "{}", looked.out);
    assert_eq!(looked.err, "nothing is left out by *.tmp\n");
    let packed = Transcript::of(airlift(&[&arguments[..], &["--json"]].concat()));
    let document: Value = serde_json::from_str(&packed.out).expect("JSON");
    let counted = |glob: &str, count: u64| json!({ "glob": glob, "entries": count });
    assert_eq!(document["excluded"], json!([counted("**/*.lock", 1), counted("**/.git", 1), counted("*.tmp", 0)]));
    assert_eq!(document["head"]["totals"]["files"], 2);
    let refused = Transcript::of(airlift(&[&begin[..], &["--exclude", ".git/"]].concat()));
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("neither begins nor ends with '/'"), "{}", refused.err);
}

#[test]
fn a_full_disk_is_told() {
    let packed = shared();
    let mut command = trusting(packed, &["cat", shown(&packed.bundle()), MODEL]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("open");
    let output = command.stdout(full).output().expect("run");
    assert_eq!(output.status.code(), Some(10));
}

#[test]
fn a_reader_that_goes_ends_it_without_a_word() {
    let packed = shared();
    let mut command = trusting(packed, &["cat", shown(&packed.bundle()), MODEL]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}

#[test]
fn a_signal_ends_it_where_repeating_resumes() {
    let packed = shared();
    let mut command = trusting(packed, &["cat", shown(&packed.bundle()), MODEL]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    let mut out = child.stdout.take().expect("piped");
    // The first byte says that the handlers are there; then the pipe is full and it waits for us.
    let mut first = [0];
    out.read_exact(&mut first).expect("a byte");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).expect("read");
    let output = child.wait_with_output().expect("ended");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("error: stopped by a signal; repeating the command resumes"), "{error}");
    let expected = fs::read(packed.tree().join(MODEL)).expect("read");
    assert!(rest.len() + 1 < expected.len() && expected[1..].starts_with(&rest));
}

#[test]
fn the_demo_goes_all_the_way() {
    let directory = directory();
    let mut command = airlift(&["demo", "--json"]);
    command.env("TMPDIR", directory.path());
    let shown = Transcript::of(command);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let document: Value = serde_json::from_str(&shown.out).expect("JSON");
    let steps = document["steps"].as_array().expect("an array");
    let outcome = |step: &str| {
        let found = steps.iter().find(|one| one["step"] == step).expect("the step");
        found["outcome"].as_str().expect("a text").to_owned()
    };
    assert!(outcome("one bit flipped").starts_with("found: volume 2, bytes "));
    assert!(outcome("import of that").starts_with("exit 3: "));
    assert!(outcome("good copy, again").contains("there already"));
    // Nothing is left behind.
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[test]
fn twins_are_refused_by_an_export_to_a_directory_alone() {
    let packed = shared();
    let top = packed.directory.path();
    let bundle = top.join("twins");
    let files = vec![("models/Weights", Vec::new()), ("models/weights", Vec::new())];
    by_hand::write(&bundle, 1, &[HandPack { volume: 1, files }]);
    let to = top.join("twins-out");
    let exported = Transcript::of(trusting(packed, &["export", shown(&bundle), "--to", shown(&to)]));
    assert_eq!(exported.code, 7, "{}", exported.err);
    assert!(exported.error().contains("twin"), "{}", exported.err);
    assert_eq!(files_below(&to).len(), 0);
    let streamed = trusting(packed, &["export", shown(&bundle), "--to", "-"]).output().expect("run");
    assert!(streamed.status.success());
    assert_eq!(tar::Archive::new(&streamed.stdout[..]).entries().expect("an archive").count(), 2);
}

#[test]
fn a_limit_of_bandwidth_is_kept_and_a_signal_ends_the_wait() {
    let packed = Packed::new(Size { model_len: 1 << 20, noise_len: 2 << 20, noise_count: 4, small_count: 4 }, 2);
    let top = packed.directory.path();
    fs::write(signers(&packed), signer_line(signer().line())).expect("written");
    let bundle = packed.bundle();
    let run = |store: &str, rate: &str| {
        let (to, state) = (format!("dir:{}", shown(&top.join(store))), top.join(store).with_extension("state"));
        let more = ["--enrol", "--create-bucket", "--bwlimit", rate];
        trusting(&packed, &[&import_arguments(&bundle, &to, &state)[..], &more].concat())
    };
    for rate in ["0", "4G", "fast"] {
        assert_eq!(Transcript::of(run("refused", rate)).code, 2, "{rate}");
    }
    // Ten MiB at four a second: no less than two seconds, whatever the machine.
    let began_at = std::time::Instant::now();
    let imported = Transcript::of(run("slow", "4MiB"));
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert!(began_at.elapsed().as_millis() >= 1500, "{:?}", began_at.elapsed());
    let store = airlift::store::DirectoryStore::new(top.join("slow"));
    fixture::assert_same(&fixture::objects(&store), packed.expected());
    // At a KiB a second it would take hours.
    let mut child = run("endless", "1KiB").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
    // A bucket says that the handlers are there.
    while !top.join("endless").exists() {
        assert!(child.try_wait().expect("asked").is_none(), "it ended before it began");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(child.try_wait().expect("asked").is_none(), "it did not wait");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
}
