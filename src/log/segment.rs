//! One segment: a file of record batches and what is held of it in memory.
//!
//! A segment is *active* while the log appends to it, then *sealed*: it will change no more. What always holds:
//! bytes below `size_bytes` never change and the file is never cut below them, which is what makes slices of the
//! map sound; `size_bytes` and `next_offset` grow only in the active segment, `next_offset` last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::damage::Damage;
use super::index_checkpoint::IndexRecord;
use super::names;
use super::resources::{Holding, LogResources};
use super::segment_index::SegmentIndex;
use super::walk::BatchSource;
use crate::env::{DiskFile, FileMap, OpenMode};
use crate::types::{Offset, TimestampMs};

/// One segment of a log.
pub(super) struct Segment {
    pub(super) base_offset: Offset,
    dir: Arc<Path>,
    resources: Arc<LogResources>,
    /// Written bytes that belong to the log.
    size_bytes: AtomicU64,
    /// The offset after the last batch.
    next_offset: AtomicI64,
    /// Bytes known to be on the disk.
    synced_bytes: AtomicU64,
    sealed: AtomicBool,
    /// Whether its names stand for other files, or soon will: nothing is opened by name any more, and what is held is
    /// kept for those who still read.
    pinned: AtomicBool,
    /// When the segment got its first and its last batch, by the wall clock; -1 when not known.
    first_append_ms: AtomicI64,
    last_append_ms: AtomicI64,
    /// How much of an active segment is mapped at once.
    map_bytes: u64,
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    map: ArcSwapOption<MapHolder>,
    mapping: Mutex<()>,
    /// Always there while active; loaded on demand and given back once sealed.
    index: RwLock<Option<SegmentIndex>>,
    index_bytes_held: AtomicUsize,
    /// Held while the index is loaded or rebuilt: its files are replaced by way of a name that two must not share.
    loading: Mutex<()>,
    /// What is vouched for of the index files.
    index_record: Mutex<Option<IndexRecord>>,
    /// Set by use, cleared by being asked: the second chance of each [`Holding`].
    touched: [AtomicBool; 3],
    /// Ranges found damaged, by position.
    pub(super) damage: RwLock<Vec<Damage>>,
}

/// What a segment is made from.
pub(super) struct SegmentParts {
    pub(super) base_offset: Offset,
    pub(super) dir: Arc<Path>,
    pub(super) size_bytes: u64,
    pub(super) next_offset: Offset,
    pub(super) sealed: bool,
    pub(super) map_bytes: u64,
    pub(super) index: Option<SegmentIndex>,
    pub(super) index_record: Option<IndexRecord>,
}

/// A sized cell for a map, as the atomic swap needs it.
struct MapHolder {
    map: Arc<dyn FileMap>,
}

// === impl SegmentParts ===

impl SegmentParts {
    /// Of a segment that will change no more: its index is loaded when it is needed.
    pub(super) fn sealed(
        dir: &Arc<Path>,
        base_offset: Offset,
        next_offset: Offset,
        size_bytes: u64,
        index_record: Option<IndexRecord>,
    ) -> Self {
        let (dir, map_bytes) = (Arc::clone(dir), size_bytes);
        Self { base_offset, dir, size_bytes, next_offset, sealed: true, map_bytes, index: None, index_record }
    }
}

// === impl Segment ===

impl Segment {
    /// A segment whose bytes are all on the disk.
    pub(super) fn new(parts: SegmentParts, resources: Arc<LogResources>) -> Arc<Self> {
        Arc::new(Self {
            base_offset: parts.base_offset,
            dir: parts.dir,
            resources,
            size_bytes: AtomicU64::new(parts.size_bytes),
            next_offset: AtomicI64::new(parts.next_offset),
            synced_bytes: AtomicU64::new(parts.size_bytes),
            sealed: AtomicBool::new(parts.sealed),
            pinned: AtomicBool::new(false),
            first_append_ms: AtomicI64::new(-1),
            last_append_ms: AtomicI64::new(-1),
            map_bytes: parts.map_bytes,
            file: Mutex::new(None),
            map: ArcSwapOption::const_empty(),
            mapping: Mutex::new(()),
            index: RwLock::new(parts.index),
            index_bytes_held: AtomicUsize::new(0),
            loading: Mutex::new(()),
            index_record: Mutex::new(parts.index_record),
            touched: Default::default(),
            damage: RwLock::default(),
        })
    }

