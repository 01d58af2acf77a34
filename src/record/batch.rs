//! One whole batch and its records.

use std::iter::FusedIterator;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::walk::{BytesSource, Seen, check_end, each_record, read_record, timestamp_of};
use super::{BatchError, BatchHeader, HEADER_BYTES, RecordProblem, TimestampType, advance_sequence};
use crate::types::{LeaderEpoch, NO_SEQUENCE, Offset, TimestampMs};

/// One whole batch, its header parsed; its bytes are exactly the batch.
///
/// Parsing looks at the header alone. Of a batch from a client, [`super::validate_produced`] makes one whose records
/// are known to be good; of a batch from a disk or a broker, check [`Batch::crc_matches`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

/// One record of a batch. Key, value and headers are slices of the batch or of its decompressed records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it is in its partition.
    pub offset: Offset,
    /// Its time: its own, or the batch's append time.
    pub timestamp_ms: TimestampMs,
    /// Its producer's sequence number, [`NO_SEQUENCE`] for none.
    pub sequence: i32,
    /// The key; empty and absent are different.
    pub key: Option<Bytes>,
    /// The value; absent is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order; keys may repeat.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    /// The key: UTF-8 by the protocol, not checked here.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's time.
    pub timestamp_ms: TimestampMs,
}

/// The records of one batch, in order; ends after the first error.
///
/// Offsets increase strictly within the batch's range, but not by one: compaction leaves holes.
#[derive(Debug, Clone)]
pub struct RecordIter {
    header: BatchHeader,
    source: BytesSource,
    next_index: i32,
    next_offset_delta: i32,
    is_done: bool,
}

/// The batches that lie one after another in `bytes`, as in a fetch response or a log.
///
/// A partial batch at the end ends the iteration silently; bytes that are no batch end it with an error. Checksums are
/// not looked at.
pub fn batches(bytes: Bytes) -> impl Iterator<Item = Result<Batch, BatchError>> + Send + 'static {
    let mut rest = bytes;
    std::iter::from_fn(move || match Batch::split_off(&mut rest) {
        Ok(batch) => Some(Ok(batch)),
        Err(BatchError::Truncated { .. }) => None,
        Err(error) => {
            rest.clear();
            Some(Err(error))
        }
    })
}

// === impl Batch ===

