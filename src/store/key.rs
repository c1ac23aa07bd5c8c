//! Keys that every store keeps exactly as they are.

use crate::format::Shown;
use crate::format::limits::PATH_LEN_MAX;
use crate::format::path::{PathRule, check_segment};
use std::fmt;

/// The key of an object: 1 to 1024 bytes of segments joined by `/`.
///
/// Segments follow F-33 to F-35, so nothing in a key is folded, hidden or rewritten by a store:
/// SeaweedFS turns `\` into `/`, folds `//` and a leading `/`, drops the body under a key that ends
/// in `/`, and hides `.uploads/` and `*.versions/`. A key is refused, never normalised.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {shown} is not allowed: {rule}", shown = Shown(.text))]
pub struct KeyError {
    /// The refused text.
    pub text: String,
    /// The rule that it breaks.
    pub rule: PathRule,
}

impl Key {
    /// Returns the key that `text` spells.
    ///
    /// # Errors
    /// Names the first broken rule.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        match check_key(text) {
            Ok(()) => Ok(Key(text.to_owned())),
            Err(rule) => Err(KeyError { text: text.to_owned(), rule }),
        }
    }

    /// Returns the text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the segments, at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn check_key(text: &str) -> Result<(), PathRule> {
    if text.is_empty() {
        return Err(PathRule::Empty);
    }
    if text.len() > PATH_LEN_MAX {
        return Err(PathRule::TooLong);
    }
    text.split('/').try_for_each(check_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_key_that_a_store_would_alter() {
        let longest_segments = format!("{}/{}", "k".repeat(255), "x".repeat(255));
        assert!(Key::parse(&longest_segments).is_ok());
        let too_long = format!("a{}", "/b".repeat(512));
        for (text, rule) in [
            ("", PathRule::Empty),
            (too_long.as_str(), PathRule::TooLong),
            ("a\\b", PathRule::Backslash),
            ("/a", PathRule::EmptySegment),
            ("a//b", PathRule::EmptySegment),
            ("a/", PathRule::EmptySegment),
            ("a/../b", PathRule::DotSegment),
            ("a\u{0}b", PathRule::Unshowable),
            ("a/.uploads/b", PathRule::HiddenByStore),
            ("a/b.versions/c", PathRule::HiddenByStore),
        ] {
            assert_eq!(Key::parse(text).map_err(|error| error.rule), Err(rule), "{text}");
        }
    }

    #[test]
    fn keeps_a_key_of_1024_bytes_and_the_state_prefix() {
        let longest = format!("ab{}", "/b".repeat(511));
        assert_eq!(longest.len(), 1024);
        for text in [longest.as_str(), ".airlift/models/head.json", "Prefix/x?#+&%"] {
            assert_eq!(Key::parse(text).expect(text).as_str(), text);
        }
    }
}
