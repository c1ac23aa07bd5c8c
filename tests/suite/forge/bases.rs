//! The bundles that a program begins with.

use super::Files;
use crate::by_hand::{HandPack, write_as};
use crate::fixture::{name, pack_options, sign};
use crate::tree::{self, Random, Tree};
use airlift::codec::{Codec, Encoder, Kind, Word};
use airlift::pipeline::pack::pack;
use airlift::pipeline::progress::Quiet;
use std::collections::BTreeMap;
use std::path::Path;

/// A bundle, and what it is made of.
pub(crate) struct Base {
    pub(crate) files: Files,
    /// The bytes of every file that it holds.
    pub(crate) sources: BTreeMap<String, Vec<u8>>,
}

/// Returns bundles that are read in a millisecond, made in this directory.
pub(crate) fn small(top: &Path) -> [Base; 3] {
    [small_files(top), several_volumes(top), tensors(top)]
}

/// Returns what the packer makes of small files: frames of several chunks, repeats, empty files.
fn small_files(top: &Path) -> Base {
    let mut random = Random::new(1);
    let (text, noise) = (random.text(3000), random.bytes(300));
    let files = [
        ("models/a/config.json", text.clone()),
        ("models/a/empty", Vec::new()),
        ("models/a/noise", noise.clone()),
        ("models/b/again", text),
        ("models/b/readme", b"a text, a text, a text, and a text".to_vec()),
        ("datasets/one", noise),
        ("datasets/two/é x", b"two".to_vec()),
    ];
    let mut tree: Tree = files.map(|(path, bytes)| (path.to_owned(), Some(bytes))).into();
    tree.insert("models/nothing/here".to_owned(), None);
    packed(top, "small", &tree)
}

/// Returns what the packer makes of tensors: planes, and a copy with one tensor changed.
fn tensors(top: &Path) -> Base {
    let mut random = Random::new(2);
    let weights = random.weights(140_000);
    let mut tuned = weights.clone();
    tuned[90_000..90_100].copy_from_slice(&random.bytes(100));
    let files = [
        ("models/base.safetensors", tree::safetensors(&[70_000, 70_000], &weights)),
        ("models/tuned.safetensors", tree::safetensors(&[70_000, 70_000], &tuned)),
        ("datasets/x", b"x".to_vec()),
    ];
    packed(top, "tensors", &files.map(|(path, bytes)| (path.to_owned(), Some(bytes))).into())
}

fn packed(top: &Path, what: &str, tree: &Tree) -> Base {
    let source = top.join(what);
    tree::write(&source, tree);
    let roots = ["models", "datasets"].map(|root| (name(root), source.join(root)));
    let options = pack_options(roots.to_vec(), &top.join(format!("{what}-bundle")), 1);
    pack(&options, &Quiet).expect("packed");
    sign(&options.out);
    let sources = tree.iter().filter_map(|(path, bytes)| Some((path.clone(), bytes.clone()?)));
    base(&options.out, sources.collect())
}

/// Returns six packs in three volumes that refer to each other, in frames of every codec.
fn several_volumes(top: &Path) -> Base {
    let mut random = Random::new(3);
    let (weights, text, noise) = (random.weights(2000), random.text(1500), random.bytes(500));
    let files = |files: &[(&'static str, &[u8])]| files.iter().map(|(path, bytes)| (*path, bytes.to_vec())).collect();
    let packs = [
        HandPack { volume: 1, files: files(&[("datasets/a", &noise), ("datasets/b", &text)]) },
        HandPack { volume: 1, files: files(&[("datasets/c", &noise), ("datasets/d", b"")]) },
        HandPack { volume: 2, files: files(&[("models/a", &weights), ("models/b", &text), ("models/c", &weights)]) },
        HandPack { volume: 2, files: files(&[("models/d", &noise)]) },
        HandPack { volume: 3, files: files(&[("models/e", &text), ("models/f", &noise), ("models/g", &weights)]) },
        HandPack { volume: 3, files: files(&[("models/h", b"the last")]) },
    ];
    let out = top.join("volumes-bundle");
    let kind = |chunk: &[u8]| match chunk {
        chunk if *chunk == *weights => Kind::Planes(Word::Two),
        chunk if *chunk == *text => Kind::Zstd,
        _ => Kind::Stored,
    };
    write_as(&out, 1, &packs, &|chunk| {
        let mut stored = Vec::new();
        let codec: Codec =
            Encoder::new().expect("an encoder").encode(chunk, kind(chunk), &mut stored).expect("encoded");
        (codec.id(), stored)
    });
    let sources = packs.into_iter().flat_map(|pack| pack.files);
    base(&out, sources.map(|(path, bytes)| (path.to_owned(), bytes)).collect())
}

/// Returns a file of two parts in two volumes, and one that refers to its first chunk.
pub(crate) fn two_parts(top: &Path) -> Base {
    let mut large = vec![0; 33 << 20];
    large[..1000].copy_from_slice(&Random::new(4).bytes(1000));
    let small = large[..4 << 20].to_vec();
    let packs = [
        HandPack { volume: 1, files: vec![("datasets/a", b"a".to_vec())] },
        HandPack { volume: 1, files: vec![("models/large", large)] },
        HandPack { volume: 2, files: vec![("models/small", small)] },
    ];
    let out = top.join("parts-bundle");
    write_as(&out, 1, &packs, &|chunk| (Codec::Stored.id(), chunk.to_vec()));
    let sources = packs.into_iter().flat_map(|pack| pack.files);
    base(&out, sources.map(|(path, bytes)| (path.to_owned(), bytes)).collect())
}

fn base(bundle: &Path, sources: BTreeMap<String, Vec<u8>>) -> Base {
    Base { files: super::read(bundle), sources }
}
