//! Writing: what the writer's lock guards, one vectored write for several batches, blocks allocated ahead.
//!
//! The record bytes are copied once, by the write into the page cache. What is stamped (base offset and leader
//! epoch, both before the checksummed part) goes into a fresh 16-byte prefix; the rest of the batch is written
//! from the buffer it arrived in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};

use super::Log;
use super::error::AppendError;
use super::producer_state::{ProducerState, ProducerStates};
use super::roll::RollError;
use super::segment::Segment;
use crate::record::{BatchHeader, stamp};
use crate::types::{Offset, ProducerId, TimestampMs};

/// What is rewritten of a batch: base offset (8), length (4, unchanged), leader epoch (4).
const STAMPED_BYTES: usize = 16;

/// Blocks are allocated ahead in steps that grow with the segment, so that ten thousand small partitions cost
/// little and a large one seldom asks.
const ALLOCATE_STEP_MIN: u64 = 64 << 10;
const ALLOCATE_STEP_MAX: u64 = 16 << 20;

/// What only the one writer touches, under the log's lock.
pub(super) struct Writer {
    pub(super) active: Arc<Segment>,
    /// The end of the log in the active segment.
    pub(super) position: u64,
    pub(super) next_offset: Offset,
    /// Up to where blocks are reserved.
    pub(super) allocated_to: u64,
    /// Whether a roll failed when it made the new file, which may be there all the same. Recovery would take the active
    /// segment to end where that one begins, so nothing is appended to it any more.
    pub(super) must_roll: bool,
    pub(super) producers: ProducerStates,
    /// The last time stamped by `LogAppendTime`.
    pub(super) append_time_ms: TimestampMs,
    /// Set by an orderly stop.
    pub(super) closed: bool,
    /// Whether the epochs changed since their file was written.
    pub(super) epochs_changed: bool,
    /// Up to which offset the newest producer snapshot reaches.
    pub(super) snapshot_offset: Offset,
    /// Whether that snapshot was synced.
    pub(super) snapshot_durable: bool,
    /// Up to which offset the newest snapshot reaches that a power cut leaves; the one found at the start counts.
    pub(super) kept_snapshot_offset: Offset,
    /// Bytes appended since that one.
    pub(super) bytes_since_kept_snapshot: u64,
}

/// Batches on their way into the active segment by one write.
#[derive(Default)]
pub(super) struct Group {
    pub(super) placed: Vec<Placed>,
    pub(super) size_bytes: u64,
    /// Which of the call's batches repeat one that is in this group.
    pub(super) repeats: Vec<usize>,
    /// Producer states before each batch, to be put back should the write fail.
    pub(super) undo: Vec<(ProducerId, Option<ProducerState>)>,
}

/// A batch with its place.
pub(super) struct Placed {
    /// Which of the call's batches.
    pub(super) index: usize,
    pub(super) position: u64,
    /// With the assigned offset and epoch.
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
    /// The bytes carry their offset and epoch already.
    pub(super) verbatim: bool,
}

/// A write that failed, and which of the call's batches were in it.
pub(super) struct WriteFailure {
    pub(super) error: AppendError,
    pub(super) indexes: Vec<usize>,
}

// === impl Writer ===

impl Writer {
    /// Where the next batch goes.
    pub(super) fn end(&self, group: &Group) -> (u64, Offset) {
        let next_offset = group.placed.last().map_or(self.next_offset, |placed| placed.header.next_offset());
        (self.position + group.size_bytes, next_offset)
    }

    /// Whether the newest producer snapshot is older than the log end, or may be lost in a crash.
    pub(super) fn lacks_durable_snapshot(&self) -> bool {
        self.snapshot_offset != self.next_offset || !self.snapshot_durable
    }

    /// The next step of allocation for a segment that needs blocks up to `needed`.
    fn allocation_step(&self, needed: u64, segment_bytes: u32) -> (u64, u64) {
        let from = self.allocated_to.max(self.position);
        let step = self.position.clamp(ALLOCATE_STEP_MIN, ALLOCATE_STEP_MAX);
        let to = needed.max((from + step).min(u64::from(segment_bytes)));
        (from, to - from)
    }
}

// === impl Group ===

impl Group {
    /// The buffers of the one write.
    fn buffers(&self) -> Vec<Bytes> {
        let mut prefixes = BytesMut::with_capacity(self.placed.len() * STAMPED_BYTES);
        for placed in self.placed.iter().filter(|placed| !placed.verbatim) {
            let start = prefixes.len();
            prefixes.extend_from_slice(&placed.bytes[..STAMPED_BYTES]);
            stamp(&mut prefixes[start..], placed.header.base_offset, placed.header.leader_epoch);
        }
        let mut prefixes = prefixes.freeze();
        let mut buffers = Vec::with_capacity(self.placed.len() * 2);
        for placed in &self.placed {
            if placed.verbatim {
                buffers.push(placed.bytes.clone());
            } else {
                buffers.push(prefixes.split_to(STAMPED_BYTES));
                buffers.push(placed.bytes.slice(STAMPED_BYTES..));
            }
        }
        buffers
    }
}

