//! Reading: whole batches from an offset on, as slices of the maps.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::Log;
use super::error::ReadError;
use super::segment::Segment;
use super::segment_index::SegmentIndex;
use super::walk::{Found, Step, WINDOW_BYTES, Walk};
use crate::types::Offset;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first offset wanted; the answer starts with the batch that contains it.
    pub from: Offset,
    /// No batch that reaches this offset is given: the high watermark, the last stable offset or the end.
    pub upto: Offset,
    /// Stop before more than this many bytes.
    pub max_bytes: usize,
    /// Give one batch even beyond `max_bytes`.
    pub at_least_one: bool,
    /// Check each batch's CRC, for readers who do not check it themselves.
    pub verify_crc: bool,
}

/// What a read found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// Whole batches in log order, several in one slice where they lie together.
    pub records: Vec<Bytes>,
    /// Their size together.
    pub size_bytes: usize,
    /// The base offset of the first batch, which may lie below the offset asked for, or above where compaction left a gap;
    /// that offset when there is no batch.
    pub first_offset: Offset,
    /// The offset after the last batch; the offset asked for when there is none.
    pub next_offset: Offset,
}

/// Batches that lie together.
#[derive(Clone, Copy)]
struct Run {
    first: Step,
    /// The position behind the last.
    behind: u64,
    /// The offset after the last.
    next_offset: Offset,
}

/// Why a segment gave no more.
enum Stop {
    /// Its end is reached.
    End,
    /// The request is satisfied.
    Enough,
    /// The next offset to be read is damaged.
    Damaged { from: Offset, to: Offset },
}

// === impl ReadOutcome ===

impl ReadOutcome {
    /// Adds the bytes of `run`; only its first batch when a later one cannot be read.
    fn take(&mut self, segment: &Arc<Segment>, walk: &mut Walk<'_>, run: Run) -> io::Result<()> {
        let size_bytes = usize::try_from(run.behind - run.first.position).map_err(io::Error::other)?;
        let bytes = match walk.window().held(run.first.position, size_bytes) {
            Some(bytes) => Ok(bytes),
            None => segment.view(run.first.position, size_bytes),
        };
        let (bytes, next_offset) = match bytes {
            Ok(bytes) => (bytes, run.next_offset),
            Err(_) if size_bytes > run.first.header.size_bytes() => {
                let first = segment.view(run.first.position, run.first.header.size_bytes())?;
                (first, run.first.header.next_offset())
            }
            Err(error) => return Err(error),
        };
        if self.size_bytes == 0 {
            self.first_offset = run.first.header.base_offset;
        }
        self.next_offset = next_offset;
        self.size_bytes += bytes.len();
        self.records.push(bytes);
        Ok(())
    }
}

// === impl Log ===

