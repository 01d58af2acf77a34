//! What compaction needs of a batch: its keys, and the batch without some of its records.
//!
//! What is left of a batch keeps its place: base offset, last offset delta, producer and sequence stay, so that offsets
//! never change and a retried batch is still known. Records that stay are copied as they are; only a new base timestamp,
//! the delete horizon, gives them new timestamp deltas.
//!
//! Source: KIP-534 for the delete horizon.

use std::ops::Range;

use bytes::{BufMut, Bytes};

use super::header::DELETE_HORIZON_BIT;
use super::walk::{Source, WalkError, check_end, read_record, timestamp_of};
use super::{
    Batch, BatchError, BatchHeader, Compression, HEADER_BYTES, LOG_OVERHEAD_BYTES, RecordProblem,
    TimestampType, varint,
};
use crate::types::{NO_TIMESTAMP, Offset, TimestampMs};

/// What compaction looks at of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedRecord<'a> {
    /// Where it is in its partition.
    pub offset: Offset,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Whether it has no value and so deletes its key.
    pub is_tombstone: bool,
}

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remains {
    /// All of it, byte for byte.
    All,
    /// A batch of the records that stay.
    Some(Bytes),
    /// No record.
    Nothing,
}

/// Records in a slice, keys and values as slices of it.
struct Spans<'a> {
    bytes: &'a [u8],
    position: usize,
}

// === impl Batch ===

