//! Both indexes of a segment: built by appending, kept in files, rebuilt from the batches.
//!
//! Nothing here is trusted beyond the log. Of the files, what `index_checkpoint` vouches for is taken, the batch
//! of the last entry is looked at, and what follows it is walked; the other entries are checked when they are
//! used. What does not hold is rebuilt by walking all of the segment.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::index_checkpoint::{IndexRecord, Vouched};
use super::names;
use super::offset_index::{self, OffsetEntry, OffsetIndex};
use super::segment::Segment;
use super::time_index::{self, TimeEntry, TimeIndex};
use super::walk::{Found, Step, WINDOW_BYTES, Walk, Window};
use crate::env::{Disk, OpenMode};
use crate::record::BatchHeader;
use crate::types::Offset;

/// Largest index file read: far above `segment.index.bytes` of any sane configuration.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The indexes of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    pub(super) offsets: OffsetIndex,
    pub(super) times: TimeIndex,
    /// The largest timestamp of the segment and the first batch that has it.
    pub(super) largest: Option<TimeEntry>,
    /// Bytes of batches since the last entry.
    bytes_since_entry: u64,
    /// What the files have already; None before there are files.
    persisted: Option<(Vouched, Vouched)>,
}

// === impl SegmentIndex ===

impl SegmentIndex {
    /// Takes note of the next batch. Kafka's rule: the batch that comes after `interval_bytes` or more without
    /// an entry gets one.
    pub(super) fn note(
        &mut self,
        header: &BatchHeader,
        base_offset: Offset,
        position: u64,
        interval_bytes: u32,
    ) {
        let relative = u32::try_from(header.last_offset() - base_offset)
            .expect("a segment is rolled before its relative offsets overflow");
        // Of a batch that compaction has emptied, only the offsets are left.
        let timestamp_ms = if header.record_count == 0 { -1 } else { header.max_timestamp };
        if timestamp_ms > self.largest.map_or(-1, |largest| largest.timestamp_ms) {
            self.largest = Some(TimeEntry { timestamp_ms, relative });
        }
        if self.bytes_since_entry > u64::from(interval_bytes) {
            let position = u32::try_from(position).expect("a segment is smaller than 4 GiB");
            self.offsets.push(OffsetEntry { relative, position });
            if let Some(largest) = self.largest {
                self.times.maybe_push(largest);
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_bytes() as u64;
    }

    /// About how much memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.offsets.size_bytes() + self.times.size_bytes() * 16 / time_index::ENTRY_BYTES
    }

    /// Writes the entries that the files do not have yet; whether there were any. Not synced: an index can always
    /// be rebuilt. An index without entries gets its (empty) files only at the `last` writing.
    pub(super) fn persist(&mut self, disk: &dyn Disk, segment: &Segment, last: bool) -> io::Result<bool> {
        let (offsets, times) = self.persisted.unwrap_or_default();
        let (new_offsets, new_times) = (
            self.offsets.entries().len() - offsets.count as usize,
            self.times.entries().len() - times.count as usize,
        );
        if (new_offsets, new_times) == (0, 0) && (self.persisted.is_some() || !last) {
            return Ok(false);
        }
        let file = disk.open(&segment.path(&names::index(segment.base_offset)), OpenMode::Create)?;
        let bytes = self.offsets.encode_from(offsets.count as usize);
        file.write_all_at(&bytes, u64::from(offsets.count) * offset_index::ENTRY_BYTES as u64)?;
        let offsets = offsets.and(new_offsets, &bytes);
        let file = disk.open(&segment.path(&names::time_index(segment.base_offset)), OpenMode::Create)?;
        let bytes = self.times.encode_from(times.count as usize);
        file.write_all_at(&bytes, u64::from(times.count) * time_index::ENTRY_BYTES as u64)?;
        self.persisted = Some((offsets, times.and(new_times, &bytes)));
        Ok(true)
    }

    /// Writes both files anew, in case they hold something else.
    pub(super) fn rewrite(&mut self, disk: &dyn Disk, dir: &Path, base_offset: Offset) -> io::Result<()> {
        let (offsets, times) = (self.offsets.encode_from(0), self.times.encode_from(0));
        disk.replace(&dir.join(names::index(base_offset)), &offsets)?;
        disk.replace(&dir.join(names::time_index(base_offset)), &times)?;
        let vouched = |count, bytes: &[u8]| Vouched::default().and(count, bytes);
        self.persisted = Some((
            vouched(self.offsets.entries().len(), &offsets),
            vouched(self.times.entries().len(), &times),
        ));
        Ok(())
    }

    /// What can be vouched for of the files; None before there are any.
    pub(super) fn record(&self, sealed: bool) -> Option<IndexRecord> {
        let (offsets, times) = self.persisted?;
        Some(IndexRecord { offsets, times, sealed, largest: self.largest })
    }

    /// Adds the largest timestamp as the last entry of the time index, as Kafka does when it closes a segment.
    pub(super) fn finish(&mut self) {
        if let Some(largest) = self.largest {
            self.times.maybe_push(largest);
        }
    }

    /// The index of a sealed segment: from its files where they are good, else rebuilt (and written).
    pub(super) fn load_sealed(segment: &Arc<Segment>, interval_bytes: u32) -> io::Result<Self> {
        let size_bytes = segment.size_bytes();
        let Some(record) = segment.index_record() else { return Self::rebuild(segment, interval_bytes) };
        let disk = &segment.resources().env().disk;
        if let Some(mut index) =
            Self::read_files(&**disk, segment.dir(), segment.base_offset, &record, size_bytes)
        {
            let mut window = Window::new(segment, size_bytes, 4096);
            if let Some((position, expected)) = index.resume(&mut window, segment.base_offset)? {
                let mut walk = Walk::starting_at(segment, WINDOW_BYTES, position, expected);
                index.follow(&mut walk, segment.base_offset, interval_bytes)?;
                return Ok(index);
            }
        }
        Self::rebuild(segment, interval_bytes)
    }

    /// The index of a segment from its batches alone; replaces the files.
    pub(super) fn rebuild(segment: &Arc<Segment>, interval_bytes: u32) -> io::Result<Self> {
        segment.resources().counters().files_rebuilt.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(file = %segment.log_path().display(), "index missing or wrong, rebuilding it from the log");
        let mut index = Self::default();
        index.follow(&mut Walk::new(segment, WINDOW_BYTES), segment.base_offset, interval_bytes)?;
        if segment.is_sealed() {
            index.finish();
        }
        // The names are another segment's by now, or will be.
        if segment.is_pinned() {
            return Ok(index);
        }
        // Only a hint: when it cannot be written it is rebuilt again next time.
        if let Err(error) =
            index.rewrite(&*segment.resources().env().disk, segment.dir(), segment.base_offset)
        {
            tracing::warn!(file = %segment.log_path().display(), %error, "the rebuilt index was not written");
        }
        // For this process; the next one learns of it when the log writes its index checkpoint.
        segment.set_index_record(index.record(segment.is_sealed()));
        Ok(index)
    }

    fn follow(&mut self, walk: &mut Walk<'_>, base_offset: Offset, interval_bytes: u32) -> io::Result<()> {
        loop {
            match walk.next()? {
                Found::Batch(step) => self.meet(&step, base_offset, interval_bytes),
                Found::Damaged(_) => {}
                Found::End => return Ok(()),
            }
        }
    }

    /// Takes note of a batch met on a walk, which may begin with the batch of the last entry.
    pub(super) fn meet(&mut self, step: &Step, base_offset: Offset, interval_bytes: u32) {
        let known = self.offsets.entries().last();
        if known.is_none_or(|entry| u64::from(entry.position) < step.position) {
            self.note(&step.header, base_offset, step.position, interval_bytes);
        } else {
            self.bytes_since_entry = step.header.size_bytes() as u64;
        }
    }

    /// What the files hold, if it is what `record` says and names batches that begin below `end`.
    pub(super) fn read_files(
        disk: &dyn Disk,
        dir: &Path,
        base_offset: Offset,
        record: &IndexRecord,
        end: u64,
    ) -> Option<Self> {
        let offsets = disk.read(&dir.join(names::index(base_offset)), FILE_BYTES_MAX).ok()?;
        let times = disk.read(&dir.join(names::time_index(base_offset)), FILE_BYTES_MAX).ok()?;
        let (mut offsets, offsets_good) =
            OffsetIndex::decode(record.offsets.part(&offsets, offset_index::ENTRY_BYTES)?);
        let (mut times, times_good) = TimeIndex::decode(record.times.part(&times, time_index::ENTRY_BYTES)?);
        if !offsets_good || !times_good || offsets.truncate_to(end) {
            return None;
        }
        // A time entry beyond the last offset entry is that of a finished index; walking finds it again.
        let finished = times.truncate_to(offsets.entries().last().map(|entry| entry.relative));
        let persisted = (!finished).then_some((record.offsets, record.times));
        let largest = times.entries().last().copied();
        Some(Self { offsets, times, largest, bytes_since_entry: 0, persisted })
    }

    /// Where a walk over `window` may begin, and the offset expected there: at the batch of the last entry; None
    /// when that batch is not there.
    pub(super) fn resume(
        &self,
        window: &mut Window<'_>,
        base_offset: Offset,
    ) -> io::Result<Option<(u64, Offset)>> {
        let Some(entry) = self.offsets.entries().last() else { return Ok(Some((0, base_offset))) };
        let position = u64::from(entry.position);
        let header = window.header(position, base_offset, Offset::MAX)?.ok();
        let named = header.filter(|header| header.last_offset() == entry.offset(base_offset));
        Ok(named.map(|header| (position, header.base_offset)))
    }
}
