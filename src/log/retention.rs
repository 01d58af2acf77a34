//! Retention and deletion of records: the log start moves up, whole segments below it go.
//!
//! The new log start is durable before the first file is unlinked: after a crash any of the unlinked files may be
//! back, and without the new start a hole between them would look like damage. On a full disk, where no file can be
//! replaced before one is gone, the name of an empty file says it. Unlinking leaves slices and maps
//! that readers hold as they are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::error::LogError;
use super::names;
use super::roll::RollError;
use super::segment::Segment;
use super::write::Writer;
use crate::env::OpenMode;
use crate::types::{Offset, TimestampMs};

/// What retention or a deletion of records removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whole segments.
    pub segments: usize,
    /// Their bytes of log.
    pub bytes: u64,
    /// Where the log starts now.
    pub log_start_offset: Offset,
}

// === impl Log ===

impl Log {
    /// Moves the log start up to `to` and removes the segments that lie wholly below; durable when it returns. An
    /// offset below the log start changes nothing.
    ///
    /// # Errors
    /// `OffsetOutOfRange` above the high watermark; `Fenced`; `Io`.
    pub fn delete_records(&self, to: Offset) -> Result<Deleted, LogError> {
        let mut structure = self.structure.lock();
        self.finish_swap(&mut structure)?;
        let mut writer = self.writer.lock();
        let high_watermark = self.high_watermark();
        if to < 0 || to > high_watermark {
            let log_start_offset = self.log_start_offset();
            return Err(LogError::OffsetOutOfRange { requested: to, log_start_offset, high_watermark });
        }
        self.move_start(&mut writer, to)
    }

    /// Removes the oldest segments while they are older than `retention.ms` or the log is larger than
    /// `retention.bytes`. An active segment that is too old is rolled first. Nothing above the high watermark is
    /// removed.
    ///
    /// # Errors
    /// `Fenced`, `SyncFailed`, `Io`.
    pub fn retain(&self, now_ms: TimestampMs) -> Result<Deleted, LogError> {
        let mut structure = self.structure.lock();
        self.finish_swap(&mut structure)?;
        let mut writer = self.writer.lock();
        if self.is_fenced() || writer.closed {
            return Err(LogError::Fenced);
        }
        if writer.position > 0 && self.is_expired(&writer.active, now_ms)? {
            self.roll(&mut writer, now_ms).map_err(RollError::into_log_error)?;
        }
        let segments = self.segments.load_full();
        let mut size_bytes = self.size_bytes();
        let retention_bytes = self.config.load().retention_bytes;
        let high_watermark = self.high_watermark();
        let mut to = self.log_start_offset();
        for segment in segments.iter().filter(|segment| segment.is_sealed()) {
            let too_large = retention_bytes.is_some_and(|retention_bytes| {
                size_bytes.saturating_sub(segment.size_bytes()) >= retention_bytes
            });
            let below_start = segment.next_offset() <= to;
            if segment.next_offset() > high_watermark
                || !(below_start || too_large || self.is_expired(segment, now_ms)?)
            {
                break;
            }
            size_bytes -= segment.size_bytes();
            to = to.max(segment.next_offset());
        }
        self.move_start(&mut writer, to)
    }

    /// Whether all of a segment is older than `retention.ms`.
    fn is_expired(&self, segment: &Arc<Segment>, now_ms: TimestampMs) -> Result<bool, LogError> {
        let Some(retention_ms) = self.config.load().retention_ms else { return Ok(false) };
        let newest_ms = self.newest_ms(segment, now_ms)?;
        Ok(u64::try_from(now_ms.saturating_sub(newest_ms)).is_ok_and(|age_ms| age_ms > retention_ms))
    }

    /// The time of the newest record of a segment.
    ///
    /// The largest timestamp decides. One that lies in the future, which a producer may set as it likes, would
    /// keep the segment for ever; then, as when there is none, the time of the last append does.
    pub(super) fn newest_ms(
        &self,
        segment: &Arc<Segment>,
        now_ms: TimestampMs,
    ) -> Result<TimestampMs, LogError> {
        let error_at = |error| LogError::at(segment.log_path())(error);
        let largest = self.largest_timestamp(segment).map_err(error_at)?;
        match largest.map(|largest| largest.timestamp_ms) {
            Some(timestamp_ms) if (0..=now_ms).contains(&timestamp_ms) => Ok(timestamp_ms),
            _ => segment.last_append_ms().map_err(error_at),
        }
    }

