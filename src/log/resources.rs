//! What all logs of a broker share: the world, and a budget of maps, descriptors and index memory.
//!
//! A broker has far more segments than the system grants maps or descriptors, so a segment takes each when it
//! needs it and gives it back when another needs it more. Each kind has a queue with a second chance: whoever
//! comes to the front and was used since gets another round. The budget is soft: what cannot be given back (an
//! unsynced descriptor, a map with slices in use) is counted and kept, and the newcomer reads without a map.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::segment::Segment;
use crate::env::{Env, FileMap, ProcessLimits};

/// How many segments are asked at most to give something back for one newcomer.
const ASKED_MAX: usize = 64;

/// What all logs of a broker share. One per broker.
pub struct LogResources {
    env: Env,
    limits: LogLimits,
    counters: LogCounters,
    shelves: [Shelf; 3],
    /// Maps that were given back while slices of them are in use: still maps of the process.
    lingering: Mutex<Vec<Weak<dyn FileMap>>>,
    /// Whether a sync of any log failed.
    fenced: AtomicBool,
}

/// How many maps, descriptors and index bytes the logs of a broker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Maps of segments.
    pub maps: usize,
    /// Open segment files.
    pub files: usize,
    /// Bytes of loaded indexes of sealed segments.
    pub index_bytes: usize,
}

/// What happened in the logs since the start.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Bytes of torn tails moved aside by recovery.
    pub cut_bytes: AtomicU64,
    /// Damaged ranges found, by recovery or by reads.
    pub damaged_ranges: AtomicU64,
    /// Indexes, epoch files and snapshots found missing or bad and rebuilt from the log.
    pub files_rebuilt: AtomicU64,
    /// Logs fenced by a failed sync.
    pub fenced_logs: AtomicU64,
    /// Segments made.
    pub segments_rolled: AtomicU64,
    /// Segments removed by retention or by deletion of records.
    pub segments_deleted: AtomicU64,
    /// Cleaned segments that took the place of one or more.
    pub segments_cleaned: AtomicU64,
    /// By how many bytes cleaning made logs smaller.
    pub cleaned_bytes: AtomicU64,
    /// Records without a key that the cleaner found in a compacted log and dropped.
    pub keyless_records: AtomicU64,
    /// Reads that copied because no map was to be had.
    pub unmapped_reads: AtomicU64,
}

/// What a segment may hold of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    Map,
    File,
    Index,
}

/// The budget of one kind.
struct Shelf {
    limit: usize,
    held: AtomicUsize,
    queue: Mutex<Queue>,
}

/// The segments to be asked, the longest not asked first.
#[derive(Default)]
struct Queue {
    segments: VecDeque<Weak<Segment>>,
    /// At this length the segments that are gone are taken out.
    prune_at: usize,
}

/// Descriptors that are neither sockets nor segments: the catalog, the lock and the runtime's, some 20; and while files
/// are replaced or directories synced, up to one for each of the pool's 32 threads.
const OTHER_FILES: usize = 64;

// === impl LogLimits ===

impl LogLimits {
    /// The logs' share of what the process may have: half the maps, since the allocator and the threads need
    /// the others, half the descriptors, since sockets need theirs, less those of the process itself and of files
    /// open for a moment only, and 64 MiB of indexes.
    #[must_use]
    pub fn share_of(limits: ProcessLimits) -> Self {
        let files = (limits.open_files / 2).saturating_sub(OTHER_FILES).max(limits.open_files / 8);
        Self { maps: limits.memory_maps / 2, files, index_bytes: 64 << 20 }
    }
}

// === impl LogResources ===

impl LogResources {
    /// Resources within `limits`.
    #[must_use]
    pub fn new(env: Env, limits: LogLimits) -> Arc<Self> {
        let shelf = |limit| Shelf { limit, held: AtomicUsize::new(0), queue: Mutex::default() };
        Arc::new(Self {
            env,
            limits,
            counters: LogCounters::default(),
            shelves: [shelf(limits.maps), shelf(limits.files), shelf(limits.index_bytes)],
            lingering: Mutex::default(),
            fenced: AtomicBool::new(false),
        })
    }

    /// The world.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The budget.
    #[must_use]
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// No log takes anything more: what a failed sync lost is known of no file.
    pub(super) fn fence(&self) {
        self.fenced.store(true, Ordering::Release);
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// How many maps exist, those that only slices keep alive included.
    #[must_use]
    pub fn maps_held(&self) -> usize {
        let lingering = {
            let mut lingering = self.lingering.lock();
            lingering.retain(|map| map.strong_count() > 0);
            lingering.len()
        };
        self.shelf(Holding::Map).held.load(Ordering::Relaxed) + lingering
    }

    /// How many segment files are open.
    #[must_use]
    pub fn files_held(&self) -> usize {
        self.shelf(Holding::File).held.load(Ordering::Relaxed)
    }

    /// How many bytes of sealed segments' indexes are loaded.
    #[must_use]
    pub fn index_bytes_held(&self) -> usize {
        self.shelf(Holding::Index).held.load(Ordering::Relaxed)
    }

    /// Makes room for `amount` more of a kind; whether there is room now.
    pub(super) fn make_room(&self, kind: Holding, amount: usize) -> bool {
        let shelf = self.shelf(kind);
        let over = || {
            let held =
                if kind == Holding::Map { self.maps_held() } else { shelf.held.load(Ordering::Relaxed) };
            held.saturating_add(amount) > shelf.limit
        };
        for _ in 0..ASKED_MAX {
            if !over() {
                return true;
            }
            // The queue's lock is not held while a segment is asked: it takes its own.
            let Some(weak) = shelf.queue.lock().segments.pop_front() else { break };
            let Some(segment) = weak.upgrade() else { continue };
            if !segment.give_back(kind) {
                shelf.queue.lock().segments.push_back(weak);
            }
        }
        !over()
    }

    /// Counts what a segment took, and queues it to be asked for it.
    pub(super) fn took(&self, kind: Holding, amount: usize, segment: &Arc<Segment>) {
        self.shelf(kind).held.fetch_add(amount, Ordering::Relaxed);
        let mut queue = self.shelf(kind).queue.lock();
        if queue.segments.len() >= queue.prune_at {
            queue.segments.retain(|weak| weak.strong_count() > 0);
            queue.prune_at = queue.segments.len() * 2 + ASKED_MAX;
        }
        queue.segments.push_back(Arc::downgrade(segment));
    }

    /// Counts what a segment gave back.
    pub(super) fn gave(&self, kind: Holding, amount: usize) {
        self.shelf(kind).held.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Remembers a map given back, as long as slices keep it alive.
    pub(super) fn linger(&self, map: &Arc<dyn FileMap>) {
        if Arc::strong_count(map) > 1 {
            self.lingering.lock().push(Arc::downgrade(map));
        }
    }

    fn shelf(&self, kind: Holding) -> &Shelf {
        &self.shelves[kind as usize]
    }
}

impl std::fmt::Debug for LogResources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogResources").field("limits", &self.limits).finish_non_exhaustive()
    }
}
