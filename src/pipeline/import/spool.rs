//! Packs that wait in the store for what they refer to.

use super::error::ImportError;
use super::state::StateKeys;
use crate::format::error::prove;
use crate::format::{Digest, Proven, Structure};
use crate::pipeline::resolve::SparePacks;
use crate::pipeline::unpack::{Carried, Copies, ProvenIndex, SourceError, read_index};
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

    /// Puts the proven index and payload of a pack and returns the index; nothing where this copy is damaged.
    pub(super) fn keep(&self, pack: &Carried<'_>, source: &dyn PackSource) -> Result<Option<ProvenIndex>, ImportError> {
        let Ok(proven) = read_index(source, pack, Copies::FirstGood) else { return Ok(None) };
        let place = &pack.place;
        let index_len = place.index_len as usize;
        let mut bytes = vec![0; index_len + place.payload_len as usize];
        let (index, mut payload) = bytes.split_at_mut(index_len);
        let index_offset = if proven.bad_copy.is_some() { place.copy_offset() - place.offset } else { 0 };
        let read = source.read_pack(index_offset, index).and_then(|()| source.read_pack(index_len as u64, payload));
        // The medium may give other bytes the second time: what is put is what is proven.
        if read.is_err() || prove(Structure::PackIndex, index, &place.index_digest).is_err() {
            return Ok(None);
        }
        for frame in &proven.index.frames {
            let stored;
            (stored, payload) = payload.split_at_mut(frame.stored_len as usize);
            if Digest::of(stored) != frame.digest {
                return Ok(None);
            }
        }
        let attributes = Attributes::of_type("application/octet-stream");
        let key = self.keys.spool(pack.content.number)?;
        self.store.put(&key, &Proven::record(bytes), &attributes, &Condition::Any)?;
        self.packs.lock().unwrap_or_else(PoisonError::into_inner).insert(pack.content.number);
        Ok(Some(proven))
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
