//! What has to be sent, judged by reads alone.

use super::bits::Bits;
use super::error::ImportError;
use super::mapping::{Mapping, MappingError};
use super::slots::{Slot, Slots};
use super::{ImportOptions, OnExisting};
use crate::format::manifest::FileFacts;
use crate::format::walk::Item;
use crate::format::{Mark, Name};
use crate::pipeline::bundle::Bundle;
use crate::pipeline::globs::first_match;
use crate::pipeline::lookup::{FoundEntry, Lookup};
use crate::pipeline::progress::Progress;
use crate::store::{Key, Listed, Store, StoreError, Tag, paging};
use std::io;
use std::path::Path;

/// Bytes that are read at once when an object is compared with a file.
const COMPARE_LEN: u64 = 8 << 20;
/// Foreign objects that are named; all are counted.
const FOREIGN_COUNT_NAMED: usize = 20;

/// What an import will do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Files that are still to be sent.
    pub send_count: u64,
    /// Their bytes.
    pub send_len: u64,
    /// Those of them that are sent when all others are there.
    pub last_count: u64,
    /// Files that are there already.
    pub landed_count: u64,
    /// Their bytes.
    pub landed_len: u64,
    /// Files whose places hold foreign objects that are left.
    pub skipped_count: u64,
    /// Files whose objects, foreign or of an earlier release, are replaced.
    pub replaced_count: u64,
    /// Files of roots that are left out.
    pub left_out_count: u64,
    /// Empty directories.
    pub directory_count: u64,
    /// Foreign objects in the way: some of their keys, and how many there are.
    pub foreign: (Vec<Key>, u64),
}

/// A release that landed before, as far as a journal or a receipt that counts knows it.
pub struct Earlier<'a> {
    /// The release.
    pub bundle: &'a Bundle,
    /// Where its roots landed.
    pub map: &'a Mapping,
    /// What is known of its objects.
    pub slots: &'a Slots,
}

/// Everything that a plan is judged by.
pub(super) struct Planner<'a> {
    pub bundle: &'a Bundle,
    pub store: &'a dyn Store,
    pub options: &'a ImportOptions,
    pub slots: &'a Slots,
    pub slots_path: &'a Path,
    pub earlier: Option<Earlier<'a>>,
    pub progress: &'a dyn Progress,
}

