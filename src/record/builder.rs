//! Makes batches: for the client's producer and for the engine's internal logs.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    BatchError, BatchHeader, Compression, HEADER_BYTES, Header, LOG_OVERHEAD_BYTES, MAGIC, TimestampType,
    advance_sequence, varint,
};
use crate::types::{LeaderEpoch, NO_SEQUENCE, ProducerEpoch, ProducerId, TimestampMs};

/// Most bytes of records in one batch before compression: far above any broker's limit, far below what a length field
/// holds, also for records that a codec makes larger.
const MOST_RECORD_BYTES: usize = 1 << 30;

/// Collects records and makes one batch of them; its buffer is used again for the next.
///
/// Properties that were set (codec, timestamp type, producer, …) stay for the next batch, except that an idempotent
/// producer's sequence advances by the records built.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    level: Option<i32>,
    timestamp_type: TimestampType,
    is_transactional: bool,
    is_control: bool,
    producer: Option<(ProducerId, ProducerEpoch)>,
    base_sequence: i32,
    /// Room for a header, then the records; empty while there is no record.
    buffer: BytesMut,
    record_count: i32,
    base_timestamp: TimestampMs,
    max_timestamp: TimestampMs,
    /// Compressed size over uncompressed, in percent: a running mean over the batches built, above 100 for those
    /// that grew.
    ratio_percent: usize,
}

// === impl BatchBuilder ===

