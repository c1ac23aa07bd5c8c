//! How fast bytes may go: one limit, whoever shares it.

use std::num::NonZeroU64;
use std::time::Duration;

/// A bucket of bytes that fills at a rate. The clock is an argument: it shows the time since any
/// moment, and never goes back.
///
/// Whoever takes more than there is goes first and is waited for by the next: in any span of time no
/// more goes than the rate allows, and what was taken last. What is not used is not saved up.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: NonZeroU64,
    /// When all that was taken is paid.
    paid_at: Duration,
}

impl Bucket {
    /// Returns a bucket that lets `rate` bytes a second go.
    pub const fn new(rate: NonZeroU64) -> Bucket {
        Bucket { rate, paid_at: Duration::ZERO }
    }

    /// Takes `len` bytes, and returns how long to wait before they go.
    pub fn take(&mut self, len: u64, now: Duration) -> Duration {
        let start = self.paid_at.max(now);
        let nanos = u128::from(len) * 1_000_000_000 / u128::from(self.rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_at = start.saturating_add(cost);
        start - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bucket(rate: u64) -> Bucket {
        Bucket::new(NonZeroU64::new(rate).expect("a rate"))
    }

    #[test]
    fn what_is_taken_at_once_waits_for_what_was_taken_before() {
        let mut bucket = bucket(100);
        let waits = [200, 100, 50].map(|len| bucket.take(len, SECOND));
        assert_eq!(waits, [Duration::ZERO, 2 * SECOND, 3 * SECOND]);
        // All is paid at 4.5 s.
        assert_eq!(bucket.take(10, 4 * SECOND), SECOND / 2);
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut bucket = bucket(100);
        assert_eq!(bucket.take(100, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.take(100, 1000 * SECOND), Duration::ZERO);
        assert_eq!(bucket.take(100, 1000 * SECOND), SECOND);
    }

    #[test]
    fn many_small_bodies_keep_the_rate_of_few_large_ones() {
        let mut bucket = bucket(1 << 20);
        let mut now = Duration::ZERO;
        for _ in 0..1024 {
            now += bucket.take(10 << 10, now);
        }
        assert!((9 * SECOND..10 * SECOND).contains(&now), "{now:?}");
        assert!(bucket.take(u64::MAX, now) <= SECOND);
        assert!(bucket.take(1, now) > 1000 * SECOND);
    }
}
