//! Bundles from the vectors of the specification: their bytes are made by code, and here the program
//! meets them, signed by a hostile signer where they are no bundles yet.

use super::bench::{Bench, Called};
use super::reseal::{reseal, sign_raw_for};
use crate::by_hand::{self, HandPack};
use crate::format_vectors::{Case, cases, from_hex, walk};
use crate::program::{files_below, shown};
use airlift::format::index::CodecId;
use airlift::format::manifest::{ManifestRoot, PageFacts, PageReader, Record};
use airlift::format::packs::{PackPageFacts, PackRoot, decode_page};
use airlift::format::walk::{Entry, Item};
use airlift::format::{Digest, EntryPath, Sha256, Structure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the code that the class of a vector means.
fn code_of(case: &Case) -> i32 {
    match case.text("class") {
        // A head alone is accepted, and then the rest of the bundle is not there.
        "accepted" if case.kind() == "head" => 5,
        "accepted" => 0,
        "damaged" => 3,
        "untrusted" => 4,
        "incomplete" => 5,
        "refused" => 7,
        "base missing" => 8,
        class => panic!("{}: {class}", case.name),
    }
}

/// Runs these vectors of `reject`, or with `accept/` before the name of `accept`.
pub(super) fn run(bench: &Bench, vectors: &[&str]) {
    for &vector in vectors {
        let full = if vector.contains('/') { vector.to_owned() } else { format!("reject/{vector}") };
        run_case(bench, &cases().into_iter().find(|case| case.name == full).expect(vector));
    }
}

/// Runs every vector whose kind a command of the program reads on its own; returns how many.
pub(super) fn run_all(bench: &Bench) -> usize {
    let kinds = ["head", "manifest-root", "manifest-page", "manifest", "pack-root", "pack-table", "bundle"];
    let is_run = |case: &Case| {
        let accepted = case.name.starts_with("accept/");
        // Other facts of a bundle would have to agree with the table, which these do not carry.
        let is_part = matches!(case.kind(), "pack-table" | "pack-root" | "manifest-root");
        kinds.contains(&case.kind())
            && case.value["prefixes"] != true
            && case.value["recut"] != true
            && !(accepted && is_part)
    };
    cases().iter().filter(|case| is_run(case)).map(|case| run_case(bench, case)).count()
}

fn run_case(bench: &Bench, case: &Case) {
    let medium = bench.directory(&case.name.replace('/', "-"));
    let called = match case.kind() {
        "head" => {
            let head = case.main_file();
            sign_raw_for(&medium, &stream_of(&head), &head);
            bench.set_options(&audience(&head));
            bench.call(&["verify", shown(&medium)])
        }
        "manifest" | "manifest-root" | "manifest-page" => {
            seal_manifest(&medium, case);
            bench.call(&["ls", shown(&medium)])
        }
        "pack-table" | "pack-root" => {
            seal_packs(&medium, case);
            bench.call(&["verify", shown(&medium), "--depth", "head"])
        }
        "bundle" => verify_bundle(bench, &medium, case),
        kind => panic!("{}: no command reads {kind} alone", case.name),
    };
    assert_eq!(called.code, code_of(case), "{}: {}", case.name, called.all());
    fs::remove_dir_all(medium).expect("removed");
}

fn stream_of(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let found = text.split("\"stream\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("models");
    let is_name = airlift::format::Name::parse(found).is_ok();
    if is_name { found.to_owned() } else { "models".to_owned() }
}

/// Returns the options of a receiver whom the head is meant for.
fn audience(head: &[u8]) -> Vec<&'static str> {
    if String::from_utf8_lossy(head).contains("\"audience\": \"enclave-1\"") {
        vec!["--audience", "enclave-1"]
    } else {
        Vec::new()
    }
}

/// Makes a bundle of one small file, whose manifest and pack table a vector then replaces.
fn plain(medium: &Path) {
    by_hand::write(medium, 1, &[HandPack { volume: 1, files: vec![("models/a", b"a".to_vec())] }]);
}

/// Puts a manifest into the bundle, with a head that states what its root does.
fn seal_manifest(medium: &Path, case: &Case) {
    plain(medium);
    let bytes = case.main_file();
    let (root, pages) = match case.kind() {
        "manifest-page" => (root_of_page(&bytes).encode(), bytes),
        "manifest-root" => (bytes, Vec::new()),
        _ => {
            let root_len = (case.number("root_length") as usize).min(bytes.len());
            (bytes[..root_len].to_vec(), bytes[root_len..].to_vec())
        }
    };
    put_manifest(medium, root, pages);
}

fn put_manifest(medium: &Path, root: Vec<u8>, pages: Vec<u8>) {
    reseal(medium, |parts| {
        if let Ok(root) = ManifestRoot::decode(&root) {
            parts.head.totals.files = root.file_count.clamp(1, (1 << 53) - 1);
            parts.head.totals.bytes = root.total_len.min((1 << 53) - 1);
            parts.head.totals.directories = root.entry_count.saturating_sub(root.file_count).min((1 << 53) - 1);
        }
        if let Some(tree_id) = tree_id(&root, &pages) {
            parts.head.tree_id = tree_id;
        }
        (parts.manifest_root, parts.manifest_pages) = (root, pages);
    });
}

/// Returns what a good manifest makes of its files (F-24).
fn tree_id(root: &[u8], pages: &[u8]) -> Option<Sha256> {
    let items = walk(&[root, pages].concat(), root.len() as u64).ok()?;
    let listed = items.iter().flatten().filter_map(|item| match item {
        Item::Entry(Entry { path, file: Some(file), .. }) => Some(format!("{}  {path}\n", file.sha256)),
        _ => None,
    });
    Some(Sha256::of(listed.collect::<String>().as_bytes()))
}

/// Returns a root that agrees with the page as far as it can be read.
fn root_of_page(bytes: &[u8]) -> ManifestRoot {
    let mut root = ManifestRoot { entry_count: 0, file_count: 0, row_count: 0, total_len: 0, pages: Vec::new() };
    let mut first_path = None;
    let records = PageReader::new(bytes).into_iter().flatten().map_while(Result::ok);
    for record in records {
        let path = match record {
            Record::File(path, facts) => {
                root.file_count += 1;
                root.total_len = root.total_len.saturating_add(facts.len);
                path
            }
            Record::Directory(path) => path,
            Record::Row(_) => {
                root.row_count += 1;
                continue;
            }
            Record::Mark(..) => continue,
        };
        root.entry_count += 1;
        first_path.get_or_insert(path);
    }
    // A root without a file would be refused for that (F-40).
    root.file_count = root.file_count.max(1);
    root.entry_count = root.entry_count.max(1);
    let first_path = first_path.unwrap_or_else(|| EntryPath::parse(b"models/a").expect("a path"));
    let digest = Digest::of_structure(Structure::ManifestPage, bytes);
    root.pages.push(PageFacts { digest, len: bytes.len() as u32, first_entry: 0, first_ordinal: 0, first_path });
    root
}

/// Puts a pack table into the bundle, and the manifest that it is to cover.
fn seal_packs(medium: &Path, case: &Case) {
    plain(medium);
    let bytes = case.main_file();
    if case.kind() == "pack-root" {
        reseal(medium, |parts| parts.pack_root = bytes);
        return;
    }
    let manifest = case.file("manifest.bin");
    let (root, pages) = manifest.split_at(case.number("manifest_root_length") as usize);
    put_manifest(medium, root.to_vec(), pages.to_vec());
    reseal(medium, |parts| {
        let root_len = (case.number("root_length") as usize).min(bytes.len());
        (parts.pack_root, parts.pack_pages) = (bytes[..root_len].to_vec(), bytes[root_len..].to_vec());
        parts.stated_volumes = stated_volumes(&parts.pack_root, &parts.pack_pages);
    });
}

/// Returns count and length of the volumes that a table states, as far as it can be read.
fn stated_volumes(root: &[u8], pages: &[u8]) -> Option<(u32, u64)> {
    let root = PackRoot::decode(root).ok()?;
    let facts = root.pages.first()?;
    let page = pages.get(..facts.len as usize)?;
    // The digest may be what is wrong.
    let facts = PackPageFacts { digest: Digest::of_structure(Structure::PackPage, page), ..*facts };
    let page = decode_page(&facts, page).ok()?;
    let stored_len = page.iter().filter_map(|pack| pack.place).map(|place| place.stored_len()).sum();
    // A head can't say everything that a table can.
    Some((root.volume_count, stored_len)).filter(|&(_, stored_len)| (1..1 << 53).contains(&stored_len))
}

fn verify_bundle(bench: &Bench, medium: &Path, case: &Case) -> Called {
    let mut arguments = vec!["verify".to_owned()];
    let mut places = vec![case.dir.join("bundle")];
    places
        .extend(fs::read_dir(case.dir.join("media")).into_iter().flatten().map(|item| item.expect("an entry").path()));
    for (number, from) in places.iter().enumerate() {
        let to = medium.join(number.to_string());
        copy(from, &to);
        if let Ok(head) = fs::read(to.join("head.json")) {
            sign_raw_for(&to, &stream_of(&head), &head);
            bench.set_options(&audience(&head));
        }
        arguments.push(shown(&to).to_owned());
    }
    bench.call(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("volumes")).expect("made");
    for item in fs::read_dir(from).expect("a directory") {
        let item = item.expect("an entry");
        let (path, to) = (item.path(), to.join(item.file_name()));
        if path.is_dir() {
            fs::create_dir_all(&to).expect("made");
            copy_into(&path, &to);
        } else {
            if to.is_dir() {
                fs::remove_dir(&to).expect("empty");
            }
            fs::copy(&path, &to).expect("copied");
        }
    }
}

fn copy_into(from: &Path, to: &Path) {
    for (path, bytes) in files_below(from) {
        let path = to.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    for item in fs::read_dir(from).expect("a directory").flatten().filter(|item| item.path().is_dir()) {
        fs::create_dir_all(to.join(item.file_name())).expect("made");
    }
}

/// Makes a bundle whose manifest has this path alone, of a file of length 0 or of a directory.
pub(super) fn of_path(bench: &Bench, path: &[u8], is_file: bool) -> PathBuf {
    let medium = bench.directory("path");
    plain(&medium);
    let (kind, facts) = if is_file { (1u32, [&[1][..], &[0; 40]].concat()) } else { (2, Vec::new()) };
    let start = (kind << 24 | path.len() as u32).to_le_bytes();
    let page = [&[0; 8][..], &start, &facts, path].concat();
    let mut root = root_of_page(&page);
    root.file_count = 1;
    put_manifest(&medium, root.encode(), page);
    medium
}

/// Runs a vector of kind `path`.
pub(super) fn run_path(bench: &Bench, vector: &str) {
    let all = cases();
    let case = all.iter().find(|case| case.name == format!("reject/path-{vector}")).expect(vector);
    path_refused(bench, &from_hex(case.text("path")), case.text("entry") == "file");
}

/// This path in a signed manifest refuses the bundle.
pub(super) fn path_refused(bench: &Bench, path: &[u8], is_file: bool) {
    let medium = of_path(bench, path, is_file);
    assert_eq!(bench.call(&["ls", shown(&medium)]).code, 4);
    let called = bench.import_with(&[&medium], &["--enrol", "--create-bucket", "--map", "models=m/"]);
    assert_eq!(called.code, 4);
    assert!(!bench.store().exists());
    fs::remove_dir_all(medium).expect("removed");
}

/// Makes a bundle with one honest file, and one whose frame is that of a codec vector.
pub(super) fn of_codec(bench: &Bench, vector: &str) -> (PathBuf, by_hand::Lay) {
    let all = cases();
    let case = all.iter().find(|case| case.name == vector).expect(vector);
    let stored = case.file("frame.bin");
    let raw_len = case.number("raw_len") as usize;
    let raw = if case.dir.join("raw.bin").exists() { case.file("raw.bin") } else { vec![b'z'; raw_len] };
    let id = CodecId { codec: case.number("codec") as u8, parameter: case.number("param") as u8 };
    let medium = bench.path(&vector.replace('/', "-"));
    let files = [("models/a.bin", b"honest".to_vec()), ("models/b.bin", raw)];
    let packs = files.clone().map(|file| HandPack { volume: 1, files: vec![file] });
    let lays = by_hand::write_as(&medium, 1, &packs, &|chunk| {
        if chunk == b"honest" { (CodecId { codec: 0, parameter: 0 }, chunk.to_vec()) } else { (id, stored.clone()) }
    });
    bench.set_files(files.map(|(path, bytes)| (path.to_owned(), bytes)).into());
    bench.watch(&medium);
    (medium, lays[1].clone())
}

/// Makes a bundle of the signed head of a trust vector, and takes over who is trusted there.
pub(super) fn trust(bench: &Bench, vector: &str) -> PathBuf {
    let all = cases();
    let case = all.iter().find(|case| case.name == format!("reject/trust-{vector}")).expect(vector);
    let medium = bench.directory(vector);
    fs::create_dir_all(medium.join("signatures")).expect("made");
    for (file, bytes) in files_below(&case.dir) {
        if file == "head.json" {
            fs::write(medium.join(file), bytes).expect("written");
        } else if file.ends_with(".sig") {
            fs::write(medium.join("signatures").join(file), bytes).expect("written");
        }
    }
    bench.set_signers(&String::from_utf8(case.file("allowed_signers")).expect("UTF-8"));
    let mut options = vec!["--threshold".to_owned(), case.value["threshold"].to_string()];
    if let Value::String(audience) = &case.value["audience"] {
        options.extend(["--audience".to_owned(), audience.clone()]);
    }
    bench.set_options(&options.iter().map(String::as_str).collect::<Vec<_>>());
    bench.watch(&medium);
    medium
}
