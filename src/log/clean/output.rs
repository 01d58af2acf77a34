//! A cleaned segment while it is written: a file beside the log that an opening removes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::super::Log;
use super::super::error::LogError;
use super::super::names;
use super::super::segment_index::SegmentIndex;
use crate::env::{DiskFile, OpenMode};
use crate::record::BatchHeader;
use crate::types::Offset;

/// What is gathered for one write.
const WRITE_BYTES: u64 = 128 << 10;
/// What is left un-synced at most: a sync of the file system by the committer would have to write it first.
const SYNC_BYTES: u64 = 256 << 10;
/// Blocks are reserved in such steps, so that a full disk shows before a write.
const ALLOCATE_BYTES: u64 = 4 << 20;

/// A cleaned segment while it is written.
pub(super) struct Output {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    base_offset: Offset,
    /// Where the next batch begins, with those that are not written yet.
    position: u64,
    /// The offset after the last batch.
    next_offset: Offset,
    gathered: Vec<Bytes>,
    gathered_bytes: u64,
    allocated_to: u64,
    synced_to: u64,
    index: SegmentIndex,
    interval_bytes: u32,
}

/// A cleaned segment that is whole and on the disk.
pub(super) struct Finished {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) size_bytes: u64,
    pub(super) index: SegmentIndex,
}

// === impl Output ===

impl Output {
    /// An empty one for the segment at `base_offset` of `log`.
    pub(super) fn create(log: &Log, base_offset: Offset) -> Result<Self, LogError> {
        let path = log.dir().join(names::cleaned(base_offset));
        let opened = log.resources.env().disk.open(&path, OpenMode::Truncate);
        let file = opened.map_err(LogError::at(&path))?;
        Ok(Self {
            path,
            file,
            base_offset,
            position: 0,
            next_offset: base_offset,
            gathered: Vec::new(),
            gathered_bytes: 0,
            allocated_to: 0,
            synced_to: 0,
            index: SegmentIndex::default(),
            interval_bytes: log.index_interval_bytes(),
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.position
    }

    pub(super) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub(super) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    pub(super) fn offset_index_bytes(&self) -> usize {
        self.index.offsets.size_bytes()
    }

    /// Adds a batch; how many bytes were written by it.
    pub(super) fn push(&mut self, log: &Log, header: &BatchHeader, bytes: Bytes) -> Result<u64, LogError> {
        let size_bytes = bytes.len() as u64;
        // Only recompression and delete horizons make a batch larger, and hardly so.
        if self.position + size_bytes > u64::from(u32::MAX) {
            let too_large = io::Error::other("the cleaned segment would pass 4 GiB");
            return Err(LogError::at(&self.path)(too_large));
        }
        self.index.note(header, self.base_offset, self.position, self.interval_bytes);
        self.position += size_bytes;
        self.next_offset = header.next_offset();
        self.gathered_bytes += size_bytes;
        self.gathered.push(bytes);
        if self.gathered_bytes < WRITE_BYTES {
            return Ok(0);
        }
        self.write(log)
    }

    /// Adds a batch that was made by the cleaner.
    pub(super) fn push_made(&mut self, log: &Log, bytes: Bytes) -> Result<u64, LogError> {
        let header = BatchHeader::parse(&bytes).expect("a batch that was made here has a header");
        self.push(log, &header, bytes)
    }

    fn write(&mut self, log: &Log) -> Result<u64, LogError> {
        let (gathered, written) = (std::mem::take(&mut self.gathered), self.gathered_bytes);
        self.gathered_bytes = 0;
        let from = self.position - written;
        if self.position > self.allocated_to {
            let to = self.position.max(self.allocated_to + ALLOCATE_BYTES);
            let allocated = self.file.allocate(self.allocated_to, to - self.allocated_to);
            allocated.map_err(LogError::at(&self.path))?;
            self.allocated_to = to;
        }
        self.file.write_all_vectored_at(&gathered, from).map_err(LogError::at(&self.path))?;
        if self.position - self.synced_to >= SYNC_BYTES {
            self.sync(log)?;
        }
        Ok(written)
    }

    fn sync(&mut self, log: &Log) -> Result<(), LogError> {
        if let Err(error) = self.file.sync_data() {
            // As everywhere: what else was lost, nobody knows.
            log.fence();
            return Err(LogError::SyncFailed { path: self.path.clone(), source: Arc::new(error) });
        }
        self.synced_to = self.position;
        Ok(())
    }

    /// Adds a last batch, if there is one, writes what is left, and makes all of it durable but its name.
    pub(super) fn finish(mut self, log: &Log, last: Option<Bytes>) -> Result<Finished, LogError> {
        if let Err(error) = self.complete(log, last) {
            self.discard(log);
            return Err(error);
        }
        self.index.finish();
        let Self { path, file, position, index, .. } = self;
        Ok(Finished { path, file, size_bytes: position, index })
    }

    fn complete(&mut self, log: &Log, last: Option<Bytes>) -> Result<(), LogError> {
        if let Some(last) = last {
            self.push_made(log, last)?;
        }
        self.write(log)?;
        if self.allocated_to > self.position {
            self.file.set_len(self.position).map_err(LogError::at(&self.path))?;
        }
        self.sync(log)
    }

    /// Gives the space back. What cannot be removed now, the next start removes.
    pub(super) fn discard(self, log: &Log) {
        let removed = log.resources.env().disk.remove_file(&self.path);
        if let Err(error) = removed {
            tracing::debug!(file = %self.path.display(), %error, "an unfinished cleaned segment was not removed");
        }
    }
}