    fn move_start(&self, writer: &mut Writer, to: Offset) -> Result<Deleted, LogError> {
        if self.is_fenced() || writer.closed {
            return Err(LogError::Fenced);
        }
        let segments = self.segments.load_full();
        let to = to.max(self.log_start_offset());
        let gone = segments.partition_point(|segment| segment.is_sealed() && segment.next_offset() <= to);
        let mut made_room_first = false;
        // Under write caching the high watermark lies above what is synced. A start above the end that a crash leaves
        // would have to go back, and offsets that were deleted would be given again.
        if to > self.synced_up_to().offset {
            self.sync_held(writer)?;
        }
        // Before anything says that the batches are gone: once the start is durable, an opening removes them.
        if gone > 0 {
            self.keep_producers(writer)?;
        }
        if to > self.log_start_offset() {
            // In the file first, then in memory: what readers are told is true after a crash too.
            let mut epochs = self.epochs.read().clone();
            epochs.truncate_start(to);
            match self.replace_epochs(writer, &epochs, to) {
                Ok(()) => {}
                // On a full disk the way to the space leads through the deletion.
                Err(error) if error.is_full() && gone > 0 => {
                    self.tell_start_by_name(to)?;
                    made_room_first = true;
                }
                Err(error) => return Err(error),
            }
            *self.epochs.write() = epochs;
            self.log_start_offset.store(to, Ordering::Release);
        }
        let mut deleted = Deleted { log_start_offset: to, ..Deleted::default() };
        if gone > 0 {
            self.segments.store(Arc::new(segments[gone..].to_vec()));
        }
        for segment in &segments[..gone] {
            deleted.segments += 1;
            deleted.bytes += segment.size_bytes();
            self.remove_files(segment).map_err(LogError::at(segment.log_path()))?;
            // Without a durable start, one file after the other, so that a crash leaves no hole.
            if made_room_first {
                self.resources.env().disk.sync_dir(&self.dir).map_err(LogError::at(&*self.dir))?;
            }
        }
        if gone > 0 && writer.lacks_durable_snapshot() {
            // On a full disk it could not be written before there was room.
            self.write_snapshot(writer, true);
        }
        if made_room_first {
            let epochs = self.epochs.read().clone();
            self.replace_epochs(writer, &epochs, to)?;
            // Of no more use, and harmless where it stays: the next start removes it.
            let _ = self.resources.env().disk.remove_file(&self.dir.join(names::start(to)));
        }
        self.resources.counters().segments_deleted.fetch_add(gone as u64, Ordering::Relaxed);
        Ok(deleted)
    }

    /// Makes the log start durable with an empty file, which takes no space: without it a crash in the middle of the
    /// deletion would look like the loss of the first segments.
    fn tell_start_by_name(&self, to: Offset) -> Result<(), LogError> {
        let disk = &self.resources.env().disk;
        let path = self.dir.join(names::start(to));
        let told = disk.open(&path, OpenMode::Create).and_then(|_| disk.sync_dir(&self.dir));
        match told.map_err(LogError::at(path)) {
            // Not even a name has room: then a loss is what it looks like, and no record comes back.
            Err(error) if error.is_full() => Ok(()),
            told => told,
        }
    }

    /// Makes the producers' state durable before the batches that it came from are gone.
    fn keep_producers(&self, writer: &mut Writer) -> Result<(), LogError> {
        self.sync_held(writer)?;
        if writer.lacks_durable_snapshot() {
            self.write_snapshot(writer, true);
        }
        Ok(())
    }

    /// Unlinks a segment's files. Should it fail in between, the next start removes them: they lie below the
    /// durable log start.
    fn remove_files(&self, segment: &Segment) -> io::Result<()> {
        let disk = &self.resources.env().disk;
        let base_offset = segment.base_offset;
        for name in [names::log(base_offset), names::index(base_offset), names::time_index(base_offset)] {
            match disk.remove_file(&segment.path(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
