//! What can go wrong, with the facts, and what the caller can do about it.

use crate::log::{AppendError, LogError, ReadError};
use crate::record::BatchError;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Why the engine did not do what it was asked. Cheap enough to clone: one failure may have many waiters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no topic of that name, or no such partition in it.
    #[error("there is no topic or partition {topic}")]
    UnknownTopicOrPartition {
        /// The topic as it was named, with the partition where one was.
        topic: String,
    },
    /// There is no topic with that id (any more).
    #[error("there is no topic with the id {id}")]
    UnknownTopicId {
        /// The id.
        id: String,
    },
    /// The name breaks Kafka's rules for names.
    #[error("{name:?} is not a topic name: {why}")]
    InvalidTopicName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The topic exists already.
    #[error("the topic {name} exists already")]
    TopicExists {
        /// The name.
        name: String,
    },
    /// A number of partitions that cannot be had.
    #[error("invalid number of partitions: {why}")]
    InvalidPartitions {
        /// Why not.
        why: String,
    },
    /// More replicas than there are brokers.
    #[error(
        "replication factor {asked}: this is one broker, so only 1 can be had (replication.factor.clamp=true takes more and makes it 1)"
    )]
    InvalidReplicationFactor {
        /// What was asked for.
        asked: i16,
    },
    /// An assignment that names other brokers or misses partitions.
    #[error("invalid replica assignment: {why}")]
    InvalidReplicaAssignment {
        /// Why not.
        why: String,
    },
    /// A partition that is led by its preferred replica already.
    #[error("{topic} is led by its preferred replica already")]
    ElectionNotNeeded {
        /// The partition.
        topic: String,
    },
    /// A move of a partition that is not under way.
    #[error("{topic} is not being moved")]
    NoReassignment {
        /// The partition.
        topic: String,
    },
    /// A directory that this broker keeps nothing in.
    #[error("{path} is not the directory of this broker")]
    LogDirNotFound {
        /// The directory.
        path: String,
    },
    /// A setting that does not exist, or a value it does not take.
    #[error("{why}")]
    InvalidConfig {
        /// What is wrong, with the nearest right name or the values taken.
        why: String,
    },
    /// A request that contradicts itself.
    #[error("{why}")]
    InvalidRequest {
        /// The contradiction.
        why: String,
    },
    /// Something that is not served (yet).
    #[error("{what} is not served")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// A setting forbids it.
    #[error("{why}")]
    Forbidden {
        /// Which setting.
        why: String,
    },
    /// A batch that was refused before it touched the log.
    #[error("{0}")]
    Batch(BatchError),
    /// A batch larger than a segment may be.
    #[error("a batch of {size_bytes} bytes does not fit a segment of {segment_bytes}")]
    LargerThanSegment {
        /// The batch's size.
        size_bytes: usize,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// An offset that the log does not have.
    #[error("offset {requested} is outside of {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
        requested: Offset,
        /// The first one there is.
        log_start_offset: Offset,
        /// The end of what the reader may see.
        log_end_offset: Offset,
    },
    /// The bytes of these offsets are damaged on the disk; all others can be read.
    #[error("offsets {from} to {to} are damaged on the disk")]
    Corrupt {
        /// The first damaged offset.
        from: Offset,
        /// The first offset after the damage.
        to: Offset,
    },
    /// The client knows an older leader than the present one.
    #[error("leader epoch {} is over, the present one is {}", asked.0, current.0)]
    FencedLeaderEpoch {
        /// What the client believes.
        asked: LeaderEpoch,
        /// What is.
        current: LeaderEpoch,
    },
    /// The client knows a newer leader than the present one.
    #[error("leader epoch {} is not known here, the present one is {}", asked.0, current.0)]
    UnknownLeaderEpoch {
        /// What the client believes.
        asked: LeaderEpoch,
        /// What is.
        current: LeaderEpoch,
    },
    /// This broker does not own the partition (now).
    #[error("this broker does not lead {topic}")]
    NotLeader {
        /// The partition.
        topic: String,
    },
    /// An idempotent producer skipped or repeated sequence numbers.
    #[error("producer {}: expected sequence {expected}, got {found}", producer.0)]
    OutOfOrderSequence {
        /// The producer.
        producer: ProducerId,
        /// The sequence number that would have been next.
        expected: i32,
        /// The batch's.
        found: i32,
    },
    /// A newer instance of the producer has taken over.
    #[error("producer {} epoch {} is fenced by epoch {}", producer.0, epoch.0, current.0)]
    StaleProducerEpoch {
        /// The producer.
        producer: ProducerId,
        /// The epoch it came with.
        epoch: ProducerEpoch,
        /// The newest one.
        current: ProducerEpoch,
    },
    /// A transactional batch in a request that names no transaction.
    #[error("the batch is transactional and the request names no transactional id")]
    NoTransactionalId,
    /// The request's own time was up; what it appended stays.
    #[error("the commit did not come within the request's timeout")]
    RequestTimedOut,
    /// More is queued for the disk than the broker holds in memory.
    #[error("the broker is overloaded: {queued_bytes} bytes wait for the disk")]
    Overloaded {
        /// What waits.
        queued_bytes: usize,
    },
    /// The disk is full; produce works again once there is space.
    #[error("the disk is full: {why}")]
    DiskFull {
        /// What the system said.
        why: String,
    },
    /// The disk failed.
    #[error("the disk failed: {why}")]
    Storage {
        /// What the system said.
        why: String,
    },
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// How a caller should act on an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was named does not exist.
    NotFound,
    /// The request is wrong; repeating it will not help.
    Invalid,
    /// Somebody newer has taken over.
    Fenced,
    /// Try again.
    Retry,
    /// Try again when there is space.
    Full,
    /// The disk or what is on it is damaged.
    Storage,
}