impl Batch {
    /// Shows every record to `see`, in order, with at most `limit_bytes` decompressed.
    ///
    /// # Errors
    /// As [`Batch::records`], and those of its iterator; records before the faulty one were shown.
    pub fn each_keyed(
        &self,
        limit_bytes: usize,
        mut see: impl FnMut(KeyedRecord<'_>),
    ) -> Result<(), BatchError> {
        let records = self.decompressed(limit_bytes)?;
        each_span(self.header(), &records, |record, _, _| see(record))
    }

    /// The batch without the records that `keep`, which is asked twice, refuses.
    ///
    /// When a tombstone is among those that stay and the batch has no delete horizon yet, it gets this one: the time from
    /// which its tombstones may go.
    ///
    /// # Errors
    /// As [`Batch::each_keyed`]; `TooLarge` when the length field cannot say how large it would be.
    pub fn retain(
        &self,
        limit_bytes: usize,
        delete_horizon_ms: TimestampMs,
        keep: impl Fn(KeyedRecord<'_>) -> bool,
    ) -> Result<Remains, BatchError> {
        let header = *self.header();
        let records = self.decompressed(limit_bytes)?;
        let (mut count, mut has_tombstone, mut max_timestamp) = (0, false, NO_TIMESTAMP);
        each_span(&header, &records, |record, _, timestamp_ms| {
            if keep(record) {
                count += 1;
                has_tombstone |= record.is_tombstone;
                max_timestamp = max_timestamp.max(timestamp_ms);
            }
        })?;
        let horizon = (has_tombstone && !header.has_delete_horizon()).then_some(delete_horizon_ms);
        if count == 0 {
            return Ok(Remains::Nothing);
        }
        if count == header.record_count && horizon.is_none() {
            return Ok(Remains::All);
        }
        let base_timestamp = horizon.unwrap_or(header.base_timestamp);
        let shift = header.base_timestamp.wrapping_sub(base_timestamp);
        let mut left = Vec::with_capacity(records.len());
        each_span(&header, &records, |record, span, _| {
            if keep(record) {
                put_record(&mut left, records.get(span).unwrap_or_default(), shift);
            }
        })?;
        let header = BatchHeader {
            attributes: header.attributes | if horizon.is_some() { DELETE_HORIZON_BIT } else { 0 },
            base_timestamp,
            max_timestamp: match header.timestamp_type() {
                TimestampType::CreateTime => max_timestamp,
                // The one time of all its records.
                TimestampType::LogAppendTime => header.max_timestamp,
            },
            record_count: count,
            ..header
        };
        let bytes = with_records(header, header.compression()?, &left)?;
        Ok(Remains::Some(bytes))
    }

    /// The batch without any record, which says only that its offsets and sequence numbers were given.
    #[must_use]
    pub fn emptied(&self) -> Bytes {
        let header = *self.header();
        // Nothing is compressed: an empty text is no text of any codec.
        let attributes = BatchHeader::attributes_of(
            Compression::None,
            header.timestamp_type(),
            header.is_transactional(),
            header.is_control(),
        );
        let base_timestamp = header.max_timestamp;
        let header = BatchHeader { attributes, base_timestamp, record_count: 0, ..header };
        with_records(header, Compression::None, &[]).expect("a header fits a length field")
    }

    fn decompressed(&self, limit_bytes: usize) -> Result<Bytes, BatchError> {
        let compressed = self.bytes().slice(HEADER_BYTES..);
        self.header().compression()?.decompress(&compressed, limit_bytes)
    }
}

/// Shows every record, where it lies in `records`, and its time.
fn each_span(
    header: &BatchHeader,
    records: &[u8],
    mut see: impl FnMut(KeyedRecord<'_>, Range<usize>, TimestampMs),
) -> Result<(), BatchError> {
    let mut source = Spans { bytes: records, position: 0 };
    let mut next_offset_delta = 0;
    for index in 0..header.record_count {
        let start = source.position;
        let raw = read_record(&mut source, |_, _| {}).map_err(|error| error.at(index))?;
        if raw.offset_delta < next_offset_delta || raw.offset_delta > header.last_offset_delta {
            let problem = RecordProblem::BadOffset { expected: next_offset_delta, found: raw.offset_delta };
            return Err(BatchError::MalformedRecord { index, problem });
        }
        next_offset_delta = raw.offset_delta.saturating_add(1);
        let record = KeyedRecord {
            offset: header.base_offset.saturating_add(raw.offset_delta.into()),
            key: raw.key,
            is_tombstone: raw.value.is_none(),
        };
        see(record, start..source.position, timestamp_of(header, raw.timestamp_delta));
    }
    check_end(header, &mut source)
}

/// Appends a record, which was read before, with `shift` added to its timestamp delta.
fn put_record(out: &mut Vec<u8>, record: &[u8], shift: i64) {
    if shift == 0 {
        out.extend_from_slice(record);
        return;
    }
    let mut source = Spans { bytes: record, position: 0 };
    let mut read = || -> Result<(u8, i64), WalkError> {
        varint::read_i32(|| source.byte())?;
        let attributes = source.byte()?;
        Ok((attributes, varint::read_i64(|| source.byte())?))
    };
    let Ok((attributes, timestamp_delta)) = read() else { unreachable!("the record was read before") };
    let timestamp_delta = timestamp_delta.wrapping_add(shift);
    let rest = record.get(source.position..).unwrap_or_default();
    let length = 1 + varint::size(timestamp_delta) + rest.len();
    varint::put_i32(out, i32::try_from(length).expect("a record grows by ten bytes at most"));
    out.put_u8(attributes);
    varint::put_i64(out, timestamp_delta);
    out.extend_from_slice(rest);
}

/// A batch of `header` and these records.
fn with_records(header: BatchHeader, compression: Compression, records: &[u8]) -> Result<Bytes, BatchError> {
    let mut batch = Vec::with_capacity(HEADER_BYTES + records.len());
    batch.resize(HEADER_BYTES, 0);
    compression.compress_into(&mut batch, records, None);
    let size_bytes = batch.len();
    let max_bytes = i32::MAX as usize;
    let batch_length = i32::try_from(size_bytes - LOG_OVERHEAD_BYTES)
        .map_err(|_| BatchError::TooLarge { size_bytes, max_bytes })?;
    super::header::rewrite(&mut batch, BatchHeader { batch_length, ..header });
    Ok(batch.into())
}

// === impl Spans ===

impl<'a> Source for Spans<'a> {
    type Field = &'a [u8];

    fn byte(&mut self) -> Result<u8, WalkError> {
        let byte = *self.bytes.get(self.position).ok_or(RecordProblem::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    fn field(&mut self, length: usize) -> Result<&'a [u8], WalkError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let field = rest.get(..length).ok_or(RecordProblem::Truncated)?;
        self.position += length;
        Ok(field)
    }

    fn consumed(&self) -> usize {
        self.position
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.position == self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
