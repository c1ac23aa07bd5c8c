//! What the platform accepts: architectures and the values of its enumerations.
//!
//! The table is generated from the platform's own package by `spec/tao/architectures.py` and
//! compared with it in the gate.

use crate::format::Shown;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    // The text is part of the program and read by a test.
    serde_json::from_str(include_str!("../../spec/tao/architectures.json")).unwrap_or_default()
});

/// What the platform says of one architecture; the values a model of it has in its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The kind of data it is trained on.
    pub dataset_type: String,
    /// Formats of that data.
    pub dataset_formats: Vec<String>,
    /// What data may be for.
    pub accepted_dataset_intents: Vec<String>,
    /// What can be done with a model.
    pub actions: Vec<String>,
    /// Whether the platform takes a model for complete without pulling it.
    pub is_pull_complete: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    package: String,
    architectures: BTreeMap<String, Architecture>,
    allowed: BTreeMap<String, BTreeSet<String>>,
}

/// Why models of an architecture can't be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// The platform does not list it.
    #[error("{shown} is no architecture of {package}", shown = Shown(.found), package = package())]
    Unknown {
        /// The name.
        found: String,
    },
    /// Its models break the listing for everyone.
    #[error("models of {architecture} break the platform's listing: {found} is no intent that it knows")]
    Poisoned {
        /// The name.
        architecture: String,
        /// The value of the platform's own table that it refuses.
        found: String,
    },
}

/// Returns the package that the table is from, with its version.
pub fn package() -> &'static str {
    &TABLES.package
}

/// Returns what the platform says of an architecture; nothing where it does not know it.
pub fn architecture(name: &str) -> Option<&'static Architecture> {
    TABLES.architectures.get(name)
}

/// Returns what the platform says of an architecture whose models it can list.
///
/// # Errors
/// Refuses what the platform does not know, and what would break its listings.
pub fn usable(name: &str) -> Result<&'static Architecture, ArchitectureError> {
    let known = architecture(name).ok_or_else(|| ArchitectureError::Unknown { found: name.to_owned() })?;
    let mut intents = known.accepted_dataset_intents.iter();
    match intents.find(|intent| !is_allowed("accepted_dataset_intents", intent)) {
        None => Ok(known),
        Some(found) => Err(ArchitectureError::Poisoned { architecture: name.to_owned(), found: found.clone() }),
    }
}

/// Returns the names of all architectures, in byte order.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.architectures.keys().map(String::as_str)
}

/// Tells whether the platform takes a value in a field that is one of an enumeration.
pub fn is_allowed(field: &str, value: &str) -> bool {
    TABLES.allowed.get(field).is_some_and(|values| values.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_the_package_counts() {
        assert_eq!(package(), "nvidia-tao-core 7.3.0");
        assert_eq!(names().count(), 38);
        let counts = ["dataset_type", "dataset_formats", "actions"].map(|field| TABLES.allowed[field].len());
        assert_eq!(counts, [23, 30, 20]);
    }

    #[test]
    fn one_architecture_of_the_package_breaks_its_own_listing() {
        let is_bad = |name: &&str| {
            let intents = architecture(name).map(|one| &one.accepted_dataset_intents);
            intents.into_iter().flatten().any(|intent| !is_allowed("accepted_dataset_intents", intent))
        };
        assert_eq!(names().filter(is_bad).collect::<Vec<_>>(), ["huggingface"]);
    }
}