// === impl WriteFailure ===

impl WriteFailure {
    pub(super) fn of_roll(error: RollError) -> Self {
        Self { error: error.into_append_error(), indexes: Vec::new() }
    }
}

// === impl Log ===

impl Log {
    /// Writes the group at the end of the log and makes it part of it.
    pub(super) fn write_group(
        &self,
        writer: &mut Writer,
        group: &mut Group,
        now_ms: TimestampMs,
    ) -> Result<(), WriteFailure> {
        let group = std::mem::take(group);
        let (Some(first), Some(last)) = (group.placed.first(), group.placed.last()) else { return Ok(()) };
        let (from_index, base_offset) = (first.index, first.header.base_offset);
        let (end_position, end_offset) = (writer.position + group.size_bytes, last.header.next_offset());
        if let Err(error) = self.write_at_end(writer, &group, end_position) {
            for saved in group.undo.into_iter().rev() {
                writer.producers.restore(saved);
            }
            tracing::warn!(dir = %self.dir.display(), %error, "an append failed; the log is as it was before");
            let mut indexes = group.repeats;
            indexes.extend(group.placed.iter().map(|placed| placed.index));
            return Err(WriteFailure { error: AppendError::from_io(error), indexes });
        }
        self.note_epochs(writer, &group);
        let interval_bytes = self.index_interval_bytes();
        writer.active.with_active_index(|index| {
            for placed in &group.placed {
                index.note(&placed.header, writer.active.base_offset, placed.position, interval_bytes);
            }
        });
        writer.active.note_append_ms(now_ms);
        writer.position = end_position;
        writer.next_offset = end_offset;
        writer.bytes_since_kept_snapshot += group.size_bytes;
        writer.active.extend(end_position, end_offset);
        self.appended_bytes.fetch_add(group.size_bytes, Ordering::AcqRel);
        // Last: who sees the new end finds the segment, its size and its index ready.
        self.log_end_offset.store(end_offset, Ordering::Release);
        tracing::trace!(base_offset, end_offset, batches = group.placed.len(), from_index, "appended");
        Ok(())
    }

    fn write_at_end(&self, writer: &mut Writer, group: &Group, end_position: u64) -> io::Result<()> {
        let file = writer.active.file()?;
        if end_position > writer.allocated_to {
            let (from, size_bytes) = writer.allocation_step(end_position, self.config.load().segment_bytes);
            match file.allocate(from, size_bytes) {
                Ok(()) => writer.allocated_to = from + size_bytes,
                // No room for a whole step; the batch itself may still fit.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    file.allocate(from, end_position - from)?;
                    writer.allocated_to = end_position;
                }
                Err(error) => return Err(error),
            }
        }
        let written = file.write_all_vectored_at(&group.buffers(), writer.position);
        if written.is_err() {
            // Part of it may be there. It lies beyond the end and would be overwritten; taking it away now keeps
            // a later recovery from finding whole batches in it that were answered with an error.
            if file.set_len(writer.position).is_ok() {
                writer.allocated_to = writer.position;
            }
        }
        written
    }

    /// Notes epochs that begin in the group.
    fn note_epochs(&self, writer: &mut Writer, group: &Group) {
        let latest = self.epochs.read().latest();
        let newest = group.placed.last().map(|placed| placed.header.leader_epoch);
        // The usual case takes the read lock only.
        if newest <= latest {
            return;
        }
        let mut epochs = self.epochs.write();
        for placed in &group.placed {
            let epoch = placed.header.leader_epoch;
            writer.epochs_changed |= epochs.note(epoch, placed.header.base_offset);
        }
    }

    /// Reserves blocks where the active segment will soon need them. To be called off the append path, after a
    /// commit, say. A failure is not reported: the append will meet it if it lasts.
    pub fn allocate_ahead(&self) {
        let Some(mut writer) = self.writer.try_lock() else { return };
        let segment_bytes = self.config.load().segment_bytes;
        let ahead = writer.allocated_to.saturating_sub(writer.position);
        let step = writer.position.clamp(ALLOCATE_STEP_MIN, ALLOCATE_STEP_MAX);
        // A segment that is not written to keeps what it has.
        if writer.position == 0 || ahead > step / 2 || writer.allocated_to >= u64::from(segment_bytes) {
            return;
        }
        let (from, size_bytes) = writer.allocation_step(writer.position, segment_bytes);
        if let Ok(file) = writer.active.file()
            && file.allocate(from, size_bytes).is_ok()
        {
            writer.allocated_to = from + size_bytes;
        }
    }
}