impl BatchBuilder {
    /// A builder of CreateTime batches without producer.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            level: None,
            timestamp_type: TimestampType::CreateTime,
            is_transactional: false,
            is_control: false,
            producer: None,
            base_sequence: NO_SEQUENCE,
            buffer: BytesMut::new(),
            record_count: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            ratio_percent: 100,
        }
    }

    /// Sets the codec's level, see [`Compression::compress`].
    #[must_use]
    pub fn level(self, level: i32) -> Self {
        Self { level: Some(level), ..self }
    }

    /// Sets who gives the timestamps.
    #[must_use]
    pub fn timestamp_type(self, timestamp_type: TimestampType) -> Self {
        Self { timestamp_type, ..self }
    }

    /// Makes the batches part of a transaction.
    #[must_use]
    pub fn transactional(self) -> Self {
        Self { is_transactional: true, ..self }
    }

    /// Makes the batches control batches.
    #[must_use]
    pub fn control(self) -> Self {
        Self { is_control: true, ..self }
    }

    /// Makes the batches an idempotent producer's, see [`BatchBuilder::set_producer`].
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.set_producer(id, epoch, base_sequence);
        self
    }

    /// Makes this batch and the next ones an idempotent producer's, from `base_sequence` on.
    ///
    /// [`NO_SEQUENCE`] leaves them unnumbered, as transaction markers are.
    pub fn set_producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) {
        self.producer = Some((id, epoch));
        self.base_sequence = base_sequence;
    }

    /// Adds a record and returns its index in the batch.
    ///
    /// # Errors
    /// `TooLarge` when the records would pass 1 GiB; the builder is as before.
    pub fn append(
        &mut self,
        timestamp_ms: TimestampMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<i32, BatchError> {
        let size_bytes =
            self.uncompressed_size_bytes().saturating_add(Self::record_size_bound(key, value, headers));
        if size_bytes > MOST_RECORD_BYTES {
            return Err(BatchError::TooLarge { size_bytes, max_bytes: MOST_RECORD_BYTES });
        }
        if self.record_count == 0 {
            self.buffer.put_bytes(0, HEADER_BYTES);
            self.base_timestamp = timestamp_ms;
            self.max_timestamp = timestamp_ms;
        }
        let index = self.record_count;
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp);
        let length = 1
            + varint::size(timestamp_delta)
            + varint::size(index)
            + field_size(key)
            + field_size(value)
            + headers_size(headers);

        let out = &mut self.buffer;
        out.reserve(length + varint::size(i32::MAX));
        varint::put_i32(out, length_field(length));
        // The attributes of a record have no meaning yet.
        out.put_u8(0);
        varint::put_i64(out, timestamp_delta);
        varint::put_i32(out, index);
        put_field(out, key);
        put_field(out, value);
        varint::put_i32(out, length_field(headers.len()));
        for header in headers {
            put_field(out, Some(&header.key));
            put_field(out, header.value.as_deref());
        }

        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        self.record_count += 1;
        Ok(index)
    }

    /// Records added since the last build.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Whether no record was added since the last build.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Bytes of the batch if it were built uncompressed now.
    #[must_use]
    pub fn uncompressed_size_bytes(&self) -> usize {
        self.buffer.len().max(HEADER_BYTES)
    }

    /// Expected bytes of the batch if it were built now: exact without compression, else by the ratio that the last
    /// batches of this builder reached.
    #[must_use]
    pub fn estimated_size_bytes(&self) -> usize {
        let records = self.uncompressed_size_bytes() - HEADER_BYTES;
        match self.compression {
            Compression::None => HEADER_BYTES + records,
            // A twentieth on top: a batch that turns out too large has to be split and sent again.
            _ => HEADER_BYTES + records.saturating_mul(self.ratio_percent) / 100 * 21 / 20,
        }
    }

    /// An upper bound of the bytes that a record of this shape takes, before compression.
    #[must_use]
    pub fn record_size_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
        // Length, attributes, timestamp delta, offset delta.
        let fixed = 5 + 1 + 10 + 5;
        fixed + field_size(key) + field_size(value) + headers_size(headers)
    }

    /// Makes the batch, with base offset 0 and no leader epoch, and empties the builder.
    ///
    /// # Panics
    /// When no record was added.
    pub fn build(&mut self) -> Bytes {
        assert!(self.record_count > 0, "a batch is built of at least one record");
        let mut batch = match self.compression {
            // The records stay where they are; the buffer goes on behind them, or anew once they are let go.
            Compression::None => self.buffer.split(),
            compression => {
                let records =
                    self.buffer.get(HEADER_BYTES..).expect("records follow the room for the header");
                let mut out = Vec::with_capacity(self.estimated_size_bytes());
                out.resize(HEADER_BYTES, 0);
                compression.compress_into(&mut out, records, self.level);
                self.note_ratio(records.len(), out.len() - HEADER_BYTES);
                self.buffer.clear();
                BytesMut::from(Bytes::from(out))
            }
        };
        let header = self.header(batch.len());
        super::header::rewrite(&mut batch, header);
        self.base_sequence = advance_sequence(self.base_sequence, self.record_count);
        self.record_count = 0;
        batch.freeze()
    }

    /// Forgets the records added since the last build.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.record_count = 0;
    }

    fn header(&self, size_bytes: usize) -> BatchHeader {
        let (producer_id, producer_epoch) = self.producer.map_or((-1, -1), |(id, epoch)| (id.0, epoch.0));
        BatchHeader {
            base_offset: 0,
            batch_length: length_field(size_bytes - LOG_OVERHEAD_BYTES),
            leader_epoch: LeaderEpoch(-1),
            magic: MAGIC,
            crc: 0,
            attributes: BatchHeader::attributes_of(
                self.compression,
                self.timestamp_type,
                self.is_transactional,
                self.is_control,
            ),
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        }
    }

    fn note_ratio(&mut self, plain_bytes: usize, compressed_bytes: usize) {
        let reached = compressed_bytes.saturating_mul(100).div_ceil(plain_bytes.max(1));
        // A worse ratio counts at once, a better one slowly: too small an estimate costs more than too large a one.
        self.ratio_percent = reached.max((self.ratio_percent * 3 + reached) / 4);
    }
}

fn put_field(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, length_field(bytes.len()));
            out.put_slice(bytes);
        }
    }
}

/// Bytes of a key or a value with its length.
fn field_size(field: Option<&[u8]>) -> usize {
    match field {
        None => varint::size(-1),
        // Lengths beyond the limit are refused by their sum; their prefix may be any size.
        Some(bytes) => varint::size(i32::try_from(bytes.len()).unwrap_or(i32::MAX)) + bytes.len(),
    }
}

/// Bytes of all headers with their count.
fn headers_size(headers: &[Header]) -> usize {
    let count = varint::size(i32::try_from(headers.len()).unwrap_or(i32::MAX));
    let each =
        headers.iter().map(|header| field_size(Some(&header.key)) + field_size(header.value.as_deref()));
    count + each.sum::<usize>()
}

fn length_field(length: usize) -> i32 {
    i32::try_from(length).expect("appends stop at 1 GiB")
}
