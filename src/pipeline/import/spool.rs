//! Packs that wait in the store for what they refer to.

use super::error::ImportError;
use super::state::StateKeys;
use crate::format::cover::PackContent;
use crate::format::packs::Place;
use crate::format::{Digest, Proven};
use crate::pipeline::resolve::SparePacks;
use crate::pipeline::unpack::{Copies, SourceError, Unpacker, read_index};
use crate::pipeline::volumes::PackSource;
use crate::store::{Attributes, Condition, Key, Store, StoreError, paging};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The packs under the state prefix of one release.
pub(super) struct Spool<'a> {
    store: &'a Arc<dyn Store>,
    keys: &'a StateKeys,
    packs: Mutex<BTreeSet<u64>>,
}

impl<'a> Spool<'a> {
    /// Lists the packs that wait.
    pub(super) fn open(store: &'a Arc<dyn Store>, keys: &'a StateKeys) -> Result<Spool<'a>, ImportError> {
        let prefix = keys.spool_prefix();
        let mut packs = BTreeSet::new();
        for listed in paging::objects(store.as_ref(), &prefix) {
            let listed = listed?;
            packs.extend(listed.key.strip_prefix(&prefix).and_then(|number| number.parse::<u64>().ok()));
        }
        Ok(Spool { store, keys, packs: Mutex::new(packs) })
    }

    /// Puts the proven index and payload of a pack; false where this copy is damaged.
    pub(super) fn keep(
        &self,
        content: &PackContent,
        place: &Place,
        source: &dyn PackSource,
    ) -> Result<bool, ImportError> {
        let Ok(proven) = read_index(source, place, content, Copies::FirstGood) else { return Ok(false) };
        if !Unpacker::new().check_stored(place, &proven.index, source).is_empty() {
            return Ok(false);
        }
        let mut bytes = vec![0; (place.copy_offset() - place.offset) as usize];
        if source.read_pack(0, &mut bytes).is_err() {
            return Ok(false);
        }
        if proven.is_from_copy
            && source.read_pack(place.copy_offset() - place.offset, &mut bytes[..place.index_len as usize]).is_err()
        {
            return Ok(false);
        }
        // The medium may give other bytes the second time: what is put is what is proven.
        let payload = &bytes[place.index_len as usize..];
        let mut offset = 0;
        for frame in &proven.index.frames {
            let stored = &payload[offset..offset + frame.stored_len as usize];
            offset += stored.len();
            if Digest::of(stored) != frame.digest {
                return Ok(false);
            }
        }
        let attributes = Attributes::of_type("application/octet-stream");
        let key = self.keys.spool(content.number)?;
        self.store.put(&key, &Proven::record(bytes), &attributes, &Condition::Any)?;
        self.packs.lock().unwrap_or_else(PoisonError::into_inner).insert(content.number);
        Ok(true)
    }

    /// Removes every pack that waits.
    pub(super) fn clear(&self) -> Result<(), ImportError> {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&number) = packs.first() {
            self.store.remove(&self.keys.spool(number)?)?;
            packs.pop_first();
        }
        Ok(())
    }
}

impl SparePacks for Spool<'_> {
    fn spare(&self, number: u64) -> Option<Arc<dyn PackSource>> {
        let has = self.packs.lock().unwrap_or_else(PoisonError::into_inner).contains(&number);
        let key = self.keys.spool(number).ok().filter(|_| has)?;
        Some(Arc::new(SpooledPack { store: Arc::clone(self.store), key }))
    }
}

/// A pack under the state prefix: index, then payload.
struct SpooledPack {
    store: Arc<dyn Store>,
    key: Key,
}

impl PackSource for SpooledPack {
    fn read_pack(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let bytes = self.store.read(&self.key, offset..offset + buffer.len() as u64)?;
        if bytes.len() != buffer.len() {
            return Err(SourceError::Store(StoreError::ShortAnswer {
                key: self.key.clone(),
                offset,
                expected_len: buffer.len() as u64,
                found_len: bytes.len() as u64,
            }));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} in the store", self.key)
    }
}
