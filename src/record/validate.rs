//! What a broker checks of a batch that a client sends: once, at the edge, outside every lock.
//!
//! Where the answer was in doubt, Apache Kafka 4.3.1 was asked with the same bytes. Stricter than it on purpose: bytes
//! after the batch or after its compressed data, gaps in the records' offsets, attribute bits without a meaning and the
//! bits that are the broker's own are refused, where Kafka lets some of them into the log. Data that does not decompress
//! is an invalid record, not a corrupt message: its checksum holds, so that sending it again cannot help.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};

use super::header::{self, CLIENT_ATTRIBUTES};
use super::walk::{Seen, each_record_for_everybody};
use super::{Batch, BatchError, BatchHeader, Compression, RecordFault, RecordProblem, TimestampType};
use crate::types::{NO_TIMESTAMP, TimestampMs};

/// How many faulty records an error names at most.
///
/// So that what a hostile batch costs stays small: a batch of 1 MiB can hold 150,000 records.
pub const MAX_RECORD_FAULTS: usize = 1000;

/// What a topic and the broker ask of a produced batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRules {
    /// Largest batch, header and (compressed) records (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// Who gives the timestamps (`message.timestamp.type`); under LogAppendTime the producer's are not looked at.
    pub timestamp_type: TimestampType,
    /// How far a timestamp may lie in the past (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far a timestamp may lie in the future (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// Whether every record needs a key (`cleanup.policy` has `compact`).
    pub needs_keys: bool,
    /// Whether the request's version knows zstd (Produce 7).
    pub allow_zstd: bool,
    /// Whether compressed records are looked at, by decompressing them as a stream.
    ///
    /// Without it, garbage that a client compressed and the largest timestamp it claims are stored as they are. They
    /// are looked at in any case when `needs_keys` is set.
    pub check_compressed: bool,
    /// Largest size of the records once decompressed.
    pub max_decompressed_bytes: usize,
}

/// What the records of a batch have shown.
struct Findings<'a> {
    rules: &'a ProduceRules,
    /// The timestamps allowed, both inclusive; None when any is.
    window: Option<(TimestampMs, TimestampMs)>,
    max_timestamp: TimestampMs,
    faults: Vec<RecordFault>,
    has_bad_timestamp: bool,
    bad_offset: Option<BatchError>,
}

/// Checks `bytes`, what a client sent for one partition at `now_ms`, and returns its one batch.
///
/// The batch is `bytes` itself, except that a header whose largest timestamp is not the one of the records is put
/// right, in a copy. Base offset and leader epoch are as the client sent them (0 and anything).
///
/// # Errors
/// Any [`BatchError`]; [`BatchError::kind`] says how to answer it. Faults of single records are all collected
/// ([`BatchError::records`]); any other fault is the first that is found.
pub fn validate_produced(
    bytes: &Bytes,
    rules: &ProduceRules,
    now_ms: TimestampMs,
) -> Result<Batch, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::NoBatch);
    }
    let batch = Batch::parse(bytes.clone())?;
    let size_bytes = bytes.len();
    if size_bytes > rules.max_message_bytes {
        return Err(BatchError::TooLarge { size_bytes, max_bytes: rules.max_message_bytes });
    }
    check_crc(&batch)?;
    let compression = check_header(batch.header(), rules)?;

    if compression != Compression::None && !rules.check_compressed && !rules.needs_keys {
        return trust_header(batch, rules, now_ms);
    }
    let mut findings = Findings::new(rules, now_ms);
    each_record_for_everybody(&batch, rules.max_decompressed_bytes, |seen| findings.see(seen))?;
    let max_timestamp = findings.conclude()?;
    // Under the broker's time the log writes its own over it.
    if max_timestamp == batch.header().max_timestamp || rules.timestamp_type == TimestampType::LogAppendTime {
        return Ok(batch);
    }
    Ok(with_max_timestamp(&batch, max_timestamp))
}

fn check_crc(batch: &Batch) -> Result<(), BatchError> {
    if batch.crc_matches() {
        return Ok(());
    }
    let stored = batch.header().crc;
    let computed = batch.header().with_crc_of(batch.record_bytes()).crc;
    Err(BatchError::CrcMismatch { stored, computed })
}

