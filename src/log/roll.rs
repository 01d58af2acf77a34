//! Rolling: sealing the active segment and beginning the next.
//!
//! What always holds, and recovery relies on: a segment file exists only when everything in the segments before
//! it is on the disk. So the old segment is synced before the new file is made, and the new name is durable
//! before anything is written under it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::error::{AppendError, LogError};
use super::names;
use super::resources::LogResources;
use super::segment::{Segment, SegmentParts};
use super::segment_index::SegmentIndex;
use super::snapshot;
use super::write::Writer;
use crate::env::OpenMode;
use crate::types::{Offset, TimestampMs};

/// Why no new segment was begun; the active one goes on, unless the log is fenced.
pub(super) enum RollError {
    /// A sync failed: the log is fenced.
    Sync(PathBuf, io::Error),
    /// The new file could not be made.
    Io(PathBuf, io::Error),
}

// === impl RollError ===

impl RollError {
    fn of_replace(error: LogError) -> Self {
        match error {
            LogError::Io { path, source } => {
                let kind = source.kind();
                Self::Io(path, io::Error::new(kind, source))
            }
            other => Self::Io(PathBuf::new(), io::Error::other(other)),
        }
    }

    pub(super) fn into_append_error(self) -> AppendError {
        match self {
            Self::Sync(_, source) => AppendError::Io { source: Arc::new(source) },
            Self::Io(_, source) => AppendError::from_io(source),
        }
    }

    pub(super) fn into_log_error(self) -> LogError {
        match self {
            Self::Sync(path, source) => LogError::SyncFailed { path, source: Arc::new(source) },
            Self::Io(path, source) => LogError::Io { path, source: Arc::new(source) },
        }
    }
}

// === impl Log ===

impl Log {
    /// Begins a new segment when the active one is older than `segment.ms`; whether it did.
    ///
    /// # Errors
    /// `SyncFailed` (the log is fenced then) or `Io` (nothing changed).
    pub fn maybe_roll(&self, now_ms: TimestampMs) -> Result<bool, LogError> {
        let mut writer = self.writer.lock();
        if self.is_fenced() || writer.closed || writer.position == 0 || !self.is_old(&writer.active, now_ms) {
            return Ok(false);
        }
        self.roll(&mut writer, now_ms).map_err(RollError::into_log_error)?;
        Ok(true)
    }

    /// Whether a segment has been written to for `segment.ms` or longer; in a compacted log also for
    /// `max.compaction.lag.ms`.
    pub(super) fn is_old(&self, segment: &Segment, now_ms: TimestampMs) -> bool {
        let config = self.config.load();
        // Only closed segments are cleaned.
        let segment_ms = match config.compact {
            true => config.segment_ms.min(config.max_compaction_lag_ms),
            false => config.segment_ms,
        };
        segment.first_append_ms().is_some_and(|first_ms| {
            u64::try_from(now_ms.saturating_sub(first_ms)).is_ok_and(|age_ms| age_ms >= segment_ms)
        })
    }