impl Planner<'_> {
    /// Judges every key and every object at one, and leaves in the slots what is known of each entry.
    pub(super) fn plan(&self) -> Result<Plan, ImportError> {
        let lookup = Lookup::new();
        check_roots(&lookup.roots(self.bundle)?, &self.options.map)?;
        self.progress.begin("plan", 0, self.bundle.head().totals.files);
        let earlier_lookup = Lookup::new();
        let seen = Bits::new(self.bundle.manifest().entry_count);
        for (_, prefix) in self.options.map.prefixes() {
            for listed in paging::objects(self.store, prefix.as_str()) {
                let listed = listed?;
                let Some(path) = self.options.map.path_of(&listed.key) else { continue };
                let Some(found) = lookup.entry(self.bundle, &path)? else { continue };
                if let Some(file) = found.file {
                    self.judge(&listed, &found, &file, &earlier_lookup)?;
                    seen.set(found.entry);
                }
            }
        }
        self.forget_unseen(&seen)?;
        self.count()
    }

    /// Plans for a bucket that is not there yet.
    pub(super) fn plan_empty(&self) -> Result<Plan, ImportError> {
        self.forget_unseen(&Bits::new(self.bundle.manifest().entry_count))?;
        self.count()
    }

    /// Notes what the object at the key of an entry is.
    fn judge(
        &self,
        listed: &Listed,
        found: &FoundEntry,
        file: &FileFacts,
        earlier_lookup: &Lookup,
    ) -> Result<(), ImportError> {
        let Some(key) = self.options.map.key(&found.path)? else { return Ok(()) };
        let tag = match &listed.tag {
            Some(tag) => tag.clone(),
            None => match self.store.stat(&key)? {
                Some(stat) => stat.tag,
                None => return Ok(()),
            },
        };
        let known = self.slots.get(found.entry).map_err(|source| self.state_error(source))?;
        if known == Slot::Landed(Some(tag.clone())) && listed.len == file.len {
            return Ok(());
        }
        let slot = match self.landed_earlier(found, &tag, earlier_lookup)? {
            Some(earlier) if earlier.sha256 == file.sha256 && earlier.len == listed.len => Slot::Landed(Some(tag)),
            Some(_) => Slot::Replace(tag),
            None if listed.len == file.len && reads_as(self.store, &key, file)? => Slot::Landed(Some(tag)),
            None => match self.options.on_existing {
                OnExisting::Error | OnExisting::Skip => Slot::Skipped(tag),
                OnExisting::Replace => Slot::Replace(tag),
            },
        };
        self.set(found.entry, &slot)
    }

    /// Returns the file of an earlier release that is at this key with this tag.
    fn landed_earlier(&self, found: &FoundEntry, tag: &Tag, lookup: &Lookup) -> Result<Option<FileFacts>, ImportError> {
        let Some(earlier) = &self.earlier else { return Ok(None) };
        let Some(key) = self.options.map.key(&found.path)? else { return Ok(None) };
        let Some(path) = earlier.map.path_of(key.as_str()) else { return Ok(None) };
        let Some(entry) = lookup.entry(earlier.bundle, &path)? else { return Ok(None) };
        let slot = earlier.slots.get(entry.entry).map_err(|source| self.state_error(source))?;
        Ok(entry.file.filter(|_| slot == Slot::Landed(Some(tag.clone()))))
    }

    /// Forgets every record whose object the listing did not have (R05).
    fn forget_unseen(&self, seen: &Bits) -> Result<(), ImportError> {
        let mut gone = Vec::new();
        let walked = self.slots.walk(|entry, _| {
            if !seen.get(entry) {
                gone.push((entry, Slot::Nothing));
            }
            if gone.len() == 4096 {
                self.slots.set_all(&gone)?;
                gone.clear();
            }
            Ok(())
        });
        walked.and_then(|()| self.slots.set_all(&gone)).map_err(|source| self.state_error(source))
    }

    /// Walks the manifest once: every key must be possible, and every entry is counted.
    fn count(&self) -> Result<Plan, ImportError> {
        let mut plan = Plan::default();
        let last = &self.options.last;
        let mut is_met = vec![false; last.len()];
        for item in self.bundle.items() {
            let Item::Entry(entry) = item? else { continue };
            let Some(file) = &entry.file else {
                plan.directory_count += 1;
                continue;
            };
            self.progress.advance(0, 1);
            let is_last = first_match(last, entry.path.root(), entry.path.below_root());
            for (glob, is_met) in last.iter().zip(&mut is_met).skip(is_last.unwrap_or(last.len())) {
                *is_met |= glob.matches(entry.path.root(), entry.path.below_root());
            }
            let Some(key) = self.options.map.key(&entry.path)? else {
                plan.left_out_count += 1;
                continue;
            };
            match self.slots.get(entry.index).map_err(|source| self.state_error(source))? {
                Slot::Landed(_) => {
                    plan.landed_count += 1;
                    plan.landed_len += file.len;
                }
                Slot::Skipped(_) => {
                    plan.skipped_count += 1;
                    plan.foreign.1 += 1;
                    if plan.foreign.0.len() < FOREIGN_COUNT_NAMED {
                        plan.foreign.0.push(key);
                    }
                }
                slot => {
                    plan.replaced_count += u64::from(matches!(slot, Slot::Replace(_)));
                    plan.send_count += 1;
                    plan.last_count += u64::from(is_last.is_some());
                    plan.send_len += file.len;
                }
            }
        }
        match last.iter().zip(is_met).find(|(_, is_met)| !is_met) {
            Some((glob, _)) => Err(ImportError::NothingLast { glob: glob.clone() }),
            None => Ok(plan),
        }
    }

    fn set(&self, entry: u64, slot: &Slot) -> Result<(), ImportError> {
        self.slots.set(entry, slot).map_err(|source| self.state_error(source))
    }

    fn state_error(&self, source: io::Error) -> ImportError {
        ImportError::State { path: self.slots_path.to_owned(), source }
    }
}

/// Checks that roots and mapping fit each other.
fn check_roots(roots: &[String], map: &Mapping) -> Result<(), MappingError> {
    roots.iter().try_for_each(|root| map.destination(root).map(drop))?;
    let is_missing = |root: &&Name| !roots.iter().any(|found| found == root.as_str());
    match map.roots().map(|(root, _)| root).find(is_missing) {
        Some(root) => Err(MappingError::NoSuchRoot { root: root.clone() }),
        None => Ok(()),
    }
}

/// Tells whether the object reads as the file, all of it.
pub(super) fn reads_as(store: &dyn Store, key: &Key, file: &FileFacts) -> Result<bool, ImportError> {
    let mut mark = Mark::start();
    let mut offset = 0;
    while offset < file.len {
        let end = file.len.min(offset + COMPARE_LEN);
        match store.read(key, offset..end) {
            Ok(bytes) => mark.update(&bytes),
            Err(StoreError::NotFound { .. } | StoreError::ShortAnswer { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        offset = end;
    }
    if file.len == 0 {
        // Nothing is read of an empty object: it has to be there.
        return Ok(store.stat(key)?.is_some_and(|stat| stat.len == 0));
    }
    Ok(mark.digest() == file.sha256)
}
