//! What a bundle holds, counted from its manifest: no volume is needed.

use super::bundle::{Bundle, BundleError};
use super::dedup::Tally;
use super::progress::Progress;
use crate::format::EntryPath;
use crate::format::walk::{Entry, Item};
use std::collections::BTreeMap;

/// Most kinds that are told apart: a manifest may name more than memory holds.
const KIND_COUNT_MAX: usize = 4096;
/// How many of the largest files are named.
const LARGEST_COUNT: usize = 10;
/// The longest ending that says what a file is, in bytes.
const ENDING_LEN_MAX: usize = 16;

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Files by root and ending.
    pub kinds: BTreeMap<Kind, Tally>,
    /// Files of which the kinds are too many to be told apart.
    pub further: Tally,
    /// The largest files and their length in bytes, the largest first.
    pub largest: Vec<(u64, EntryPath)>,
    /// Whether the counting was stopped before its end.
    pub is_cancelled: bool,
}

/// Files of one root with one ending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The name of the root.
    pub root: String,
    /// What stands behind the last dot of the name, in lower case; empty where there is none.
    pub ending: String,
}

/// Counts the files of a bundle.
///
/// # Errors
/// The manifest can't be read.
pub fn census(bundle: &Bundle, progress: &dyn Progress) -> Result<Census, BundleError> {
    let mut census = Census::default();
    for item in bundle.items() {
        if progress.is_cancelled() {
            census.is_cancelled = true;
            break;
        }
        if let Item::Entry(entry) = item? {
            census.add(&entry);
        }
    }
    Ok(census)
}

impl Census {
    fn add(&mut self, entry: &Entry) {
        let Some(file) = &entry.file else { return };
        let kind = Kind { root: entry.path.root().to_owned(), ending: ending(entry.path.below_root()) };
        if self.kinds.len() < KIND_COUNT_MAX || self.kinds.contains_key(&kind) {
            self.kinds.entry(kind).or_default().add(file.len);
        } else {
            self.further.add(file.len);
        }
        let place = self.largest.partition_point(|(len, _)| *len >= file.len);
        if place < LARGEST_COUNT {
            self.largest.insert(place, (file.len, entry.path.clone()));
            self.largest.truncate(LARGEST_COUNT);
        }
    }
}

/// Returns the ending of a file name; a dot at its beginning only hides the file.
fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() <= ENDING_LEN_MAX => ending.to_lowercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_what_stands_behind_the_last_dot() {
        for (path, expected) in [
            ("a/Model.SafeTensors", "safetensors"),
            ("a.b/c", ""),
            (".gitignore", ""),
            ("x.tar.gz", "gz"),
            ("v1.0123456789abcdef0", ""),
            ("odd.<b>", "<b>"),
        ] {
            assert_eq!(ending(path), expected, "{path}");
        }
    }
}
