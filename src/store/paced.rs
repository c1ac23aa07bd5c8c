//! A store that takes bodies no faster than it is told to.

use super::{
    Attributes, Call, Condition, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken, PartNumber,
    PartTag, Stat, Store, StoreError, Stored, UploadId, UploadedPart,
};
use crate::format::Proven;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A store before which `pause` is asked with the length of each body. It returns when the body may go,
/// or that it must not: then the call is stopped, and does not reach the store.
///
/// Our own records go at once: a lease that waits behind content is lost.
pub struct Paced<P> {
    store: Arc<dyn Store>,
    pause: P,
}

/// How a pause before a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The body may go.
    Over,
    /// The person asked to stop.
    Stopped,
}

impl<P: Fn(u64) -> Pause + Send + Sync> Paced<P> {
    /// Returns `store` behind `pause`.
    pub fn new(store: Arc<dyn Store>, pause: P) -> Paced<P> {
        Paced { store, pause }
    }

    fn pause_for(&self, body: &Proven, call: Call, key: &Key) -> Result<(), StoreError> {
        if !body.is_record() && (self.pause)(body.bytes().len() as u64) == Pause::Stopped {
            return Err(StoreError::Stopped { call, key: key.as_str().to_owned() });
        }
        Ok(())
    }
}

impl<P: Fn(u64) -> Pause + Send + Sync> Store for Paced<P> {
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        self.store.ensure_bucket(if_missing)
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        self.pause_for(body, Call::Put, key)?;
        self.store.put(key, body, attributes, condition)
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        self.store.stat(key)
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.store.read(key, range)
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        self.store.load(key, len_max)
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        self.store.list(prefix, after)
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        self.store.remove(key)
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        self.store.open_upload(key, attributes)
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        self.pause_for(body, Call::PutPart, key)?;
        self.store.put_part(key, upload, number, body)
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        self.store.list_parts(key, upload, after)
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        self.store.finish_upload(key, upload, parts, condition)
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        self.store.abort_upload(key, upload)
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        self.store.list_uploads(prefix, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Sha256;
    use crate::store::MemoryStore;
    use std::sync::Mutex;

    #[test]
    fn content_waits_or_is_stopped_and_our_own_records_go_at_once() {
        let paused = Mutex::new(Vec::new());
        let store = Paced::new(Arc::new(MemoryStore::new()), |len| {
            paused.lock().expect("a lock").push(len);
            if len == 7 { Pause::Over } else { Pause::Stopped }
        });
        let key = Key::parse("a").expect("a key");
        let content = Proven::file(Bytes::from_static(b"content"), &Sha256::of(b"content")).expect("proven");
        let attributes = Attributes::default();
        store.put(&key, &Proven::record("lease"), &attributes, &Condition::Any).expect("put");
        store.put(&key, &content, &attributes, &Condition::Any).expect("put");
        let upload = store.open_upload(&key, &attributes).expect("opened");
        store.put_part(&key, &upload, PartNumber::new(1).expect("a number"), &content).expect("put");
        assert_eq!(store.read(&key, 0..7).expect("read"), "content");
        let longer = Proven::file(Bytes::from_static(b"stopped!"), &Sha256::of(b"stopped!")).expect("proven");
        let stopped = store.put(&key, &longer, &attributes, &Condition::Any);
        assert!(matches!(stopped, Err(StoreError::Stopped { call: Call::Put, .. })));
        assert_eq!(store.read(&key, 0..7).expect("read"), "content");
        assert_eq!(*paused.lock().expect("a lock"), [7, 7, 8]);
    }
}
