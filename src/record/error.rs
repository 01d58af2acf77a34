//! What can be wrong with a batch.

use super::Compression;
use crate::types::TimestampMs;

/// Why bytes are not a batch, or not one that a client may send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end before the header or the batch does.
    #[error("the batch needs {needed} bytes and {available} are there")]
    Truncated {
        /// Bytes that the batch (or its header) has by its own account.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is smaller than a header.
    #[error("batch length {batch_length} is below the 49 bytes of an empty batch")]
    BadLength {
        /// The field.
        batch_length: i32,
    },
    /// The batch is of message format 0 or 1.
    #[error("message format {magic} is no longer accepted; send record batches of format 2")]
    OldMagic {
        /// The format.
        magic: i8,
    },
    /// The batch is of no message format that exists.
    #[error("unknown message format {magic}")]
    UnknownMagic {
        /// The byte at the magic's place.
        magic: i8,
    },
    /// The checksum is not the one of the bytes.
    #[error("the batch says checksum {stored:#010x} and its bytes have {computed:#010x}")]
    CrcMismatch {
        /// The field.
        stored: u32,
        /// CRC-32C of the bytes.
        computed: u32,
    },
    /// A count that cannot be negative is.
    #[error("last offset delta {last_offset_delta} and record count {record_count} must not be negative")]
    NegativeCount {
        /// The field.
        last_offset_delta: i32,
        /// The field.
        record_count: i32,
    },
    /// The batch is larger than the limit.
    #[error("the batch has {size_bytes} bytes, at most {max_bytes} are allowed")]
    TooLarge {
        /// Bytes of the batch, header and (compressed) records.
        size_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The records are larger than the limit once decompressed.
    #[error("the {compression} records decompress to more than the {limit_bytes} bytes allowed")]
    TooLargeDecompressed {
        /// The codec.
        compression: Compression,
        /// The limit.
        limit_bytes: usize,
    },
    /// Nothing where a batch was to be.
    #[error("no record batch was sent")]
    NoBatch,
    /// More bytes than one batch.
    #[error("exactly one batch is allowed: it has {batch_bytes} bytes, {available} were sent")]
    SeveralBatches {
        /// Bytes of the first batch.
        batch_bytes: usize,
        /// Bytes that were there.
        available: usize,
    },
    /// The base offset is the broker's to assign.
    #[error("the base offset of a batch that is sent must be 0, not {base_offset}")]
    BaseOffset {
        /// The field.
        base_offset: i64,
    },
    /// Attribute bits that have no meaning, or none that a client may give them.
    #[error("attributes {attributes:#06x} have bits that a client may not set")]
    UnknownAttributes {
        /// The field.
        attributes: i16,
    },
    /// A batch without records.
    #[error("the batch holds no records")]
    NoRecords,
    /// The records do not take one offset each.
    #[error("{record_count} records cannot have last offset delta {last_offset_delta}")]
    CountMismatch {
        /// The field.
        last_offset_delta: i32,
        /// The field.
        record_count: i32,
    },
    /// A client sent a control batch.
    #[error("control batches are the broker's own")]
    ClientControl,
    /// The producer fields contradict each other.
    #[error(
        "producer id {producer_id}, epoch {producer_epoch} and sequence {base_sequence} do not go together \
         (transactional: {is_transactional})"
    )]
    BadProducer {
        /// The field.
        producer_id: i64,
        /// The field.
        producer_epoch: i16,
        /// The field.
        base_sequence: i32,
        /// The attribute bit.
        is_transactional: bool,
    },
    /// There is no such codec, or the version of the request is older than it.
    #[error("compression type {code} ({}) is not supported here", codec_name(*.code))]
    UnsupportedCompression {
        /// The codec bits.
        code: i16,
    },
    /// The compressed records do not decompress.
    #[error("the {compression} records do not decompress: {reason}")]
    Undecompressable {
        /// The codec.
        compression: Compression,
        /// What the decoder says.
        reason: String,
    },
    /// A record's bytes are not a record.
    #[error("record {index}: {problem}")]
    MalformedRecord {
        /// The record's index in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// Bytes follow the last record.
    #[error("bytes follow the last of {record_count} records")]
    TrailingBytes {
        /// Records that were read.
        record_count: i32,
    },
    /// The timestamp type is the broker's to set.
    #[error("only the broker may set the timestamp type LogAppendTime")]
    ClientLogAppendTime,
    /// Records are well formed but refused; whole batch refused with them.
    #[error("{} of the records refused, the first (index {}): {}", .0.len(), first_index(.0), first_message(.0))]
    RecordsRefused(Vec<RecordFault>),
    /// Records have timestamps too far from the broker's clock; whole batch refused with them.
    #[error("{} of the timestamps refused, the first (index {}): {}", .0.len(), first_index(.0), first_message(.0))]
    TimestampsRefused(Vec<RecordFault>),
    /// A control record's key or value is not one that is known.
    #[error("not a control record that is known")]
    UnknownControlRecord,
}