    /// Seals the active segment, which is not empty, and begins the next at the log end offset.
    pub(super) fn roll(&self, writer: &mut Writer, now_ms: TimestampMs) -> Result<(), RollError> {
        let sealed = Arc::clone(&writer.active);
        assert!(writer.position > 0, "an empty segment is not rolled: the next would have its name");
        let path = sealed.log_path();
        let file = sealed.file().map_err(|error| RollError::Io(path.clone(), error))?;
        // Releases the blocks reserved beyond the end; the length stays what it is.
        file.set_len(writer.position).map_err(|error| RollError::Io(path.clone(), error))?;
        writer.allocated_to = writer.position;
        if let Err(error) = file.sync_data() {
            self.fence();
            return Err(RollError::Sync(path, error));
        }
        // Recovery looks for new epochs in the last segment only.
        if writer.epochs_changed {
            let epochs = self.epochs.read().clone();
            self.replace_epochs(writer, &epochs, self.log_start_offset()).map_err(RollError::of_replace)?;
        }
        // Once it is closed, an opening removes a segment that lies below the log start: the state must not need it.
        if self.log_start_offset() >= writer.next_offset {
            self.write_snapshot(writer, true);
        }
        writer.must_roll = true;
        let active = self.begin_segment(writer.next_offset)?;
        writer.must_roll = false;
        self.finish_sealed(writer, &sealed, now_ms);
        let mut segments = self.segments.load().to_vec();
        segments.push(Arc::clone(&active));
        self.segments.store(Arc::new(segments));
        self.write_index_checkpoint();
        writer.active = active;
        writer.position = 0;
        writer.allocated_to = 0;
        self.note_synced(writer);
        self.resources.counters().segments_rolled.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn begin_segment(&self, base_offset: Offset) -> Result<Arc<Segment>, RollError> {
        let segment_bytes = self.config.load().segment_bytes;
        let begun = begin_segment(&self.dir, &self.resources, segment_bytes, base_offset);
        if let Err(RollError::Sync(..)) = begun {
            self.fence();
        }
        begun
    }

    /// Writes what belongs to a sealed segment. All of it can be rebuilt, so a failure is only told.
    fn finish_sealed(&self, writer: &mut Writer, sealed: &Arc<Segment>, now_ms: TimestampMs) {
        let disk = &self.resources.env().disk;
        sealed.mark_synced(writer.position);
        let written = sealed.with_active_index(|index| {
            index.finish();
            let written = index.persist(&**disk, sealed, true);
            sealed.set_index_record(index.record(true).filter(|_| written.is_ok()));
            written
        });
        if let Err(error) = written {
            tracing::warn!(file = %sealed.log_path().display(), %error, "the index was not written");
        }
        sealed.seal();
        self.expire_producers(writer, now_ms);
        if writer.lacks_durable_snapshot() {
            self.write_snapshot(writer, false);
        }
    }

    /// Forgets idle producers.
    pub(super) fn expire_producers(&self, writer: &mut Writer, now_ms: TimestampMs) {
        let expiration_ms = self.config.load().producer_id_expiration_ms;
        writer.producers.expire(now_ms, expiration_ms);
    }

    /// Writes a producer snapshot for the log end offset, which is synced, and removes those not needed any more.
    /// A `durable` one is synced; another may be lost in a crash, and the batches since an older one replace it.
    pub(super) fn write_snapshot(&self, writer: &mut Writer, durable: bool) {
        let offset = writer.next_offset;
        let disk = &self.resources.env().disk;
        let path = self.dir.join(names::snapshot(offset));
        let content = snapshot::encode(&writer.producers, offset);
        let written = if durable {
            disk.replace(&path, &content)
        } else {
            disk.open(&path, OpenMode::Truncate).and_then(|file| file.write_all_at(&content, 0))
        };
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "the producer snapshot was not written");
            return;
        }
        writer.snapshot_durable = durable;
        writer.snapshot_offset = offset;
        if durable {
            writer.kept_snapshot_offset = offset;
            writer.bytes_since_kept_snapshot = 0;
        }
        if let Err(error) = self.remove_old_snapshots(offset, writer.kept_snapshot_offset) {
            tracing::warn!(dir = %self.dir.display(), %error, "old producer snapshots were not removed");
        }
    }

    /// Those that were never synced may go in a power cut, all at once: one that stays is kept beside them.
    fn remove_old_snapshots(&self, newest: Offset, kept: Offset) -> io::Result<()> {
        let disk = &self.resources.env().disk;
        let mut offsets: Vec<Offset> = disk
            .read_dir(&self.dir)?
            .iter()
            .filter_map(|name| names::parse(name))
            .filter(|&(offset, kind)| kind == names::Kind::Snapshot && offset <= newest)
            .map(|(offset, _)| offset)
            .collect();
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        for offset in offsets.into_iter().skip(snapshot::SNAPSHOTS_KEPT).filter(|&offset| offset != kept) {
            disk.remove_file(&self.dir.join(names::snapshot(offset)))?;
        }
        Ok(())
    }
}

/// Makes an empty segment, its name durable.
pub(super) fn begin_segment(
    dir: &Arc<Path>,
    resources: &Arc<LogResources>,
    segment_bytes: u32,
    base_offset: Offset,
) -> Result<Arc<Segment>, RollError> {
    let parts = SegmentParts {
        base_offset,
        dir: Arc::clone(dir),
        size_bytes: 0,
        next_offset: base_offset,
        sealed: false,
        map_bytes: u64::from(segment_bytes),
        index: Some(SegmentIndex::default()),
        index_record: None,
    };
    let segment = Segment::new(parts, Arc::clone(resources));
    let path = segment.log_path();
    let disk = &resources.env().disk;
    // A file of this name is the trace of a roll that failed here: no batch was ever acknowledged from it.
    let file = disk.open(&path, OpenMode::Truncate).map_err(|error| RollError::Io(path, error))?;
    segment.adopt_file(file);
    disk.sync_dir(dir).map_err(|error| RollError::Sync(dir.to_path_buf(), error))?;
    Ok(segment)
}
