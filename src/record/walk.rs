//! The grammar of records, over bytes that are there or bytes that are still being decompressed.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varlong | offset delta varint |
//! key length varint, key | value length varint, value |
//! header count varint, (key length varint, key | value length varint, value)*
//! ```
//!
//! Lengths of -1 stand for "absent". A [`Source`] gives single bytes and fields; what a field becomes is the source's
//! choice: a slice for an iteration, nothing for a check. So there is one reading of the format, and a check of
//! compressed records holds no more than a chunk of them.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::compression::Decoder;
use super::varint::{self, VarintTooLong};
use super::{Batch, BatchError, BatchHeader, RecordProblem, TimestampType};
use crate::types::TimestampMs;

/// Where records are read from.
pub(super) trait Source {
    /// What a key or a value becomes.
    type Field;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, WalkError>;

    /// The next `length` bytes.
    fn field(&mut self, length: usize) -> Result<Self::Field, WalkError>;

    /// Bytes read so far.
    fn consumed(&self) -> usize;

    /// Whether every byte has been read.
    fn is_at_end(&mut self) -> Result<bool, BatchError>;
}

/// A record as it is written.
pub(super) struct RawRecord<F> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<F>,
    pub(super) value: Option<F>,
}

/// What a check sees of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) index: i32,
    pub(super) offset_delta: i32,
    pub(super) timestamp_ms: TimestampMs,
    pub(super) has_key: bool,
}

/// Why a walk ends early: for the record, or for all of them.
pub(super) enum WalkError {
    Record(RecordProblem),
    Batch(BatchError),
}

/// Records in a slice, kept as slices of it.
#[derive(Debug, Clone)]
pub(super) struct BytesSource {
    bytes: Bytes,
    position: usize,
}

/// Records in a slice, only looked at.
struct SliceSource<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Records that are being decompressed, only looked at.
struct StreamSource<'a> {
    decoder: Decoder<'a>,
    consumed: usize,
}

/// Shows every record of `batch` to `visit`, in order, until it breaks; compressed ones as a stream that may produce
/// `limit_bytes`. After the last record nothing may follow.
pub(super) fn each_record(
    batch: &Batch,
    limit_bytes: usize,
    visit: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let bytes = batch.record_bytes();
    let decoder = Decoder::new(batch.header().compression()?, bytes, limit_bytes)?;
    each_decoded(batch, decoder, visit)
}

/// As [`each_record`], of a batch that others will have to read: what not every client can decompress is refused.
pub(super) fn each_record_for_everybody(
    batch: &Batch,
    limit_bytes: usize,
    visit: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let bytes = batch.record_bytes();
    let decoder = Decoder::new(batch.header().compression()?, bytes, limit_bytes)?;
    each_decoded(batch, decoder.map(Decoder::only_for_everybody), visit)
}

fn each_decoded(
    batch: &Batch,
    decoder: Option<Decoder<'_>>,
    visit: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let bytes = batch.record_bytes();
    match decoder {
        None => walk(batch.header(), &mut SliceSource { bytes, position: 0 }, visit),
        Some(decoder) => walk(batch.header(), &mut StreamSource { decoder, consumed: 0 }, visit),
    }
}

fn walk<S: Source>(
    header: &BatchHeader,
    source: &mut S,
    mut visit: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    for index in 0..header.record_count {
        let record = read_record(source, |_, _| {}).map_err(|error| error.at(index))?;
        let seen = Seen {
            index,
            offset_delta: record.offset_delta,
            timestamp_ms: timestamp_of(header, record.timestamp_delta),
            has_key: record.key.is_some(),
        };
        if visit(seen).is_break() {
            return Ok(());
        }
    }
    check_end(header, source)
}

/// Refuses bytes after the last record.
pub(super) fn check_end(header: &BatchHeader, source: &mut impl Source) -> Result<(), BatchError> {
    if source.is_at_end()? {
        Ok(())
    } else {
        Err(BatchError::TrailingBytes { record_count: header.record_count })
    }
}

