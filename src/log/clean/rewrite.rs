//! The second half of a cleaning: closed segments from the log start on, written anew without what may go.

use std::sync::Arc;

use super::super::Log;
use super::super::append::RELATIVE_OFFSET_MAX;
use super::super::error::LogError;
use super::super::offset_index;
use super::super::segment::Segment;
use super::super::walk::{Found, Step, Walk};
use super::fate::{Fate, Known, Remembered};
use super::output::Output;
use super::progress::NO_HORIZON;
use super::{Cleaning, Cursor, Phase, failed};
use crate::record::{Batch, HEADER_BYTES};
use crate::types::Offset;

/// How far it has come.
pub(super) struct Rewriting {
    /// Segments that end at or below are done.
    done_to: Offset,
    group: Option<Group>,
    known: Known,
    remembered: Remembered,
}

/// Neighbouring segments that become one.
struct Group {
    /// Those taken in so far.
    segments: Vec<Arc<Segment>>,
    /// In the last of them.
    cursor: Option<Cursor>,
    /// None as long as nothing has to go and no neighbour is to be taken in: then nothing is written.
    output: Option<Output>,
    /// The last batch that went, should the segment end with it.
    last_gone: Option<Batch>,
    keyless_records: u64,
    /// What was known before this group, should it have to begin again.
    known_before: Known,
}

/// Where a walk through a segment of a group stopped.
enum Stopped {
    /// At the end of the segment.
    End,
    /// With the budget used up.
    Budget,
    /// At the first thing that has to go, with nothing written yet.
    Change,
    /// At damage.
    Damage,
}

// === impl Rewriting ===

impl Rewriting {
    /// The work on all that lies below `upto`.
    pub(super) fn new(log: &Log, upto: Offset) -> Self {
        let known = Known { left_some: false, next_horizon_ms: NO_HORIZON };
        let remembered = log.remembered_batches(upto);
        Self { done_to: log.log_start_offset(), group: None, known, remembered }
    }

    pub(super) fn discard(&mut self, log: &Log) {
        if let Some(group) = &mut self.group {
            group.discard(log);
        }
    }
}

// === impl Group ===

impl Group {
    /// Gives up what was written.
    fn discard(&mut self, log: &Log) {
        if let Some(output) = self.output.take() {
            output.discard(log);
        }
    }
}

// === impl Log ===

impl Log {
    /// Goes on until about `max_bytes` are read and written; how many were.
    pub(super) fn rewrite(&self, cleaning: &mut Cleaning, max_bytes: u64) -> Result<u64, LogError> {
        let Phase::Rewriting(mut at) = std::mem::replace(&mut cleaning.phase, Phase::Done) else {
            return Ok(0);
        };
        let mut bytes = 0;
        while bytes < max_bytes {
            let group = match at.group.take() {
                Some(group) => group,
                None => match self.next_group(cleaning, &mut at)? {
                    Some(group) => group,
                    None => {
                        self.finish_cleaning(cleaning, at.known.next_horizon_ms);
                        return Ok(bytes);
                    }
                },
            };
            bytes += self.rewrite_group(cleaning, &mut at, group, max_bytes - bytes)?;
        }
        cleaning.phase = Phase::Rewriting(at);
        Ok(bytes)
    }

    /// The next segments that may be cleaned, those that are damaged left out; None at the end.
    fn next_group(&self, cleaning: &Cleaning, at: &mut Rewriting) -> Result<Option<Group>, LogError> {
        let segments = self.segments.load_full();
        for (index, segment) in segments.iter().enumerate() {
            if segment.next_offset() <= at.done_to {
                continue;
            }
            if !is_in(cleaning, segment) {
                return Ok(None);
            }
            if !segment.damage.read().is_empty() {
                at.known.left_some = true;
                at.done_to = segment.next_offset();
                continue;
            }
            let mut group = Group {
                segments: vec![Arc::clone(segment)],
                cursor: Some(Cursor::at_start_of(segment)),
                output: None,
                last_gone: None,
                keyless_records: 0,
                known_before: at.known,
            };
            let merges = segments.get(index + 1).is_some_and(|next| {
                self.takes_in(cleaning, segment.base_offset, segment.size_bytes(), 0, next)
            });
            if merges {
                group.output = Some(Output::create(self, segment.base_offset)?);
            }
            return Ok(Some(group));
        }
        Ok(None)
    }

    /// Whether a cleaned segment of this base, size and index may take the batches of `next` too.
    fn takes_in(
        &self,
        cleaning: &Cleaning,
        base_offset: Offset,
        size_bytes: u64,
        index_bytes: usize,
        next: &Arc<Segment>,
    ) -> bool {
        let config = self.config();
        let interval = u64::from(config.index_interval_bytes).max(HEADER_BYTES as u64);
        let entries = usize::try_from(next.size_bytes() / interval + 1).unwrap_or(usize::MAX);
        let index_bytes = entries.saturating_mul(offset_index::ENTRY_BYTES).saturating_add(index_bytes);
        is_in(cleaning, next)
            && next.damage.read().is_empty()
            && size_bytes + next.size_bytes() <= u64::from(config.segment_bytes)
            && index_bytes <= config.segment_index_bytes as usize
            && next.next_offset() - base_offset <= RELATIVE_OFFSET_MAX
    }

