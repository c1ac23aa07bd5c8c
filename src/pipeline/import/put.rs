//! Proven bytes into the store: small objects whole, large ones in parts.

use super::ImportOptions;
use super::error::ImportError;
use super::outcome::Outcome;
use super::plan::reads_as;
use super::slots::{Slot, Slots};
use super::uploads::{FinishOutcome, PartOutcome, Uploads};
use crate::format::manifest::FileFacts;
use crate::format::{EntryPath, Head, Proven};
use crate::pipeline::progress::Progress;
use crate::store::content_type::{Compressibility, content_type_for};
use crate::store::{Attributes, Condition, Key, PartNumber, Store, StoreError, Tag};
use std::path::Path;
use std::sync::atomic::Ordering;

/// The object of one file.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) entry: u64,
    pub(super) path: EntryPath,
    pub(super) key: Key,
    pub(super) file: FileFacts,
    pub(super) kind: Compressibility,
}

/// Something to put.
pub(super) enum Job {
    /// A whole small file.
    File(Target, Proven),
    /// A part of a large one.
    Part(Target, PartNumber, Proven),
    /// All parts of a large file have arrived.
    Finish(Target),
}

/// Puts jobs; shared by all putting threads.
pub(super) struct Putter<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) head: &'a Head,
    pub(super) options: &'a ImportOptions,
    pub(super) slots: &'a Slots,
    pub(super) slots_path: &'a Path,
    pub(super) uploads: &'a Uploads<'a>,
    pub(super) outcome: &'a Outcome,
    pub(super) progress: &'a dyn Progress,
}

impl Putter<'_> {
    /// Does jobs until there are no more. After an error the rest is dropped.
    pub(super) fn run(&self, jobs: &crossbeam_channel::Receiver<Vec<Job>>) {
        for batch in jobs {
            let mut landed = Vec::new();
            for job in batch {
                if self.outcome.must_stop() {
                    break;
                }
                match self.put(job) {
                    Ok(file) => landed.extend(file),
                    Err(error) => self.outcome.fail(error),
                }
            }
            if let Err(error) = self.record(&landed) {
                self.outcome.fail(error);
            }
        }
    }

    /// Does a job; returns entry and record of a whole file that has landed, still to be recorded.
    fn put(&self, job: Job) -> Result<Option<(u64, Slot)>, ImportError> {
        match job {
            Job::File(target, body) => return Ok(Some((target.entry, self.put_file(&target, &body)?))),
            Job::Part(target, number, body) => self.put_part(&target, number, &body)?,
            Job::Finish(target) => self.finish(&target)?,
        }
        Ok(None)
    }

    fn put_file(&self, target: &Target, body: &Proven) -> Result<Slot, ImportError> {
        self.progress.now_at(target.path.as_str());
        let condition = self.condition(target)?;
        let landed = match self.store.put(&target.key, body, &self.attributes(target), &condition) {
            Ok(stored) => self.landed(target, stored.tag)?,
            Err(StoreError::ConditionFailed { .. }) => self.settle(target)?,
            Err(error) => return Err(error.into()),
        };
        self.outcome.sent_len.fetch_add(target.file.len, Ordering::Relaxed);
        self.progress.advance(target.file.len, 1);
        Ok(landed)
    }

    fn put_part(&self, target: &Target, number: PartNumber, body: &Proven) -> Result<(), ImportError> {
        self.progress.now_at(target.path.as_str());
        let attributes = self.attributes(target);
        let outcome = self.uploads.put_part(target.entry, (&target.key, number), &attributes, body)?;
        let len = body.bytes().len() as u64;
        self.outcome.sent_len.fetch_add(len, Ordering::Relaxed);
        match outcome {
            PartOutcome::UploadGone => self.lose(target),
            PartOutcome::Kept => self.progress.advance(len, 0),
            PartOutcome::LastOne => {
                self.progress.advance(len, 0);
                return self.finish(target);
            }
        }
        Ok(())
    }

    fn finish(&self, target: &Target) -> Result<(), ImportError> {
        let condition = self.condition(target)?;
        match self.uploads.finish(target.entry, &target.key, &condition)? {
            FinishOutcome::Landed(tag) => {
                self.record(&[(target.entry, self.landed(target, tag)?)])?;
                self.uploads.close(target.entry)?;
            }
            FinishOutcome::UploadGone => {
                self.lose(target);
                return Ok(());
            }
            FinishOutcome::ConditionFailed => {
                self.record(&[(target.entry, self.settle(target)?)])?;
                self.uploads.abandon(target.entry, &target.key)?;
            }
        }
        self.progress.advance(0, 1);
        Ok(())
    }

    fn lose(&self, target: &Target) {
        self.progress.note(&format!("the store dropped the upload of {}: its parts are sent again", target.path));
        self.outcome.lose_upload();
    }

    /// Returns the record of an object that was written, after it was read back where that is asked.
    fn landed(&self, target: &Target, tag: Tag) -> Result<Slot, ImportError> {
        if self.options.read_back && !reads_as(self.store, &target.key, &target.file)? {
            return Err(ImportError::ReadBack { key: target.key.clone(), path: target.path.clone() });
        }
        Ok(Slot::Landed(Some(tag)))
    }

    /// Settles a write whose condition failed: an answer may have been lost after the object was
    /// written, so the object counts when it reads as the file.
    fn settle(&self, target: &Target) -> Result<Slot, ImportError> {
        let stat = self.store.stat(&target.key)?;
        match stat {
            Some(stat) if stat.len == target.file.len && reads_as(self.store, &target.key, &target.file)? => {
                Ok(Slot::Landed(Some(stat.tag)))
            }
            _ => Err(ImportError::ChangedMeanwhile { key: target.key.clone() }),
        }
    }

    fn record(&self, landed: &[(u64, Slot)]) -> Result<(), ImportError> {
        self.slots.set_all(landed).map_err(|source| self.state_error(source))?;
        self.outcome.landed_count.fetch_add(landed.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn condition(&self, target: &Target) -> Result<Condition, ImportError> {
        match self.slots.get(target.entry).map_err(|source| self.state_error(source))? {
            Slot::Replace(tag) => Ok(Condition::IfTag(tag)),
            _ => Ok(Condition::Absent),
        }
    }

    fn attributes(&self, target: &Target) -> Attributes {
        let head = self.head;
        Attributes::of_type(content_type_for(&target.key, target.kind))
            .with("sha256", &target.file.sha256.to_string())
            .with("airlift-release", &format!("{}/{}/{}", head.stream, head.counter, head.content_id))
    }

    fn state_error(&self, source: std::io::Error) -> ImportError {
        ImportError::State { path: self.slots_path.to_owned(), source }
    }
}
