//! The state files of a log at its opening: epochs, index records, producers; rebuilt where they are bad.

use std::io;
use std::sync::Arc;

use super::epochs::{self, Epochs};
use super::index_checkpoint;
use super::names;
use super::open::{Files, Opening};
use super::producer_state::ProducerStates;
use super::segment::Segment;
use super::snapshot;
use super::walk::{Found, WINDOW_BYTES, Walk, first_batch};
use crate::types::{Offset, TimestampMs};

// === impl Opening ===

impl Opening {
    /// Reads the epochs and the log start. A file that is bad is not read as one that says nothing.
    ///
    /// # Errors
    /// When the file cannot be read now. It may be sound, and without it the log would start too early.
    pub(super) fn load_epochs(&mut self, files: &Files) -> io::Result<()> {
        let first = files.segments.keys().next().copied();
        let decoded = self.disk().read(&self.dir.join(names::EPOCHS), epochs::FILE_BYTES_MAX);
        let mut start_in_file = None;
        match decoded.map(|bytes| Epochs::decode(&bytes)) {
            Ok(Ok((epochs, log_start_offset))) => {
                start_in_file = Some(log_start_offset);
                self.epochs = Some(epochs);
                self.log_start_offset = self.log_start_offset.max(log_start_offset);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && first.is_none() => {
                self.epochs = Some(Epochs::default());
            }
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Err(error);
            }
            // Without the file nobody knows whether a first segment above the start is a loss or a deletion.
            other => {
                self.log_start_offset = self.log_start_offset.max(first.unwrap_or(0));
                // The first checkpoint or roll writes it; before that none is missing.
                let was_written = files.segments.len() > 1 || first != Some(0);
                self.report.rebuilt_files += u32::from(other.is_ok() || was_written);
            }
        }
        for &start in &files.starts {
            if start_in_file.is_some_and(|in_file| start <= in_file) {
                // The file says as much by now. Where it cannot be removed it does no harm.
                let _ = self.disk().remove_file(&self.dir.join(names::start(start)));
            } else {
                self.log_start_offset = self.log_start_offset.max(start);
                self.epochs_changed = true;
            }
        }
        Ok(())
    }

    /// Reads what is vouched for of the indexes; nothing is when the file is bad.
    pub(super) fn load_index_records(&mut self) {
        let path = self.dir.join(index_checkpoint::NAME);
        match self
            .disk()
            .read(&path, index_checkpoint::FILE_BYTES_MAX)
            .map(|bytes| index_checkpoint::decode(&bytes))
        {
            Ok(Ok(records)) => self.index_records = records,
            Ok(Err(error)) => {
                self.report.rebuilt_files += 1;
                tracing::warn!(file = %path.display(), %error, "unreadable, the indexes are rebuilt when needed");
            }
            Err(_) => {}
        }
    }

    pub(super) fn count(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let counters = self.resources.counters();
        counters.cut_bytes.fetch_add(self.report.cut_bytes, Relaxed);
        counters.files_rebuilt.fetch_add(u64::from(self.report.rebuilt_files), Relaxed);
    }

    /// The largest append time in the active segment, below which no later one may fall.
    pub(super) fn newest_append_time(&self, active: &Arc<Segment>) -> io::Result<TimestampMs> {
        let largest = active.with_index(self.config.index_interval_bytes, |index| index.largest)?;
        // A `CreateTime` in the future must not drag append times along.
        Ok(largest.map_or(0, |largest| largest.timestamp_ms).min(self.now_ms))
    }

    /// The epochs of the file, or those of the batches where the file is bad or behind.
    pub(super) fn settle_epochs(
        &mut self,
        segments: &[Arc<Segment>],
        log_start_offset: Offset,
    ) -> io::Result<(Epochs, bool)> {
        let (mut epochs, mut changed) = match self.epochs.take() {
            Some(epochs) => (epochs, self.epochs_changed),
            None => (epochs_of(segments)?, true),
        };
        let next_offset = segments.last().map_or(0, |segment| segment.next_offset());
        changed |= epochs.truncate_end(next_offset, log_start_offset);
        changed |= epochs.truncate_start(log_start_offset);
        Ok((epochs, changed))
    }

