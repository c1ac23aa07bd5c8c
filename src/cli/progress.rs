//! Progress: a bar on a terminal, a plain line now and then elsewhere (C-04).

use super::report::{Report, to_stderr};
use super::signals;
use super::size::{Count, Size};
use airlift::format::OneLine;
use airlift::pipeline::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the current file is shown.
const NAME_EVERY: Duration = Duration::from_millis(100);

const BYTES_BAR: &str =
    "{prefix} {binary_bytes:>10} of {binary_total_bytes} {wide_bar} {binary_bytes_per_sec}, {eta} left\n{wide_msg}";
const COUNT_BAR: &str = "{prefix} {human_pos:>10} of {human_len} {wide_bar} {eta} left\n{wide_msg}";
const BYTES_ONLY: &str = "{prefix} {binary_bytes:>10}\n{wide_msg}";

/// Shows how far a command has come, and tells it when to stop.
pub(crate) struct Shown {
    report: Report,
    stop: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    lines: Option<Mutex<Lines>>,
    count: AtomicU64,
    total_count: AtomicU64,
    /// Whether the phase is known to have so many steps, and no bytes.
    is_counted: AtomicBool,
    /// What is counted.
    unit: Mutex<&'static str>,
    named_at: Mutex<Option<Instant>>,
}

/// What is printed where there is no terminal.
struct Lines {
    phase: &'static str,
    done_len: u64,
    total_len: u64,
    began_at: Instant,
    printed_at: Instant,
}

impl Shown {
    /// Returns the progress of a command, and takes over SIGINT and SIGTERM.
    pub(crate) fn new(report: &Report) -> Shown {
        let is_shown = report.shows_progress();
        let has_terminal = std::io::stderr().is_terminal();
        let bar = (is_shown && has_terminal).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.set_style(style(BYTES_ONLY));
            bar
        });
        let now = Instant::now();
        let lines = Lines { phase: "", done_len: 0, total_len: 0, began_at: now, printed_at: now };
        Shown {
            report: *report,
            stop: signals::stop_flag(),
            bar,
            lines: (is_shown && !has_terminal).then(|| Mutex::new(lines)),
            count: AtomicU64::new(0),
            total_count: AtomicU64::new(0),
            is_counted: AtomicBool::new(false),
            unit: Mutex::new("file"),
            named_at: Mutex::default(),
        }
    }

    /// Takes the bar away; what was counted stays counted.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Returns the flag that a signal sets.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    fn counts(&self) -> String {
        let (done, total) = (self.count.load(Ordering::Relaxed), self.total_count.load(Ordering::Relaxed));
        let unit = *locked(&self.unit);
        if total == 0 { Count(done, unit).to_string() } else { format!("{done} of {}", Count(total, unit)) }
    }
}

impl Progress for Shown {
    fn begin(&self, phase: &'static str, total_len: u64, total_count: u64) {
        self.count.store(0, Ordering::Relaxed);
        self.total_count.store(total_count, Ordering::Relaxed);
        let is_counted = total_len == 0 && total_count > 0;
        self.is_counted.store(is_counted, Ordering::Relaxed);
        *locked(&self.unit) = unit_of(phase);
        if let Some(bar) = &self.bar {
            // Nothing is drawn before all of it is set.
            bar.set_draw_target(ProgressDrawTarget::hidden());
            bar.set_style(style(match total_len {
                1.. => BYTES_BAR,
                0 if is_counted => COUNT_BAR,
                0 => BYTES_ONLY,
            }));
            bar.reset();
            bar.set_length(if is_counted { total_count } else { total_len });
            bar.set_prefix(phase);
            bar.set_message("");
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        if let Some(lines) = &self.lines {
            let now = Instant::now();
            *locked(lines) = Lines { phase, done_len: 0, total_len, began_at: now, printed_at: now };
        }
    }

    fn advance(&self, len: u64, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(if self.is_counted.load(Ordering::Relaxed) { count } else { len });
        }
        if let Some(lines) = &self.lines {
            let mut lines = locked(lines);
            if lines.is_due_after(len) {
                let moved = if self.is_counted.load(Ordering::Relaxed) { String::new() } else { lines.moved() };
                to_stderr(&format!("{}: {moved}{}", lines.phase, self.counts()));
            }
        }
    }

    fn now_at(&self, what: &str) {
        let Some(bar) = &self.bar else { return };
        let mut named_at = locked(&self.named_at);
        if named_at.is_none_or(|at| at.elapsed() >= NAME_EVERY) {
            *named_at = Some(Instant::now());
            bar.set_message(format!("{}, {}", self.counts(), OneLine(what)));
        }
    }

    fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.report.note(line)),
            None => self.report.note(line),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Lines {
    /// Counts bytes, and tells whether a line is due.
    fn is_due_after(&mut self, len: u64) -> bool {
        self.done_len += len;
        let is_due = self.printed_at.elapsed() >= LINE_EVERY;
        if is_due {
            self.printed_at = Instant::now();
        }
        is_due
    }

    /// Displays how many bytes were moved, and how fast.
    fn moved(&self) -> String {
        let seconds = self.began_at.elapsed().as_secs_f64();
        let rate = Size((self.done_len as f64 / seconds) as u64);
        let of_total = if self.total_len > 0 { format!(" of {}", Size(self.total_len)) } else { String::new() };
        format!("{}{of_total}, {rate}/s, ", Size(self.done_len))
    }
}

/// Returns what a phase counts.
fn unit_of(phase: &str) -> &'static str {
    match phase {
        "search" => "place",
        "ask" => "model",
        _ => "file",
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
