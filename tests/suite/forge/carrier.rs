//! Whoever carries a bundle can change any byte of any file, and sign nothing.

use super::{Files, Step};

/// Names that a file is copied to: such as belong to a bundle, and such as do not.
const NAMES: [&str; 8] = [
    "signatures/2.sig",
    "signatures/02.sig",
    "volumes/000002.vol",
    "volumes/000009.vol",
    "volumes/1.vol",
    "attachments/01",
    "autorun.inf",
    "README.txt",
];

pub(super) fn take(files: &mut Files, step: &Step) {
    let Some(name) = name_of(files, step.which) else { return };
    let other = name_of(files, step.field).unwrap_or_else(|| name.clone());
    let bytes = files.get_mut(&name).expect("a file that was just named");
    let offset = (usize::from(step.place) | usize::from(step.left) << 16) % (bytes.len() + 1);
    let [low, high] = step.value.to_le_bytes();
    match step.kind {
        0 => {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= low.max(1);
            }
        }
        1 => bytes.truncate(offset),
        2 => bytes.resize(bytes.len() + usize::from(high) + 1, low),
        3 => drop(files.remove(&name)),
        4 => {
            let bytes = std::mem::take(bytes);
            let others = files.insert(other, bytes).unwrap_or_default();
            files.insert(name, others);
        }
        5 => {
            let bytes = bytes.clone();
            files.insert(other, bytes);
        }
        6 => drop(bytes.drain(offset..(offset + usize::from(step.value)).min(bytes.len()))),
        7 => drop(bytes.splice(offset..offset, std::iter::repeat_n(low, usize::from(high) + 1))),
        8 => {
            let bytes = bytes.clone();
            files.insert(NAMES[usize::from(low) % NAMES.len()].to_owned(), bytes);
        }
        _ => {
            // Two sectors change places.
            let (one, two) = (offset / 512 * 512, usize::from(step.value) * 512);
            let (first, second) = (one.min(two), one.max(two));
            if first + 512 <= second && second + 512 <= bytes.len() {
                let (before, behind) = bytes.split_at_mut(second);
                before[first..first + 512].swap_with_slice(&mut behind[..512]);
            }
        }
    }
}

fn name_of(files: &Files, which: u8) -> Option<String> {
    files.keys().nth(usize::from(which) % files.len().max(1)).cloned()
}
