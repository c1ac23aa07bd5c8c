//! The readers of an import's own state, for the fuzz targets: what a crash, a full disk or another
//! program left there is read again, and must be.

#![expect(clippy::expect_used, reason = "a fuzz target says what it expects by failing there")]

use super::journal::{Journal, crc_of};
use super::lease;
use super::mapping::Prefix;
use super::slots::{SLOT_LEN, Slots};
use super::state::StateKeys;
use crate::format::{Digest, Name, Proven};
use crate::machine::Machine;
use crate::store::{Attributes, Condition, MemoryStore, Store as _};
use std::fs;
use std::path::Path;

/// Opens a journal of these bytes, in which a line that begins with `+` is given its check, and proves
/// that a fact noted behind it is found again beside all others.
pub fn uploads(path: &Path, bytes: &[u8]) {
    let framed = bytes.split_inclusive(|&byte| byte == b'\n').flat_map(|line| match line.strip_prefix(b"+") {
        Some(text) => {
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            [format!("{:08x} ", crc_of(text)).as_bytes(), text, b"\n"].concat()
        }
        None => line.to_vec(),
    });
    fs::write(path, framed.collect::<Vec<u8>>()).expect("written");
    let (mut journal, mut uploads) = Journal::open(&Machine::default(), path).expect("opened");
    journal.intend(u64::MAX).expect("noted");
    uploads.insert(u64::MAX, Default::default());
    assert_eq!(Journal::peek(path).expect("read"), uploads);
}

/// Opens records of these bytes, and proves that what they say stays the same when it is written again.
pub fn slots(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    let slots = Slots::open(&Machine::default(), path, bytes.len().div_ceil(SLOT_LEN) as u64).expect("opened");
    let mut known = Vec::new();
    let walked = slots.walk(|entry, slot| {
        known.push((entry, slot));
        Ok(())
    });
    walked.expect("walked");
    for (entry, slot) in known {
        slots.set(entry, &slot).expect("written");
        assert_eq!(slots.get(entry).expect("read"), slot);
    }
}

/// Reads a lease of these bytes, and proves that whoever holds it is told.
pub fn lease(bytes: &[u8]) {
    let store = MemoryStore::new();
    let stream = Name::parse("s").expect("a name");
    let keys = StateKeys::new(&Prefix::parse(".airlift/").expect("a prefix"), &stream, 1, &Digest::of(b""));
    let key = keys.lease().expect("a key");
    let body = Proven::record(bytes.to_vec());
    store.put(&key, &body, &Attributes::of_type("application/json"), &Condition::Absent).expect("put");
    if let Ok(Some(holder)) = lease::holder_of(&store, &keys) {
        let again = serde_json::to_value(&holder).expect("serialises");
        assert_eq!(serde_json::from_value::<super::Holder>(again).ok(), Some(holder));
    }
}
