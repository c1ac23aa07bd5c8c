//! Packing whole trees.

use crate::model::{self, Content};
use crate::tree::{self, Noise, Tree};
use airlift::error::Class;
use airlift::format::index::RowSource;
use airlift::format::limits::VOLUME_LEN_MIN;
use airlift::format::{Name, Time};
use airlift::pipeline::pack::{PackError, PackOptions, PackReport, pack};
use airlift::pipeline::progress::{Progress, Quiet};
use airlift::pipeline::walk::{Links, Unsupported};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: usize = 1 << 20;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A place with roots and room for bundles.
struct Place(tempfile::TempDir);

impl Place {
    fn new(tree: &Tree) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        tree::write(place.0.path(), tree);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns options for all of the roots that the tree has.
    fn options(&self, out: &str, tree: &Tree) -> PackOptions {
        let mut roots: Vec<&str> = tree.keys().filter_map(|path| path.split('/').next()).collect();
        roots.dedup();
        PackOptions {
            roots: roots.iter().map(|root| (name(root), self.path(root))).collect(),
            links: Links::Refuse,
            unsupported: Unsupported::Refuse,
            out: self.path(out),
            stream: name("models"),
            counter: 1,
            volume_len: VOLUME_LEN_MIN,
            threads: 2.try_into().unwrap(),
            index_budget_len: 16 * MIB,
            sort_budget_len: 16 * MIB,
            created_at: Time::from_unix(1_790_000_000),
            previous: None,
            not_after: None,
            audience: None,
            attachments: Vec::new(),
        }
    }
}

fn packed(options: &PackOptions) -> PackReport {
    pack(options, &Quiet).unwrap()
}

fn checked(options: &PackOptions, tree: &Tree) -> Content {
    let content = model::read(&options.out);
    assert!(content.entries.keys().eq(tree.keys()), "other entries");
    for (path, bytes) in tree {
        assert!(content.entries[path] == *bytes, "{path} differs");
    }
    content
}

/// Returns all files of a bundle.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (path.join(below), bytes)));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found.into_iter().map(|(path, bytes)| (path.strip_prefix(dir).unwrap().to_owned(), bytes)).collect()
}

fn assert_same_bundle(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert!(one.keys().eq(other.keys()), "{:?} {:?}", one.keys(), other.keys());
    for (path, bytes) in &one {
        assert!(*bytes == other[path], "{} differs", path.display());
    }
}

/// About 170 MiB of everything: a file of several parts of weights, one of noise, one just above 32
/// MiB with one part, text, repeated files, empty files and directories, two roots.
fn mixed() -> Tree {
    let mut noise = Noise::new(1);
    let mut tree = Tree::new();
    let weights = noise.safetensors(&[5 * MIB, 300, 41 * MIB + 6, 20 * MIB, 4096]);
    let text = noise.text(3 * MIB);
    tree.insert("data/notes.txt".into(), Some(text.clone()));
    tree.insert("data/one-part".into(), Some(noise.bytes(32 * MIB + 500)));
    tree.insert("models/empty".into(), Some(Vec::new()));
    tree.insert("models/nothing/here".into(), None);
    tree.insert("models/m/a.safetensors".into(), Some(weights.clone()));
    tree.insert("models/m/b.bin".into(), Some(noise.bytes(35 * MIB)));
    tree.insert("models/m/copy.safetensors".into(), Some(weights));
    tree.insert("models/m/notes.txt".into(), Some(text.clone()));
    tree.insert("models/m/notes2.txt".into(), Some(text));
    for number in 0..500 {
        let len = noise.below(9000) as usize;
        tree.insert(format!("models/small/{number}.json"), Some(noise.text(len)));
    }
    tree
}

#[test]
fn every_byte_comes_back_the_same_for_any_number_of_threads() {
    let tree = mixed();
    let place = Place::new(&tree);
    let one = PackOptions { threads: 1.try_into().unwrap(), ..place.options("one", &tree) };
    let four = PackOptions { threads: 4.try_into().unwrap(), ..place.options("four", &tree) };
    let report = packed(&one);
    packed(&four);
    assert_same_bundle(&one.out, &four.out);
    let content = checked(&one, &tree);
    assert_eq!(content.head, report.head);
    assert!(content.head.volumes.count > 1);
    let figures = report.figures.unwrap();
    assert_eq!(figures.new_len + figures.repeat_len + figures.reference_len, content.head.totals.bytes);
    assert!(figures.planes.stored_len < figures.planes.raw_len * 9 / 10, "{figures:?}");
    assert!(figures.reference_len > 60 << 20, "{figures:?}");
    assert!(!one.out.join(".pack").exists());
}
