//! Topics whose metadata proved wrong. Used by those who send to leaders: the producer's sender, the consumer's fetcher.
//!
//! What always holds: one refresh at a time, of all that is stale when it begins; what proves wrong while it is under way is
//! asked about again. How long to rest between two is theirs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

/// Topics whose metadata proved wrong, and since when.
#[derive(Debug, Default)]
pub(super) struct StaleTopics {
    topics: HashMap<Arc<str>, Instant>,
    /// How old the answer of the refresh under way may be.
    refreshing: Option<Instant>,
}

// === impl StaleTopics ===

impl StaleTopics {
    pub(super) fn contains(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Notes that what was known of a topic at `now` is wrong.
    pub(super) fn mark(&mut self, topic: &Arc<str>, now: Instant) {
        self.topics.insert(Arc::clone(topic), now);
    }

    /// The topics to ask about now, and how old an answer may be; None when there are none, or somebody is at it. Whoever
    /// gets some calls [`Self::end`] afterwards.
    pub(super) fn begin(&mut self) -> Option<(Vec<Arc<str>>, Instant)> {
        let not_before = self.topics.values().max().copied().filter(|_| self.refreshing.is_none())?;
        self.refreshing = Some(not_before);
        Some((self.topics.keys().cloned().collect(), not_before))
    }

    /// Ends a refresh; what was `refreshed` is stale no more, unless it was marked again meanwhile.
    pub(super) fn end(&mut self, refreshed: &[Arc<str>]) {
        let Some(not_before) = self.refreshing.take() else { return };
        for topic in refreshed {
            if self.topics.get(topic).is_some_and(|&since| since <= not_before) {
                self.topics.remove(topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refresh_at_a_time_and_what_it_did_not_get_stays_stale() {
        let (mut stale, now) = (StaleTopics::default(), Instant::now());
        assert_eq!(stale.begin(), None);
        let (one, two) = (Arc::from("one"), Arc::from("two"));
        stale.mark(&one, now);
        let (names, not_before) = stale.begin().unwrap();
        assert_eq!((names, not_before), (vec![Arc::clone(&one)], now));
        let later = now + std::time::Duration::from_secs(1);
        stale.mark(&two, later);
        assert_eq!(stale.begin(), None);
        stale.end(&[one]);
        assert!(!stale.contains("one") && stale.contains("two"));
        assert_eq!(stale.begin().unwrap(), (vec![two], later));
        stale.end(&[]);
        assert!(stale.contains("two"));
    }

    #[test]
    fn a_topic_that_proves_wrong_during_a_refresh_is_asked_about_again() {
        let (mut stale, now) = (StaleTopics::default(), Instant::now());
        let topic = Arc::from("one");
        stale.mark(&topic, now);
        let (names, _) = stale.begin().unwrap();
        let later = now + std::time::Duration::from_secs(1);
        stale.mark(&topic, later);
        stale.end(&names);
        let (names, not_before) = stale.begin().unwrap();
        assert_eq!((&names, not_before), (&vec![topic], later));
        stale.end(&names);
        assert_eq!(stale.begin(), None);
    }
}
