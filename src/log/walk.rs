//! Going through a segment from batch header to batch header.
//!
//! Used by everything that must know where batches are: reads, lookups, index rebuilding, recovery, the offline
//! check. A walk trusts nothing: a header counts only when it parses, fits the file, continues the offsets and
//! stays below the segment's end. What a walk does at a flaw is its user's business: see [`Walk`] for reads and
//! `recovery` for the other rule.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::damage::{self, Damage};
use super::segment::Segment;
use crate::record::{BatchHeader, HEADER_BYTES, crc_matches};
use crate::types::Offset;

/// How much a walk reads at a time when it does not know better.
pub(super) const WINDOW_BYTES: usize = 256 << 10;

/// Where a walk gets its bytes.
pub(super) trait BatchSource {
    /// The bytes `[position, position + size_bytes)`, which the caller knows to exist.
    fn bytes(&self, position: u64, size_bytes: usize) -> io::Result<Bytes>;
}

/// The part of a source that is in hand.
pub(super) struct Window<'a> {
    source: &'a dyn BatchSource,
    /// Where the source ends.
    end: u64,
    window_bytes: usize,
    start: u64,
    bytes: Bytes,
}

/// A batch met on a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Where it begins.
    pub(super) position: u64,
    /// What its header says; consistent with its surroundings, not CRC-checked.
    pub(super) header: BatchHeader,
}

/// What a walk meets next.
#[derive(Debug)]
pub(super) enum Found {
    /// A batch.
    Batch(Step),
    /// Bytes that hold no batch any more; the walk goes on behind them.
    Damaged(Damage),
    /// The end.
    End,
}

/// What is wrong at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Too few bytes for a header, or for the batch that the header announces.
    Short,
    /// Bytes that are no header of a version 2 batch.
    NoHeader,
    /// Offsets that do not continue the log or exceed its end.
    Offsets,
    /// The checksum does not match.
    Checksum,
}

/// A walk over a segment that serves readers: it steps over damage and remembers it.
pub(super) struct Walk<'a> {
    segment: &'a Arc<Segment>,
    window: Window<'a>,
    position: u64,
    /// The offset that the next batch should have.
    expected: Offset,
    end_offset: Offset,
    /// The next header, when it was looked at already.
    peeked: Option<(u64, BatchHeader)>,
}

/// The first readable batch of a segment.
pub(super) fn first_batch(segment: &Arc<Segment>) -> io::Result<Option<Step>> {
    let mut walk = Walk::new(segment, 4096);
    loop {
        match walk.next()? {
            Found::Batch(step) => return Ok(Some(step)),
            Found::Damaged(_) => {}
            Found::End => return Ok(None),
        }
    }
}

// === impl Window ===

