//! Wall time for decisions that delete: a jump of the clock counts only once it has lasted.
//!
//! Retention and the forgetting of idle producers compare timestamps with the wall clock. A clock that an operator or a
//! broken time server sets ten years ahead would delete everything at once. So a jump, seen by comparing with monotonic
//! time, is first taken for a mistake that may be put right.

use std::time::Duration;

use crate::types::TimestampMs;

/// How far wall and monotonic time may part between two looks before it is a jump.
const JUMP_MS: i64 = 5 * 60 * 1000;
/// How long a jump must last to be believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(30 * 60);

/// Wall time without its jumps, for a while.
#[derive(Debug, Default)]
pub(super) struct SteadyTime {
    anchor: Option<Anchor>,
}

/// The last moment at which the wall clock was believed.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall_ms: TimestampMs,
    monotonic: Duration,
    /// When a jump was first seen.
    jumped: Option<Duration>,
}

// === impl SteadyTime ===

impl SteadyTime {
    /// The time to act on, given what both clocks say now.
    pub(super) fn now_ms(&mut self, wall_ms: TimestampMs, monotonic: Duration) -> TimestampMs {
        let believed = Anchor { wall_ms, monotonic, jumped: None };
        let anchor = self.anchor.get_or_insert(believed);
        let passed_ms =
            i64::try_from(monotonic.saturating_sub(anchor.monotonic).as_millis()).unwrap_or(i64::MAX);
        let expected_ms = anchor.wall_ms.saturating_add(passed_ms);
        if wall_ms.abs_diff(expected_ms) <= JUMP_MS.unsigned_abs() {
            *anchor = believed;
            return wall_ms;
        }
        let jumped = *anchor.jumped.get_or_insert_with(|| {
            tracing::warn!(
                wall_ms,
                expected_ms,
                "the wall clock jumped; retention waits to see whether it stays so"
            );
            monotonic
        });
        if monotonic.saturating_sub(jumped) < BELIEVED_AFTER {
            return expected_ms;
        }
        *anchor = believed;
        wall_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEARS_MS: i64 = 10 * 365 * 24 * 3_600_000;

    #[test]
    fn a_jump_is_believed_only_when_it_lasts() {
        let mut time = SteadyTime::default();
        let at = |minutes: u64| Duration::from_secs(minutes * 60);
        let ms = |minutes: u64| 1_000_000 + at(minutes).as_millis() as i64;
        assert_eq!(time.now_ms(ms(0), at(0)), ms(0));
        assert_eq!(time.now_ms(ms(5) + 900, at(5)), ms(5) + 900, "small corrections are taken");
        assert_eq!(time.now_ms(ms(10) + YEARS_MS, at(10)), ms(10) + 900);
        assert_eq!(time.now_ms(ms(39) + YEARS_MS, at(39)), ms(39) + 900);
        assert_eq!(time.now_ms(ms(40) + YEARS_MS, at(40)), ms(40) + YEARS_MS);
        // Back again, and put right before it counts.
        assert_eq!(time.now_ms(ms(45) - YEARS_MS, at(45)), ms(45) + YEARS_MS);
        assert_eq!(time.now_ms(ms(50) + YEARS_MS, at(50)), ms(50) + YEARS_MS);
        assert_eq!(time.now_ms(ms(90) + YEARS_MS, at(90)), ms(90) + YEARS_MS);
    }
}