    /// The newest good snapshot, brought up to the end by the batches behind it.
    pub(super) fn load_producers(
        &mut self,
        segments: &[Arc<Segment>],
        files: &Files,
        next_offset: Offset,
    ) -> io::Result<(ProducerStates, Offset)> {
        let mut states = ProducerStates::default();
        let first_offset = segments.first().map_or(0, |segment| segment.base_offset);
        let mut from = first_offset;
        let mut stale = false;
        for &offset in &files.snapshots {
            let path = self.dir.join(names::snapshot(offset));
            if offset > next_offset || offset < first_offset {
                // Of a tail that is gone: it must not come to life when the log reaches its offset again. Or older
                // than the first batch: what was deleted in between would be missing in it.
                self.disk().remove_file(&path)?;
                stale = true;
                continue;
            }
            let decoded = self
                .disk()
                .read(&path, snapshot::FILE_BYTES_MAX)
                .map(|bytes| snapshot::decode(&bytes, offset));
            match decoded {
                Ok(Ok(found)) => {
                    (states, from) = (found, offset);
                    break;
                }
                _ => {
                    self.report.rebuilt_files += 1;
                    tracing::warn!(file = %path.display(), "unreadable producer snapshot, using an older one or the log");
                    self.disk().remove_file(&path)?;
                }
            }
        }
        if stale {
            self.disk().sync_dir(&self.dir)?;
        }
        let snapshot_offset = from;
        for segment in segments.iter().filter(|segment| segment.next_offset() > from) {
            self.replay_producers(segment, from, &mut states)?;
        }
        states.expire(self.now_ms, self.config.producer_id_expiration_ms);
        Ok((states, snapshot_offset))
    }

    fn replay_producers(
        &self,
        segment: &Arc<Segment>,
        from: Offset,
        states: &mut ProducerStates,
    ) -> io::Result<()> {
        let interval_bytes = self.config.index_interval_bytes;
        let floor = match from > segment.base_offset {
            true => {
                segment.with_index(interval_bytes, |index| index.offsets.floor(segment.base_offset, from))?
            }
            false => None,
        };
        let mut walk = Walk::new(segment, WINDOW_BYTES);
        if let Some(entry) = floor {
            walk.jump(u64::from(entry.position), entry.offset(segment.base_offset))?;
        }
        loop {
            match walk.next()? {
                Found::Batch(step) if step.header.base_offset >= from => {
                    // When it was written is not in the log: a record's timestamp is what its producer says, and
                    // one that loads old data is at work now. Forgetting late costs memory for a day, forgetting
                    // early writes a retried batch twice.
                    states.record(&step.header, self.now_ms);
                }
                Found::Batch(_) | Found::Damaged(_) => {}
                Found::End => return Ok(()),
            }
        }
    }
}

/// The epochs as the batches say. Segments that begin and end in the same epoch are not walked.
fn epochs_of(segments: &[Arc<Segment>]) -> io::Result<Epochs> {
    let mut epochs = Epochs::default();
    let mut firsts = Vec::with_capacity(segments.len());
    for segment in segments {
        firsts.push(first_batch(segment)?.map(|step| step.header.leader_epoch));
    }
    for (index, segment) in segments.iter().enumerate() {
        let next = firsts.get(index + 1).copied().flatten();
        if next.is_some() && next == epochs.latest() {
            continue;
        }
        let mut walk = Walk::new(segment, WINDOW_BYTES);
        loop {
            match walk.next()? {
                Found::Batch(step) => {
                    epochs.note(step.header.leader_epoch, step.header.base_offset);
                }
                Found::Damaged(_) => {}
                Found::End => break,
            }
        }
    }
    Ok(epochs)
}
