//! What lies in the folder of a model beside the files of its source.

use super::remote::RemoteFile;
use crate::pipeline::globs::{Glob, first_match};
use crate::tao::tree::never_travels;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most paths that are named.
const NAMED_COUNT_MAX: usize = 1000;

/// Files that are none of a source's, and directories that can't be looked into.
#[derive(Debug, Default)]
pub struct Strays {
    /// Their paths below the directory that was fetched to: at most a thousand, sorted.
    pub paths: Vec<PathBuf>,
    /// How many more there are.
    pub more_count: u64,
}

impl Strays {
    /// Adds what lies in a folder below `out` beside these files, and would travel with them.
    pub(super) fn add(&mut self, out: &Path, folder: &str, files: &[RemoteFile]) {
        let known: HashSet<&Path> = files.iter().map(|file| Path::new(&file.path)).collect();
        let globs: Vec<Glob> = never_travels().collect();
        let mut directories = vec![PathBuf::new()];
        while let Some(below) = directories.pop() {
            let Ok(entries) = fs::read_dir(out.join(folder).join(&below)) else {
                self.name(Path::new(folder).join(below));
                continue;
            };
            for entry in entries.flatten() {
                let path = below.join(entry.file_name());
                let is_left_out = path.to_str().is_some_and(|path| first_match(&globs, "", path).is_some());
                if is_left_out || known.contains(path.as_path()) {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(path);
                } else {
                    self.name(Path::new(folder).join(path));
                }
            }
        }
        self.paths.sort_unstable();
    }

    fn name(&mut self, path: PathBuf) {
        if self.paths.len() < NAMED_COUNT_MAX {
            self.paths.push(path);
        } else {
            self.more_count += 1;
        }
    }
}