impl<'a> Window<'a> {
    /// A window on the first `end` bytes of a source.
    pub(super) fn new(source: &'a dyn BatchSource, end: u64, window_bytes: usize) -> Self {
        Self { source, end, window_bytes, start: 0, bytes: Bytes::new() }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes at `position`, at least `size_bytes` of them; None when the source ends before.
    pub(super) fn get(&mut self, position: u64, size_bytes: usize) -> io::Result<Option<Bytes>> {
        if self.end.checked_sub(position).is_none_or(|rest| rest < size_bytes as u64) {
            return Ok(None);
        }
        if let Some(bytes) = self.held(position, size_bytes) {
            return Ok(Some(bytes));
        }
        let rest = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        let wanted = size_bytes.max(self.window_bytes).min(rest);
        // A bad sector behind the wanted bytes must not hide them.
        self.bytes = match self.source.bytes(position, wanted) {
            Ok(bytes) => bytes,
            Err(_) if wanted > size_bytes => self.source.bytes(position, size_bytes)?,
            Err(error) => return Err(error),
        };
        self.start = position;
        Ok(Some(self.bytes.slice(..size_bytes)))
    }

    /// The bytes if they are in hand, without another look at the source.
    pub(super) fn held(&self, position: u64, size_bytes: usize) -> Option<Bytes> {
        let from = usize::try_from(position.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(size_bytes)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }

    /// The batch header at `position`, if one is there that continues at `expected` or later and whose batch
    /// ends by the source's end and by `end_offset`.
    pub(super) fn header(
        &mut self,
        position: u64,
        expected: Offset,
        end_offset: Offset,
    ) -> io::Result<Result<BatchHeader, Flaw>> {
        let Some(bytes) = self.get(position, HEADER_BYTES)? else { return Ok(Err(Flaw::Short)) };
        Ok(check_header(&bytes, self.end - position, expected, end_offset))
    }

    /// Whether the batch at `position` has the checksum it says.
    pub(super) fn crc_matches(&mut self, position: u64, header: &BatchHeader) -> io::Result<bool> {
        let batch = self.get(position, header.size_bytes())?;
        Ok(batch.is_some_and(|batch| crc_matches(&batch)))
    }

    /// Whether a batch that does not fit its surroundings plainly is what it says all the same.
    ///
    /// A mirrored log may have gaps between batches and in them; but a base offset lies outside the checksum, so a
    /// rotted one looks like a gap too, and then overlaps a sound batch behind.
    pub(super) fn is_sound_though_odd(&mut self, step: &Step, expected: Offset) -> io::Result<bool> {
        if !self.crc_matches(step.position, &step.header)? {
            return Ok(false);
        }
        if step.header.base_offset == expected {
            return Ok(true);
        }
        let Ok(next) = self.header(step.behind(), 0, Offset::MAX)? else { return Ok(true) };
        Ok(next.base_offset >= step.header.next_offset() || !self.crc_matches(step.behind(), &next)?)
    }
}

// === impl Step ===

impl Step {
    /// The position behind the batch.
    pub(super) fn behind(&self) -> u64 {
        self.position + self.header.size_bytes() as u64
    }

    /// Whether the batch has a record for each of its offsets: always, but for what compaction left of one.
    pub(super) fn has_no_holes(&self) -> bool {
        i64::from(self.header.record_count) == i64::from(self.header.last_offset_delta) + 1
    }
}

/// What `bytes` say as the header of a batch that has `rest` bytes of room.
pub(super) fn check_header(
    bytes: &[u8],
    rest: u64,
    expected: Offset,
    end_offset: Offset,
) -> Result<BatchHeader, Flaw> {
    let header = BatchHeader::parse(bytes).map_err(|_| Flaw::NoHeader)?;
    if header.size_bytes() as u64 > rest {
        return Err(Flaw::Short);
    }
    let next = header
        .base_offset
        .checked_add(i64::from(header.last_offset_delta))
        .and_then(|last| last.checked_add(1));
    let continues = header.base_offset >= expected
        && header.last_offset_delta >= 0
        && next.is_some_and(|next| next <= end_offset);
    if continues { Ok(header) } else { Err(Flaw::Offsets) }
}

// === impl Walk ===

impl<'a> Walk<'a> {
    /// A walk over the whole segment as it is now.
    pub(super) fn new(segment: &'a Arc<Segment>, window_bytes: usize) -> Self {
        // The offset first: the bytes of every batch below it are then inside the size.
        let end_offset = segment.next_offset();
        let window = Window::new(segment, segment.size_bytes(), window_bytes);
        Self { segment, window, position: 0, expected: segment.base_offset, end_offset, peeked: None }
    }

    /// A walk that begins at `position`, where a batch at or above `expected` is known to begin.
    pub(super) fn starting_at(
        segment: &'a Arc<Segment>,
        window_bytes: usize,
        position: u64,
        expected: Offset,
    ) -> Self {
        Self { position, expected, ..Self::new(segment, window_bytes) }
    }

    /// Goes on at `position`, where the batch with `last_offset` must begin; false (and no move) when it does
    /// not, which proves whoever named the position wrong.
    pub(super) fn jump(&mut self, position: u64, last_offset: Offset) -> io::Result<bool> {
        let header = self.window.header(position, self.segment.base_offset, self.end_offset)?;
        match header {
            Ok(header) if header.last_offset() == last_offset => {
                self.position = position;
                self.expected = header.base_offset;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Where a walk that goes on from here begins, see [`Walk::starting_at`].
    pub(super) fn place(&self) -> (u64, Offset) {
        (self.position, self.expected)
    }

    /// The window, for the bytes of a batch just met.
    pub(super) fn window(&mut self) -> &mut Window<'a> {
        &mut self.window
    }

    /// The next batch or damaged range.
    ///
    /// A batch is given only when what follows it fits too: a rotted length or offset delta, which the checksum
    /// covers or not, shows in the next header. Where anything is odd, the checksum decides.
    pub(super) fn next(&mut self) -> io::Result<Found> {
        if self.expected >= self.end_offset {
            return Ok(Found::End);
        }
        if let Some(damage) = self.segment.damage_at(self.position) {
            self.step_over(&damage);
            return Ok(Found::Damaged(damage));
        }
        // The file ends before the segment does: it was cut short, or the file of a segment behind it is gone.
        if self.position >= self.window.end() {
            return self.on_damage(None);
        }
        let header = match self.peeked.take() {
            Some((position, header)) if position == self.position => Ok(header),
            _ => self.window.header(self.position, self.expected, self.end_offset)?,
        };
        let Ok(header) = header else { return self.on_damage(None) };
        let step = Step { position: self.position, header };
        let behind = step.behind();
        let plain =
            header.base_offset == self.expected && step.has_no_holes() && self.is_followed_well(&step);
        if plain || self.window.is_sound_though_odd(&step, self.expected)? {
            self.position = behind;
            self.expected = header.next_offset();
            return Ok(Found::Batch(step));
        }
        // With the header in doubt its length may still be true: the next batch is looked for there first.
        self.on_damage(Some(behind))
    }

    /// Whether a batch or the end follows. The header found is kept for the next step.
    fn is_followed_well(&mut self, step: &Step) -> bool {
        let (behind, next_offset) = (step.behind(), step.header.next_offset());
        if behind >= self.window.end() || next_offset >= self.end_offset {
            return behind >= self.window.end() && next_offset >= self.end_offset;
        }
        match self.window.header(behind, next_offset, self.end_offset) {
            Ok(Ok(header)) => {
                self.peeked = Some((behind, header));
                true
            }
            // A bad sector there is the next step's business; for this one it is only odd.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Notes that the batch just met is damaged, though its header seemed good, and steps over it.
    pub(super) fn condemn(&mut self, step: &Step) -> io::Result<Damage> {
        self.position = step.position;
        self.expected = step.header.base_offset;
        match self.on_damage(Some(step.behind()))? {
            Found::Damaged(damage) => Ok(damage),
            Found::Batch(_) | Found::End => unreachable!("damage is what was found"),
        }
    }

    fn on_damage(&mut self, hint: Option<u64>) -> io::Result<Found> {
        let next =
            damage::find_next_batch(&mut self.window, self.position, hint, self.expected, self.end_offset)?;
        let (position, offset) = match next {
            Some(step) => (step.position, step.header.base_offset),
            None => (self.window.end(), self.end_offset),
        };
        let damage = Damage { positions: self.position..position, offsets: self.expected..offset };
        self.segment.note_damage(damage.clone());
        self.step_over(&damage);
        Ok(Found::Damaged(damage))
    }

    fn step_over(&mut self, damage: &Damage) {
        self.position = damage.positions.end;
        self.expected = damage.offsets.end;
    }
}
