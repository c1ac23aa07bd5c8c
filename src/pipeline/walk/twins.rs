//! Siblings that some file systems take for one (F-37), found without holding the names.

use super::entries;
use super::error::{NAMED_COUNT_MAX, Reason, Refusals};
use crate::format::path::fold;
use crate::pipeline::spill::{Sorted, Sorter, SpillError};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A hash of a directory's path, or of that and a folded name: twins have the same.
///
/// 128 bits, so that different names have the same by no accident.
pub(in crate::pipeline) type Key = [u8; 16];

pub(in crate::pipeline) fn key_of_dir(path: &[u8]) -> Key {
    shortened(blake3::hash(path))
}

pub(in crate::pipeline) fn key_of_name(dir: &Key, name: &str) -> Key {
    // The fold of ASCII is its lower case; most names are spared the tables.
    let folded = if name.is_ascii() { name.to_ascii_lowercase() } else { fold(name) };
    let mut hasher = blake3::Hasher::new();
    hasher.update(dir).update(folded.as_bytes());
    shortened(hasher.finalize())
}

fn shortened(hash: blake3::Hash) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash.as_bytes()[..16]);
    key
}

/// Takes the names of all siblings.
pub(in crate::pipeline) struct Twins {
    keys: Sorter,
}

impl Twins {
    pub(in crate::pipeline) fn new(dir: &Path, budget_len: usize) -> Twins {
        Twins { keys: Sorter::new(dir, budget_len) }
    }

    pub(in crate::pipeline) fn add(&mut self, dir: &Key, name: &str) -> Result<(), SpillError> {
        self.keys.push(&key_of_name(dir, name))
    }

    pub(in crate::pipeline) fn finish(self) -> Result<Found, SpillError> {
        let mut found = Found { keys: HashSet::new(), count: 0 };
        let mut sorted = self.keys.finish()?;
        let mut last = None;
        while let Some(record) = sorted.next_record()? {
            let key = record.first_chunk::<16>().copied().unwrap_or_default();
            if last == Some(key) {
                found.count += 1;
                if found.keys.len() < NAMED_COUNT_MAX {
                    found.keys.insert(key);
                }
            }
            last = Some(key);
        }
        Ok(found)
    }
}

/// The twins that there are.
pub(in crate::pipeline) struct Found {
    keys: HashSet<Key>,
    /// Names that are twins of an earlier one.
    pub(in crate::pipeline) count: u64,
}

impl Found {
    /// Tells whether this is the key of a name with a twin.
    pub(in crate::pipeline) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    /// Adds all twins to the refusals, looking at the sorted entries again for their names.
    pub(in crate::pipeline::walk) fn name(
        &self,
        sorted: &mut Sorted,
        refusals: &mut Refusals,
    ) -> Result<(), SpillError> {
        let mut firsts: HashMap<Key, Vec<u8>> = HashMap::new();
        let mut named_count = 0;
        let mut last: Vec<u8> = Vec::new();
        while let Some(record) = sorted.next_record()? {
            let path = entries::path_of(record);
            for (dir, name) in new_names(&last, path) {
                let key = key_of_name(&key_of_dir(dir), name);
                if !self.keys.contains(&key) {
                    continue;
                }
                let own = &path[..dir.len() + 1 + name.len()];
                if let Some(first) = firsts.get(&key) {
                    refusals.add(own, Reason::Twin { of: first.clone() });
                    named_count += 1;
                } else {
                    firsts.insert(key, own.to_vec());
                }
            }
            last.clear();
            last.extend_from_slice(path);
        }
        refusals.add_unnamed(self.count.saturating_sub(named_count));
        Ok(())
    }
}

/// Returns the names on a path that are not on the path before it, each with its directory.
pub(in crate::pipeline) fn new_names<'a>(last: &[u8], path: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a str)> {
    let shared = last.iter().zip(path).take_while(|(one, other)| one == other).count();
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
    slashes.filter_map(move |slash| {
        let rest = &path[slash + 1..];
        let name = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
        let end = slash + 1 + name.len();
        let is_known = end < shared && path[end] == b'/';
        let name = std::str::from_utf8(name).ok().filter(|_| !is_known)?;
        Some((&path[..slash], name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_is_the_fold_of_ascii() {
        (0..=0x7f_u8)
            .map(char::from)
            .for_each(|c| assert_eq!(fold(&c.to_string()), c.to_ascii_lowercase().to_string()));
    }

    #[test]
    fn only_names_in_the_same_directory_are_twins() {
        let (one, other) = (key_of_dir(b"m/a"), key_of_dir(b"m/b"));
        assert_eq!(key_of_name(&one, "X"), key_of_name(&one, "x"));
        assert_ne!(key_of_name(&one, "x"), key_of_name(&other, "x"));
    }

    #[test]
    fn new_names_are_those_that_the_path_before_had_not() {
        let names = |last: &str, path: &'static str| new_names(last.as_bytes(), path.as_bytes()).collect::<Vec<_>>();
        let pair = |dir: &'static str, name| (dir.as_bytes(), name);
        assert_eq!(names("", "m/a/b"), [pair("m", "a"), pair("m/a", "b")]);
        assert_eq!(names("m/a/b", "m/a/c"), [pair("m/a", "c")]);
        assert_eq!(names("m/a/b", "m/ab/c"), [pair("m", "ab"), pair("m/ab", "c")]);
        assert_eq!(names("m/a", "m/a.b"), [pair("m", "a.b")]);
        assert_eq!(names("m/a", "m"), []);
    }
}
