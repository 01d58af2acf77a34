//! The 61 bytes at the front of a batch, and what may be written over them.
//!
//! ```text
//!  0 base_offset i64 | 8 batch_length i32 | 12 leader_epoch i32 | 16 magic i8 | 17 crc u32 |
//! 21 attributes i16 | 23 last_offset_delta i32 | 27 base_timestamp i64 | 35 max_timestamp i64 |
//! 43 producer_id i64 | 51 producer_epoch i16 | 53 base_sequence i32 | 57 record_count i32 | 61 records
//! ```
//!
//! `batch_length` counts from byte 12; the checksum covers from byte 21. So the base offset and the leader epoch
//! are assigned without a new checksum, the timestamp type is not.
//!
//! Source: Kafka message format v2 (KIP-98).

use bytes::{Buf, BufMut};

use super::{BatchError, Compression};
use crate::types::{LeaderEpoch, NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, TimestampMs};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

/// Bytes of a batch that its length field does not count: base offset and the length field itself.
pub const LOG_OVERHEAD_BYTES: usize = 12;

/// The only message format that is read and written.
pub const MAGIC: i8 = 2;

/// Where the checksummed part of a batch begins.
const CHECKED_FROM: usize = 21;

/// Where the magic byte is, in this format and in both older ones.
const MAGIC_AT: usize = 16;

/// The smallest legal `batch_length`: a header and no record.
const LEAST_BATCH_LENGTH: i32 = 49;

const _: () = assert!(HEADER_BYTES == LOG_OVERHEAD_BYTES + LEAST_BATCH_LENGTH as usize);

const CODEC_BITS: i16 = 0b111;
const LOG_APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
/// The base timestamp is a delete horizon (KIP-534).
pub(super) const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// The bits that a client may set; control and timestamp type are refused with reasons of their own.
pub(super) const CLIENT_ATTRIBUTES: i16 = CODEC_BITS | LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT;

/// The header of a batch, every field as it is on the wire.
///
/// A parsed header has magic 2, a length of at least a header, and neither a negative `last_offset_delta` nor a
/// negative `record_count`; nothing else about it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (or of the first one before compaction removed it).
    pub base_offset: Offset,
    /// Bytes that follow the length field; see [`BatchHeader::size_bytes`].
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; -1 as clients send it.
    pub leader_epoch: LeaderEpoch,
    /// The message format, 2.
    pub magic: i8,
    /// CRC-32C of everything from byte 21.
    pub crc: u32,
    /// Codec, timestamp type, and whose batch it is; read them by the methods.
    pub attributes: i16,
    /// Distance from the base offset to the last offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from; the delete horizon once compaction has set one.
    pub base_timestamp: TimestampMs,
    /// The largest timestamp of the records; the append time under [`TimestampType::LogAppendTime`].
    pub max_timestamp: TimestampMs,
    /// The idempotent producer, -1 for none.
    pub producer_id: i64,
    /// Its epoch, -1 for none.
    pub producer_epoch: i16,
    /// The sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// How many records follow.
    pub record_count: i32,
}

/// Who sets the timestamps of a batch (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker at the append, one for the whole batch.
    LogAppendTime,
}

/// Whether the checksum in the header of `batch`, one whole batch, is the one of its bytes.
///
/// False for bytes too short to have a header.
#[must_use]
pub fn crc_matches(batch: &[u8]) -> bool {
    match (batch.first_chunk::<CHECKED_FROM>(), batch.get(CHECKED_FROM..)) {
        (Some([.., a, b, c, d]), Some(checked)) if batch.len() >= HEADER_BYTES => {
            u32::from_be_bytes([*a, *b, *c, *d]) == crc32c::crc32c(checked)
        }
        _ => false,
    }
}

