//! Import of large files into SeaweedFS beside a bare client that puts the same bytes in the same parts.
//!
//! `cargo bench --bench land -- [DIRECTORY]`: the directory is the tree; without it weights are made.
//! The ways take turns, each into a bucket of its own in a server that has just started.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark ends where it cannot measure")]

#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/suite/authenticator.rs"]
mod authenticator;
mod data;
#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/suite/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "the tests need more of it")]
#[path = "../tests/suite/tree.rs"]
mod tree;
#[path = "../tests/suite/weed.rs"]
mod weed;

use airlift::format::Proven;
use airlift::format::manifest::part_bound;
use airlift::pipeline::import::{Destination, ImportOptions, Mapping, Prefix};
use airlift::pipeline::pack::{PackOptions, pack};
use airlift::pipeline::progress::Quiet;
use airlift::store::{Attributes, Condition, IfMissing, Key, PartNumber, S3Store, Store, UploadedPart};
use fixture::{import_options, name, pack_options, run_import, sign};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use weed::Weed;

/// Puts everything into a store; the path is for state.
type Way<'a> = dyn Fn(&Arc<dyn Store>, &Path) + 'a;

const ROUNDS: usize = 5;
/// Parts that the bare client has on their way at a time.
const PUTS: usize = 4;

fn main() {
    let scratch = tempfile::tempdir().expect("a directory");
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let tree = given.map_or_else(|| make_tree(&scratch.path().join("tree")), PathBuf::from);
    let bundle = scratch.path().join("bundle");
    let options = pack_options(vec![(name("models"), tree.clone())], &bundle, 1);
    let options = PackOptions { volume_len: 4 << 30, index_budget_len: 64 << 20, sort_budget_len: 64 << 20, ..options };
    let total_len = pack(&options, &Quiet).expect("packed").head.totals.bytes;
    sign(&bundle);
    let files = files_below(&tree);
    let bare = |store: &Arc<dyn Store>, _: &Path| put_all(store.as_ref(), &files);
    let import = |store: &Arc<dyn Store>, state: &Path| land(&bundle, store, options_of(state));
    let read_back = |store: &Arc<dyn Store>, state: &Path| {
        land(&bundle, store, ImportOptions { read_back: true, ..options_of(state) });
    };
    let ways: [(&str, &Way<'_>); 3] = [("bare client", &bare), ("import", &import), ("import, read back", &read_back)];
    let mut seconds = ways.map(|_| Vec::new());
    println!(
        "{} files, {} bytes\n| way | s | client CPU s | server CPU s |\n|---|---|---|---|",
        files.len(),
        total_len
    );
    for _ in 0..ROUNDS {
        for ((way, run), seconds) in ways.iter().zip(&mut seconds) {
            let spent = spend(*run);
            let [elapsed, client, server] = spent.map(|spent| spent.as_secs_f64());
            println!("| {way} | {elapsed:.2} | {client:.2} | {server:.2} |");
            seconds.push(elapsed);
        }
    }
    let medians = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    });
    println!(
        "speed of the bare client: import {:.2}, with read-back {:.2}",
        medians[0] / medians[1],
        medians[0] / medians[2]
    );
}

/// Returns the time that passed, and the CPU time of this process and of the server.
fn spend(run: &Way<'_>) -> [Duration; 3] {
    let (server, state) = (Weed::start(), tempfile::tempdir().expect("a directory"));
    let store: S3Store = server.store("land");
    store.ensure_bucket(IfMissing::Create).expect("bucket");
    // The first object of a bucket waits until the server has made its volumes.
    let warm = Key::parse("models/warm").expect("a key");
    store.put(&warm, &Proven::record("warm"), &Attributes::default(), &Condition::Any).expect("put");
    store.remove(&warm).expect("removed");
    let store: Arc<dyn Store> = Arc::new(store);
    let (client, served, start) = (weed::cpu_of(std::process::id()), server.cpu(), Instant::now());
    run(&store, state.path());
    [start.elapsed(), weed::cpu_of(std::process::id()) - client, server.cpu() - served]
}

/// Returns how the one root is imported.
fn options_of(state: &Path) -> ImportOptions {
    let options = import_options(state);
    let to = Destination::Prefix(Prefix::parse("models/").expect("a prefix"));
    ImportOptions { map: Mapping::new([(name("models"), to)], &options.state_prefix).expect("a mapping"), ..options }
}

fn land(bundle: &Path, store: &Arc<dyn Store>, options: ImportOptions) {
    run_import(&[bundle.to_owned()], store, &options).expect("imported");
}

/// Puts every file in the parts that an import makes of it, several at a time, and proves nothing.
fn put_all(store: &dyn Store, files: &[(String, PathBuf)]) {
    for (key, path) in files {
        let key = Key::parse(key).expect("a key");
        let file = fs::File::open(path).expect("opened");
        let len = file.metadata().expect("known").len();
        let part_len = part_bound(len);
        let read = |offset: u64| {
            let mut bytes = vec![0; part_len.min(len - offset) as usize];
            file.read_exact_at(&mut bytes, offset).expect("read");
            Proven::record(bytes)
        };
        if len <= part_len {
            store.put(&key, &read(0), &Attributes::default(), &Condition::Any).expect("put");
            continue;
        }
        let upload = store.open_upload(&key, &Attributes::default()).expect("opened");
        let next = AtomicU16::new(1);
        let put_some = || {
            let mut done = Vec::new();
            while let number = next.fetch_add(1, Ordering::Relaxed)
                && let offset = u64::from(number - 1) * part_len
                && offset < len
            {
                let number = PartNumber::new(number).expect("a number");
                let tag = store.put_part(&key, &upload, number, &read(offset)).expect("put");
                done.push(UploadedPart { number, tag });
            }
            done
        };
        let mut done: Vec<UploadedPart> = std::thread::scope(|scope| {
            let putters: Vec<_> = (0..PUTS).map(|_| scope.spawn(put_some)).collect();
            putters.into_iter().flat_map(|putter| putter.join().expect("ended")).collect()
        });
        done.sort_by_key(|part| part.number);
        store.finish_upload(&key, &upload, &done, &Condition::Any).expect("finished");
    }
}

fn files_below(tree: &Path) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut dirs = vec![tree.to_owned()];
    while let Some(dir) = dirs.pop() {
        for item in fs::read_dir(dir).expect("a directory") {
            let path = item.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let below = path.strip_prefix(tree).expect("below").to_str().expect("UTF-8");
                files.push((format!("models/{below}"), path));
            }
        }
    }
    files.sort();
    files
}

fn make_tree(tree: &Path) -> PathBuf {
    fs::create_dir_all(tree).expect("made");
    for kind in ["bf16", "fp16", "fp32", "fp64"] {
        let bytes = data::sample(kind).bytes;
        let larger = [&bytes[..], &data::noise(9, 64 << 20), &bytes[..bytes.len() / 2]].concat();
        fs::write(tree.join(format!("{kind}.bin")), larger).expect("written");
    }
    tree.to_owned()
}
