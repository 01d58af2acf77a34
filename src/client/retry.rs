//! How long to wait before trying again, and when to stop: the one place that decides it.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// Waits that double from `initial` to `max`, each scattered by a fifth so that many clients do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// One operation's attempts: counts them, and ends them at a deadline.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    failures: u32,
    deadline: Instant,
}

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    /// 50 ms to 1 s.
    fn default() -> Self {
        Self { initial: Duration::from_millis(50), max: Duration::from_secs(1) }
    }
}

impl RetryPolicy {
    /// The wait after `failures` failures in a row (from 1), `random` scattering it by ±20 %.
    pub(crate) fn wait(&self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let wait = self.initial.saturating_mul(1 << doublings).min(self.max);
        let scatter = 0.8 + 0.4 * (random % 1024) as f64 / 1023.0;
        wait.mul_f64(scatter)
    }

    /// The wait after `failures` failures in a row, scattered.
    pub(crate) fn next_wait(&self, failures: u32) -> Duration {
        self.wait(failures, random())
    }
}

// === impl Attempts ===

impl Attempts {
    /// Attempts under `policy` that end `timeout` from now.
    pub(crate) fn within(policy: RetryPolicy, timeout: Duration) -> Self {
        Self { policy, failures: 0, deadline: Instant::now() + timeout }
    }

    /// When the operation must be over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits before the next attempt. False, at once, when the deadline would pass meanwhile.
    pub(crate) async fn wait(&mut self) -> bool {
        self.failures += 1;
        let until = Instant::now() + self.policy.next_wait(self.failures);
        if until >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }
}

/// A random number for scattering and seeds; not for secrets.
pub(crate) fn random() -> u64 {
    // The standard library seeds each `RandomState` apart: enough randomness without a dependency.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy { initial: Duration::from_millis(100), max: Duration::from_secs(1) };
        let middle = 511;
        let waits: Vec<u64> =
            (1..=6).map(|failures| policy.wait(failures, middle).as_millis().try_into().unwrap()).collect();
        assert_eq!(waits, [99, 199, 399, 799, 999, 999]);
        assert!(policy.wait(u32::MAX, 1023) <= Duration::from_millis(1201));
    }

    #[test]
    fn the_scatter_is_a_fifth_at_most() {
        let policy = RetryPolicy::default();
        for random in 0..2048 {
            let wait = policy.wait(1, random);
            assert!((Duration::from_millis(40)..=Duration::from_millis(60)).contains(&wait), "{wait:?}");
        }
    }

    #[tokio::test]
    async fn attempts_end_at_the_deadline() {
        let policy = RetryPolicy { initial: Duration::from_secs(5), max: Duration::from_secs(5) };
        let mut attempts = Attempts::within(policy, Duration::from_secs(1));
        assert!(!attempts.wait().await);
    }
}