/// Assigns offsets and leader epoch of `batch` in place; both lie outside the checksum.
///
/// The first 16 bytes of a batch are enough: a log that writes without copying stamps a copy of those.
///
/// # Panics
/// When `batch` is shorter than that.
pub fn stamp(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    let head = batch.first_chunk_mut::<MAGIC_AT>().expect("a batch is stamped after its header was parsed");
    head[..8].copy_from_slice(&base_offset.to_be_bytes());
    head[12..].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Makes `batch` one of the broker's time: sets the timestamp type and the largest timestamp, and the checksum anew.
///
/// # Panics
/// When `batch` is shorter than a header.
pub fn stamp_log_append_time(batch: &mut [u8], now_ms: TimestampMs) {
    let header = BatchHeader::parse(batch).expect("a batch is stamped after its header was parsed");
    rewrite(batch, header.with_log_append_time(now_ms));
}

/// Makes `batch` another producer's: sets id, epoch and base sequence, and the checksum anew. For a client that numbers
/// batches again after the broker lost count.
///
/// # Panics
/// When `batch` is shorter than a header.
pub fn stamp_producer(batch: &mut [u8], id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) {
    let header = BatchHeader::parse(batch).expect("a batch is stamped after it was built");
    rewrite(batch, BatchHeader { producer_id: id.0, producer_epoch: epoch.0, base_sequence, ..header });
}

/// Puts `header` over the one of `batch` and sets the checksum anew.
pub(super) fn rewrite(batch: &mut [u8], header: BatchHeader) {
    let (head, records) = batch
        .split_first_chunk_mut::<HEADER_BYTES>()
        .expect("a batch is stamped after its header was parsed");
    *head = header.with_crc_of(records).to_bytes();
}

// === impl BatchHeader ===

impl BatchHeader {
    /// Reads a header from the first 61 of `bytes`.
    ///
    /// # Errors
    /// `Truncated`, `OldMagic`, `UnknownMagic`, `BadLength`, `NegativeCount`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let truncated = BatchError::Truncated { needed: HEADER_BYTES, available: bytes.len() };
        // The magic comes first: batches of the older formats may be shorter than this one's header.
        match bytes.get(MAGIC_AT).map(|&magic| magic.cast_signed()) {
            None => return Err(truncated),
            Some(MAGIC) => {}
            Some(magic @ 0..MAGIC) => return Err(BatchError::OldMagic { magic }),
            Some(magic) => return Err(BatchError::UnknownMagic { magic }),
        }
        let mut fields: &[u8] = bytes.first_chunk::<HEADER_BYTES>().ok_or(truncated)?;
        let header = Self {
            base_offset: fields.get_i64(),
            batch_length: fields.get_i32(),
            leader_epoch: LeaderEpoch(fields.get_i32()),
            magic: fields.get_i8(),
            crc: fields.get_u32(),
            attributes: fields.get_i16(),
            last_offset_delta: fields.get_i32(),
            base_timestamp: fields.get_i64(),
            max_timestamp: fields.get_i64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_i16(),
            base_sequence: fields.get_i32(),
            record_count: fields.get_i32(),
        };
        if header.batch_length < LEAST_BATCH_LENGTH {
            return Err(BatchError::BadLength { batch_length: header.batch_length });
        }
        if header.last_offset_delta < 0 || header.record_count < 0 {
            let Self { last_offset_delta, record_count, .. } = header;
            return Err(BatchError::NegativeCount { last_offset_delta, record_count });
        }
        Ok(header)
    }

    /// The header as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut fields: &mut [u8] = &mut bytes;
        fields.put_i64(self.base_offset);
        fields.put_i32(self.batch_length);
        fields.put_i32(self.leader_epoch.0);
        fields.put_i8(self.magic);
        fields.put_u32(self.crc);
        fields.put_i16(self.attributes);
        fields.put_i32(self.last_offset_delta);
        fields.put_i64(self.base_timestamp);
        fields.put_i64(self.max_timestamp);
        fields.put_i64(self.producer_id);
        fields.put_i16(self.producer_epoch);
        fields.put_i32(self.base_sequence);
        fields.put_i32(self.record_count);
        bytes
    }

    /// Bytes of the whole batch, header and records.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let length = usize::try_from(self.batch_length).expect("a parsed batch length is positive");
        LOG_OVERHEAD_BYTES + length
    }

    /// Offset of the last record (inclusive).
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(self.last_offset_delta.into())
    }

    /// The offset after the last record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// `UnsupportedCompression` for the codes 5 to 7.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_code(self.attributes & CODEC_BITS)
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds the broker's own control records, see [`super::control`].
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether the base timestamp is the time from which compaction may drop the batch's tombstones.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// The idempotent producer that sent the batch.
    #[must_use]
    pub fn producer(&self) -> Option<(ProducerId, ProducerEpoch)> {
        (self.producer_id >= 0).then_some((ProducerId(self.producer_id), ProducerEpoch(self.producer_epoch)))
    }

    /// The sequence number of the last record; after `i32::MAX` follows 0. [`NO_SEQUENCE`] when there is none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// This header for a batch placed at `base_offset` by the leader of `leader_epoch`; the checksum stays valid.
    #[must_use]
    pub fn with_position(self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        Self { base_offset, leader_epoch, ..self }
    }

    /// This header under the broker's time; the checksum is the old one.
    #[must_use]
    pub(super) fn with_log_append_time(self, now_ms: TimestampMs) -> Self {
        Self { attributes: self.attributes | LOG_APPEND_TIME_BIT, max_timestamp: now_ms, ..self }
    }

    /// This header with the checksum over itself and `records`.
    #[must_use]
    pub(super) fn with_crc_of(self, records: &[u8]) -> Self {
        let head = self.to_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), records);
        Self { crc, ..self }
    }

    /// The attribute bits for a batch of these properties.
    #[must_use]
    pub(super) fn attributes_of(
        compression: Compression,
        timestamp_type: TimestampType,
        is_transactional: bool,
        is_control: bool,
    ) -> i16 {
        let bit = |set: bool, bit: i16| if set { bit } else { 0 };
        compression.code()
            | bit(timestamp_type == TimestampType::LogAppendTime, LOG_APPEND_TIME_BIT)
            | bit(is_transactional, TRANSACTIONAL_BIT)
            | bit(is_control, CONTROL_BIT)
    }
}

/// The sequence number `delta` records after `sequence`; [`NO_SEQUENCE`] when `sequence` is none.
///
/// Both are taken as non-negative: the numbers run from 0 to `i32::MAX` and around.
#[must_use]
pub fn advance_sequence(sequence: i32, delta: i32) -> i32 {
    if sequence < 0 {
        return NO_SEQUENCE;
    }
    // One more than i32::MAX is i32::MIN, which differs from 0 in the sign bit alone.
    sequence.wrapping_add(delta) & i32::MAX
}
