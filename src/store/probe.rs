//! Finds out whether a server honours the conditions that the import depends on (T23).

use super::{Attributes, Condition, Key, Store, StoreError, Tag};
use crate::format::Proven;

/// Longest object that is read back, in bytes.
const PROBE_LEN_MAX: u64 = 64;

/// Proves that writes with a failing condition fail, by trying two on `key`, and removes it again.
///
/// `key` must be one that nobody else uses, such as one with a random name in the state prefix.
///
/// # Errors
/// [`StoreError::ConditionsIgnored`] where the server wrote in spite of the condition.
pub fn probe_conditions(store: &dyn Store, key: &Key) -> Result<(), StoreError> {
    let outcome = try_conditions(store, key);
    store.remove(key)?;
    outcome
}

fn try_conditions(store: &dyn Store, key: &Key) -> Result<(), StoreError> {
    let attributes = Attributes::of_type("application/json");
    let write = |body: &'static str, condition| store.put(key, &Proven::record(body), &attributes, &condition);
    // An answer that was lost on the way, after which the write was sent again, leaves our own bytes.
    let written = |body: &'static str, condition| -> Result<Tag, StoreError> {
        match write(body, condition) {
            Ok(stored) => Ok(stored.tag),
            Err(error @ StoreError::ConditionFailed { .. }) => {
                let found = store.load(key, PROBE_LEN_MAX)?.filter(|found| found.bytes == body);
                found.map(|found| found.tag).ok_or(error)
            }
            Err(error) => Err(error),
        }
    };
    let first = written("{\"probe\":1}", Condition::Absent)?;
    expect_failure(key, write("{\"probe\":2}", Condition::Absent))?;
    // The tag of another content in the store's own form: a server may take an odd one for none.
    let other = written("{\"probe\":3}", Condition::IfTag(first.clone()))?;
    if other == first {
        return Err(StoreError::ConditionsIgnored { key: key.clone() });
    }
    expect_failure(key, write("{\"probe\":4}", Condition::IfTag(first)))
}

fn expect_failure<T>(key: &Key, outcome: Result<T, StoreError>) -> Result<(), StoreError> {
    match outcome {
        Err(StoreError::ConditionFailed { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(StoreError::ConditionsIgnored { key: key.clone() }),
    }
}
