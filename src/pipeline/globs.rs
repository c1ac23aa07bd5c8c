//! Paths that are meant together, named by patterns (C-37).

use crate::format::{Name, Shown};
use glob::{MatchOptions, Pattern};
use std::fmt;

/// A slash is matched by a slash and by `**` alone; a dot at the start of a name is a character as any other.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A pattern of paths below a root: `?`, `*` and `[…]` stand for characters of one name, `**` for directories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    /// The only root that it is about; all where there is none.
    root: Option<Name>,
    pattern: Pattern,
}

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// It stands for no path below a root.
    #[error("glob {glob} is not empty and neither begins nor ends with '/'", glob = Shown(.glob))]
    NoPath {
        /// The text.
        glob: String,
    },
    /// Its wildcards are not well formed.
    #[error("glob {glob} is not well formed at byte {at}: {why}", glob = Shown(.glob))]
    Malformed {
        /// The text.
        glob: String,
        /// Where, in bytes from 0.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
}

impl Glob {
    /// Returns the glob that `text` spells, about every root.
    ///
    /// # Errors
    /// Refuses what can match no path, and wildcards that are not well formed.
    pub fn parse(text: &str) -> Result<Glob, GlobError> {
        if text.is_empty() || text.starts_with('/') || text.ends_with('/') {
            return Err(GlobError::NoPath { glob: text.to_owned() });
        }
        let pattern = Pattern::new(text).map_err(|error| GlobError::Malformed {
            glob: text.to_owned(),
            at: error.pos,
            why: error.msg,
        })?;
        Ok(Glob { root: None, pattern })
    }

    /// Returns the same glob, about one root alone.
    #[must_use]
    pub fn of_root(self, root: &Name) -> Glob {
        Glob { root: Some(root.clone()), ..self }
    }

    /// Tells whether it matches a path below a root.
    pub fn matches(&self, root: &str, below: &str) -> bool {
        self.root.as_ref().is_none_or(|only| only.as_str() == root) && self.pattern.matches_with(below, OPTIONS)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Some(root) => write!(f, "{root}/{}", self.pattern),
            None => write!(f, "{}", self.pattern),
        }
    }
}

/// Returns the position of the first glob that matches a path below a root.
pub fn first_match(globs: &[Glob], root: &str, below: &str) -> Option<usize> {
    globs.iter().position(|glob| glob.matches(root, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        Glob::parse(glob).expect(glob).matches("m", path)
    }

    #[test]
    fn a_slash_is_matched_by_a_slash_and_by_two_stars_alone() {
        for (glob, path) in [
            ("*.lock", "a.lock"),
            ("**/*.lock", "a.lock"),
            ("**/*.lock", "a/b/.lock"),
            ("**/.cache/huggingface", ".cache/huggingface"),
            ("**/.cache/huggingface", "a/b/.cache/huggingface"),
            ("a/**", "a/b/c"),
            ("a/**/b", "a/b"),
            ("[a-c]?[!x]", "bé1"),
            ("**", "a/b"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in
            [("*.lock", "a/b.lock"), ("a?b", "a/b"), ("a[!c]b", "a/b"), ("a/**", "a"), ("A", "a"), ("*", "a/b")]
        {
            assert!(!matches(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn a_glob_of_a_root_matches_there_alone() {
        let glob = Glob::parse("*.lock").expect("a glob").of_root(&Name::parse("m").expect("a name"));
        assert!(glob.matches("m", "a.lock") && !glob.matches("n", "a.lock"));
        assert_eq!(glob.to_string(), "m/*.lock");
    }

    #[test]
    fn what_can_match_no_path_is_refused() {
        for glob in ["", "/a", ".cache/", "a**", "[a"] {
            assert!(Glob::parse(glob).is_err(), "{glob}");
        }
    }
}