    /// The batches below `upto` by which producers' retries are known.
    fn remembered_batches(&self, upto: Offset) -> Remembered {
        let writer = self.writer.lock();
        let states = writer.producers.entries.iter();
        let all =
            states.flat_map(|(&id, state)| state.batches.iter().map(move |batch| (id, batch.base_offset)));
        all.filter(|&(_, base_offset)| base_offset < upto).collect()
    }

    /// Goes on with a group, which is put back unless it is done or has to begin again; bytes read and written.
    fn rewrite_group(
        &self,
        cleaning: &mut Cleaning,
        at: &mut Rewriting,
        mut group: Group,
        max_bytes: u64,
    ) -> Result<u64, LogError> {
        let walked = self.rewrite_segment(cleaning, at, &mut group, max_bytes);
        let (bytes, stopped) = match walked {
            Ok(walked) => walked,
            Err(error) => {
                group.discard(self);
                return Err(error);
            }
        };
        match stopped {
            Stopped::Budget => at.group = Some(group),
            Stopped::Change => {
                let segment = Arc::clone(&group.segments[0]);
                at.known = group.known_before;
                group.keyless_records = 0;
                group.output = Some(Output::create(self, segment.base_offset)?);
                group.cursor = Some(Cursor::at_start_of(&segment));
                at.group = Some(group);
            }
            Stopped::Damage => {
                at.known = group.known_before;
                group.discard(self);
            }
            Stopped::End => self.end_segment(cleaning, at, group)?,
        }
        Ok(bytes)
    }

    /// Walks on in the last segment of a group.
    fn rewrite_segment(
        &self,
        cleaning: &Cleaning,
        at: &mut Rewriting,
        group: &mut Group,
        max_bytes: u64,
    ) -> Result<(u64, Stopped), LogError> {
        let cursor = group.cursor.take().expect("a group has a place to go on at");
        let segment = Arc::clone(&cursor.segment);
        let mut walk = cursor.walk();
        let mut bytes = 0;
        loop {
            if bytes >= max_bytes {
                let (position, expected) = walk.place();
                group.cursor = Some(Cursor { segment, position, expected });
                return Ok((bytes, Stopped::Budget));
            }
            let step = match walk.next().map_err(failed(&segment))? {
                Found::Batch(step) => step,
                Found::Damaged(_) => return Ok((bytes, Stopped::Damage)),
                Found::End => return Ok((bytes, Stopped::End)),
            };
            bytes += step.header.size_bytes() as u64;
            let Some(batch) = sound_batch(&mut walk, &step).map_err(failed(&segment))? else {
                walk.condemn(&step).map_err(failed(&segment))?;
                return Ok((bytes, Stopped::Damage));
            };
            let (fate, keyless) = self.fate(cleaning, &mut at.known, &at.remembered, &batch);
            group.keyless_records += keyless;
            let Some(output) = &mut group.output else {
                if matches!(fate, Fate::Stays) {
                    continue;
                }
                return Ok((bytes, Stopped::Change));
            };
            match fate {
                Fate::Stays => bytes += output.push(self, batch.header(), batch.bytes().clone())?,
                Fate::Becomes(left) => bytes += output.push_made(self, left)?,
                Fate::Goes => group.last_gone = Some(batch),
            }
        }
    }

    /// Takes the next segment into the group, or ends the group and puts what was written in its place.
    fn end_segment(
        &self,
        cleaning: &mut Cleaning,
        at: &mut Rewriting,
        mut group: Group,
    ) -> Result<(), LogError> {
        let last = Arc::clone(group.segments.last().expect("a group has a segment"));
        let Some(output) = group.output.take() else {
            at.done_to = last.next_offset();
            return Ok(());
        };
        let next = self.segments.load().iter().find(|next| next.base_offset == last.next_offset()).cloned();
        if let Some(next) = next
            && self.takes_in(
                cleaning,
                output.base_offset(),
                output.size_bytes() + HEADER_BYTES as u64,
                output.offset_index_bytes(),
                &next,
            )
        {
            group.cursor = Some(Cursor::at_start_of(&next));
            group.segments.push(next);
            group.output = Some(output);
            at.group = Some(group);
            return Ok(());
        }
        // A segment ends where the next begins: with what is left of its last batch, and be that nothing.
        let ends_early = output.next_offset() < last.next_offset();
        let end = group.last_gone.take().filter(|_| ends_early);
        let end_offset = end.as_ref().map_or(output.next_offset(), |end| end.header().next_offset());
        assert_eq!(end_offset, last.next_offset(), "a segment without damage ends with a batch");
        let finished = output.finish(self, end.map(|end| end.emptied()))?;
        let before: u64 = group.segments.iter().map(|segment| segment.size_bytes()).sum();
        let after = finished.size_bytes;
        at.done_to = last.next_offset();
        if self.swap_in(group.segments, finished)? {
            cleaning.cleaned.bytes_before += before;
            cleaning.cleaned.bytes_after += after;
            cleaning.cleaned.keyless_records += group.keyless_records;
        }
        Ok(())
    }
}

/// Whether a cleaning may look at a segment.
fn is_in(cleaning: &Cleaning, segment: &Segment) -> bool {
    segment.is_sealed() && segment.base_offset < cleaning.mapped_to && segment.next_offset() <= cleaning.limit
}

/// The batch of a step, if its checksum is right.
fn sound_batch(walk: &mut Walk<'_>, step: &Step) -> std::io::Result<Option<Batch>> {
    let bytes = walk.window().get(step.position, step.header.size_bytes())?;
    Ok(bytes.and_then(|bytes| Batch::parse(bytes).ok()).filter(Batch::crc_matches))
}
