//! The open uploads of large files: journalled, resumed, finished.

use super::error::ImportError;
use super::journal::{Journal, JournalledUpload};
use crate::format::Proven;
use crate::store::{
    Attributes, Condition, Key, PartNumber, PartTag, Store, StoreError, Tag, UploadId, UploadedPart, paging,
};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The uploads of one import. Calls may come from any thread.
pub(super) struct Uploads<'a> {
    store: &'a dyn Store,
    journal: Mutex<Journal>,
    journal_path: PathBuf,
    open: Mutex<HashMap<u64, Arc<Mutex<Upload>>>>,
}

#[derive(Default)]
struct Upload {
    id: Option<UploadId>,
    parts: BTreeMap<PartNumber, PartTag>,
    part_count: Option<u32>,
    is_finishing: bool,
}

/// What came of a part that was put.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartOutcome {
    /// The server has it; others are still missing.
    Kept,
    /// The server has it, and now has them all: the caller finishes the upload.
    LastOne,
    /// The server dropped the upload; every part is needed again.
    UploadGone,
}

/// What came of an upload that was finished.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FinishOutcome {
    /// The object is there, with this tag.
    Landed(Tag),
    /// The server dropped the upload or some of its parts; every part is needed again.
    UploadGone,
    /// The object is not in the state that the plan saw.
    ConditionFailed,
}

