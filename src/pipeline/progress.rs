//! What a running pipeline tells whoever watches it.

/// Something that watches a pipeline. Calls come from any thread, often: keep them cheap.
pub trait Progress: Send + Sync {
    /// A phase begins that will move about `total_len` bytes in `total_count` files; 0 where unknown.
    fn begin(&self, phase: &'static str, total_len: u64, total_count: u64);

    /// `len` more bytes and `count` more files of the phase are done. Counters only grow.
    fn advance(&self, len: u64, count: u64);

    /// The pipeline works on this now: a path or a volume.
    fn now_at(&self, what: &str);

    /// Something a person should know, without stopping: one line.
    fn note(&self, line: &str);

    /// Tells whether the person asked to stop; a pipeline then ends where repeating resumes.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &'static str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn now_at(&self, _: &str) {}
    fn note(&self, _: &str) {}
}

/// Passes on what a reader of some files says, without the packs that it passes over: whoever reads by it
/// advances by the files alone.
pub struct Inside<'a> {
    /// Who watches.
    pub progress: &'a dyn Progress,
}

impl Progress for Inside<'_> {
    fn begin(&self, phase: &'static str, total_len: u64, total_count: u64) {
        self.progress.begin(phase, total_len, total_count);
    }

    fn advance(&self, _: u64, _: u64) {}

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
