//! Recovery of the last segment: what is scanned, what is cut, what is damage.
//!
//! Everything before the last segment was synced before the last one was made, so only the last can have a torn
//! tail, and in it only what lies behind the checkpoint. A crash leaves at most [`UNSYNCED_BYTES_MAX`] there,
//! because the engine never lets more be un-synced. From that follows the rule for a bad batch at a position:
//!
//! - behind the checkpoint, with no sound batch further than that window behind it: a **torn tail**. The bytes are
//!   moved to a `.cut` file and the segment ends there. (Rot in the last window after a crash looks the same.)
//! - otherwise: **damage**. Nothing is deleted, the damaged offsets are refused, the segment is left as it is and
//!   the log goes on in a new one.
//!
//! The page cache is dropped before the scan: after a failed sync it holds what the medium never got. What is
//! kept is synced before it is served. Every step can be repeated after a crash.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::UNSYNCED_BYTES_MAX;
use super::append::RELATIVE_OFFSET_MAX;
use super::damage::{Damage, find_next_batch};
use super::names;
use super::open::Opening;
use super::segment_index::SegmentIndex;
use super::walk::{BatchSource, Step, Window};
use crate::env::{DiskFile, OpenMode};
use crate::record::BatchHeader;
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// How much is read at a time.
const SCAN_BYTES: usize = 1 << 20;

/// The last segment after recovery.
pub(super) struct RecoveredTail {
    pub(super) base_offset: Offset,
    pub(super) size_bytes: u64,
    pub(super) next_offset: Offset,
    pub(super) index: SegmentIndex,
    /// Damaged ranges; when there are any, the segment takes no more appends.
    pub(super) damage: Vec<Damage>,
    /// When the first batch came, as far as its timestamp tells; None when there is none.
    pub(super) first_append_ms: Option<TimestampMs>,
    /// When the file last changed before recovery.
    pub(super) modified_ms: TimestampMs,
}

/// A file read by positioned reads: recovery maps nothing, since it may cut the file.
pub(super) struct FileSource(pub(super) Arc<dyn DiskFile>);

/// A scan in progress.
struct Scan<'a> {
    window: Window<'a>,
    position: u64,
    expected: Offset,
    /// From here on checksums are looked at: what lies before was synced.
    synced_to: u64,
    tail: RecoveredTail,
    scanned_bytes: u64,
    epochs: Vec<(LeaderEpoch, Offset)>,
}

/// What a flaw turned out to be.
enum Judgement {
    /// Nothing but zeros follow: the end.
    End,
    /// A torn tail.
    Torn,
    /// Damage; the scan goes on behind it.
    Damage(Damage),
}

// === impl FileSource ===

impl BatchSource for FileSource {
    fn bytes(&self, position: u64, size_bytes: usize) -> io::Result<Bytes> {
        let mut copy = vec![0; size_bytes];
        self.0.read_exact_at(&mut copy, position)?;
        Ok(Bytes::from(copy))
    }
}

// === impl Opening ===

impl Opening {
    /// Recovers the last segment.
    pub(super) fn recover_tail(&mut self, base_offset: Offset) -> io::Result<RecoveredTail> {
        let path = self.dir.join(names::log(base_offset));
        let file = self.disk().open(&path, OpenMode::Write)?;
        let length = file.len()?;
        if self.last_stop.clean
            && let Some(tail) = self.load_clean_tail(base_offset, &file, length)?
        {
            return Ok(tail);
        }
        self.last_stop.clean = false;
        let modified_ms = file.modified_ms()?;
        let synced_to = match self.last_stop.synced {
            Some(synced) if synced.segment == base_offset => synced.position,
            // The file that the checkpoint speaks of is gone; all of this one was synced before that was made.
            Some(synced) if synced.segment > base_offset => u64::MAX,
            _ => 0,
        };
        file.drop_cache(synced_to.min(length))?;
        let source = FileSource(Arc::clone(&file));
        let mut scan = self.begin_scan(base_offset, &source, length, synced_to, modified_ms)?;
        let lost_upto = self.synced_offset_in(base_offset).unwrap_or(0);
        let torn = scan.run(lost_upto, self.config.index_interval_bytes)?;
        self.report.scanned_bytes += scan.scanned_bytes;
        let (end, epochs, mut tail) = (scan.position, scan.epochs, scan.tail);
        if torn {
            self.report.cut_bytes += self.move_tail_aside(base_offset, &file, end, length)?;
        }
        tail.size_bytes = end;
        self.note_epochs(&epochs);
        // Also releases blocks that were reserved beyond the end.
        file.set_len(end)?;
        file.sync_data()?;
        self.write_index(&mut tail)?;
        Ok(tail)
    }

