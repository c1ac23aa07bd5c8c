//! Lists keys in the order of a walk, in memory of one page for each level of the tree.

use super::AREA;
use super::tree::{Tree, is_absence};
use crate::store::StoreError;
use rustix::fs::FileType;
use std::collections::BinaryHeap;

/// Returns at most `count_max` keys that start with `prefix` and come after `after`, in the order
/// of a walk that sorts each directory by name.
pub(super) fn names(
    tree: &Tree,
    prefix: &str,
    after: Option<&str>,
    count_max: usize,
) -> Result<Vec<String>, StoreError> {
    tree.root()?;
    let mut walk = Walk { tree, prefix, count_max, found: Vec::new() };
    walk.enter("", after)?;
    Ok(walk.found)
}

struct Walk<'a> {
    tree: &'a Tree,
    prefix: &'a str,
    count_max: usize,
    found: Vec<String>,
}

/// A name in a directory.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: String,
    is_directory: bool,
}

impl Walk<'_> {
    /// Walks the directory whose path, with a final slash, is `above`, behind the path `after` in it.
    fn enter(&mut self, above: &str, after: Option<&str>) -> Result<(), StoreError> {
        let mut floor = None;
        if let Some(after) = after {
            let (first, rest) = after.split_once('/').map_or((after, None), |(first, rest)| (first, Some(rest)));
            if rest.is_some() {
                self.enter(&format!("{above}{first}/"), rest)?;
            }
            floor = Some(first.to_owned());
        }
        while self.found.len() < self.count_max {
            let wanted_count = self.count_max - self.found.len();
            let entries = self.smallest(above, floor.as_deref(), wanted_count)?;
            let is_last = entries.len() < wanted_count;
            floor = entries.last().map(|entry| entry.name.clone());
            for entry in entries {
                if self.found.len() == self.count_max {
                    return Ok(());
                }
                let path = format!("{above}{}", entry.name);
                if entry.is_directory {
                    self.enter(&(path + "/"), None)?;
                } else {
                    self.found.push(path);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Returns the first `count` names of a directory behind `floor` that the prefix leaves.
    fn smallest(&self, above: &str, floor: Option<&str>, count: usize) -> Result<Vec<Entry>, StoreError> {
        let directory = match self.tree.open_dir(above) {
            Ok(directory) => directory,
            // Removed since its name was read.
            Err(StoreError::Io { source, .. }) if is_absence(&source) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
        self.tree.each_name(&directory, |name, kind| {
            let is_directory = kind == FileType::Directory;
            let is_behind = floor.is_none_or(|floor| name > floor);
            if is_behind && (is_directory || kind == FileType::RegularFile) && self.admits(above, name, is_directory) {
                heap.push(Entry { name: name.to_owned(), is_directory });
                if heap.len() > count {
                    heap.pop();
                }
            }
            Ok(())
        })?;
        Ok(heap.into_sorted_vec())
    }

    fn admits(&self, above: &str, name: &str, is_directory: bool) -> bool {
        if above.is_empty() && name == AREA {
            return false;
        }
        let mut path = format!("{above}{name}");
        if is_directory {
            path.push('/');
        }
        path.starts_with(self.prefix) || (is_directory && self.prefix.starts_with(&path))
    }
}
