//! Where the models lie in a bucket.

use crate::format::Shown;
use crate::format::path::{PathRule, check_segment};
use crate::store::{Key, KeyError};
use std::fmt;

/// The folder of the models in their bucket: what the platform calls `LOCAL_MODEL_REGISTRY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry(String);

/// Why a text is no folder of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The platform takes it for not set.
    #[error("{shown} names no folder", shown = Shown(.text))]
    Empty {
        /// The text.
        text: String,
    },
    /// It can't be a part of a key.
    #[error("{shown} is no folder of a bucket: {rule}", shown = Shown(.text))]
    BadSegment {
        /// The text.
        text: String,
        /// The rule that a part of it breaks.
        rule: PathRule,
    },
}

impl Registry {
    /// Returns the folder that `text` spells. Blanks and slashes around it say nothing, as the
    /// platform has it.
    ///
    /// # Errors
    /// Refuses what names no folder, or one that no key can lie in.
    pub fn parse(text: &str) -> Result<Registry, RegistryError> {
        let inner = text.trim().trim_matches('/');
        if inner.is_empty() {
            return Err(RegistryError::Empty { text: text.to_owned() });
        }
        let bad = |rule| RegistryError::BadSegment { text: text.to_owned(), rule };
        inner.split('/').try_for_each(check_segment).map_err(bad)?;
        Ok(Registry(inner.to_owned()))
    }

    /// Tells whether a platform whose `LOCAL_MODEL_REGISTRY` is spelled so loads the metadata and then
    /// finds no weights: it takes off what stands around the folder for the one, and not for the other.
    pub fn hides_weights(text: &str) -> bool {
        text != text.trim() || text.ends_with('/')
    }

    /// Returns the folder without slashes around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what the keys of all its objects begin with.
    pub fn prefix(&self) -> String {
        format!("{}/", self.0)
    }

    /// Returns the key of a file below it.
    ///
    /// # Errors
    /// The path breaks a rule of keys.
    pub fn key(&self, path: &str) -> Result<Key, KeyError> {
        Key::parse(&format!("{}/{path}", self.0))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_blanks_around_it_say_nothing() {
        for text in [
            "shared-storage/models",
            "/shared-storage/models",
            " /shared-storage/models/ ",
            "//shared-storage/models//",
        ] {
            let registry = Registry::parse(text).expect(text);
            assert_eq!(
                (registry.as_str(), registry.to_string().as_str()),
                ("shared-storage/models", "/shared-storage/models")
            );
            assert_eq!(registry.key("a").expect("a key").as_str(), "shared-storage/models/a");
        }
    }

    #[test]
    fn a_slash_behind_and_blanks_hide_weights_and_slashes_before_do_not() {
        for (text, is_hiding) in
            [("/m", false), ("m", false), ("//m", false), ("/m/", true), (" /m", true), ("m ", true)]
        {
            assert_eq!(Registry::hides_weights(text), is_hiding, "{text}");
        }
    }

    #[test]
    fn refuses_what_no_key_can_lie_in() {
        for text in ["", "/", " // ", "a//b", "a/../b", "a/./b", "a\\b"] {
            assert!(Registry::parse(text).is_err(), "{text}");
        }
    }
}