impl<'a> Uploads<'a> {
    /// Returns the uploads that the journal has open.
    pub(super) fn new(
        store: &'a dyn Store,
        journal: Journal,
        journal_path: PathBuf,
        known: BTreeMap<u64, JournalledUpload>,
    ) -> Uploads<'a> {
        let open = known.into_iter().filter(|(_, upload)| upload.upload.is_some()).map(|(entry, upload)| {
            let upload = Upload { id: upload.upload, parts: upload.parts, ..Upload::default() };
            (entry, Arc::new(Mutex::new(upload)))
        });
        Uploads { store, journal: Mutex::new(journal), journal_path, open: Mutex::new(open.collect()) }
    }

    /// Aborts every upload at a key for which `is_ours`, unless the journal knows it. Returns how
    /// many there were.
    pub(super) fn abort_orphans(
        &self,
        prefix: &str,
        is_ours: &mut dyn FnMut(&Key) -> Result<bool, ImportError>,
    ) -> Result<u64, ImportError> {
        let known: Vec<UploadId> = lock(&self.open).values().filter_map(|upload| lock(upload).id.clone()).collect();
        let mut orphans = Vec::new();
        for upload in paging::uploads(self.store, prefix) {
            let upload = upload?;
            if let Ok(key) = Key::parse(&upload.key)
                && !known.contains(&upload.upload)
                && is_ours(&key)?
            {
                orphans.push((key, upload.upload));
            }
        }
        for (key, upload) in &orphans {
            self.store.abort_upload(key, upload)?;
        }
        Ok(orphans.len() as u64)
    }

    /// Tells whether the server has acknowledged a part.
    pub(super) fn has_part(&self, entry: u64, number: PartNumber) -> bool {
        let upload = lock(&self.open).get(&entry).cloned();
        upload.is_some_and(|upload| lock(&upload).parts.contains_key(&number))
    }

    /// Notes how many parts a file has; true where they have all arrived, and the caller finishes it.
    pub(super) fn set_part_count(&self, entry: u64, part_count: u32) -> bool {
        let upload = self.upload(entry);
        let mut upload = lock(&upload);
        upload.part_count = Some(part_count);
        upload.is_complete_now()
    }

    /// Puts a part, opening the upload where it is not open.
    pub(super) fn put_part(
        &self,
        entry: u64,
        (key, number): (&Key, PartNumber),
        attributes: &Attributes,
        body: &Proven,
    ) -> Result<PartOutcome, ImportError> {
        let upload = self.upload(entry);
        let id = self.open(entry, &upload, key, attributes)?;
        match self.store.put_part(key, &id, number, body) {
            Ok(tag) => {
                let mut upload = lock(&upload);
                if upload.id.as_ref() != Some(&id) {
                    return Ok(PartOutcome::UploadGone);
                }
                self.note(|journal| journal.has_part(entry, number, &tag))?;
                upload.parts.insert(number, tag);
                Ok(if upload.is_complete_now() { PartOutcome::LastOne } else { PartOutcome::Kept })
            }
            Err(StoreError::UploadMissing { .. }) => {
                self.forget(entry, &mut lock(&upload), &id)?;
                Ok(PartOutcome::UploadGone)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the object of all parts.
    pub(super) fn finish(&self, entry: u64, key: &Key, condition: &Condition) -> Result<FinishOutcome, ImportError> {
        let upload = self.upload(entry);
        let mut upload = lock(&upload);
        let Some(id) = upload.id.clone() else { return Ok(FinishOutcome::UploadGone) };
        let parts: Vec<UploadedPart> =
            upload.parts.iter().map(|(&number, tag)| UploadedPart { number, tag: tag.clone() }).collect();
        match self.store.finish_upload(key, &id, &parts, condition) {
            Ok(stored) => Ok(FinishOutcome::Landed(stored.tag)),
            Err(StoreError::ConditionFailed { .. }) => {
                upload.is_finishing = false;
                Ok(FinishOutcome::ConditionFailed)
            }
            Err(StoreError::UploadMissing { .. }) => {
                self.forget(entry, &mut upload, &id)?;
                Ok(FinishOutcome::UploadGone)
            }
            Err(StoreError::PartsRefused { .. }) => {
                self.store.abort_upload(key, &id)?;
                self.forget(entry, &mut upload, &id)?;
                Ok(FinishOutcome::UploadGone)
            }
            Err(error) => {
                upload.is_finishing = false;
                Err(error.into())
            }
        }
    }

    /// Notes that an upload is closed, once its object is recorded.
    pub(super) fn close(&self, entry: u64) -> Result<(), ImportError> {
        lock(&self.open).remove(&entry);
        self.note(|journal| journal.closed(entry))
    }

    /// Aborts an upload whose object somebody else has put in the same state.
    pub(super) fn abandon(&self, entry: u64, key: &Key) -> Result<(), ImportError> {
        let upload = self.upload(entry);
        let id = lock(&upload).id.clone();
        if let Some(id) = id {
            self.store.abort_upload(key, &id)?;
        }
        self.close(entry)
    }

    /// Returns the entries whose uploads are open, with their ids.
    pub(super) fn open_uploads(&self) -> Vec<(u64, UploadId)> {
        let open = lock(&self.open);
        let mut ids: Vec<_> =
            open.iter().filter_map(|(&entry, upload)| lock(upload).id.clone().map(|id| (entry, id))).collect();
        ids.sort();
        ids
    }

    /// Makes the journal durable.
    pub(super) fn sync(&self) -> Result<(), ImportError> {
        self.note(Journal::finish)
    }

    fn upload(&self, entry: u64) -> Arc<Mutex<Upload>> {
        Arc::clone(lock(&self.open).entry(entry).or_default())
    }

    /// Returns the id of the upload. The intent is journalled before the server is asked, so that an
    /// upload whose answer was lost is found again.
    fn open(
        &self,
        entry: u64,
        upload: &Mutex<Upload>,
        key: &Key,
        attributes: &Attributes,
    ) -> Result<UploadId, ImportError> {
        let mut upload = lock(upload);
        if let Some(id) = &upload.id {
            return Ok(id.clone());
        }
        self.note(|journal| journal.intend(entry))?;
        let id = self.store.open_upload(key, attributes)?;
        self.note(|journal| journal.opened(entry, &id))?;
        upload.id = Some(id.clone());
        Ok(id)
    }

    fn forget(&self, entry: u64, upload: &mut Upload, id: &UploadId) -> Result<(), ImportError> {
        if upload.id.as_ref() != Some(id) {
            return Ok(());
        }
        *upload = Upload { part_count: upload.part_count, ..Upload::default() };
        self.note(|journal| journal.closed(entry))
    }

    fn note(&self, write: impl FnOnce(&mut Journal) -> io::Result<()>) -> Result<(), ImportError> {
        write(&mut lock(&self.journal)).map_err(|source| ImportError::State { path: self.journal_path.clone(), source })
    }
}

impl Upload {
    /// Tells, once, that all parts have arrived.
    fn is_complete_now(&mut self) -> bool {
        let complete = self.id.is_some() && self.part_count.is_some_and(|count| count as usize == self.parts.len());
        complete && !std::mem::replace(&mut self.is_finishing, true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
