//! `--bwlimit`: the clock and the waiting (C-33).

use super::progress::Shown;
use airlift::pipeline::pace::Bucket;
use airlift::pipeline::progress::Progress;
use airlift::store::Pause;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How soon a signal ends a wait.
const STEP_MAX: Duration = Duration::from_millis(100);

/// A limit that all threads of a command share; without a rate nobody waits.
pub(crate) struct Pace {
    bucket: Option<Mutex<Bucket>>,
    began_at: Instant,
    stop: Arc<AtomicBool>,
}

impl Pace {
    /// Returns a limit to `rate` bytes a second, that holds until `stop` is set.
    pub(crate) fn new(rate: Option<NonZeroU64>, stop: Arc<AtomicBool>) -> Pace {
        Pace { bucket: rate.map(Bucket::new).map(Mutex::new), began_at: Instant::now(), stop }
    }

    /// Waits until `len` bytes may go, or a signal asks to stop.
    pub(crate) fn wait(&self, len: u64) -> Pause {
        let Some(bucket) = &self.bucket else { return Pause::Over };
        let now = self.began_at.elapsed();
        let due = now + bucket.lock().unwrap_or_else(PoisonError::into_inner).take(len, now);
        while let Some(rest) = due.checked_sub(self.began_at.elapsed()).filter(|rest| !rest.is_zero()) {
            if self.stop.load(Ordering::Relaxed) {
                return Pause::Stopped;
            }
            sleep(rest.min(STEP_MAX));
        }
        Pause::Over
    }
}

/// A progress that holds up whoever reads or writes faster than the limit.
pub(crate) struct PacedProgress<'a> {
    progress: &'a Shown,
    pace: Pace,
    /// Whether the phase moves bytes. A phase that only looks for them counts them too.
    moves_bytes: AtomicBool,
}

impl<'a> PacedProgress<'a> {
    /// Returns `progress` held to `rate` bytes a second.
    pub(crate) fn new(progress: &'a Shown, rate: Option<NonZeroU64>) -> PacedProgress<'a> {
        PacedProgress { progress, pace: Pace::new(rate, progress.stop()), moves_bytes: AtomicBool::new(false) }
    }
}

impl Progress for PacedProgress<'_> {
    fn begin(&self, phase: &'static str, total_len: u64, total_count: u64) {
        self.moves_bytes.store(total_len > 0, Ordering::Relaxed);
        self.progress.begin(phase, total_len, total_count);
    }

    fn advance(&self, len: u64, count: u64) {
        self.progress.advance(len, count);
        if self.moves_bytes.load(Ordering::Relaxed) {
            // The pipeline asks for itself whether to stop.
            let _ = self.pace.wait(len);
        }
    }

    fn now_at(&self, what: &str) {
        self.progress.now_at(what);
    }

    fn note(&self, line: &str) {
        self.progress.note(line);
    }

    fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }
}
