//! Where the roots of a bundle land.

use crate::error::Class;
use crate::format::path::check_segment;
use crate::format::{EntryPath, Name, Shown};
use crate::store::{Key, KeyError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The start of keys: empty, or segments that each end in `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

/// Where the files of a root go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// Below this prefix.
    Prefix(Prefix),
    /// Nowhere: the root is left out.
    LeftOut,
}

/// The destination of every root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping(BTreeMap<Name, Destination>);

/// Why a mapping can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// A prefix is not segments that each end in `/`.
    #[error("prefix {prefix} is not segments that each end in '/'", prefix = Shown(.prefix))]
    BadPrefix {
        /// The prefix.
        prefix: String,
    },
    /// Two prefixes overlap, or one overlaps the state prefix.
    #[error("prefix {one} and prefix {other} overlap", one = Shown(.one), other = Shown(.other))]
    Overlap {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// A root is mapped twice.
    #[error("root {root} is mapped twice")]
    Twice {
        /// The root.
        root: Name,
    },
    /// The bundle has a root that is not mapped.
    #[error("root {root} of the bundle is not mapped")]
    Unmapped {
        /// The root.
        root: String,
    },
    /// A mapped root is not in the bundle.
    #[error("the bundle has no root {root}")]
    NoSuchRoot {
        /// The root.
        root: Name,
    },
    /// A path gives no key.
    #[error("{path} can't land below its prefix")]
    BadKey {
        /// The path.
        path: EntryPath,
        /// The rule that its key breaks.
        source: KeyError,
    },
}

impl MappingError {
    /// Returns whose problem this is.
    pub fn class(&self) -> Class {
        match self {
            MappingError::BadKey { .. } => Class::Refused,
            _ => Class::Usage,
        }
    }
}

impl Prefix {
    /// Returns the prefix that `text` spells.
    ///
    /// # Errors
    /// [`MappingError::BadPrefix`] unless it is empty or segments that each end in `/`.
    pub fn parse(text: &str) -> Result<Prefix, MappingError> {
        let bad = || MappingError::BadPrefix { prefix: text.to_owned() };
        if text.is_empty() {
            return Ok(Prefix(String::new()));
        }
        let inner = text.strip_suffix('/').ok_or_else(bad)?;
        inner.split('/').try_for_each(check_segment).map_err(|_| bad())?;
        Ok(Prefix(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key `rest` below the prefix.
    ///
    /// # Errors
    /// The key breaks a rule of F-31 to F-35.
    pub fn key(&self, rest: &str) -> Result<Key, KeyError> {
        Key::parse(&format!("{}{rest}", self.0))
    }

    fn overlaps(&self, other: &Prefix) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Prefix {
    type Error = MappingError;

    fn try_from(text: String) -> Result<Prefix, MappingError> {
        Prefix::parse(&text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.0
    }
}

impl Mapping {
    /// Returns the mapping of these roots, none overlapping another or the state prefix.
    ///
    /// # Errors
    /// Names what overlaps, or the root that is mapped twice.
    pub fn new(
        roots: impl IntoIterator<Item = (Name, Destination)>,
        state_prefix: &Prefix,
    ) -> Result<Mapping, MappingError> {
        let mut mapping: BTreeMap<Name, Destination> = BTreeMap::new();
        let mut taken = vec![state_prefix.clone()];
        for (root, destination) in roots {
            if let Destination::Prefix(prefix) = &destination {
                if let Some(other) = taken.iter().find(|other| other.overlaps(prefix)) {
                    return Err(MappingError::Overlap { one: prefix.0.clone(), other: other.0.clone() });
                }
                taken.push(prefix.clone());
            }
            if mapping.insert(root.clone(), destination).is_some() {
                return Err(MappingError::Twice { root });
            }
        }
        Ok(Mapping(mapping))
    }

    /// Returns the roots and their destinations.
    pub fn roots(&self) -> impl Iterator<Item = (&Name, &Destination)> {
        self.0.iter()
    }

    /// Returns the prefixes in use.
    pub fn prefixes(&self) -> impl Iterator<Item = (&Name, &Prefix)> {
        self.0.iter().filter_map(|(root, destination)| match destination {
            Destination::Prefix(prefix) => Some((root, prefix)),
            Destination::LeftOut => None,
        })
    }

    /// Returns where a root lands.
    ///
    /// # Errors
    /// The root is not mapped.
    pub fn destination(&self, root: &str) -> Result<&Destination, MappingError> {
        let found = self.0.iter().find(|(mapped, _)| mapped.as_str() == root);
        found.map(|(_, destination)| destination).ok_or_else(|| MappingError::Unmapped { root: root.to_owned() })
    }

    /// Returns the key of an entry; nothing where its root is left out.
    ///
    /// # Errors
    /// The root is not mapped, or the key breaks a rule.
    pub fn key(&self, path: &EntryPath) -> Result<Option<Key>, MappingError> {
        match self.destination(path.root())? {
            Destination::LeftOut => Ok(None),
            Destination::Prefix(prefix) => {
                let key = prefix.key(path.below_root());
                key.map(Some).map_err(|source| MappingError::BadKey { path: path.clone(), source })
            }
        }
    }

    /// Returns the path that a key below one of the prefixes would have; nothing for other keys.
    pub fn path_of(&self, key: &str) -> Option<EntryPath> {
        self.prefixes().find_map(|(root, prefix)| {
            let below = key.strip_prefix(prefix.as_str())?;
            EntryPath::parse(format!("{root}/{below}").as_bytes()).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect(text)
    }

    fn mapping(roots: &[(&str, &str)]) -> Result<Mapping, MappingError> {
        let state = Prefix::parse(".airlift/m/").expect("a prefix");
        let parsed = roots.iter().map(|(root, prefix)| {
            let destination = match *prefix {
                "-" => Destination::LeftOut,
                prefix => Destination::Prefix(Prefix::parse(prefix).expect(prefix)),
            };
            (name(root), destination)
        });
        Mapping::new(parsed, &state)
    }

    #[test]
    fn refuses_prefixes_that_overlap_each_other_or_the_state() {
        for roots in [
            &[("a", "x/"), ("b", "x/y/")][..],
            &[("a", "x/"), ("b", "x/")],
            &[("a", "")],
            &[("a", ".airlift/")],
            &[("a", ".airlift/m/objects/")],
        ] {
            assert!(matches!(mapping(roots), Err(MappingError::Overlap { .. })), "{roots:?}");
        }
        assert!(mapping(&[("a", "x/"), ("b", "xy/"), ("c", "-")]).is_ok());
        for text in ["x", "/x/", "x//", "../", "x\\/"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_and_paths_are_inverse() {
        let mapping = mapping(&[("a", "x/y/"), ("b", "-")]).expect("a mapping");
        let path = EntryPath::parse(b"a/deep/file").expect("a path");
        let key = mapping.key(&path).expect("mapped").expect("not left out");
        assert_eq!(key.as_str(), "x/y/deep/file");
        assert_eq!(mapping.path_of(key.as_str()), Some(path));
        assert_eq!(mapping.key(&EntryPath::parse(b"b/f").expect("a path")), Ok(None));
        assert!(mapping.key(&EntryPath::parse(b"c/f").expect("a path")).is_err());
        let long = EntryPath::parse(format!("a{}", "/b".repeat(511)).as_bytes()).expect("a path");
        assert!(matches!(mapping.key(&long), Err(MappingError::BadKey { .. })));
    }
}
