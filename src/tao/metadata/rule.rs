//! What is wrong with a value of an entry.

use crate::format::Shown;

/// The rules of a value, one for each way to break the platform.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryRule {
    /// without it the platform drops the entry without a word, or can't list any.
    #[error("is missing")]
    Missing,
    /// the key of an entry is its id; others are dropped without a word.
    #[error("is not the key of the entry, {shown}", shown = Shown(.key))]
    OtherKey {
        /// The key.
        key: String,
    },
    /// another type.
    #[error("is {found}, not {expected}")]
    WrongType {
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// no value of the enumeration.
    #[error("has {shown}, which the platform does not know", shown = Shown(.found))]
    Unknown {
        /// The value.
        found: String,
    },
    /// a longer text.
    #[error("has {found} characters, more than {max}")]
    TooLong {
        /// How many it may have.
        max: usize,
        /// How many it has.
        found: usize,
    },
    /// a longer list.
    #[error("has {found} items, more than {max}")]
    TooMany {
        /// How many it may have.
        max: usize,
        /// How many it has.
        found: usize,
    },
    /// no address of the web.
    #[error("is {shown}, which is no URL that begins with http:// or https://", shown = Shown(.found))]
    NotUrl {
        /// The text.
        found: String,
    },
    /// no time.
    #[error("is {shown}, which is no time such as 2025-01-02T03:04:05Z", shown = Shown(.found))]
    NotTime {
        /// The text.
        found: String,
    },
    /// a number out of range.
    #[error("has a number that is not whole, or below 0")]
    NotCount,
    /// the platform tries again and again to store such a number, and loads nothing.
    #[error("has a whole number that needs more than 63 bits")]
    NumberTooLarge,
    /// the platform writes it for a running job; in an entry it can only break something.
    #[error("does not belong into the metadata of a model")]
    NotOfModel,
    /// a path that names no model.
    #[error("names no model of NGC or Hugging Face")]
    NoModel,
}
