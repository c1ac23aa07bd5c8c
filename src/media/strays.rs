//! What lies in a bundle directory and does not belong to it (F-01). It is named and never opened.

use super::{MediaError, Medium, signature_number};
use rustix::fs::Dir;
use std::path::Path;

/// Names that are shown; all are counted.
const NAME_COUNT_SHOWN: usize = 3;

/// Names beside the files of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many there are.
    pub count: u64,
    /// Some of them, as paths below the bundle directory.
    pub names: Vec<String>,
}

impl Medium {
    /// Returns what lies in the bundle directory and is no part of a bundle.
    ///
    /// # Errors
    /// A directory can't be listed.
    pub fn strays(&self) -> Result<Strays, MediaError> {
        let mut strays = Strays::default();
        let top = Dir::read_from(&self.top.directory).map_err(|error| self.failed("", error))?;
        strays.add(self, "", top, is_part)?;
        for (directory, is_part) in [
            ("signatures", (|name| signature_number(name).is_some()) as fn(&str) -> bool),
            ("volumes", |name| name.strip_suffix(".vol").is_some_and(|digits| is_number(digits, 6))),
            ("attachments", |name| is_number(name, 2)),
        ] {
            // What is no directory is a finding, not a stray.
            if let Ok(Some(open)) = self.open_directory(directory) {
                let listing = Dir::read_from(&open).map_err(|error| self.failed(directory, error))?;
                strays.add(self, directory, listing, is_part)?;
            }
        }
        strays.names.sort();
        Ok(strays)
    }
}

impl Strays {
    fn add(&mut self, medium: &Medium, below: &str, listing: Dir, is_part: fn(&str) -> bool) -> Result<(), MediaError> {
        for item in listing {
            let item = item.map_err(|error| medium.failed(below, error))?;
            let name = item.file_name().to_string_lossy();
            if matches!(&*name, "." | "..") || is_part(&name) {
                continue;
            }
            self.count += 1;
            if self.names.len() < NAME_COUNT_SHOWN {
                self.names.push(Path::new(below).join(&*name).display().to_string());
            }
        }
        Ok(())
    }
}

fn is_part(name: &str) -> bool {
    matches!(name, "head.json" | "manifest" | "packs" | "README.txt" | "signatures" | "volumes" | "attachments")
}

fn is_number(text: &str, digit_count: usize) -> bool {
    text.len() == digit_count && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_no_part_of_a_bundle_and_counts_all_of_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        for name in ["signatures", "volumes", "attachments", "System Volume Information"] {
            std::fs::create_dir(path.join(name)).expect("made");
        }
        let parts = ["head.json", "manifest", "packs", "README.txt", "signatures/2.sig", "volumes/000001.vol"];
        let strays = ["autorun.inf", "volumes/1.vol", "signatures/02.sig", "attachments/001"];
        for name in parts.into_iter().chain(strays) {
            std::fs::write(path.join(name), b"").expect("written");
        }
        let found = Medium::open(path).expect("a directory").strays().expect("listed");
        assert_eq!((found.count, found.names.len()), (5, NAME_COUNT_SHOWN));
        assert!(found.names.contains(&"autorun.inf".to_owned()), "{found:?}");
    }
}
