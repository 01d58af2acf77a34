//! What can go wrong with a log, one enum per operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::types::{Offset, ProducerEpoch, ProducerId};

/// Why a batch was not appended. The log is as it was before.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The log takes no more writes since a sync failed; only a restart and recovery end this.
    #[error("the log is fenced: a sync failed")]
    Fenced,
    /// The disk is full. Later appends succeed once space returns.
    #[error("no space left for the batch: {source}")]
    Full {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The write failed for another reason than want of space.
    #[error("the batch could not be written: {source}")]
    Io {
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The batch is larger than a segment may be.
    #[error("a batch of {size_bytes} bytes does not fit a segment of {segment_bytes}")]
    LargerThanSegment {
        /// The batch's size.
        size_bytes: usize,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// An idempotent producer skipped or repeated sequence numbers.
    #[error("producer {} epoch {}: expected sequence {expected}, got {found}", producer.0, epoch.0)]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// The epoch in its batch.
        epoch: ProducerEpoch,
        /// The sequence number that would have been next.
        expected: i32,
        /// The batch's base sequence.
        found: i32,
    },
    /// A newer instance of the producer has written already.
    #[error("producer {} epoch {} is fenced by epoch {}", producer.0, epoch.0, current.0)]
    StaleProducerEpoch {
        /// The producer.
        producer: ProducerId,
        /// The epoch in its batch.
        epoch: ProducerEpoch,
        /// The newest epoch seen.
        current: ProducerEpoch,
    },
    /// A verbatim batch does not continue the log: its base offset or its leader epoch lies below the log's.
    #[error("a batch at offset {found} does not continue a log that ends at {log_end_offset}")]
    NotNext {
        /// The log end offset.
        log_end_offset: Offset,
        /// The batch's base offset.
        found: Offset,
    },
    /// The batch's header is inconsistent, which validation at the edge should have refused.
    #[error("the batch is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
}

/// Why nothing was read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The log has no such offset.
    #[error("offset {requested} is outside the log's {log_start_offset}..{log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
        requested: Offset,
        /// The first offset of the log.
        log_start_offset: Offset,
        /// The log end offset.
        log_end_offset: Offset,
    },
    /// The bytes of these offsets are damaged on the disk; all others can be read.
    #[error("offsets {from}..{to} are damaged on the disk")]
    Corrupt {
        /// The first damaged offset.
        from: Offset,
        /// The first offset after the damage.
        to: Offset,
    },
    /// The disk gave an error.
    #[error("reading at offset {offset} failed: {source}")]
    Io {
        /// The offset asked for.
        offset: Offset,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

/// Why an operation on the whole log failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log takes no more writes since a sync failed; only a restart and recovery end this.
    #[error("the log is fenced: a sync failed")]
    Fenced,
    /// A sync failed just now: what it was to make durable may be lost. The log is fenced from here on.
    #[error("syncing {path} failed, the log is fenced: {source}")]
    SyncFailed {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The offset is not one of the log's committed ones.
    #[error("offset {requested} is outside {log_start_offset}..={high_watermark}")]
    OffsetOutOfRange {
        /// The offset asked for.
        requested: Offset,
        /// The first offset of the log.
        log_start_offset: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The directory holds a log already.
    #[error("{path} holds a log already")]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

// === impl AppendError ===

impl AppendError {
    pub(super) fn from_io(error: io::Error) -> Self {
        let source = Arc::new(error);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { source },
            _ => Self::Io { source },
        }
    }
}

// === impl LogError ===

impl LogError {
    /// Whether the disk was full, so that the same call may succeed later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// The error of a file operation, by path; for `map_err`.
    pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { path, source: Arc::new(error) }
    }
}
