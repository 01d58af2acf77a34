//! Appending: refusing what must not be in the log, assigning offsets and epochs, gathering batches for one write.

use bytes::{Bytes, BytesMut};

use super::Log;
use super::error::AppendError;
use super::offset_index;
use super::producer_state::Verdict;
use super::time_index;
use super::write::{Group, Placed, WriteFailure, Writer};
use crate::record::{Batch, BatchHeader, TimestampType, stamp_log_append_time};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// The largest distance of an offset from its segment's base: Kafka reads the index's u32 as an i32.
pub(super) const RELATIVE_OFFSET_MAX: Offset = i32::MAX as Offset;

/// One batch to append.
#[derive(Debug, Clone)]
pub struct AppendBatch {
    /// The validated batch; its base offset and leader epoch are overwritten in a copy.
    pub batch: Batch,
    /// `message.timestamp.type=LogAppendTime`: the time to stamp. The log raises it to the last one stamped, so
    /// that append times never decrease.
    pub stamp_append_time: Option<TimestampMs>,
}

/// An appended batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The time stamped, when one was.
    pub log_append_time_ms: Option<TimestampMs>,
    /// The batch was in the log already (an idempotent producer's retry); the offsets are the original ones.
    pub duplicate: bool,
}

// === impl Log ===

impl Log {
    /// Assigns offsets to the batches and writes them at the end of the log; one outcome per batch, in order.
    ///
    /// Each batch arrives with any base offset and leaves with the next one; its CRC stays valid, since the base
    /// offset and the epoch lie before the checksummed part. Moves the log end offset; the high watermark is the
    /// committer's. A batch of an idempotent producer that is in the log already is not written again.
    ///
    /// # Errors
    /// Per batch. A refused batch (sequence, epoch, size) does not hinder the others. After a failed write every
    /// batch of that write and behind it fails, and the log is as it was: a full disk ([`AppendError::Full`]) is
    /// over when space returns. [`AppendError::Fenced`] after a failed sync.
    pub fn append(
        &self,
        batches: Vec<AppendBatch>,
        now_ms: TimestampMs,
    ) -> Vec<Result<Appended, AppendError>> {
        self.append_all(batches, false, now_ms)
    }

    /// Appends batches with the offsets and leader epochs they carry: for mirrors and restored logs. Gaps are
    /// kept; control batches are taken.
    ///
    /// # Errors
    /// As [`Log::append`]; [`AppendError::NotNext`] for a batch below the log's end or of an older epoch.
    pub fn append_verbatim(
        &self,
        batches: Vec<Batch>,
        now_ms: TimestampMs,
    ) -> Vec<Result<Appended, AppendError>> {
        let batches =
            batches.into_iter().map(|batch| AppendBatch { batch, stamp_append_time: None }).collect();
        self.append_all(batches, true, now_ms)
    }

