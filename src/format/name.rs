//! Short names: streams, roots, audiences, attachment types, critical features.

use super::limits::NAME_LEN_MAX;
use std::fmt;

/// A name of 1 to 64 bytes: `[a-z0-9][a-z0-9._-]*` (F-30).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name {shown} is not 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit", shown = super::Shown(.text))]
pub struct NameError {
    /// The refused text.
    pub text: String,
}

impl Name {
    /// Returns the name that `text` spells.
    ///
    /// # Errors
    /// Refuses every text outside the grammar of F-30.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let bytes = text.as_bytes();
        let starts_well = matches!(bytes.first(), Some(b'a'..=b'z' | b'0'..=b'9'));
        if starts_well && bytes.len() <= NAME_LEN_MAX && bytes.iter().all(|&byte| good(byte)) {
            Ok(Name(text.to_owned()))
        } else {
            Err(NameError { text: text.to_owned() })
        }
    }

    /// Returns the text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::parse(text)
    }
}