    /// The last segment after an orderly stop: its headers since the last index entry must lead to its end. None
    /// when they do not, so that it was no orderly stop after all.
    fn load_clean_tail(
        &mut self,
        base_offset: Offset,
        file: &Arc<dyn DiskFile>,
        length: u64,
    ) -> io::Result<Option<RecoveredTail>> {
        let modified_ms = file.modified_ms()?;
        let source = FileSource(Arc::clone(file));
        let rebuilt = self.report.rebuilt_files;
        let mut scan = self.begin_scan(base_offset, &source, length, u64::MAX, modified_ms)?;
        while scan.position < length {
            let header = scan.window.header(scan.position, scan.expected, offsets_end(base_offset))?;
            let sound = match header {
                Ok(header) => scan.is_plain_or_sound(&header)?.then_some(header),
                Err(_) => None,
            };
            let Some(header) = sound else {
                self.report.rebuilt_files = rebuilt;
                return Ok(None);
            };
            scan.accept(&header, self.config.index_interval_bytes);
        }
        let (epochs, mut tail) = (scan.epochs, scan.tail);
        tail.size_bytes = length;
        self.note_epochs(&epochs);
        self.write_index(&mut tail)?;
        Ok(Some(tail))
    }

    /// A scan that begins at the last index entry below the checkpoint, or at the start of the file.
    fn begin_scan<'a>(
        &mut self,
        base_offset: Offset,
        source: &'a FileSource,
        length: u64,
        synced_to: u64,
        modified_ms: TimestampMs,
    ) -> io::Result<Scan<'a>> {
        let mut window = Window::new(source, length, SCAN_BYTES);
        let first = window.header(0, base_offset, Offset::MAX)?.ok();
        let record = self.index_records.get(&base_offset).copied();
        let index = record.and_then(|record| {
            SegmentIndex::read_files(&*self.disk(), &self.dir, base_offset, &record, synced_to.min(length))
        });
        let start = match &index {
            Some(index) => index.resume(&mut window, base_offset)?,
            None => None,
        };
        let (index, (position, expected)) = match (index, start) {
            (Some(index), Some(start)) => (index, start),
            _ => {
                // Before the first checkpoint there is no index, and none is missing.
                if record.is_some() {
                    self.report.rebuilt_files += 1;
                }
                (SegmentIndex::default(), (0, base_offset))
            }
        };
        let first_append_ms = first.map(|header| {
            Some(header.max_timestamp).filter(|ms| (0..=self.now_ms).contains(ms)).unwrap_or(self.now_ms)
        });
        let tail = RecoveredTail {
            base_offset,
            size_bytes: length,
            next_offset: expected,
            index,
            damage: Vec::new(),
            first_append_ms,
            modified_ms,
        };
        Ok(Scan { window, position, expected, synced_to, tail, scanned_bytes: 0, epochs: Vec::new() })
    }

    /// Notes the epochs met by a scan, if they agree with the file. The file is written by every checkpoint, so
    /// it can lack only epochs that begin behind one; if it says otherwise it is rebuilt from all batches.
    fn note_epochs(&mut self, found: &[(LeaderEpoch, Offset)]) {
        let Some(epochs) = &mut self.epochs else { return };
        let log_start_offset = self.log_start_offset;
        for (index, &(epoch, offset)) in found.iter().enumerate() {
            let deleted = found.get(index + 1).is_some_and(|&(_, next)| next <= log_start_offset);
            if deleted || epochs.at(offset.max(log_start_offset)) == Some(epoch) {
                continue;
            }
            let newer = epochs.latest().is_none_or(|latest| latest < epoch);
            let begins_here = index > 0 || offset == 0;
            if newer && begins_here {
                self.epochs_changed |= epochs.note(epoch, offset);
            } else {
                self.epochs = None;
                self.report.rebuilt_files += 1;
                return;
            }
        }
    }

    /// Makes the index files those of the recovered segment where they are not.
    fn write_index(&self, tail: &mut RecoveredTail) -> io::Result<()> {
        let base_offset = tail.base_offset;
        if tail.index.record(false).is_none() {
            tail.index.rewrite(&*self.disk(), &self.dir, base_offset)?;
        }
        Ok(())
    }
}

