//! Whether the application still asks for records: a member that only sends heartbeats would keep its partitions from
//! those who would read them.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// When the application asked last.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug)]
struct State {
    is_asking: bool,
    since: Instant,
}

/// The application asks, until this is dropped.
pub(super) struct Asking<'a>(&'a Activity);

// === impl Activity ===

impl Activity {
    pub(super) fn new() -> Self {
        let state = State { is_asking: false, since: Instant::now() };
        Self { state: Mutex::new(state), asked: Notify::new() }
    }

    /// The application asks now.
    pub(super) fn begin(&self) -> Asking<'_> {
        self.set(true);
        self.asked.notify_one();
        Asking(self)
    }

    fn set(&self, is_asking: bool) {
        *self.state.lock() = State { is_asking, since: Instant::now() };
    }

    /// Whether it has not asked for longer than `limit`.
    pub(super) fn is_overdue(&self, limit: Duration) -> bool {
        let state = self.state.lock();
        !state.is_asking && state.since.elapsed() > limit
    }

    /// Waits until it asks again.
    pub(super) async fn wait_until_asked(&self, limit: Duration) {
        while self.is_overdue(limit) {
            self.asked.notified().await;
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// As if so much time had passed.
    fn pass(activity: &Activity, time: Duration) {
        let mut state = activity.state.lock();
        state.since = state.since.checked_sub(time).unwrap();
    }

    #[tokio::test]
    async fn only_an_application_that_stays_away_is_overdue() {
        let activity = Activity::new();
        let asking = activity.begin();
        pass(&activity, LIMIT * 3);
        assert!(!activity.is_overdue(LIMIT), "it waits for records");
        drop(asking);
        assert!(!activity.is_overdue(LIMIT));
        pass(&activity, LIMIT);
        assert!(activity.is_overdue(LIMIT));
        let _asking = activity.begin();
        activity.wait_until_asked(LIMIT).await;
    }
}