/// Checks what the header alone tells.
fn check_header(header: &BatchHeader, rules: &ProduceRules) -> Result<Compression, BatchError> {
    let &BatchHeader { base_offset, last_offset_delta, record_count, attributes, .. } = header;
    if base_offset != 0 {
        return Err(BatchError::BaseOffset { base_offset });
    }
    if record_count == 0 {
        return Err(BatchError::NoRecords);
    }
    if record_count - 1 != last_offset_delta {
        return Err(BatchError::CountMismatch { last_offset_delta, record_count });
    }
    if header.is_control() {
        return Err(BatchError::ClientControl);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::ClientLogAppendTime);
    }
    if attributes & !CLIENT_ATTRIBUTES != 0 {
        return Err(BatchError::UnknownAttributes { attributes });
    }
    check_producer(header)?;
    match header.compression()? {
        Compression::Zstd if !rules.allow_zstd => {
            Err(BatchError::UnsupportedCompression { code: Compression::Zstd.code() })
        }
        compression => Ok(compression),
    }
}

/// A producer id needs an epoch and a sequence, a transaction needs a producer id. Without an id the other two are not
/// looked at: some clients leave zeros there.
fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let &BatchHeader { producer_id, producer_epoch, base_sequence, .. } = header;
    let is_transactional = header.is_transactional();
    let is_consistent = match header.producer() {
        Some(_) => producer_epoch >= 0 && base_sequence >= 0,
        None => !is_transactional,
    };
    if is_consistent {
        return Ok(());
    }
    Err(BatchError::BadProducer { producer_id, producer_epoch, base_sequence, is_transactional })
}

/// Checks what can be checked of compressed records without looking at them: the header's two timestamps.
fn trust_header(batch: Batch, rules: &ProduceRules, now_ms: TimestampMs) -> Result<Batch, BatchError> {
    let mut findings = Findings::new(rules, now_ms);
    let header = batch.header();
    let (first, last) = (header.base_timestamp, header.max_timestamp);
    for (index, timestamp_ms) in [(0, first), (header.last_offset_delta, last)] {
        findings.see_timestamp(index, timestamp_ms);
    }
    findings.conclude()?;
    Ok(batch)
}

/// A copy of `batch` with another largest timestamp.
fn with_max_timestamp(batch: &Batch, max_timestamp: TimestampMs) -> Batch {
    let mut bytes = BytesMut::from(&batch.bytes()[..]);
    header::rewrite(&mut bytes, BatchHeader { max_timestamp, ..*batch.header() });
    Batch::parse(bytes.freeze()).expect("a batch stays one under another timestamp")
}

// === impl Findings ===

impl<'a> Findings<'a> {
    fn new(rules: &'a ProduceRules, now_ms: TimestampMs) -> Self {
        let window = (
            now_ms.saturating_sub(rules.timestamp_before_max_ms),
            now_ms.saturating_add(rules.timestamp_after_max_ms),
        );
        Self {
            rules,
            window: (rules.timestamp_type == TimestampType::CreateTime).then_some(window),
            max_timestamp: NO_TIMESTAMP,
            faults: Vec::new(),
            has_bad_timestamp: false,
            bad_offset: None,
        }
    }

    fn see(&mut self, seen: Seen) -> ControlFlow<()> {
        let Seen { index, offset_delta, timestamp_ms, has_key } = seen;
        if offset_delta != index {
            let problem = RecordProblem::BadOffset { expected: index, found: offset_delta };
            self.bad_offset = Some(BatchError::MalformedRecord { index, problem });
            return ControlFlow::Break(());
        }
        if !has_key && self.rules.needs_keys {
            self.fault(|| RecordFault::no_key(index));
        }
        self.see_timestamp(index, timestamp_ms);
        ControlFlow::Continue(())
    }

    fn see_timestamp(&mut self, index: i32, timestamp_ms: TimestampMs) {
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        if let Some((from, to)) = self.window
            && timestamp_ms != NO_TIMESTAMP
            && !(from..=to).contains(&timestamp_ms)
        {
            self.has_bad_timestamp = true;
            self.fault(|| RecordFault::timestamp(index, timestamp_ms, from, to));
        }
    }

    /// The largest timestamp, if nothing was wrong.
    fn conclude(self) -> Result<TimestampMs, BatchError> {
        match self {
            Self { bad_offset: Some(error), .. } => Err(error),
            Self { has_bad_timestamp: true, faults, .. } => Err(BatchError::TimestampsRefused(faults)),
            Self { faults, .. } if !faults.is_empty() => Err(BatchError::RecordsRefused(faults)),
            Self { max_timestamp, .. } => Ok(max_timestamp),
        }
    }

    fn fault(&mut self, fault: impl FnOnce() -> RecordFault) {
        if self.faults.len() < MAX_RECORD_FAULTS {
            self.faults.push(fault());
        }
    }
}

// === impl ProduceRules ===

impl Default for ProduceRules {
    /// Kafka's defaults for a topic; 64 MiB decompressed.
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            needs_keys: false,
            allow_zstd: true,
            check_compressed: true,
            max_decompressed_bytes: 64 << 20,
        }
    }
}
