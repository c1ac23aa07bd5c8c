//! Looking for bundles in the places that a person names (F-05).

use super::{MediaError, Medium};
use crate::format::SignatureFile;
use std::path::{Path, PathBuf};

/// One release as found: the bytes of its head, and every medium that carries the same head.
#[derive(Debug)]
pub struct Found {
    /// The bytes of `head.json`, not proven yet.
    pub head: Vec<u8>,
    /// The signatures on all its media, each once, numbered in this order: media of one release may
    /// number them differently.
    pub signatures: Vec<SignatureFile>,
    /// The bundle directories.
    pub media: Vec<Medium>,
}

/// Returns the releases in `places`, each a bundle directory or a directory that holds some.
///
/// Heads are compared as bytes. Media of one release come together in the order they were named.
///
/// # Errors
/// [`MediaError::NoBundle`] names a place that holds none.
pub fn find(places: &[PathBuf]) -> Result<Vec<Found>, MediaError> {
    let mut releases: Vec<Found> = Vec::new();
    for place in places {
        for medium in media_in(place)? {
            let head = medium.head()?;
            let signatures = medium.signatures()?;
            match releases.iter_mut().find(|found| found.head == head) {
                Some(found) => {
                    let known = |new: &SignatureFile| found.signatures.iter().any(|old| old.bytes == new.bytes);
                    let new: Vec<_> = signatures.into_iter().filter(|new| !known(new)).collect();
                    found.signatures.extend(new);
                    found.media.push(medium);
                }
                None => releases.push(Found { head, signatures, media: vec![medium] }),
            }
        }
    }
    for found in &mut releases {
        found.signatures.iter_mut().zip(1..).for_each(|(file, number)| file.number = number);
    }
    Ok(releases)
}

fn media_in(place: &Path) -> Result<Vec<Medium>, MediaError> {
    let itself = Medium::open(place)?;
    if has_head(place) {
        return Ok(vec![itself]);
    }
    let unreadable = |source| MediaError::Open { path: place.to_owned(), source };
    let mut directories = Vec::new();
    for item in std::fs::read_dir(place).map_err(unreadable)? {
        let item = item.map_err(unreadable)?;
        let is_directory = item.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && has_head(&item.path()) {
            directories.push(item.path());
        }
    }
    directories.sort();
    if directories.is_empty() {
        return Err(MediaError::NoBundle { path: place.to_owned() });
    }
    directories.iter().map(|path| Medium::open(path)).collect()
}

fn has_head(directory: &Path) -> bool {
    directory.join(super::HEAD).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_media_of_one_release_together() {
        let top = tempfile::tempdir().expect("a directory");
        for (name, head) in [("one/m-1", "a"), ("two/m-1", "a"), ("two/m-2", "b"), ("plain", "a")] {
            let path = top.path().join(name);
            std::fs::create_dir_all(path.join("signatures")).expect("made");
            std::fs::write(path.join("head.json"), head).expect("written");
            std::fs::write(path.join("signatures/7.sig"), head).expect("written");
        }
        let places: Vec<PathBuf> = ["one", "two", "plain"].iter().map(|name| top.path().join(name)).collect();
        let found = find(&places).expect("found");
        let counts: Vec<_> = found.iter().map(|found| (found.media.len(), found.signatures.len())).collect();
        assert_eq!(counts, [(3, 1), (1, 1)]);
        assert_eq!(found[0].signatures[0].number, 1);
        std::fs::create_dir(top.path().join("empty")).expect("made");
        assert!(matches!(find(&[top.path().join("empty")]), Err(MediaError::NoBundle { .. })));
    }
}
