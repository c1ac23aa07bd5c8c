//! What proves a client to a store.

use std::fmt;

/// An access key and its secret. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key.
    pub access: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