    pub(super) fn resources(&self) -> &LogResources {
        &self.resources
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path(&names::log(self.base_offset))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    pub(super) fn next_offset(&self) -> Offset {
        self.next_offset.load(Ordering::Acquire)
    }

    pub(super) fn synced_bytes(&self) -> u64 {
        self.synced_bytes.load(Ordering::Acquire)
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// When the first batch came, by the wall clock; None before it.
    pub(super) fn first_append_ms(&self) -> Option<TimestampMs> {
        Some(self.first_append_ms.load(Ordering::Relaxed)).filter(|&ms| ms >= 0)
    }

    /// When the last batch came, by the wall clock: remembered, or else the file's time of change.
    pub(super) fn last_append_ms(self: &Arc<Self>) -> io::Result<TimestampMs> {
        let known = self.last_append_ms.load(Ordering::Relaxed);
        if known >= 0 {
            return Ok(known);
        }
        let modified_ms = self.file()?.modified_ms()?;
        self.last_append_ms.store(modified_ms, Ordering::Relaxed);
        Ok(modified_ms)
    }

    /// Notes when batches came; the first note stays the first.
    pub(super) fn note_append_ms(&self, now_ms: TimestampMs) {
        if self.first_append_ms.load(Ordering::Relaxed) < 0 {
            self.first_append_ms.store(now_ms, Ordering::Relaxed);
        }
        self.last_append_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Makes appended bytes part of the log. Called by the one writer.
    pub(super) fn extend(&self, size_bytes: u64, next_offset: Offset) {
        assert!(size_bytes >= self.size_bytes() && !self.is_sealed(), "only an active segment grows");
        self.size_bytes.store(size_bytes, Ordering::Release);
        self.next_offset.store(next_offset, Ordering::Release);
    }

    pub(super) fn mark_synced(&self, position: u64) {
        self.synced_bytes.fetch_max(position, Ordering::AcqRel);
    }

    /// Ends the segment's growth; from here on its index may be given back.
    pub(super) fn seal(self: &Arc<Self>) {
        self.sealed.store(true, Ordering::Release);
        let index_bytes = self.index.read().as_ref().map_or(0, SegmentIndex::memory_bytes);
        self.resources.make_room(Holding::Index, index_bytes);
        self.hold_index(index_bytes);
    }

    /// The open file; opened again when the descriptor was given back.
    pub(super) fn file(self: &Arc<Self>) -> io::Result<Arc<dyn DiskFile>> {
        let mut slot = self.file.lock();
        self.touch(Holding::File);
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        self.resources.make_room(Holding::File, 1);
        let mode = if self.is_sealed() { OpenMode::Read } else { OpenMode::Write };
        let file = self.resources.env().disk.open(&self.log_path(), mode)?;
        *slot = Some(Arc::clone(&file));
        self.resources.took(Holding::File, 1, self);
        Ok(file)
    }

    /// Takes over the file that made this segment.
    pub(super) fn adopt_file(self: &Arc<Self>, file: Arc<dyn DiskFile>) {
        let mut slot = self.file.lock();
        assert!(slot.is_none(), "a new segment has no file yet");
        self.resources.make_room(Holding::File, 1);
        *slot = Some(file);
        self.resources.took(Holding::File, 1, self);
    }

    /// Makes the segment independent of its names: readers that have it go on, whatever becomes of its files.
    pub(super) fn pin(self: &Arc<Self>, interval_bytes: u32) -> io::Result<()> {
        self.pinned.store(true, Ordering::Release);
        // In this order: whoever gives either back now sees the mark.
        let held = self.file().and_then(|_| self.with_index(interval_bytes, |_| ()));
        if held.is_err() {
            self.unpin();
        }
        held
    }

    /// Takes the mark back: the names stand for this segment as before.
    pub(super) fn unpin(&self) {
        self.pinned.store(false, Ordering::Release);
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Acquire)
    }

    fn close_file(&self) {
        if self.file.lock().take().is_some() {
            self.resources.gave(Holding::File, 1);
        }
    }

    /// Closes the file unless its name may be another's.
    fn spare_file(&self) {
        let mut slot = self.file.lock();
        if !self.is_pinned() && slot.take().is_some() {
            self.resources.gave(Holding::File, 1);
        }
    }

    /// A map that covers the first `upto` bytes; None when none is to be had.
    fn map(self: &Arc<Self>, upto: u64) -> Option<Arc<dyn FileMap>> {
        let covering = |holder: &MapHolder| {
            (holder.map.size_bytes() >= upto).then(|| {
                self.touch(Holding::Map);
                Arc::clone(&holder.map)
            })
        };
        if let Some(map) = self.map.load().as_deref().and_then(covering) {
            return Some(map);
        }
        let _mapping = self.mapping.lock();
        if let Some(map) = self.map.load().as_deref().and_then(covering) {
            return Some(map);
        }
        if !self.resources.make_room(Holding::Map, 1) {
            return None;
        }
        let sealed = self.is_sealed();
        let size_bytes = if sealed { self.size_bytes() } else { self.map_bytes.max(upto) };
        // No map (the system's limit may be lower than thought) is no failure: the bytes are read instead.
        let map = self.file().ok()?.map(size_bytes).ok()?;
        let old = self.map.swap(Some(Arc::new(MapHolder { map: Arc::clone(&map) })));
        self.resources.took(Holding::Map, 1, self);
        if let Some(old) = old {
            self.resources.gave(Holding::Map, 1);
            self.resources.linger(&old.map);
        }
        // The map alone serves a sealed segment.
        if sealed {
            self.spare_file();
        }
        Some(map)
    }

    /// The written bytes `[position, position + size_bytes)`: a slice of the map, or a copy where there is none.
    pub(super) fn view(self: &Arc<Self>, position: u64, size_bytes: usize) -> io::Result<Bytes> {
        let upto = position + size_bytes as u64;
        assert!(upto <= self.size_bytes(), "only written bytes are read");
        if size_bytes == 0 {
            return Ok(Bytes::new());
        }
        if let Some(map) = self.map(upto) {
            map.populate(position, size_bytes)?;
            return Ok(map.slice(position, size_bytes));
        }
        self.resources.counters().unmapped_reads.fetch_add(1, Ordering::Relaxed);
        let mut copy = vec![0; size_bytes];
        self.file()?.read_exact_at(&mut copy, position)?;
        Ok(Bytes::from(copy))
    }

    /// Runs `f` on the index, loading it where it is not in memory.
    pub(super) fn with_index<T>(
        self: &Arc<Self>,
        interval_bytes: u32,
        f: impl FnOnce(&SegmentIndex) -> T,
    ) -> io::Result<T> {
        self.touch(Holding::Index);
        if let Some(index) = &*self.index.read() {
            return Ok(f(index));
        }
        let _loading = self.loading.lock();
        // Somebody else may have loaded it meanwhile.
        if let Some(index) = &*self.index.read() {
            return Ok(f(index));
        }
        let index = SegmentIndex::load_sealed(self, interval_bytes)?;
        let answer = f(&index);
        self.put_index(index);
        Ok(answer)
    }

    /// Rebuilds the index of a sealed segment, which was found wrong.
    pub(super) fn rebuild_index(self: &Arc<Self>, interval_bytes: u32) -> io::Result<()> {
        let _loading = self.loading.lock();
        self.put_index(SegmentIndex::rebuild(self, interval_bytes)?);
        Ok(())
    }

    /// Looks at the index of the active segment.
    pub(super) fn with_kept_index<T>(&self, f: impl FnOnce(&SegmentIndex) -> T) -> T {
        f(self.index.read().as_ref().expect("an active segment has its index in memory"))
    }

    /// Changes the index of the active segment.
    pub(super) fn with_active_index<T>(&self, f: impl FnOnce(&mut SegmentIndex) -> T) -> T {
        f(self.index.write().as_mut().expect("an active segment has its index in memory"))
    }

    /// Replaces the index of a sealed segment, when it was loaded or found wrong.
    pub(super) fn put_index(self: &Arc<Self>, index: SegmentIndex) {
        let index_bytes = index.memory_bytes();
        self.resources.make_room(Holding::Index, index_bytes);
        *self.index.write() = Some(index);
        if self.is_sealed() {
            self.release_index_budget();
            self.hold_index(index_bytes);
        }
    }

    pub(super) fn index_record(&self) -> Option<IndexRecord> {
        *self.index_record.lock()
    }

    pub(super) fn set_index_record(&self, record: Option<IndexRecord>) {
        *self.index_record.lock() = record;
    }

    fn hold_index(self: &Arc<Self>, index_bytes: usize) {
        self.index_bytes_held.fetch_add(index_bytes, Ordering::AcqRel);
        self.resources.took(Holding::Index, index_bytes, self);
    }

    fn release_index_budget(&self) {
        let held = self.index_bytes_held.swap(0, Ordering::AcqRel);
        self.resources.gave(Holding::Index, held);
    }

    fn touch(&self, kind: Holding) {
        let touched = &self.touched[kind as usize];
        // Read first: a store would take the cache line away from other readers each time.
        if !touched.load(Ordering::Relaxed) {
            touched.store(true, Ordering::Relaxed);
        }
    }

    /// Gives back what it holds of `kind`, unless it was used since it was last asked or cannot spare it.
    /// Whether it holds nothing of it any more.
    ///
    /// Called while another segment waits under its own locks, so no lock is waited for here.
    pub(super) fn give_back(&self, kind: Holding) -> bool {
        if self.touched[kind as usize].swap(false, Ordering::Relaxed) {
            return false;
        }
        match kind {
            Holding::Map => {
                if let Some(old) = self.map.swap(None) {
                    self.resources.gave(Holding::Map, 1);
                    self.resources.linger(&old.map);
                }
                true
            }
            Holding::File => {
                // The kernel reports a failed write-back to descriptors that were open: a descriptor with
                // unsynced writes is kept until its sync.
                if self.synced_bytes() < self.size_bytes() {
                    return false;
                }
                let Some(mut slot) = self.file.try_lock() else { return false };
                if self.is_pinned() {
                    return false;
                }
                if slot.take().is_some() {
                    self.resources.gave(Holding::File, 1);
                }
                true
            }
            Holding::Index => {
                if !self.is_sealed() {
                    return false;
                }
                let Some(mut slot) = self.index.try_write() else { return false };
                if self.is_pinned() {
                    return false;
                }
                *slot = None;
                self.release_index_budget();
                true
            }
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.close_file();
        if let Some(old) = self.map.swap(None) {
            self.resources.gave(Holding::Map, 1);
            self.resources.linger(&old.map);
        }
        self.release_index_budget();
    }
}

impl BatchSource for Arc<Segment> {
    fn bytes(&self, position: u64, size_bytes: usize) -> io::Result<Bytes> {
        self.view(position, size_bytes)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("base_offset", &self.base_offset)
            .field("size_bytes", &self.size_bytes())
            .field("next_offset", &self.next_offset())
            .finish_non_exhaustive()
    }
}
