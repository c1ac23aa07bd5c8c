//! Several copies of a volume, each damaged in its own way.

use crate::fixture::{Packed, Size, assert_same, directory, import_options, objects, run_import};
use airlift::store::{MemoryStore, Store};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

const SIZE: Size = Size { model_len: 1 << 20, noise_len: 0, noise_count: 0, small_count: 300 };

/// A medium with these bytes of its only volume flipped.
fn damaged(packed: &Packed, name: &str, offsets: &[u64]) -> PathBuf {
    let medium = packed.medium(name, &[1]);
    let file = std::fs::OpenOptions::new().read(true).write(true).open(medium.join("volumes/000001.vol"));
    let file = file.expect("opened");
    for &offset in offsets {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).expect("read");
        file.write_all_at(&[byte[0] ^ 0x40], offset).expect("written");
    }
    medium
}

/// Returns what lands from these media.
fn landed(media: &[&PathBuf]) -> BTreeMap<String, Vec<u8>> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let state = directory();
    let media: Vec<PathBuf> = media.iter().map(|&medium| medium.clone()).collect();
    run_import(&media, &store, &import_options(state.path())).expect("imported");
    objects(store.as_ref())
}

#[test]
fn of_copies_that_are_all_damaged_the_one_that_loses_least_counts_whatever_their_order() {
    let packed = Packed::new(SIZE, 1);
    let len = std::fs::metadata(packed.bundle().join("volumes/000001.vol")).expect("a volume").len();
    // Behind the index, in two frames of the first pack; then both, and one more.
    let (first, second, third) = (len / 4, len / 2, len * 3 / 4);
    let better = damaged(&packed, "better", &[second]);
    let worse = damaged(&packed, "worse", &[first, second, third]);
    let (all, most, few) = (packed.expected(), landed(&[&better]), landed(&[&worse]));
    assert!(few.len() < most.len() && most.len() < all.len(), "{} {} {}", few.len(), most.len(), all.len());
    for media in [[&better, &worse], [&worse, &better]] {
        assert_same(&landed(&media), &most);
    }
    let other = damaged(&packed, "other", &[first]);
    let whole = packed.bundle();
    assert_same(&landed(&[&better, &other, &whole]), all);
}