impl Batch {
    /// Takes `bytes` as exactly one batch.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; `Truncated` when the batch is longer than `bytes`, `SeveralBatches` when it is shorter.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        let available = bytes.len();
        match header.size_bytes() {
            needed if needed > available => Err(BatchError::Truncated { needed, available }),
            batch_bytes if batch_bytes < available => {
                Err(BatchError::SeveralBatches { batch_bytes, available })
            }
            _ => Ok(Self { header, bytes }),
        }
    }

    /// Splits the first batch off the front of `bytes`.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; `Truncated` when the batch is longer than `bytes`. `bytes` stays as it is.
    pub fn split_off(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let (needed, available) = (header.size_bytes(), bytes.len());
        if needed > available {
            return Err(BatchError::Truncated { needed, available });
        }
        Ok(Self { header, bytes: bytes.split_to(needed) })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole batch.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether the stored checksum is the one of the bytes.
    #[must_use]
    pub fn crc_matches(&self) -> bool {
        super::crc_matches(&self.bytes)
    }

    /// The header that this batch gets in a log, to be written in front of `bytes()[HEADER_BYTES..]`.
    ///
    /// Placed at `base_offset` by the leader of `leader_epoch` and, if `append_time_ms` is given, under the broker's
    /// time, which costs a new checksum. The batch itself stays as it is: its bytes may be shared.
    #[must_use]
    pub fn stamped_header(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        append_time_ms: Option<TimestampMs>,
    ) -> [u8; HEADER_BYTES] {
        let placed = self.header.with_position(base_offset, leader_epoch);
        let stamped = match append_time_ms {
            Some(now_ms) => placed.with_log_append_time(now_ms).with_crc_of(self.record_bytes()),
            None => placed,
        };
        stamped.to_bytes()
    }

    /// The records; compressed ones are decompressed into one buffer of at most `limit_bytes`.
    ///
    /// # Errors
    /// `UnsupportedCompression`, `Undecompressable`, `TooLargeDecompressed`.
    pub fn records(&self, limit_bytes: usize) -> Result<RecordIter, BatchError> {
        let compressed = self.bytes.slice(HEADER_BYTES..);
        let bytes = self.header.compression()?.decompress(&compressed, limit_bytes)?;
        Ok(RecordIter {
            header: self.header,
            source: BytesSource::new(bytes),
            next_index: 0,
            next_offset_delta: 0,
            is_done: false,
        })
    }

    /// The first record that has the largest timestamp of the batch; None for a batch without records.
    ///
    /// Holds a chunk of compressed records at a time, and stops after decompressing `limit_bytes`.
    ///
    /// # Errors
    /// As [`Batch::records`], and those of its iterator.
    pub fn max_timestamp_record(&self, limit_bytes: usize) -> Result<Option<TimestampedOffset>, BatchError> {
        let mut latest: Option<TimestampedOffset> = None;
        each_record(self, limit_bytes, |seen| {
            if latest.is_none_or(|latest| seen.timestamp_ms > latest.timestamp_ms) {
                latest = Some(self.timestamped(seen));
            }
            // Under the broker's time the first record has the time of all.
            match self.header.timestamp_type() {
                TimestampType::CreateTime => ControlFlow::Continue(()),
                TimestampType::LogAppendTime => ControlFlow::Break(()),
            }
        })?;
        Ok(latest)
    }

    /// The first record at or after `offset` whose timestamp is `timestamp_ms` or later.
    ///
    /// # Errors
    /// As [`Batch::find`].
    pub fn first_at_or_after(
        &self,
        timestamp_ms: TimestampMs,
        offset: Offset,
        limit_bytes: usize,
    ) -> Result<Option<TimestampedOffset>, BatchError> {
        self.find(limit_bytes, |seen| seen.timestamp_ms >= timestamp_ms && seen.offset >= offset)
    }

    /// The first record of whose offset and timestamp `wanted` is true.
    ///
    /// Holds a chunk of compressed records at a time, and stops after decompressing `limit_bytes`.
    ///
    /// # Errors
    /// As [`Batch::records`], and those of its iterator, for what comes before the record found.
    pub fn find(
        &self,
        limit_bytes: usize,
        mut wanted: impl FnMut(TimestampedOffset) -> bool,
    ) -> Result<Option<TimestampedOffset>, BatchError> {
        let mut found = None;
        each_record(self, limit_bytes, |seen| {
            let candidate = self.timestamped(seen);
            if wanted(candidate) {
                found = Some(candidate);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The records as they are stored, compressed or not.
    pub(super) fn record_bytes(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    fn timestamped(&self, seen: Seen) -> TimestampedOffset {
        let offset = self.header.base_offset.saturating_add(seen.offset_delta.into());
        TimestampedOffset { offset, timestamp_ms: seen.timestamp_ms }
    }
}

// === impl RecordIter ===

impl RecordIter {
    fn read(&mut self) -> Result<Record, BatchError> {
        let mut headers = Vec::new();
        let raw = read_record(&mut self.source, |key, value| headers.push(Header { key, value }))
            .map_err(|error| error.at(self.next_index))?;
        if raw.offset_delta < self.next_offset_delta || raw.offset_delta > self.header.last_offset_delta {
            let problem =
                RecordProblem::BadOffset { expected: self.next_offset_delta, found: raw.offset_delta };
            return Err(BatchError::MalformedRecord { index: self.next_index, problem });
        }
        self.next_index += 1;
        self.next_offset_delta = raw.offset_delta.saturating_add(1);
        let sequence = match self.header.producer() {
            Some(_) => advance_sequence(self.header.base_sequence, raw.offset_delta),
            None => NO_SEQUENCE,
        };
        Ok(Record {
            offset: self.header.base_offset.saturating_add(raw.offset_delta.into()),
            timestamp_ms: timestamp_of(&self.header, raw.timestamp_delta),
            sequence,
            key: raw.key,
            value: raw.value,
            headers,
        })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let item = if self.next_index < self.header.record_count {
            Some(self.read())
        } else {
            self.is_done = true;
            check_end(&self.header, &mut self.source).err().map(Err)
        };
        self.is_done |= matches!(item, Some(Err(_)));
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is a claim of the batch: an upper bound, not something to reserve for. One item more may be the
        // error about bytes after the last record.
        let claimed = usize::try_from(self.header.record_count.saturating_sub(self.next_index)).unwrap_or(0);
        (0, Some(if self.is_done { 0 } else { claimed.saturating_add(1) }))
    }
}

impl FusedIterator for RecordIter {}
