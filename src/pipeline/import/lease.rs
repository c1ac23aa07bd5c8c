//! One importer a stream: the lease object.

use super::error::ImportError;
use super::state::StateKeys;
use crate::format::Proven;
use crate::machine::Machine;
use crate::store::{Attributes, Condition, Key, Store, StoreError, Tag};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest lease object that is read, in bytes.
const LEASE_LEN_MAX: u64 = 4096;
/// How often a lease is renewed.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);
/// A lease that has not changed for this long belongs to nobody.
const STALE_AFTER: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_secs(2);

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The host's name.
    pub host: String,
    /// The boot of the host.
    pub boot_id: String,
    /// The process.
    pub process: u32,
    /// When the process started, in clock ticks since the boot: a number is used again.
    pub started: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    #[serde(flatten)]
    holder: Holder,
    counter: u64,
    beat: u64,
}

impl Holder {
    /// Returns this process.
    pub fn this_process() -> Holder {
        let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let process = std::process::id();
        Holder { host, boot_id: line("/proc/sys/kernel/random/boot_id"), process, started: started(process) }
    }

    /// Tells whether the holder was a process of this boot and is gone, or is this process itself, whose
    /// earlier import could not give its lease back.
    fn is_gone_here(&self, own: &Holder) -> bool {
        let same_boot = !own.boot_id.is_empty() && self.boot_id == own.boot_id && self.host == own.host;
        same_boot && (self == own || started(self.process) != self.started)
    }
}

/// Returns when a process started, in clock ticks since the boot; 0 where there is none.
fn started(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; field 22 is the 20th behind it.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    fields.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// A lease that this process holds until it releases it, or dies.
pub(super) struct Held<'a> {
    store: &'a dyn Store,
    key: Key,
    state: Mutex<(Lease, Tag)>,
}

impl<'a> Held<'a> {
    /// Takes the lease, waiting for one that nobody renews.
    ///
    /// # Errors
    /// [`ImportError::Leased`] names the importer that holds it.
    pub(super) fn take(
        (store, machine): (&'a dyn Store, &Machine),
        keys: &StateKeys,
        holder: &Holder,
        counter: u64,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Held<'a>, ImportError> {
        let key = keys.lease()?;
        let lease = Lease { holder: holder.clone(), counter, beat: 0 };
        let mut condition = Condition::Absent;
        let mut seen: Option<Tag> = None;
        let mut waited = Duration::ZERO;
        loop {
            match put(store, &key, &lease, &condition) {
                Ok(tag) => return Ok(Held { store, key, state: Mutex::new((lease, tag)) }),
                Err(StoreError::ConditionFailed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(loaded) = store.load(&key, LEASE_LEN_MAX)? else {
                condition = Condition::Absent;
                continue;
            };
            let other: Option<Lease> = serde_json::from_slice(&loaded.bytes).ok();
            if other.as_ref().is_none_or(|other| other.holder.is_gone_here(holder)) {
                condition = Condition::IfTag(loaded.tag);
                continue;
            }
            if seen.as_ref() != Some(&loaded.tag) {
                // A second change means that somebody is alive behind it.
                if let (Some(_), Some(other)) = (&seen, other) {
                    return Err(ImportError::Leased { host: other.holder.host, process: other.holder.process });
                }
                (seen, waited) = (Some(loaded.tag.clone()), Duration::ZERO);
            }
            condition = if waited >= STALE_AFTER { Condition::IfTag(loaded.tag) } else { Condition::Absent };
            if is_cancelled() {
                return Err(ImportError::Interrupted);
            }
            std::thread::sleep(machine.pace(POLL_EVERY));
            waited += POLL_EVERY;
        }
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`ImportError::LeaseLost`] where somebody else has it.
    pub(super) fn renew(&self) -> Result<(), ImportError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (lease, tag) = &mut *state;
        lease.beat += 1;
        match put(self.store, &self.key, lease, &Condition::IfTag(tag.clone())) {
            Ok(new) => *tag = new,
            Err(StoreError::ConditionFailed { .. }) => {
                // An answer that was lost on the way leaves our own lease, renewed.
                let now = self.store.load(&self.key, LEASE_LEN_MAX)?;
                let now = now.filter(|now| serde_json::from_slice::<Lease>(&now.bytes).is_ok_and(|now| now == *lease));
                *tag = now.ok_or(ImportError::LeaseLost)?.tag;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// The store fails; the lease then grows stale.
    pub(super) fn release(self) -> Result<(), ImportError> {
        Ok(self.store.remove(&self.key)?)
    }
}

/// Returns who holds the lease now; nothing where nobody does.
///
/// # Errors
/// The store fails.
pub(super) fn holder_of(store: &dyn Store, keys: &StateKeys) -> Result<Option<Holder>, ImportError> {
    Ok(holder_in(store, &keys.lease()?)?)
}

/// Returns who holds the lease at a key; nothing where nobody does.
///
/// # Errors
/// The store fails.
pub(super) fn holder_in(store: &dyn Store, key: &Key) -> Result<Option<Holder>, StoreError> {
    let loaded = store.load(key, LEASE_LEN_MAX)?;
    let lease: Option<Lease> = loaded.and_then(|loaded| serde_json::from_slice(&loaded.bytes).ok());
    Ok(lease.map(|lease| lease.holder))
}

fn put(store: &dyn Store, key: &Key, lease: &Lease, condition: &Condition) -> Result<Tag, StoreError> {
    let body = Proven::record(serde_json::to_vec(lease).unwrap_or_default());
    Ok(store.put(key, &body, &Attributes::of_type("application/json"), condition)?.tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Digest, Name};
    use crate::pipeline::import::mapping::Prefix;
    use crate::store::MemoryStore;

    fn keys() -> StateKeys {
        let prefix = Prefix::parse(".airlift/").expect("a prefix");
        StateKeys::new(&prefix, &Name::parse("s").expect("a name"), 1, &Digest::of(b""))
    }

    #[test]
    fn a_dead_holder_of_this_boot_is_followed_at_once_and_a_live_one_is_not() {
        let (store, own) = (MemoryStore::new(), Holder::this_process());
        assert_ne!(own.started, 0);
        let dead = Holder { started: own.started + 1, ..own.clone() };
        let left = Held::take((&store, &Machine::default()), &keys(), &dead, 1, &|| false).expect("taken");
        let held = Held::take((&store, &Machine::default()), &keys(), &own, 1, &|| false).expect("taken over");
        assert!(matches!(left.renew(), Err(ImportError::LeaseLost)));
        held.renew().expect("still held");
        assert_eq!(holder_of(&store, &keys()).expect("read"), Some(own.clone()));
        let parent = std::os::unix::process::parent_id();
        let alive = Holder { process: parent, started: started(parent), ..own.clone() };
        held.release().expect("released");
        let held = Held::take((&store, &Machine::default()), &keys(), &alive, 1, &|| false).expect("taken");
        let blocked = Held::take((&store, &Machine::default()), &keys(), &own, 1, &|| true);
        assert!(matches!(blocked, Err(ImportError::Interrupted)));
        held.release().expect("released");
        assert_eq!(holder_of(&store, &keys()).expect("read"), None);
    }
}
