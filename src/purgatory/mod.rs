//! Requests that cannot be answered yet wait here.
//!
//! An operation is watched under one or more keys; whoever changes what a key stands for calls
//! [`Purgatory::check`]. Completion happens exactly once, by a check or by the deadline, and always outside of the
//! caller's locks. The purgatory knows nothing of fetches, produces or groups; the engine gives it a key type of its
//! own. After Kafka's `DelayedOperationPurgatory`.
//!
//! Five kinds of key carry every waiting of the broker; the first two exist, the others come with their issues:
//!
//! | key | changes when | who waits |
//! |---|---|---|
//! | high watermark of a partition | a commit moves it, or the topic goes | delayed produce (`acks=all`), delayed fetch |
//! | data past an offset | the same event; the reader compares | fetch, and later HTTP long poll, SSE, WebSocket |
//! | a share group has an acquirable record | append, release, lock expiry | share fetch, queue receive |
//! | a group's progress passed an offset | offset commit, acknowledgement | wait-until-processed, receipts |
//! | a record with a correlation id arrived | append to a reply topic | request-reply |
//!
//! What always holds: no thread, task or timer per waiting operation; an operation that is done, or that nobody waits for
//! any more, is in no list; a check of one key looks at the operations under that key and at no others, in the order of
//! their arrival.
//! Deliberately absent: a clock. Time is an argument of [`Purgatory::advance`], which one thread calls.

mod wheel;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use wheel::Wheel;

/// Something that waits.
///
/// Of one operation, [`try_complete`](Self::try_complete) returns true at most once, or [`expire`](Self::expire) is
/// called once, never both; the two never run at the same time. Of one that is withdrawn neither happens any more.
pub trait DelayedOperation: Send + Sync {
    /// Completes the operation if it can be completed now; whether it was.
    fn try_complete(&self) -> bool;

    /// Completes the operation because its time is up.
    fn expire(&self);
}

/// Where operations wait.
pub struct Purgatory<K> {
    shards: Vec<Mutex<HashMap<K, Watchers<K>>>>,
    hasher: RandomState,
    wheel: Mutex<Wheel<Arc<Entry<K>>>>,
    next_id: AtomicU64,
    waiting: AtomicUsize,
    /// Told when the earliest deadline has become earlier.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Where an operation waits, for whoever may want to [withdraw](Purgatory::withdraw) it.
pub struct Place<K>(Arc<Entry<K>>);

/// The operations under one key, oldest first.
type Watchers<K> = BTreeMap<u64, Arc<Entry<K>>>;

/// One waiting operation.
struct Entry<K> {
    id: u64,
    keys: Box<[K]>,
    /// The tick at which it expires.
    tick: u64,
    operation: Arc<dyn DelayedOperation>,
    /// Whether it is done. Held while the operation is asked, so that it is asked by one thread at a time and an
    /// event that comes meanwhile is not missed.
    done: Mutex<bool>,
}

/// A power of two, so that neighbours seldom share a lock.
const SHARDS: usize = 64;

// === impl Purgatory ===

impl<K: Hash + Eq + Clone> Purgatory<K> {
    /// An empty purgatory. `wake` is called, outside of all locks, when a new operation's deadline comes before all
    /// others: whoever sleeps until [`Self::next_deadline`] has to look again.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            hasher: RandomState::new(),
            wheel: Mutex::new(Wheel::new()),
            next_id: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            wake: Box::new(wake),
        }
    }

    /// Completes `operation` now if that can be done, else keeps it until one of `keys` is checked with success or
    /// `deadline` (monotonic) has come. Whether it was completed.
    pub fn watch(
        &self,
        operation: Arc<dyn DelayedOperation>,
        keys: impl IntoIterator<Item = K>,
        deadline: Duration,
    ) -> bool {
        self.park(operation, keys, deadline).is_none()
    }

    /// As [`Self::watch`]; where it waits, or None when it was completed.
    pub fn park(
        &self,
        operation: Arc<dyn DelayedOperation>,
        keys: impl IntoIterator<Item = K>,
        deadline: Duration,
    ) -> Option<Place<K>> {
        if operation.try_complete() {
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let keys: Box<[K]> = keys.into_iter().collect();
        let entry = Arc::new(Entry {
            id,
            keys,
            tick: wheel::tick_at_or_after(deadline),
            operation,
            done: Mutex::new(false),
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Held until the operation stands in every list: whoever finds it in one of them waits here, so that nobody
        // ends it, and takes it off all lists, while it is still being put on the others.
        let mut done = entry.done.lock();
        for key in &entry.keys {
            self.shard(key).lock().entry(key.clone()).or_default().insert(id, Arc::clone(&entry));
        }
        let earlier = self.wheel.lock().insert(entry.tick, id, Arc::clone(&entry));
        // An event between the first try and the registration has told nobody: try again now that events will.
        *done = entry.operation.try_complete();
        let completed = *done;
        drop(done);
        if completed {
            self.wheel.lock().remove(entry.tick, id);
            self.forget(&entry);
            return None;
        }
        if earlier {
            (self.wake)();
        }
        Some(Place(entry))
    }

    /// Takes off an operation that nobody waits for any more; whether it was still there.
    pub fn withdraw(&self, place: &Place<K>) -> bool {
        let Place(entry) = place;
        if std::mem::replace(&mut *entry.done.lock(), true) {
            return false;
        }
        self.wheel.lock().remove(entry.tick, entry.id);
        self.forget(entry);
        true
    }

    /// Asks every operation under `key` whether it can be completed now; how many were.
    pub fn check(&self, key: &K) -> usize {
        let candidates: Vec<Arc<Entry<K>>> = match self.shard(key).lock().get(key) {
            None => return 0,
            Some(watchers) => watchers.values().cloned().collect(),
        };
        candidates.iter().filter(|entry| self.try_entry(entry)).count()
    }

    /// Expires every operation whose deadline is at or before `now` (monotonic); how many were.
    pub fn advance(&self, now: Duration) -> usize {
        let due = self.wheel.lock().take_due(wheel::tick_at_or_before(now));
        let mut expired = 0;
        for entry in due {
            let mut done = entry.done.lock();
            if !*done {
                *done = true;
                entry.operation.expire();
                drop(done);
                self.forget(&entry);
                expired += 1;
            }
        }
        expired
    }

    /// When [`Self::advance`] has something to do next, or to look at: at most one turn of the wheel too early,
    /// never too late. None when nothing waits.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.wheel.lock().next_tick().map(wheel::time_of)
    }

    /// How many operations wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn try_entry(&self, entry: &Arc<Entry<K>>) -> bool {
        let mut done = entry.done.lock();
        if *done || !entry.operation.try_complete() {
            return false;
        }
        *done = true;
        drop(done);
        self.wheel.lock().remove(entry.tick, entry.id);
        self.forget(entry);
        true
    }

    /// Takes a finished operation off all its keys.
    fn forget(&self, entry: &Entry<K>) {
        for key in &entry.keys {
            let mut shard = self.shard(key).lock();
            if let Some(watchers) = shard.get_mut(key) {
                watchers.remove(&entry.id);
                if watchers.is_empty() {
                    shard.remove(key);
                }
            }
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn shard(&self, key: &K) -> &Mutex<HashMap<K, Watchers<K>>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).expect("below the number of shards");
        &self.shards[index]
    }
}

impl<K> std::fmt::Debug for Purgatory<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Purgatory").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<K> std::fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.0.id).finish()
    }
}