/// The first offset that a segment cannot hold: it is rolled before relative offsets overflow. A base offset lies
/// outside of the checksum, so a rotted one may say anything.
fn offsets_end(base_offset: Offset) -> Offset {
    base_offset.saturating_add(RELATIVE_OFFSET_MAX)
}

// === impl Scan ===

impl Scan<'_> {
    /// Whether a header is what comes next, without looking at its batch's bytes where nothing is odd.
    fn is_plain_or_sound(&mut self, header: &BatchHeader) -> io::Result<bool> {
        let step = Step { position: self.position, header: *header };
        let plain = header.base_offset == self.expected && step.has_no_holes();
        Ok(plain || self.window.is_sound_though_odd(&step, self.expected)?)
    }

    /// Scans to the end; whether a torn tail begins where it stopped.
    fn run(&mut self, lost_upto: Offset, interval_bytes: u32) -> io::Result<bool> {
        while self.position < self.window.end() {
            let header =
                self.window.header(self.position, self.expected, offsets_end(self.tail.base_offset))?;
            if let Ok(header) = header
                && self.is_sound(&header)?
            {
                self.accept(&header, interval_bytes);
                continue;
            }
            let hint = header.ok().map(|header| self.position + header.size_bytes() as u64);
            match self.judge(hint, lost_upto)? {
                Judgement::End => break,
                Judgement::Torn => return Ok(true),
                Judgement::Damage(damage) => {
                    self.position = damage.positions.end;
                    self.expected = damage.offsets.end;
                    self.tail.next_offset = self.expected;
                    self.tail.damage.push(damage);
                }
            }
        }
        Ok(false)
    }

    fn is_sound(&mut self, header: &BatchHeader) -> io::Result<bool> {
        let step = Step { position: self.position, header: *header };
        let plain = header.base_offset == self.expected && step.has_no_holes();
        if !plain && !self.window.is_sound_though_odd(&step, self.expected)? {
            return Ok(false);
        }
        if step.behind() <= self.synced_to {
            return Ok(true);
        }
        self.scanned_bytes += header.size_bytes() as u64;
        self.window.crc_matches(self.position, header)
    }

    fn accept(&mut self, header: &BatchHeader, interval_bytes: u32) {
        let step = Step { position: self.position, header: *header };
        self.tail.index.meet(&step, self.tail.base_offset, interval_bytes);
        let epoch = header.leader_epoch;
        if self.epochs.last().is_none_or(|&(latest, _)| latest < epoch) {
            self.epochs.push((epoch, header.base_offset));
        }
        self.position += header.size_bytes() as u64;
        self.expected = header.next_offset();
        self.tail.next_offset = self.expected;
    }

    /// Decides what the bad batch at the present position is.
    fn judge(&mut self, hint: Option<u64>, lost_upto: Offset) -> io::Result<Judgement> {
        let (position, end) = (self.position, self.window.end());
        if position >= self.synced_to {
            if self.is_zero_from(position)? {
                return Ok(Judgement::End);
            }
            // Looked at before the search for the damage's end: usually there is no such batch, or no room for it.
            let beyond = position.saturating_add(UNSYNCED_BYTES_MAX);
            if beyond >= end || self.next_batch(beyond, None)?.is_none() {
                return Ok(Judgement::Torn);
            }
        }
        let (behind, offset) = match self.next_batch(position, hint)? {
            Some(step) => (step.position, step.header.base_offset),
            None => (end, lost_upto.max(self.expected)),
        };
        Ok(Judgement::Damage(Damage { positions: position..behind, offsets: self.expected..offset }))
    }

    fn next_batch(&mut self, position: u64, hint: Option<u64>) -> io::Result<Option<Step>> {
        // Offsets grow with the bytes, but compressed batches hold many records: a generous bound.
        let end_offset = self.expected.saturating_add(1 << 40);
        find_next_batch(&mut self.window, position, hint, self.expected, end_offset)
    }

    fn is_zero_from(&mut self, position: u64) -> io::Result<bool> {
        let end = self.window.end();
        let mut at = position;
        while at < end {
            let size_bytes = usize::try_from(end - at).unwrap_or(usize::MAX).min(SCAN_BYTES);
            let Some(bytes) = self.window.get(at, size_bytes)? else { break };
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += size_bytes as u64;
        }
        Ok(true)
    }
}
