//! A store whose calls pass a gate first: tests count, delay, stop or fail any of them.

use super::{
    Attributes, Call, Condition, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken, PartNumber,
    PartTag, Stat, Store, StoreError, Stored, UploadId, UploadedPart,
};
use crate::format::Proven;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A store in front of which `gate` is asked before each call, with the call and its key or prefix.
/// What the gate refuses does not reach the store.
pub struct Watched<G> {
    store: Arc<dyn Store>,
    gate: G,
}

impl<G> Watched<G>
where
    G: Fn(Call, &str) -> Result<(), StoreError> + Send + Sync,
{
    /// Returns `store` behind `gate`.
    pub fn new(store: Arc<dyn Store>, gate: G) -> Watched<G> {
        Watched { store, gate }
    }
}

impl<G> Store for Watched<G>
where
    G: Fn(Call, &str) -> Result<(), StoreError> + Send + Sync,
{
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        (self.gate)(Call::EnsureBucket, "")?;
        self.store.ensure_bucket(if_missing)
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        (self.gate)(Call::Put, key.as_str())?;
        self.store.put(key, body, attributes, condition)
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        (self.gate)(Call::Stat, key.as_str())?;
        self.store.stat(key)
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        (self.gate)(Call::Read, key.as_str())?;
        self.store.read(key, range)
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        (self.gate)(Call::Load, key.as_str())?;
        self.store.load(key, len_max)
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        (self.gate)(Call::List, prefix)?;
        self.store.list(prefix, after)
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        (self.gate)(Call::Remove, key.as_str())?;
        self.store.remove(key)
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        (self.gate)(Call::OpenUpload, key.as_str())?;
        self.store.open_upload(key, attributes)
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        (self.gate)(Call::PutPart, key.as_str())?;
        self.store.put_part(key, upload, number, body)
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        (self.gate)(Call::ListParts, key.as_str())?;
        self.store.list_parts(key, upload, after)
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        (self.gate)(Call::FinishUpload, key.as_str())?;
        self.store.finish_upload(key, upload, parts, condition)
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        (self.gate)(Call::AbortUpload, key.as_str())?;
        self.store.abort_upload(key, upload)
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        (self.gate)(Call::ListUploads, prefix)?;
        self.store.list_uploads(prefix, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn what_the_gate_refuses_does_not_reach_the_store() {
        let puts = AtomicU32::new(0);
        let memory = Arc::new(MemoryStore::new());
        let store = Watched::new(memory.clone(), |call, key: &str| match call {
            Call::Put if puts.fetch_add(1, Ordering::Relaxed) == 1 => {
                Err(StoreError::Stopped { call, key: key.to_owned() })
            }
            _ => Ok(()),
        });
        let keys = ["a", "b", "c"].map(|text| Key::parse(text).expect(text));
        let outcomes = keys
            .each_ref()
            .map(|key| store.put(key, &Proven::record("x"), &Attributes::default(), &Condition::Any).is_ok());
        assert_eq!(outcomes, [true, false, true]);
        assert_eq!(memory.stat(&keys[1]).expect("memory"), None);
        assert!(memory.stat(&keys[2]).expect("memory").is_some());
    }
}
