//! A store in memory, for tests.

use super::local::{PAGE_COUNT_MAX, check_order, finished_tag, page_of, part_tag};
use super::{
    Attributes, Condition, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken, PartNumber,
    PartTag, Stat, Store, StoreError, Stored, Tag, UploadId, UploadedPart,
};
use crate::format::{Digest, Proven};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store in memory. All its calls are atomic.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<UploadId, Upload>,
    opened_count: u64,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    tag: Tag,
    attributes: Attributes,
    /// The upload it was made by, so that finishing again gives the same answer.
    upload: Option<UploadId>,
}

#[derive(Debug)]
struct Upload {
    key: Key,
    attributes: Attributes,
    parts: BTreeMap<PartNumber, Bytes>,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panicking test thread leaves no half-done change: each call changes the maps last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn ensure_bucket(&self, _if_missing: IfMissing) -> Result<(), StoreError> {
        Ok(())
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let object = Object {
            // A copy: what is kept must not keep the caller's buffer.
            bytes: Bytes::copy_from_slice(body.bytes()),
            tag: Tag::new(Digest::of(body.bytes()).to_string()),
            attributes: attributes.clone(),
            upload: None,
        };
        let mut state = self.state();
        state.check(key, condition)?;
        Ok(state.insert(key, object))
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        Ok(self.state().objects.get(key.as_str()).map(|object| Stat {
            len: object.bytes.len() as u64,
            tag: object.tag.clone(),
            attributes: object.attributes.clone(),
        }))
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let state = self.state();
        let object = state.objects.get(key.as_str()).ok_or_else(|| StoreError::NotFound { key: key.clone() })?;
        let len = object.bytes.len() as u64;
        let expected_len = range.end.saturating_sub(range.start);
        if range.start > len || expected_len > len - range.start {
            let found_len = len.saturating_sub(range.start).min(expected_len);
            return Err(StoreError::ShortAnswer { key: key.clone(), offset: range.start, expected_len, found_len });
        }
        // The object's length is a usize, and the range lies in it.
        let start = range.start as usize;
        Ok(object.bytes.slice(start..start + expected_len as usize))
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        match self.state().objects.get(key.as_str()) {
            None => Ok(None),
            Some(object) if object.bytes.len() as u64 > len_max => {
                Err(StoreError::TooLong { key: key.clone(), len_max })
            }
            Some(object) => Ok(Some(Loaded { bytes: object.bytes.clone(), tag: object.tag.clone() })),
        }
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        let state = self.state();
        let start = match after {
            Some(token) => Bound::Excluded(token.as_str()),
            None => Bound::Included(prefix),
        };
        let items = state
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(PAGE_COUNT_MAX + 1)
            .map(|(key, object)| Listed {
                key: key.clone(),
                len: object.bytes.len() as u64,
                tag: Some(object.tag.clone()),
            })
            .collect();
        Ok(page_of(items, |last| PageToken::new(&last.key)))
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        self.state().objects.remove(key.as_str());
        Ok(())
    }

    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        let mut state = self.state();
        state.opened_count += 1;
        let upload = UploadId::new(format!("{:08}", state.opened_count));
        let opened = Upload { key: key.clone(), attributes: attributes.clone(), parts: BTreeMap::new() };
        state.uploads.insert(upload.clone(), opened);
        Ok(upload)
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        let mut state = self.state();
        state.upload_mut(key, upload)?.parts.insert(number, Bytes::copy_from_slice(body.bytes()));
        Ok(part_tag(body.bytes()))
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        let mut state = self.state();
        let parts = &state.upload_mut(key, upload)?.parts;
        let after: u16 = after.map_or(0, |token| token.as_str().parse().unwrap_or(u16::MAX));
        let items = parts
            .iter()
            .filter(|(number, _)| number.number() > after)
            .take(PAGE_COUNT_MAX + 1)
            .map(|(number, bytes)| ListedPart {
                part: UploadedPart { number: *number, tag: part_tag(bytes) },
                len: bytes.len() as u64,
            })
            .collect();
        Ok(page_of(items, |last| PageToken::new(last.part.number.number().to_string())))
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let last = check_order(key, parts)?;
        let tag = finished_tag(parts);
        let mut state = self.state();
        if let Some(object) = state.objects.get(key.as_str())
            && object.upload.as_ref() == Some(upload)
            && object.tag == tag
        {
            return Ok(Stored { tag });
        }
        let opened = state.upload_mut(key, upload)?;
        let mut bytes = Vec::new();
        for part in parts {
            match opened.parts.get(&part.number) {
                Some(found) if part_tag(found) == part.tag => bytes.extend_from_slice(found),
                _ => return Err(StoreError::PartsRefused { key: key.clone(), last }),
            }
        }
        let attributes = opened.attributes.clone();
        state.check(key, condition)?;
        state.uploads.remove(upload);
        Ok(state.insert(key, Object { bytes: bytes.into(), tag, attributes, upload: Some(upload.clone()) }))
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.upload_mut(key, upload).is_ok() {
            state.uploads.remove(upload);
        }
        Ok(())
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        let state = self.state();
        let after = after.map(|token| UploadId::new(token.as_str()));
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let items = state
            .uploads
            .range((start, Bound::Unbounded))
            .filter(|(_, opened)| opened.key.as_str().starts_with(prefix))
            .take(PAGE_COUNT_MAX + 1)
            .map(|(upload, opened)| OpenUpload {
                key: opened.key.as_str().to_owned(),
                upload: upload.clone(),
                opened_at_ms: None,
            })
            .collect();
        Ok(page_of(items, |last| PageToken::new(last.upload.as_str())))
    }
}

impl State {
    fn check(&self, key: &Key, condition: &Condition) -> Result<(), StoreError> {
        let tag = self.objects.get(key.as_str()).map(|object| &object.tag);
        if condition.holds_for(tag) { Ok(()) } else { Err(StoreError::ConditionFailed { key: key.clone() }) }
    }

    fn insert(&mut self, key: &Key, object: Object) -> Stored {
        let stored = Stored { tag: object.tag.clone() };
        self.objects.insert(key.as_str().to_owned(), object);
        stored
    }

    fn upload_mut(&mut self, key: &Key, upload: &UploadId) -> Result<&mut Upload, StoreError> {
        match self.uploads.get_mut(upload) {
            Some(opened) if opened.key == *key => Ok(opened),
            _ => Err(StoreError::UploadMissing { key: key.clone(), upload: upload.clone() }),
        }
    }
}
