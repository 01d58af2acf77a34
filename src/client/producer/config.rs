//! How a producer works, what it is given and what it tells of itself.

use std::time::Duration;

use crate::client::error::Error;
use crate::record::{Compression, Header};
use crate::types::TimestampMs;

/// Far below the 1 GiB that a batch can hold, so that one more record always fits.
const LARGEST_BATCH_BYTES: usize = 512 * 1024 * 1024;

/// When a record counts as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// When it is handed to the system's socket. Nothing is known of what becomes of it.
    None,
    /// When the partition's leader has appended it.
    Leader,
    /// When it is committed: on disk or on all replicas in sync, as the broker defines it.
    #[default]
    All,
}

/// How a producer works.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// When a record counts as delivered.
    pub acks: Acks,
    /// How batches are compressed.
    pub compression: Compression,
    /// Whether the broker is to recognise retries, so that each record is in the log once. Needs [`Acks::All`].
    pub idempotence: bool,
    /// A batch leaves when it is this large, before compression. A larger record travels in a batch of its own.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for more records.
    pub linger: Duration,
    /// The memory for records that are not delivered yet.
    pub buffer_bytes: usize,
    /// The largest record, before compression. What the broker takes at most is the topic's `max.message.bytes`.
    pub max_record_bytes: usize,
    /// Batches are gathered into requests of this size; a single larger batch travels alone.
    pub max_request_bytes: usize,
    /// How many requests to one broker may wait for their answers. Above 5, at most 5 of them are for one partition.
    pub max_in_flight: usize,
    /// How long a record is tried before it is given up, from the moment it is sent.
    pub delivery_timeout: Duration,
    /// Whether the broker may create topics on first use.
    pub auto_create_topics: bool,
}

/// A record to send. Everything is borrowed: the bytes are copied once, into the batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProducerRecord<'a> {
    /// The partition; chosen by the key, or at will without one, when `None`.
    pub partition: Option<i32>,
    /// The timestamp; now when `None`.
    pub timestamp_ms: Option<TimestampMs>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value. `None` deletes the key from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [Header],
}

/// What a producer has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerStats {
    /// Records acknowledged, or handed to the socket with [`Acks::None`].
    pub delivered_records: u64,
    /// Records given up.
    pub failed_records: u64,
    /// Bytes of the batches delivered, compressed as they were.
    pub delivered_bytes: u64,
    /// Batches sent again.
    pub retried_batches: u64,
}

// === impl ProducerConfig ===

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            compression: Compression::None,
            idempotence: true,
            batch_bytes: 64 * 1024,
            linger: Duration::from_millis(5),
            buffer_bytes: 64 * 1024 * 1024,
            max_record_bytes: 1024 * 1024,
            max_request_bytes: 1024 * 1024,
            max_in_flight: super::queue::MAX_IN_FLIGHT,
            delivery_timeout: Duration::from_secs(120),
            auto_create_topics: true,
        }
    }
}

impl ProducerConfig {
    pub(super) fn check(&self) -> Result<(), Error> {
        let fault = if self.idempotence && self.acks != Acks::All {
            "idempotence needs acks=all: a record that is not committed cannot be recognised later"
        } else if self.max_in_flight == 0 {
            "max_in_flight must be at least 1"
        } else if self.batch_bytes > self.buffer_bytes || self.max_record_bytes > self.buffer_bytes {
            "buffer_bytes must hold at least one batch and one record of max_record_bytes"
        } else if u32::try_from(self.buffer_bytes).is_err() {
            "buffer_bytes must be below 4 GiB"
        } else if self.max_record_bytes.max(self.batch_bytes) > LARGEST_BATCH_BYTES {
            "max_record_bytes and batch_bytes must be at most 512 MiB"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(fault.to_owned()))
    }
}
