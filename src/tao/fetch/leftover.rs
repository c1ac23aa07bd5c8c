//! What lies in the folder of a model beside the files of its source.

use super::remote::RemoteFile;
use crate::pipeline::globs::first_match;
use crate::tao::tree::never_travels;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

/// Most paths that are named.
const NAMED_COUNT_MAX: usize = 1000;

/// Returns the paths in a folder that are none of these files, and would travel with them: at most
/// [`NAMED_COUNT_MAX`].
pub(super) fn leftover(folder: &Path, files: &[RemoteFile]) -> io::Result<Vec<String>> {
    let known: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let globs: Vec<_> = never_travels().collect();
    let mut found = Vec::new();
    let mut left = vec![String::new()];
    while let Some(below) = left.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if first_match(&globs, "", &path).is_some() {
                continue;
            }
            if entry.file_type()?.is_dir() {
                left.push(path);
            } else if !known.contains(path.as_str()) && found.len() < NAMED_COUNT_MAX {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
