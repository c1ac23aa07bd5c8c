//! Pack, verify and import into memory, on two threads, beside hashing the same bytes.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark stops where it cannot go on")]

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

use crate::fixture::directory;
use airlift::format::{Name, Sha256};
use airlift::pipeline::pack::{PackOptions, pack};
use airlift::pipeline::progress::Quiet;
use airlift::pipeline::verify::{Depth, verify};
use airlift::store::{MemoryStore, Store};
use data::{KINDS, sample};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use fixture::{import_options, name, open, pack_options, run_import, sign};
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Pictures of the data set, beside one file of every kind among the models.
const PICTURE_LEN: usize = 20_000;

fn main() {
    divan::main();
}

/// A tree, its bundle, and what its files add up to in bytes.
struct Release {
    directory: tempfile::TempDir,
    total_len: u64,
}

impl Release {
    fn get() -> &'static Release {
        static RELEASE: OnceLock<Release> = OnceLock::new();
        RELEASE.get_or_init(|| {
            let directory = directory();
            let release = Release { directory, total_len: 0 };
            for (_, root) in release.roots() {
                fs::create_dir_all(root).expect("made");
            }
            for kind in KINDS {
                let bytes = sample(kind).bytes;
                let root = release.directory.path().join(if kind == "jpeg" { "datasets" } else { "models" });
                if kind == "jpeg" {
                    for (number, picture) in bytes.chunks(PICTURE_LEN).enumerate() {
                        fs::write(root.join(format!("{number:06}.jpg")), picture).expect("written");
                    }
                } else {
                    fs::write(root.join(format!("{kind}.bin")), bytes).expect("written");
                }
            }
            let options = release.options("bundle");
            let report = pack(&options, &Quiet).expect("packed");
            sign(&options.out);
            Release { total_len: report.head.totals.bytes, ..release }
        })
    }

    fn roots(&self) -> Vec<(Name, PathBuf)> {
        ["models", "datasets"].map(|root| (name(root), self.directory.path().join(root))).to_vec()
    }

    fn bundle(&self) -> PathBuf {
        self.directory.path().join("bundle")
    }

    fn options(&self, out: &str) -> PackOptions {
        let options = pack_options(self.roots(), &self.directory.path().join(out), 1);
        PackOptions { volume_len: 4 << 30, index_budget_len: 64 << 20, sort_budget_len: 64 << 20, ..options }
    }

    fn counter(&self) -> BytesCount {
        BytesCount::new(self.total_len)
    }
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn pack_tree(bencher: Bencher<'_, '_>) {
    let release = Release::get();
    bencher.counter(release.counter()).bench_local(|| {
        let options = release.options("again");
        pack(&options, &Quiet).expect("packed");
        fs::remove_dir_all(&options.out).expect("removed");
    });
}

/// What must be done to these files whatever carries them.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn read_and_sha256_alone(bencher: Bencher<'_, '_>) {
    let release = Release::get();
    bencher.counter(release.counter()).bench_local(|| {
        for (_, root) in release.roots() {
            for file in fs::read_dir(root).expect("a directory") {
                black_box(Sha256::of(&fs::read(file.expect("a file").path()).expect("read")));
            }
        }
    });
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [1, 2])]
fn verify_contents(bencher: Bencher<'_, '_>, threads: usize) {
    verify_to(bencher, Depth::Contents, threads);
}

#[divan::bench(sample_count = 5, sample_size = 1, args = [1, 2])]
fn verify_stored(bencher: Bencher<'_, '_>, threads: usize) {
    verify_to(bencher, Depth::Stored, threads);
}

fn verify_to(bencher: Bencher<'_, '_>, depth: Depth, threads: usize) {
    let release = Release::get();
    let (bundle, _, _) = open(&[release.bundle()]);
    let media = airlift::media::find(&[release.bundle()]).expect("found").remove(0).media;
    let media: Vec<_> = media.into_iter().map(Arc::new).collect();
    let threads = NonZeroUsize::new(threads).expect("a thread");
    bencher.counter(release.counter()).bench_local(|| {
        let findings = verify(&bundle, &media, depth, threads, &Quiet);
        assert!(findings.class().is_none());
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn import_into_memory(bencher: Bencher<'_, '_>) {
    let release = Release::get();
    bencher.counter(release.counter()).bench_local(|| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let state = directory();
        run_import(&[release.bundle()], &store, &import_options(state.path())).expect("imported");
    });
}
