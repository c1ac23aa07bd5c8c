//! Why bytes of the manifest, the pack table or an index are refused.

use super::path::PathError;
use super::{Digest, Structure};
use crate::error::Class;

/// Structures that the head leads to and that are not those that are due, or break a rule of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A structure ends too soon.
    #[error("{structure} ends early: {missing} more bytes are due at byte {offset}")]
    Truncated {
        /// The structure.
        structure: &'static str,
        /// Where in it.
        offset: u64,
        /// How many bytes are missing.
        missing: u64,
    },
    /// A structure breaks a rule of its own.
    #[error("{structure} breaks {rule} at byte {offset}: {why}")]
    Breach {
        /// The structure.
        structure: &'static str,
        /// Where in it.
        offset: u64,
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A path in the manifest breaks the grammar.
    #[error("manifest page has a bad path at byte {offset}")]
    Path {
        /// Where in the page.
        offset: u64,
        /// Which path and rule.
        source: PathError,
    },
    /// The entries, rows and marks, taken together, break a rule.
    #[error("entry {entry} of the manifest breaks {rule}: {why}")]
    Entry {
        /// Index of the entry, from 0.
        entry: u64,
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The packs, taken together or with the manifest, break a rule.
    #[error("pack {pack} breaks {rule}: {why}")]
    Pack {
        /// Index of the pack in the pack table, from 0.
        pack: u64,
        /// The rule of `spec/format.md`.
        rule: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A structure has another digest than what leads to it says.
    #[error("the {structure} has digest {found}; {expected} is due")]
    StructureDigest {
        /// Which kind of structure.
        structure: Structure,
        /// The digest that is due.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The content of an extra section has another digest than its record says.
    #[error("the content of a section of the {structure} at byte {offset} breaks F-58: it has another digest")]
    SectionDigest {
        /// The structure.
        structure: &'static str,
        /// Where in it.
        offset: u64,
    },
    /// A critical extra section is not known to this version.
    #[error("{structure} has critical section {kind}, which this version does not know")]
    UnknownSection {
        /// The structure.
        structure: &'static str,
        /// Its kind.
        kind: u16,
    },
}

impl FormatError {
    /// Returns whose problem this is (F-11): bytes with the digest that is due were signed, so that no
    /// other copy mends what is wrong with them.
    pub fn class(&self) -> Class {
        match self {
            FormatError::UnknownSection { .. } => Class::Refused,
            FormatError::StructureDigest { .. } | FormatError::SectionDigest { .. } => Class::Damaged,
            _ => Class::Untrusted,
        }
    }

    /// Returns the rule of `spec/format.md` that is broken, where one alone is known to be.
    pub const fn rule(&self) -> Option<&'static str> {
        match self {
            FormatError::Breach { rule, .. } | FormatError::Entry { rule, .. } | FormatError::Pack { rule, .. } => {
                Some(rule)
            }
            FormatError::StructureDigest { .. } => Some("F-21"),
            FormatError::UnknownSection { .. } | FormatError::SectionDigest { .. } => Some("F-58"),
            FormatError::Truncated { .. } | FormatError::Path { .. } => None,
        }
    }
}

/// Returns an error unless the structure has the expected digest.
///
/// # Errors
/// [`FormatError::StructureDigest`] with both digests.
pub fn prove(structure: Structure, bytes: &[u8], expected: &Digest) -> Result<(), FormatError> {
    let found = Digest::of_structure(structure, bytes);
    if found == *expected {
        Ok(())
    } else {
        Err(FormatError::StructureDigest { structure, expected: *expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_rule_where_one_alone_is_broken() {
        let breach = FormatError::Breach { structure: "index", offset: 0, rule: "F-101", why: "" };
        let pack = FormatError::Pack { pack: 0, rule: "F-52", why: "" };
        let section = FormatError::UnknownSection { structure: "index", kind: 1 };
        for (error, rule) in [(breach, Some("F-101")), (pack, Some("F-52")), (section, Some("F-58"))] {
            assert_eq!(error.rule(), rule);
        }
        assert_eq!(FormatError::Truncated { structure: "index", offset: 0, missing: 1 }.rule(), None);
    }
}