impl Log {
    /// Reads whole batches, in log order, without copying where a map is to be had.
    ///
    /// Nothing at or above `upto` and an empty answer are no errors. The slices stay valid whatever happens to
    /// the log: they outlive deletion and the log itself.
    ///
    /// # Errors
    /// `OffsetOutOfRange` for an offset that the log does not have, `Corrupt` when the first offset to be read is
    /// damaged (a later damage ends the answer), `Io` when the disk gives an error for the first batch.
    pub fn read(&self, request: ReadRequest) -> Result<ReadOutcome, ReadError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        let out_of_range =
            ReadError::OffsetOutOfRange { requested: request.from, log_start_offset, log_end_offset };
        if request.from < log_start_offset || request.from > log_end_offset {
            return Err(out_of_range);
        }
        let upto = request.upto.min(log_end_offset);
        let mut outcome =
            ReadOutcome { first_offset: request.from, next_offset: request.from, ..ReadOutcome::default() };
        // Where there is no room nothing is looked up: a fetch of many partitions fills up with the first few.
        if request.from >= upto || (request.max_bytes == 0 && !request.at_least_one) {
            return Ok(outcome);
        }
        let outcome = self.read_segments(ReadRequest { upto, ..request }, &mut outcome).map(|()| outcome);
        // Deleted while being read: what looks like a failure of the disk or a gap is the new log start.
        match outcome {
            Err(_) if request.from < self.log_start_offset() => Err(ReadError::OffsetOutOfRange {
                requested: request.from,
                log_start_offset: self.log_start_offset(),
                log_end_offset,
            }),
            other => other,
        }
    }

    fn read_segments(&self, request: ReadRequest, outcome: &mut ReadOutcome) -> Result<(), ReadError> {
        let segments = self.segments.load_full();
        let first = segments.partition_point(|segment| segment.base_offset <= request.from);
        let Some(first) = first.checked_sub(1) else {
            let to = segments.first().map_or(request.upto, |segment| segment.base_offset);
            return Err(ReadError::Corrupt { from: self.log_start_offset(), to });
        };
        for (index, segment) in segments.iter().enumerate().skip(first) {
            let stop = match self.read_segment(segment, &request, outcome) {
                Ok(stop) => stop,
                Err(_) if outcome.size_bytes > 0 => return Ok(()),
                Err(error) => {
                    return Err(ReadError::Io { offset: outcome.next_offset, source: Arc::new(error) });
                }
            };
            match stop {
                Stop::Enough => return Ok(()),
                Stop::Damaged { .. } if outcome.size_bytes > 0 => return Ok(()),
                Stop::Damaged { from, to } => return Err(ReadError::Corrupt { from, to }),
                Stop::End => {}
            }
            // A hole between two files: a segment that lost its end, or one that is gone.
            let end_offset = segment.next_offset();
            if let Some(next) = segments.get(index + 1)
                && next.base_offset > end_offset
            {
                return match outcome.size_bytes {
                    0 => Err(ReadError::Corrupt { from: end_offset, to: next.base_offset }),
                    _ => Ok(()),
                };
            }
        }
        Ok(())
    }

    /// Reads on in one segment.
    fn read_segment(
        &self,
        segment: &Arc<Segment>,
        request: &ReadRequest,
        outcome: &mut ReadOutcome,
    ) -> io::Result<Stop> {
        let from = outcome.next_offset;
        let room = request.max_bytes.saturating_sub(outcome.size_bytes);
        let mut walk = self.walk_from(segment, from, room.clamp(4096, 1 << 20))?;
        let mut run: Option<Run> = None;
        let stop = loop {
            let step = match walk.next() {
                Ok(Found::Batch(step)) => step,
                Ok(Found::End) => break Stop::End,
                Ok(Found::Damaged(damage)) if damage.offsets.end <= from => continue,
                Ok(Found::Damaged(damage)) => {
                    break Stop::Damaged { from: damage.offsets.start, to: damage.offsets.end };
                }
                // A bad sector behind what is found already; the next read meets it first.
                Err(_) if run.is_some() => break Stop::Enough,
                Err(error) => return Err(error),
            };
            if step.header.next_offset() <= from {
                continue;
            }
            if step.header.next_offset() > request.upto {
                break Stop::Enough;
            }
            let behind = step.position + step.header.size_bytes() as u64;
            let size_bytes = behind - run.as_ref().map_or(step.position, |run| run.first.position);
            let first_of_all = outcome.size_bytes == 0 && run.is_none();
            if size_bytes > room as u64 && !(first_of_all && request.at_least_one) {
                break Stop::Enough;
            }
            if request.verify_crc {
                match walk.window().crc_matches(step.position, &step.header) {
                    Ok(true) => {}
                    Ok(false) => {
                        let damage = walk.condemn(&step)?;
                        // Only its damaged header reached the offset asked for: a sound batch begins there or before.
                        if damage.offsets.end <= from {
                            continue;
                        }
                        break Stop::Damaged { from: damage.offsets.start, to: damage.offsets.end };
                    }
                    Err(_) if run.is_some() => break Stop::Enough,
                    Err(error) => return Err(error),
                }
            }
            let first = run.map_or(step, |run| run.first);
            run = Some(Run { first, behind, next_offset: step.header.next_offset() });
        };
        if let Some(run) = run {
            outcome.take(segment, &mut walk, run)?;
        }
        Ok(stop)
    }

    /// A walk that meets the batch with `offset`, beginning at most about an index interval before it.
    pub(super) fn walk_from<'a>(
        &self,
        segment: &'a Arc<Segment>,
        offset: Offset,
        window_bytes: usize,
    ) -> io::Result<Walk<'a>> {
        let mut walk = Walk::new(segment, window_bytes);
        if offset <= segment.base_offset {
            return Ok(walk);
        }
        let interval_bytes = self.index_interval_bytes();
        let floor = |index: &SegmentIndex| index.offsets.floor(segment.base_offset, offset);
        let Some(entry) = segment.with_index(interval_bytes, floor)? else { return Ok(walk) };
        if walk.jump(u64::from(entry.position), entry.offset(segment.base_offset))? {
            return Ok(walk);
        }
        // The index is wrong, or the batch it names is: the log decides.
        self.rebuild_index(segment)?;
        let Some(entry) = segment.with_index(interval_bytes, floor)? else { return Ok(walk) };
        let mut walk = Walk::new(segment, WINDOW_BYTES);
        walk.jump(u64::from(entry.position), entry.offset(segment.base_offset))?;
        Ok(walk)
    }

    /// Rebuilds a sealed segment's index. The active one was built or checked by this process.
    pub(super) fn rebuild_index(&self, segment: &Arc<Segment>) -> io::Result<()> {
        if segment.is_sealed() {
            segment.rebuild_index(self.index_interval_bytes())?;
        }
        Ok(())
    }
}
