//! Durability: what is synced, making it so, and what a failed sync means.
//!
//! A sync that fails is final. The kernel drops the pages it could not write, marks them clean, and the next sync
//! succeeds though they are lost; so the log is fenced: no append, no further sync, until a restart recovers it
//! from what the medium holds. A sync of the whole file system loses pages of files that nobody asked it for, so one
//! failure fences every log that shares the [`LogResources`](super::LogResources).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::epochs::Epochs;
use super::error::LogError;
use super::index_checkpoint::{self, IndexRecords};
use super::names;
use super::segment::Segment;
use super::write::Writer;
use crate::env::OpenMode;
use crate::types::{Offset, TimestampMs};

/// How far a log is on the disk: what recovery need not scan. Belongs into the broker's checkpoint file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SyncedUpTo {
    /// All offsets below are on the disk.
    pub offset: Offset,
    /// The base offset of the segment that was active.
    pub segment: Offset,
    /// The position in that segment's file up to which it is on the disk.
    pub position: u64,
}

/// What a sync that begins now will make durable.
#[derive(Debug, Clone)]
pub struct SyncTarget {
    segment: Arc<Segment>,
    up_to: SyncedUpTo,
    /// All bytes appended by then since the log was opened.
    appended_bytes: u64,
}

/// How far a log is synced, in two measures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Synced {
    pub(super) up_to: SyncedUpTo,
    /// Of the bytes appended since the log was opened.
    pub(super) bytes: u64,
}

/// After this many bytes a checkpoint writes a new producer snapshot, durably: what opening the log then walks at most.
pub(super) const SNAPSHOT_EVERY_BYTES: u64 = 64 << 20;
/// A file of so many bytes, a page, is written by one call at once: killing the process leaves no half of it.
const OVERWRITTEN_BYTES_MAX: usize = 4096;

// === impl SyncTarget ===

impl SyncTarget {
    /// The log end offset at which the target was taken: what the sync commits.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.up_to.offset
    }

    /// The checkpoint that the sync will justify.
    #[must_use]
    pub fn up_to(&self) -> SyncedUpTo {
        self.up_to
    }
}

// === impl Log ===

impl Log {
    /// What a sync that begins after this call makes durable; None when all is. For callers who sync several
    /// logs together: sync the file system, then [`Log::mark_synced`]; on failure [`Log::fence`].
    #[must_use]
    pub fn sync_target(&self) -> Option<SyncTarget> {
        let writer = self.writer.lock();
        (self.unsynced_bytes() > 0).then(|| self.target(&writer))
    }

    fn target(&self, writer: &Writer) -> SyncTarget {
        SyncTarget {
            segment: Arc::clone(&writer.active),
            up_to: SyncedUpTo {
                offset: writer.next_offset,
                segment: writer.active.base_offset,
                position: writer.position,
            },
            appended_bytes: self.appended_bytes.load(Ordering::Acquire),
        }
    }

    /// Makes all that is appended by now durable. Appends go on meanwhile.
    ///
    /// # Errors
    /// `SyncFailed` fences the log; `Fenced` when it was fenced before. Neither may be followed by an
    /// acknowledgement of anything not synced before.
    pub fn sync(&self) -> Result<SyncedUpTo, LogError> {
        if self.is_fenced() {
            return Err(LogError::Fenced);
        }
        let Some(target) = self.sync_target() else { return Ok(self.synced_up_to()) };
        if let Err(error) = target.segment.file().and_then(|file| file.sync_data()) {
            self.fence();
            return Err(LogError::SyncFailed { path: target.segment.log_path(), source: Arc::new(error) });
        }
        // Fenced meanwhile by another sync: its failure covers the same pages.
        if self.is_fenced() {
            return Err(LogError::Fenced);
        }
        Ok(self.mark_synced(&target))
    }

    /// Notes that `target` is durable: the caller's own sync, begun after the target was taken, succeeded. That proves
    /// nothing once another sync has failed, which may have lost the same pages; then nothing is noted.
    pub fn mark_synced(&self, target: &SyncTarget) -> SyncedUpTo {
        if self.is_fenced() {
            return self.synced_up_to();
        }
        target.segment.mark_synced(target.up_to.position);
        let mut synced = self.synced.lock();
        // A roll may have synced further meanwhile.
        if target.up_to.offset > synced.up_to.offset {
            *synced = Synced { up_to: target.up_to, bytes: target.appended_bytes };
        }
        synced.up_to
    }