/// The time of a record with `timestamp_delta`. Wraps as Kafka's does: a builder's deltas wrap the same way.
pub(super) fn timestamp_of(header: &BatchHeader, timestamp_delta: i64) -> TimestampMs {
    match header.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.wrapping_add(timestamp_delta),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

/// Reads one record and gives its headers to `on_header`.
pub(super) fn read_record<S: Source>(
    source: &mut S,
    mut on_header: impl FnMut(S::Field, Option<S::Field>),
) -> Result<RawRecord<S::Field>, WalkError> {
    let length = positive(read_varint(source)?)?;
    let end = source.consumed().checked_add(length).ok_or(RecordProblem::BadLength)?;
    // The attributes have no meaning yet; Kafka ignores them.
    source.byte()?;
    let timestamp_delta = varint::read_i64(|| source.byte())?;
    let offset_delta = read_varint(source)?;
    let key = read_field(source, end)?;
    let value = read_field(source, end)?;
    // A count needs no check against the bytes left: nothing is reserved for it, and each header takes two bytes.
    for _ in 0..positive(read_varint(source)?)? {
        let key = read_field(source, end)?.ok_or(RecordProblem::NegativeLength)?;
        let value = read_field(source, end)?;
        on_header(key, value);
    }
    if source.consumed() != end {
        return Err(RecordProblem::BadLength.into());
    }
    Ok(RawRecord { timestamp_delta, offset_delta, key, value })
}

/// Reads a key or a value that must not reach beyond `end`.
fn read_field<S: Source>(source: &mut S, end: usize) -> Result<Option<S::Field>, WalkError> {
    let length = read_varint(source)?;
    if length == -1 {
        return Ok(None);
    }
    let length = positive(length)?;
    if end.checked_sub(source.consumed()).is_none_or(|left| length > left) {
        return Err(RecordProblem::BadLength.into());
    }
    source.field(length).map(Some)
}

fn read_varint(source: &mut impl Source) -> Result<i32, WalkError> {
    varint::read_i32(|| source.byte())
}

fn positive(length: i32) -> Result<usize, RecordProblem> {
    usize::try_from(length).map_err(|_| RecordProblem::NegativeLength)
}

// === impl WalkError ===

impl WalkError {
    /// The batch's error, for the record with this index.
    pub(super) fn at(self, index: i32) -> BatchError {
        match self {
            Self::Record(problem) => BatchError::MalformedRecord { index, problem },
            Self::Batch(error) => error,
        }
    }
}

impl From<RecordProblem> for WalkError {
    fn from(problem: RecordProblem) -> Self {
        Self::Record(problem)
    }
}

impl From<VarintTooLong> for WalkError {
    fn from(_: VarintTooLong) -> Self {
        Self::Record(RecordProblem::BadVarint)
    }
}

// === impl BytesSource ===

impl BytesSource {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, position: 0 }
    }
}

impl Source for BytesSource {
    type Field = Bytes;

    fn byte(&mut self) -> Result<u8, WalkError> {
        let byte = *self.bytes.get(self.position).ok_or(RecordProblem::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    fn field(&mut self, length: usize) -> Result<Bytes, WalkError> {
        if length > self.bytes.len() - self.position {
            return Err(RecordProblem::Truncated.into());
        }
        let field = self.bytes.slice(self.position..self.position + length);
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

// === impl SliceSource ===

impl Source for SliceSource<'_> {
    type Field = ();

    fn byte(&mut self) -> Result<u8, WalkError> {
        let byte = *self.bytes.get(self.position).ok_or(RecordProblem::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    fn field(&mut self, length: usize) -> Result<(), WalkError> {
        if length > self.bytes.len() - self.position {
            return Err(RecordProblem::Truncated.into());
        }
        self.position += length;
        Ok(())
    }

    fn consumed(&self) -> usize {
        self.position
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.position == self.bytes.len())
    }
}

// === impl StreamSource ===

impl StreamSource<'_> {
    /// Makes the chunk non-empty.
    fn need_chunk(&mut self) -> Result<(), WalkError> {
        if self.decoder.chunk().is_empty() && !self.decoder.refill().map_err(WalkError::Batch)? {
            return Err(RecordProblem::Truncated.into());
        }
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        self.decoder.consume(count);
        self.consumed += count;
    }
}

impl Source for StreamSource<'_> {
    type Field = ();

    fn byte(&mut self) -> Result<u8, WalkError> {
        self.need_chunk()?;
        let byte = *self.decoder.chunk().first().ok_or(RecordProblem::Truncated)?;
        self.consume(1);
        Ok(byte)
    }

    fn field(&mut self, length: usize) -> Result<(), WalkError> {
        let mut left = length;
        while left > 0 {
            self.need_chunk()?;
            let count = left.min(self.decoder.chunk().len());
            self.consume(count);
            left -= count;
        }
        Ok(())
    }

    fn consumed(&self) -> usize {
        self.consumed
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        // Also an empty chunk has to be asked for: only then the codec checks what ends its data.
        Ok(self.decoder.chunk().is_empty() && !self.decoder.refill()?)
    }
}
