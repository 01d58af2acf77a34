//! What members subscribe to. Members of a group mostly want the same, so equal subscriptions are one, and what a
//! pattern matches is found once for all who use it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Topics;
use super::assign::Task;
use super::pattern::Pattern;
use crate::engine::group::GroupError;
use crate::types::TopicId;

/// Topics by name, and those that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Subscription {
    /// In ascending order.
    pub(super) names: Vec<Arc<str>>,
    pub(super) pattern: Option<Arc<str>>,
}

/// The subscriptions of all members of a group.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// With how many members have each.
    counts: HashMap<Arc<Subscription>, usize>,
    /// What each pattern matched when the topics were last looked at.
    matches: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Whether a pattern has come since.
    has_new_pattern: bool,
}

/// Each of them is tried on every topic when topics change.
const PATTERNS_MAX: usize = 100;

// === impl Subscription ===

impl Subscription {
    /// What a member says it wants. An empty pattern is none.
    pub(super) fn new(names: impl IntoIterator<Item = Arc<str>>, pattern: Option<Arc<str>>) -> Self {
        let names: BTreeSet<Arc<str>> = names.into_iter().collect();
        Self { names: names.into_iter().collect(), pattern: pattern.filter(|pattern| !pattern.is_empty()) }
    }
}

// === impl Subscriptions ===

impl Subscriptions {
    /// Whether another member may have this subscription.
    ///
    /// # Errors
    /// `InvalidPattern` when its pattern is none, or the group has too many.
    pub(super) fn check(&self, wanted: &Subscription) -> Result<(), GroupError> {
        if self.counts.contains_key(wanted) {
            return Ok(());
        }
        match &wanted.pattern {
            Some(pattern) if !self.matches.contains_key(pattern) => {
                if self.matches.len() >= PATTERNS_MAX {
                    let why = format!("a group has at most {PATTERNS_MAX} different patterns");
                    return Err(GroupError::InvalidPattern { why });
                }
                Pattern::compile(pattern).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Counts a member in; what it wants was checked.
    pub(super) fn add(&mut self, wanted: Subscription) -> Arc<Subscription> {
        let wanted = match self.counts.get_key_value(&wanted) {
            Some((known, _)) => Arc::clone(known),
            None => {
                if let Some(pattern) = &wanted.pattern {
                    self.matches.entry(Arc::clone(pattern)).or_default();
                    self.has_new_pattern = true;
                }
                Arc::new(wanted)
            }
        };
        *self.counts.entry(Arc::clone(&wanted)).or_default() += 1;
        wanted
    }

    /// Counts a member out.
    pub(super) fn remove(&mut self, gone: &Arc<Subscription>) {
        let count = self.counts.get_mut(gone).expect("it was counted in");
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.counts.remove(gone);
        if let Some(pattern) = &gone.pattern
            && !self.counts.keys().any(|other| other.pattern.as_ref() == Some(pattern))
        {
            self.matches.remove(pattern);
        }
    }

    /// Whether a member reads the topic.
    pub(super) fn contains(&self, topic: &str) -> bool {
        let named = |names: &Vec<Arc<str>>| names.binary_search_by(|name| (**name).cmp(topic)).is_ok();
        self.counts.keys().any(|subscription| named(&subscription.names)) || self.matches.values().any(named)
    }

    /// All topics that members read.
    pub(super) fn topics(&self) -> HashSet<Arc<str>> {
        let named = self.counts.keys().flat_map(|subscription| &subscription.names);
        named.chain(self.matches.values().flatten()).cloned().collect()
    }

    /// Tries the patterns on the topics there are, if those are others now or there is a new pattern.
    pub(super) fn resolve(&mut self, topics: &dyn Topics, topics_changed: bool) {
        let is_due = topics_changed || std::mem::take(&mut self.has_new_pattern);
        if !is_due || self.matches.is_empty() {
            return;
        }
        let names = topics.names();
        for (text, matches) in &mut self.matches {
            // It was checked when it came; a broker that reads patterns differently would match nothing.
            let Ok(pattern) = Pattern::compile(text) else { continue };
            *matches = names.iter().filter(|name| pattern.matches(name)).cloned().collect();
            matches.sort_unstable();
        }
    }

    /// The topics of each subscription, by id, with all of them and a number that tells when any of it changes.
    pub(super) fn found(&self, topics: &dyn Topics) -> Found {
        let mut known: BTreeMap<TopicId, u32> = BTreeMap::new();
        let mut by_subscription = HashMap::with_capacity(self.counts.len());
        for subscription in self.counts.keys() {
            let matches = subscription.pattern.as_ref().and_then(|pattern| self.matches.get(pattern));
            let names = subscription.names.iter().chain(matches.into_iter().flatten());
            let mut ids: Vec<TopicId> = Vec::with_capacity(subscription.names.len());
            for (id, partitions) in names.filter_map(|name| topics.by_name(name)) {
                ids.push(id);
                known.insert(id, partitions);
            }
            ids.sort_unstable();
            ids.dedup();
            by_subscription.insert(Arc::clone(subscription), ids);
        }
        Found { topics: known.into_iter().collect(), by_subscription }
    }
}

/// What subscriptions stand for at one moment.
#[derive(Debug)]
pub(super) struct Found {
    topics: Vec<(TopicId, u32)>,
    by_subscription: HashMap<Arc<Subscription>, Vec<TopicId>>,
}

// === impl Found ===

impl Found {
    /// Differs when the topics or their numbers of partitions do. Another release may compute it differently; that only
    /// shares partitions out once more.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.topics.hash(&mut hasher);
        hasher.finish()
    }

    /// The task without its members, and the class of each subscription, by the address of it.
    pub(super) fn into_task<'a>(self) -> (Task<'a>, HashMap<*const Subscription, usize>) {
        let mut task = Task { topics: self.topics, ..Task::default() };
        let mut classes: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut class_of = HashMap::new();
        for (subscription, ids) in self.by_subscription {
            let indexes = ids.iter().map(|id| {
                task.topics
                    .binary_search_by_key(id, |&(known, _)| known)
                    .expect("every topic found is listed")
            });
            let indexes: Vec<usize> = indexes.collect();
            let next = classes.len();
            let class = *classes.entry(indexes).or_insert(next);
            class_of.insert(Arc::as_ptr(&subscription), class);
        }
        task.classes = vec![Vec::new(); classes.len()];
        for (indexes, class) in classes {
            task.classes[class] = indexes;
        }
        (task, class_of)
    }
}