    fn append_all(
        &self,
        batches: Vec<AppendBatch>,
        verbatim: bool,
        now_ms: TimestampMs,
    ) -> Vec<Result<Appended, AppendError>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut writer = self.writer.lock();
        let mut group = Group::default();
        let mut failed: Option<AppendError> = None;
        for (index, batch) in batches.into_iter().enumerate() {
            if let Some(error) = &failed {
                outcomes.push(Err(error.clone()));
                continue;
            }
            let outcome = self.place(&mut writer, &mut group, index, batch, verbatim, now_ms);
            let outcome = outcome.unwrap_or_else(|failure| {
                // What was placed before may be written or not; `write_group` said so in the outcomes.
                fail(&mut outcomes, &failure);
                failed = Some(failure.error.clone());
                Err(failure.error)
            });
            outcomes.push(outcome);
        }
        if failed.is_none()
            && let Err(failure) = self.write_group(&mut writer, &mut group, now_ms)
        {
            fail(&mut outcomes, &failure);
        }
        outcomes
    }

    /// Finds a place for a batch in the group, or refuses it (inner error). The outer error is that of a write.
    fn place(
        &self,
        writer: &mut Writer,
        group: &mut Group,
        index: usize,
        append: AppendBatch,
        verbatim: bool,
        now_ms: TimestampMs,
    ) -> Result<Result<Appended, AppendError>, WriteFailure> {
        if self.is_fenced() || writer.closed {
            return Ok(Err(AppendError::Fenced));
        }
        let mut header = *append.batch.header();
        if let Err(error) = self.check_shape(&header, group, writer.end(group).1, verbatim) {
            return Ok(Err(error));
        }
        match writer.producers.check(&header) {
            Ok(Verdict::New) => {}
            Ok(Verdict::Duplicate(written)) => {
                if written.base_offset >= writer.next_offset {
                    group.repeats.push(index);
                }
                return Ok(Ok(Appended {
                    base_offset: written.base_offset,
                    last_offset: written.last_offset,
                    log_append_time_ms: append.stamp_append_time.map(|_| written.timestamp_ms),
                    duplicate: true,
                }));
            }
            // A mirror takes what the origin took.
            Err(_) if verbatim => {}
            Err(error) => return Ok(Err(error)),
        }
        let wanted_offset = if verbatim { header.base_offset } else { writer.end(group).1 };
        let last_offset = wanted_offset + i64::from(header.last_offset_delta);
        if self.is_full(writer, group, last_offset, header.size_bytes(), now_ms) {
            self.write_group(writer, group, now_ms)?;
            self.roll(writer, now_ms).map_err(WriteFailure::of_roll)?;
        }
        if last_offset - writer.active.base_offset > RELATIVE_OFFSET_MAX {
            return Ok(Err(AppendError::Malformed { what: "a gap of more than 2^31 offsets" }));
        }
        let (position, next_offset) = writer.end(group);
        let mut bytes = append.batch.into_bytes();
        let mut log_append_time_ms = None;
        if !verbatim {
            header.base_offset = next_offset;
            header.leader_epoch = self.epoch;
            if let Some(append_time_ms) = append.stamp_append_time {
                writer.append_time_ms = writer.append_time_ms.max(append_time_ms);
                log_append_time_ms = Some(writer.append_time_ms);
                (header, bytes) = restamp(&header, &bytes, writer.append_time_ms);
            }
        }
        group.undo.extend(writer.producers.save(&header));
        writer.producers.record(&header, now_ms);
        group.size_bytes += bytes.len() as u64;
        group.placed.push(Placed { index, position, header, bytes, verbatim });
        Ok(Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms,
            duplicate: false,
        }))
    }

    /// What no batch may be, whoever validated it before: positions and offsets are computed from it.
    fn check_shape(
        &self,
        header: &BatchHeader,
        group: &Group,
        next_offset: Offset,
        verbatim: bool,
    ) -> Result<(), AppendError> {
        let segment_bytes = self.config.load().segment_bytes;
        let size_bytes = header.size_bytes();
        if u32::try_from(size_bytes).is_ok_and(|size_bytes| size_bytes > segment_bytes) {
            return Err(AppendError::LargerThanSegment { size_bytes, segment_bytes });
        }
        if header.last_offset_delta < 0 {
            return Err(AppendError::Malformed { what: "a negative last offset delta" });
        }
        let base_offset = if verbatim { header.base_offset } else { next_offset };
        if base_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_none() {
            return Err(AppendError::Malformed { what: "offsets beyond the largest" });
        }
        if verbatim && (base_offset < next_offset || header.leader_epoch < self.epoch_before(group)) {
            return Err(AppendError::NotNext { log_end_offset: next_offset, found: header.base_offset });
        }
        Ok(())
    }

    /// The epoch of the batch that the next one follows.
    fn epoch_before(&self, group: &Group) -> LeaderEpoch {
        let placed = group.placed.last().map(|placed| placed.header.leader_epoch);
        placed.or_else(|| self.latest_epoch()).unwrap_or(LeaderEpoch(0))
    }

    /// Whether the active segment takes no more, so that the batch needs a new one.
    fn is_full(
        &self,
        writer: &Writer,
        group: &Group,
        last_offset: Offset,
        size_bytes: usize,
        now_ms: TimestampMs,
    ) -> bool {
        let (position, _) = writer.end(group);
        if position == 0 {
            return false;
        }
        let config = self.config.load();
        let too_far = last_offset - writer.active.base_offset > RELATIVE_OFFSET_MAX;
        let too_large = position + size_bytes as u64 > u64::from(config.segment_bytes);
        let index_full = writer.active.with_kept_index(|index| {
            let limit = config.segment_index_bytes as usize;
            index.offsets.size_bytes() + offset_index::ENTRY_BYTES > limit
                || index.times.size_bytes() + time_index::ENTRY_BYTES > limit
        });
        writer.must_roll || too_large || too_far || index_full || self.is_old(&writer.active, now_ms)
    }
}

/// Corrects the outcomes of batches that were placed but not written.
fn fail(outcomes: &mut [Result<Appended, AppendError>], failure: &WriteFailure) {
    for &index in &failure.indexes {
        outcomes[index] = Err(failure.error.clone());
    }
}

/// A copy of the batch with the append time stamped; the one case where record bytes are copied twice, since the
/// timestamp lies in the checksummed part.
fn restamp(header: &BatchHeader, bytes: &Bytes, append_time_ms: TimestampMs) -> (BatchHeader, Bytes) {
    let mut copy = BytesMut::from(&bytes[..]);
    stamp_log_append_time(&mut copy, append_time_ms);
    let stamped = BatchHeader::parse(&copy).expect("a stamped batch has a header as before");
    debug_assert_eq!(stamped.timestamp_type(), TimestampType::LogAppendTime);
    let header =
        BatchHeader { base_offset: header.base_offset, leader_epoch: header.leader_epoch, ..stamped };
    (header, copy.freeze())
}
