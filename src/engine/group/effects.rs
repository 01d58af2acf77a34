//! What a group leaves to be done when it has changed.

use super::consumer::ConsumerRecord;
use super::{GroupError, GroupRecord};

/// Whom an outcome is told, once.
pub(crate) type Answer<T> = Box<dyn FnOnce(Result<T, GroupError>) + Send>;

/// Records to be kept, and answers that stand behind them.
#[derive(Default)]
pub(crate) struct Effects {
    /// What is to survive, in order.
    pub(crate) records: Vec<GroupRecord>,
    /// Told whether the records were kept.
    pub(crate) answers: Vec<Answer<()>>,
    /// Answers that stand on nothing that a crash could take back, now or from before: they wait for no record.
    pub(crate) answers_at_once: Vec<Answer<()>>,
}

// === impl Effects ===

impl Effects {
    /// Tells `to` the outcome when the records are kept; that they were not, when they could not be.
    pub(crate) fn answer<T: Send + 'static>(&mut self, to: Answer<T>, outcome: Result<T, GroupError>) {
        self.answers.push(Box::new(move |kept| to(kept.and(outcome))));
    }

    /// Tells `to` the outcome without waiting for anything.
    pub(crate) fn answer_at_once<T: Send + 'static>(
        &mut self,
        to: Answer<T>,
        outcome: Result<T, GroupError>,
    ) {
        self.answers_at_once.push(Box::new(move |_| to(outcome)));
    }

    /// Keeps records of a group of the consumer protocol.
    pub(crate) fn keep(&mut self, group: &str, records: Vec<ConsumerRecord>) {
        self.records.extend(records.into_iter().map(|record| GroupRecord::of_consumers(group, record)));
    }
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects")
            .field("records", &self.records)
            .field("answers", &self.answers.len())
            .field("answers_at_once", &self.answers_at_once.len())
            .finish()
    }
}
