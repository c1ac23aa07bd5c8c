//! What workers find out together: counts, damage, and the first error that ends the run.

use super::error::ImportError;
use crate::format::packs::VolumeNumber;
use crate::pipeline::verify::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most findings and notes that are kept with their details; the rest is counted.
const KEPT_COUNT: usize = 1000;

/// Shared by all workers of one run.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) landed_count: AtomicU64,
    pub(super) sent_len: AtomicU64,
    must_stop: AtomicBool,
    uploads_were_lost: AtomicBool,
    facts: Mutex<Facts>,
}

#[derive(Default)]
pub(super) struct Facts {
    pub(super) missing_volumes: BTreeSet<VolumeNumber>,
    pub(super) findings: BTreeMap<(u64, u64), Finding>,
    pub(super) more_findings: u64,
    pub(super) healed: Vec<String>,
    pub(super) spooled: BTreeSet<u64>,
    pub(super) error: Option<ImportError>,
}

impl Outcome {
    /// Ends the run with this error, unless another one was first.
    pub(super) fn fail(&self, error: ImportError) {
        self.facts().error.get_or_insert(error);
        self.must_stop.store(true, Ordering::Relaxed);
    }

    /// Tells whether workers have to end.
    pub(super) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Relaxed)
    }

    /// Notes that the server dropped an upload, so that parts are needed again.
    pub(super) fn lose_upload(&self) {
        self.uploads_were_lost.store(true, Ordering::Relaxed);
    }

    /// Tells whether uploads were lost since this was last asked.
    pub(super) fn take_lost_uploads(&self) -> bool {
        self.uploads_were_lost.swap(false, Ordering::Relaxed)
    }

    /// Keeps a finding at a pack and a byte of its volume, once.
    pub(super) fn find(&self, place: (u64, u64), finding: Finding) {
        let mut facts = self.facts();
        if facts.findings.len() < KEPT_COUNT || facts.findings.contains_key(&place) {
            facts.findings.insert(place, finding);
        } else {
            facts.more_findings += 1;
        }
    }

    /// Keeps a note of something that was healed, once.
    pub(super) fn heal(&self, note: String) {
        let mut facts = self.facts();
        if facts.healed.len() < KEPT_COUNT && !facts.healed.contains(&note) {
            facts.healed.push(note);
        }
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
