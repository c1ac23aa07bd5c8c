//! Finds out whether a server honours the conditions that the import depends on (T23).

use super::{Attributes, Condition, Key, Store, StoreError};
use crate::format::Proven;

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
    let first = write("{\"probe\":1}", Condition::Absent)?;
    expect_failure(key, write("{\"probe\":2}", Condition::Absent))?;
    // The tag of another content in the store's own form: a server may take an odd one for none.
    let other = write("{\"probe\":3}", Condition::IfTag(first.tag.clone()))?.tag;
    if other == first.tag {
        return Err(StoreError::ConditionsIgnored { key: key.clone() });
    }
    expect_failure(key, write("{\"probe\":4}", Condition::IfTag(first.tag)))
}

fn expect_failure<T>(key: &Key, outcome: Result<T, StoreError>) -> Result<(), StoreError> {
    match outcome {
        Err(StoreError::ConditionFailed { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(StoreError::ConditionsIgnored { key: key.clone() }),
    }
}
