//! Plain values that every layer shares: offsets, epochs, ids, time.
//!
//! Nothing here does anything: no clock, no disk, no protocol. A number that fences has a type of its own,
//! so that a leader epoch never meets a producer epoch by accident.

mod ids;

pub use ids::{BrokerId, LeaderEpoch, ParseTopicIdError, ProducerEpoch, ProducerId, TopicId, TopicPartition};

/// A position in a partition's log, counted in records from 0. An end offset is exclusive.
pub type Offset = i64;

/// Milliseconds since the Unix epoch, UTC, as records carry them. -1 stands for "no timestamp".
pub type TimestampMs = i64;

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: TimestampMs = -1;

/// The sequence number of a batch that no idempotent producer wrote.
pub const NO_SEQUENCE: i32 = -1;

/// What a reader may see of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// Up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset: no record of an open transaction.
    ReadCommitted,
}
