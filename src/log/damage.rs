//! Damaged ranges of a segment: finding where they end, remembering them.
//!
//! Damage deletes nothing. The bytes stay, reads of exactly the damaged offsets are refused, everything around
//! them is served.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::Segment;
use super::walk::{Step, Window, check_header};
use crate::record::HEADER_BYTES;
use crate::types::Offset;

/// A range of a segment that holds no readable batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where it lies in the file.
    pub(super) positions: Range<u64>,
    /// The offsets that are lost by it; empty when the bytes are surplus.
    pub(super) offsets: Range<Offset>,
}

/// How much is looked through at a time.
const SEARCH_BYTES: usize = 1 << 20;
/// How many bytes may be checksummed per byte looked through. Record values can be full of things that look
/// like headers of large batches; without a limit such a search would take quadratic time.
const CHECKSUMMED_PER_BYTE_MAX: u64 = 8;
/// And how many in any case, for short searches.
const CHECKSUMMED_BYTES_MIN: u64 = 64 << 20;

/// The first sound batch behind `position`: its header continues the offsets, its checksum matches, and so does
/// the header behind it, if there is one. That last condition keeps batches out that lie inside a record's
/// value: a value is never the last byte of its batch.
///
/// `hint` is a position where one is likely, tried first.
pub(super) fn find_next_batch(
    window: &mut Window<'_>,
    position: u64,
    hint: Option<u64>,
    expected: Offset,
    end_offset: Offset,
) -> io::Result<Option<Step>> {
    let mut budget = (window.end() - position) * CHECKSUMMED_PER_BYTE_MAX + CHECKSUMMED_BYTES_MIN;
    if let Some(hint) = hint
        && let Some(step) = sound_batch(window, hint, expected, end_offset, &mut budget)?
    {
        return Ok(Some(step));
    }
    let mut from = position + 1;
    while from + HEADER_BYTES as u64 <= window.end() && budget > 0 {
        let size = SEARCH_BYTES.min(usize::try_from(window.end() - from).unwrap_or(usize::MAX));
        let bytes = match window.get(from, size) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            // A bad sector is part of the damage: look on behind it.
            Err(_) => {
                from += size as u64;
                continue;
            }
        };
        let candidates = bytes.len() - HEADER_BYTES + 1;
        for index in 0..candidates {
            let at = from + index as u64;
            let rest = window.end() - at;
            if check_header(&bytes[index..], rest, expected, end_offset).is_ok()
                && let Some(step) = sound_batch(window, at, expected, end_offset, &mut budget)?
            {
                return Ok(Some(step));
            }
        }
        from += candidates as u64;
    }
    Ok(None)
}

fn sound_batch(
    window: &mut Window<'_>,
    position: u64,
    expected: Offset,
    end_offset: Offset,
    budget: &mut u64,
) -> io::Result<Option<Step>> {
    let Ok(header) = window.header(position, expected, end_offset)? else { return Ok(None) };
    *budget = budget.saturating_sub(header.size_bytes() as u64);
    if *budget == 0 || !window.crc_matches(position, &header)? {
        return Ok(None);
    }
    let behind = position + header.size_bytes() as u64;
    let followed = behind == window.end() || window.header(behind, header.next_offset(), end_offset)?.is_ok();
    Ok(followed.then_some(Step { position, header }))
}

impl Segment {
    /// The damage that begins at `position`, if it is known.
    pub(super) fn damage_at(&self, position: u64) -> Option<Damage> {
        let damage = self.damage.read();
        let index = damage.binary_search_by_key(&position, |known| known.positions.start).ok()?;
        Some(damage[index].clone())
    }

    /// Remembers a damaged range.
    pub(super) fn note_damage(self: &Arc<Self>, found: Damage) {
        let mut damage = self.damage.write();
        if let Err(index) = damage.binary_search_by_key(&found.positions.start, |known| known.positions.start)
        {
            if !found.offsets.is_empty() {
                self.resources().counters().damaged_ranges.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    file = %self.log_path().display(),
                    from_position = found.positions.start,
                    to_position = found.positions.end,
                    from_offset = found.offsets.start,
                    to_offset = found.offsets.end,
                    "record batches are damaged on the disk; these offsets cannot be read, all others can"
                );
            }
            damage.insert(index, found);
        }
    }
}
