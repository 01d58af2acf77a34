//! A clock that moves when told to.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::env::Clock;
use crate::types::TimestampMs;

/// Wall time at which a new [`ManualClock`] stands: a fixed moment of November 2023.
const START_MS: TimestampMs = 1_700_000_000_000;

/// A clock that moves when told to.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ns: AtomicU64,
}

// === impl ManualClock ===

impl ManualClock {
    /// A clock at a fixed moment, monotonic time zero.
    #[must_use]
    pub fn new() -> Self {
        Self { wall_ms: AtomicI64::new(START_MS), monotonic_ns: AtomicU64::new(0) }
    }

    /// Lets time pass: both clocks move.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).expect("tests advance by less than centuries");
        let before = self.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
        // Whole milliseconds passed since the start, so that many small steps add up.
        let ms = (before + ns) / 1_000_000 - before / 1_000_000;
        self.wall_ms.fetch_add(i64::try_from(ms).expect("nanoseconds that fit"), Ordering::SeqCst);
    }

    /// Sets the wall clock, forward or back, as an operator or NTP may; monotonic time stays.
    pub fn set_wall_ms(&self, wall_ms: TimestampMs) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> TimestampMs {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_and_only_the_wall_jumps() {
        let clock = ManualClock::new();
        for _ in 0..10 {
            clock.advance(Duration::from_micros(250));
        }
        assert_eq!(clock.now_ms(), START_MS + 2);
        clock.set_wall_ms(5);
        assert_eq!(clock.now_ms(), 5);
        assert_eq!(clock.monotonic(), Duration::from_micros(2500));
    }
}