    /// Notes that everything is durable, as at a roll.
    pub(super) fn note_synced(&self, writer: &Writer) {
        let target = self.target(writer);
        *self.synced.lock() = Synced { up_to: target.up_to, bytes: target.appended_bytes };
    }

    /// Refuses all appends and syncs from here on: a sync that covers this log failed. Reads go on.
    pub fn fence(&self) {
        self.resources.fence();
        if !self.fenced.swap(true, Ordering::AcqRel) {
            self.resources.counters().fenced_logs.fetch_add(1, Ordering::Relaxed);
            tracing::error!(dir = %self.dir.display(), "a sync failed: the log takes no more writes until a restart");
        }
    }

    /// Whether a sync failed, of this log or of another one.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.resources.is_fenced()
    }

    /// How far the log is known to be on the disk.
    #[must_use]
    pub fn synced_up_to(&self) -> SyncedUpTo {
        self.synced.lock().up_to
    }

    /// Bytes that are appended and not known to be durable. Recovery tells a torn tail from damage only as long
    /// as this stays within [`UNSYNCED_BYTES_MAX`](super::UNSYNCED_BYTES_MAX), in every durability mode.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        let appended = self.appended_bytes.load(Ordering::Acquire);
        appended.saturating_sub(self.synced.lock().bytes)
    }

    /// Syncs, then persists what spares the next start a scan: the epochs, the tail of the indexes and, after
    /// enough bytes, a producer snapshot. The result is for the broker's checkpoint file.
    ///
    /// # Errors
    /// `SyncFailed` fences the log; `Io` when the epochs could not be written: the old checkpoint stays the one
    /// to use.
    pub fn checkpoint(&self, now_ms: TimestampMs) -> Result<SyncedUpTo, LogError> {
        self.sync()?;
        let mut writer = self.writer.lock();
        self.expire_producers(&mut writer, now_ms);
        // Only synced entries may reach the index files, so the writer is held and what came since is synced too.
        self.sync_held(&writer)?;
        if writer.epochs_changed {
            let epochs = self.epochs.read().clone();
            self.replace_epochs(&mut writer, &epochs, self.log_start_offset())?;
        }
        self.persist_index(&writer, false);
        if writer.bytes_since_kept_snapshot >= SNAPSHOT_EVERY_BYTES {
            self.write_snapshot(&mut writer, true);
        }
        Ok(self.synced_up_to())
    }

    /// The last checkpoint of an orderly stop: nothing is appended afterwards.
    ///
    /// What is written besides the batches is not synced here, once per log; the caller syncs the file system
    /// once after the last log and before it notes the clean stop. Should it not, the next start rebuilds.
    ///
    /// # Errors
    /// As [`Log::checkpoint`]; the stop was not clean then.
    pub fn close_clean(&self, now_ms: TimestampMs) -> Result<SyncedUpTo, LogError> {
        self.sync()?;
        let mut writer = self.writer.lock();
        self.sync_held(&writer)?;
        writer.closed = true;
        // Blocks reserved ahead are of no use to a stopped broker.
        if writer.allocated_to > writer.position {
            let path = writer.active.log_path();
            let file = writer.active.file().map_err(LogError::at(&path))?;
            file.set_len(writer.position).map_err(LogError::at(&path))?;
            writer.allocated_to = writer.position;
        }
        self.expire_producers(&mut writer, now_ms);
        if writer.epochs_changed {
            self.write_epochs_beside(&mut writer)?;
        }
        self.persist_index(&writer, writer.position > 0);
        if writer.snapshot_offset != writer.next_offset {
            self.write_snapshot(&mut writer, false);
        }
        Ok(self.synced_up_to())
    }

    /// Syncs what was appended between a sync and the taking of the writer's lock.
    pub(super) fn sync_held(&self, writer: &Writer) -> Result<(), LogError> {
        if self.is_fenced() {
            return Err(LogError::Fenced);
        }
        if self.unsynced_bytes() > 0 {
            if let Err(error) = writer.active.file().and_then(|file| file.sync_data()) {
                self.fence();
                return Err(LogError::SyncFailed { path: writer.active.log_path(), source: Arc::new(error) });
            }
            writer.active.mark_synced(writer.position);
            self.note_synced(writer);
        }
        Ok(())
    }

    /// Writes the tail of the active segment's index; the `last` time also when it is empty.
    fn persist_index(&self, writer: &Writer, last: bool) {
        let disk = &self.resources.env().disk;
        let active = &writer.active;
        let written = active.with_active_index(|index| {
            let written = index.persist(&**disk, active, last);
            active.set_index_record(index.record(false).filter(|_| written.is_ok()));
            written
        });
        match written {
            Ok(true) => self.update_index_checkpoint(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(file = %active.log_path().display(), %error, "the index was not written");
            }
        }
    }

    /// Writes what the index files should hold, without waiting for the disk.
    pub(super) fn write_index_checkpoint(&self) {
        self.tell_of_index_checkpoint(self.try_write_index_checkpoint());
    }

    /// As [`Self::write_index_checkpoint`], for those who need to know; the old content is gone for good once the
    /// directory is synced.
    pub(super) fn try_write_index_checkpoint(&self) -> io::Result<()> {
        self.write_beside(index_checkpoint::NAME, &self.index_checkpoint())
    }

    /// The same at a checkpoint, when it does not matter whether a crash brings the old content back. A small file is
    /// written over: with thousands of partitions, a new file for each every few seconds is most of what a checkpoint costs.
    fn update_index_checkpoint(&self) {
        let content = self.index_checkpoint();
        self.tell_of_index_checkpoint(match content.len() {
            ..=OVERWRITTEN_BYTES_MAX => self.write_over(index_checkpoint::NAME, &content),
            _ => self.write_beside(index_checkpoint::NAME, &content),
        });
    }

    fn tell_of_index_checkpoint(&self, written: io::Result<()>) {
        if let Err(error) = written {
            tracing::warn!(dir = %self.dir.display(), %error, "the index checkpoint was not written");
        }
    }

    fn index_checkpoint(&self) -> Vec<u8> {
        let segments = self.segments.load();
        let records: IndexRecords = segments
            .iter()
            .filter_map(|segment| Some((segment.base_offset, segment.index_record()?)))
            .collect();
        index_checkpoint::encode(&records)
    }

    /// Writes over a file so that a crash leaves the old content, the new one, or one that its checksum refuses; not synced.
    fn write_over(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let file = self.resources.env().disk.open(&self.dir.join(name), OpenMode::Create)?;
        file.write_all_at(content, 0)?;
        if file.len()? > content.len() as u64 {
            file.set_len(content.len() as u64)?;
        }
        Ok(())
    }

    /// Replaces a file so that a crash leaves the old one, the new one, or a torn new one; not synced.
    pub(super) fn write_beside(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let disk = &self.resources.env().disk;
        let beside = self.dir.join(format!("{name}{}", names::BESIDE_SUFFIX));
        disk.open(&beside, OpenMode::Truncate)?.write_all_at(content, 0)?;
        disk.rename(&beside, &self.dir.join(name))
    }

    /// Replaces the file of epochs and log start, durably.
    pub(super) fn replace_epochs(
        &self,
        writer: &mut Writer,
        epochs: &Epochs,
        log_start_offset: Offset,
    ) -> Result<(), LogError> {
        let content = epochs.encode(log_start_offset);
        let path = self.dir.join(names::EPOCHS);
        self.resources.env().disk.replace(&path, &content).map_err(LogError::at(path))?;
        writer.epochs_changed = false;
        Ok(())
    }

    /// Replaces that file without waiting for the disk.
    fn write_epochs_beside(&self, writer: &mut Writer) -> Result<(), LogError> {
        let content = self.epochs.read().encode(self.log_start_offset());
        self.write_beside(names::EPOCHS, &content).map_err(LogError::at(self.dir.join(names::EPOCHS)))?;
        writer.epochs_changed = false;
        Ok(())
    }
}