/// How a batch's error is to be treated: one kind per answer that a client can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchErrorKind {
    /// The bytes are damaged: Kafka's CORRUPT_MESSAGE; the client may send them again.
    Corrupt,
    /// The bytes arrived as they were sent and are wrong: INVALID_RECORD.
    Invalid,
    /// INVALID_TIMESTAMP.
    Timestamp,
    /// MESSAGE_TOO_LARGE.
    TooLarge,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    UnsupportedCompression,
    /// A message format of the past: INVALID_RECORD since Produce version 3, UNSUPPORTED_FOR_MESSAGE_FORMAT elsewhere.
    OldFormat,
}

/// One record of a batch that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// The record's index in its batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub message: String,
}

/// What makes bytes not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The batch ends inside it.
    #[error("the batch ends inside it")]
    Truncated,
    /// A varint longer than its type.
    #[error("a varint is too long")]
    BadVarint,
    /// A length or a count that is negative where it must not be.
    #[error("a length or a count is negative")]
    NegativeLength,
    /// A field reaches beyond the record's own length, or the fields end before it.
    #[error("the fields do not fill the record's length")]
    BadLength,
    /// The offset delta is not the next one.
    #[error("offset delta {found} where {expected} follows")]
    BadOffset {
        /// What follows (at the least).
        expected: i32,
        /// What is there.
        found: i32,
    },
}

fn codec_name(code: i16) -> &'static str {
    Compression::from_code(code).map_or("unknown", Compression::name)
}

fn first_index(faults: &[RecordFault]) -> i32 {
    faults.first().map_or(0, |fault| fault.index)
}

fn first_message(faults: &[RecordFault]) -> &str {
    faults.first().map_or("", |fault| &fault.message)
}

// === impl BatchError ===

impl BatchError {
    /// How to treat it.
    #[must_use]
    pub fn kind(&self) -> BatchErrorKind {
        match self {
            Self::BadLength { .. } | Self::UnknownMagic { .. } | Self::CrcMismatch { .. } => {
                BatchErrorKind::Corrupt
            }
            Self::OldMagic { .. } => BatchErrorKind::OldFormat,
            Self::TooLarge { .. } | Self::TooLargeDecompressed { .. } => BatchErrorKind::TooLarge,
            // As Kafka 4.3 answers; and a batch that was cut or compressed wrongly by its sender stays so when sent again.
            Self::Truncated { .. }
            | Self::Undecompressable { .. }
            | Self::NegativeCount { .. }
            | Self::NoBatch
            | Self::BaseOffset { .. }
            | Self::UnknownAttributes { .. }
            | Self::SeveralBatches { .. }
            | Self::NoRecords
            | Self::CountMismatch { .. }
            | Self::ClientControl
            | Self::BadProducer { .. }
            | Self::MalformedRecord { .. }
            | Self::TrailingBytes { .. }
            | Self::RecordsRefused(_)
            | Self::UnknownControlRecord => BatchErrorKind::Invalid,
            Self::ClientLogAppendTime | Self::TimestampsRefused(_) => BatchErrorKind::Timestamp,
            Self::UnsupportedCompression { .. } => BatchErrorKind::UnsupportedCompression,
        }
    }

    /// The single records at fault, where the error is about records that are well formed.
    ///
    /// At most [`super::MAX_RECORD_FAULTS`], the first ones.
    #[must_use]
    pub fn records(&self) -> &[RecordFault] {
        match self {
            Self::RecordsRefused(faults) | Self::TimestampsRefused(faults) => faults,
            _ => &[],
        }
    }
}

// === impl RecordFault ===

impl RecordFault {
    /// A record of a compacted topic has no key.
    pub(super) fn no_key(index: i32) -> Self {
        Self { index, message: "a record of a compacted topic needs a key".to_owned() }
    }

    /// A record's timestamp is further from the broker's clock than the topic allows.
    pub(super) fn timestamp(
        index: i32,
        timestamp_ms: TimestampMs,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Self {
        Self { index, message: format!("timestamp {timestamp_ms} is outside {from} to {to}") }
    }
}
