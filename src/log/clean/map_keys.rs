//! The first half of a cleaning: the newest offset of each key of the dirty part.

use std::io;
use std::sync::Arc;

use super::super::Log;
use super::super::walk::{Found, Step, Walk};
use super::rewrite::Rewriting;
use super::{Cleaning, Cursor, Phase};
use crate::record::Batch;
use crate::types::Offset;

/// What became of a batch.
enum Noted {
    /// All its keys are in the map.
    Whole,
    /// The map is full.
    InPart,
}

// === impl Log ===

impl Log {
    /// Notes keys until about `max_bytes` are read; how many were. Ends with the next phase, at the end of the dirty part or
    /// at the batch for which there is no more room.
    pub(super) fn map_keys(&self, cleaning: &mut Cleaning, max_bytes: u64) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            let Phase::Mapping(cursor) = &mut cleaning.phase else { return Ok(bytes) };
            let Some(at) = cursor.take().or_else(|| self.dirty_segment(cleaning.mapped_to, cleaning.limit))
            else {
                cleaning.mapped_to = cleaning.limit;
                cleaning.phase = Phase::Rewriting(Box::new(Rewriting::new(self, cleaning.mapped_to)));
                return Ok(bytes);
            };
            let mut walk = at.walk();
            let place = loop {
                if bytes >= max_bytes {
                    break Some(walk.place());
                }
                match walk.next()? {
                    Found::Batch(step) if step.header.next_offset() <= cleaning.mapped_to => {}
                    Found::Batch(step) => {
                        bytes += step.header.size_bytes() as u64;
                        if matches!(self.note_keys(cleaning, &mut walk, &step)?, Noted::InPart) {
                            cleaning.phase =
                                Phase::Rewriting(Box::new(Rewriting::new(self, cleaning.mapped_to)));
                            return Ok(bytes);
                        }
                        cleaning.mapped_to = step.header.next_offset();
                    }
                    // Whoever writes segments anew leaves this one alone.
                    Found::Damaged(_) => {}
                    Found::End => break None,
                }
            };
            match place {
                Some((position, expected)) => {
                    let segment = Arc::clone(&at.segment);
                    cleaning.phase = Phase::Mapping(Some(Cursor { segment, position, expected }));
                    return Ok(bytes);
                }
                None => {
                    cleaning.mapped_to = cleaning.mapped_to.max(at.segment.next_offset());
                    cleaning.phase = Phase::Mapping(None);
                }
            }
        }
    }

    /// The segment with the first offset that is not mapped.
    fn dirty_segment(&self, mapped_to: Offset, limit: Offset) -> Option<Cursor> {
        let segments = self.segments.load();
        let dirty = |next: Offset| next > mapped_to && next <= limit;
        let segment = segments.iter().find(|segment| segment.is_sealed() && dirty(segment.next_offset()))?;
        Some(Cursor::at_start_of(segment))
    }

    fn note_keys(&self, cleaning: &mut Cleaning, walk: &mut Walk<'_>, step: &Step) -> io::Result<Noted> {
        if step.header.is_control() || step.header.record_count == 0 {
            return Ok(Noted::Whole);
        }
        let bytes = walk.window().get(step.position, step.header.size_bytes())?;
        let batch = bytes.and_then(|bytes| Batch::parse(bytes).ok()).filter(Batch::crc_matches);
        let Some(batch) = batch else {
            walk.condemn(step)?;
            return Ok(Noted::Whole);
        };
        let mut has_room = true;
        let seen = batch.each_keyed(self.config().decompressed_bytes_max, |record| {
            if let Some(key) = record.key {
                has_room = has_room && cleaning.map.put(key, record.offset);
            }
        });
        if let Err(error) = seen {
            // It stays as it is, and hides what it holds. Keys that were seen before the fault are there.
            tracing::warn!(offset = step.header.base_offset, %error, "a batch could not be looked into");
        }
        // A first batch with more keys than a whole map takes is passed all the same, or no cleaning would get past it: what
        // is noted of it is true, and its other keys are only cleaned less.
        let is_first = cleaning.mapped_to <= cleaning.first_dirty;
        Ok(if has_room || is_first { Noted::Whole } else { Noted::InPart })
    }
}