// === impl Error ===

impl Error {
    /// How to act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownTopicOrPartition { .. } | Self::UnknownTopicId { .. } => ErrorKind::NotFound,
            Self::InvalidTopicName { .. }
            | Self::TopicExists { .. }
            | Self::InvalidPartitions { .. }
            | Self::InvalidReplicationFactor { .. }
            | Self::InvalidReplicaAssignment { .. }
            | Self::ElectionNotNeeded { .. }
            | Self::NoReassignment { .. }
            | Self::LogDirNotFound { .. }
            | Self::InvalidConfig { .. }
            | Self::InvalidRequest { .. }
            | Self::Unsupported { .. }
            | Self::Forbidden { .. }
            | Self::Batch(_)
            | Self::LargerThanSegment { .. }
            | Self::OutOfOrderSequence { .. }
            | Self::NoTransactionalId
            | Self::OffsetOutOfRange { .. } => ErrorKind::Invalid,
            Self::FencedLeaderEpoch { .. } | Self::StaleProducerEpoch { .. } => ErrorKind::Fenced,
            Self::UnknownLeaderEpoch { .. }
            | Self::NotLeader { .. }
            | Self::RequestTimedOut
            | Self::Overloaded { .. }
            | Self::Stopping => ErrorKind::Retry,
            Self::DiskFull { .. } => ErrorKind::Full,
            Self::Corrupt { .. } | Self::Storage { .. } => ErrorKind::Storage,
        }
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full { .. } => Self::DiskFull { why: error.to_string() },
            AppendError::Fenced | AppendError::Io { .. } => Self::Storage { why: error.to_string() },
            AppendError::LargerThanSegment { size_bytes, segment_bytes } => {
                Self::LargerThanSegment { size_bytes, segment_bytes }
            }
            AppendError::OutOfOrderSequence { producer, expected, found, .. } => {
                Self::OutOfOrderSequence { producer, expected, found }
            }
            AppendError::StaleProducerEpoch { producer, epoch, current } => {
                Self::StaleProducerEpoch { producer, epoch, current }
            }
            AppendError::NotNext { .. } | AppendError::Malformed { .. } => {
                Self::InvalidRequest { why: error.to_string() }
            }
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OffsetOutOfRange { requested, log_start_offset, log_end_offset } => {
                Self::OffsetOutOfRange { requested, log_start_offset, log_end_offset }
            }
            ReadError::Corrupt { from, to } => Self::Corrupt { from, to },
            ReadError::Io { .. } => Self::Storage { why: error.to_string() },
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::OffsetOutOfRange { requested, log_start_offset, high_watermark } => {
                Self::OffsetOutOfRange { requested, log_start_offset, log_end_offset: high_watermark }
            }
            full if full.is_full() => Self::DiskFull { why: full.to_string() },
            other => Self::Storage { why: other.to_string() },
        }
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
