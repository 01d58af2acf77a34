//! Read-only maps of files, of which the log's readers hold slices.
//!
//! What always holds: a slice keeps its map, and a map its file's blocks; what was just brought into memory is not brought
//! there again for the next reader, since looking at each of its pages costs more than sending them. The only unsafe code of
//! the crate is here.
#![expect(unsafe_code, reason = "maps of files need it; every block says who upholds what")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};
use rustix::io::Errno;

use super::super::FileMap;
use super::super::clock::{Clock as _, SystemClock};
use super::release::InUse;

/// What one note is kept for.
const CHUNK_BYTES: usize = 256 << 10;
/// So many notes are made room for at once, when the first of them is: a map is as long as a segment may become, and most of
/// it may never be written.
const GROUP_CHUNKS: usize = 256;
/// How long pages that were touched are taken for being in memory. A slice is read later than it was made anyway: a page that
/// the system has taken back in between is read from the disk by whoever reads the slice.
const FRESH: Duration = Duration::from_secs(1);

/// A read-only map of a file's start.
#[derive(Debug)]
pub(super) struct OsMap {
    map: MmapRaw,
    /// How much of each chunk was brought into memory, and when, in groups of [`GROUP_CHUNKS`].
    populated: Box<[OnceLock<Box<[Stamp]>>]>,
    clock: SystemClock,
    _in_use: Arc<InUse>,
}

/// That a chunk was brought into memory from its beginning on: up to where, in bytes and above them
/// [`STAMP_SIZE_BITS`] bits, and when, in milliseconds of the map's clock. 0 when it never was.
#[derive(Debug, Default)]
struct Stamp(AtomicU64);

/// Enough for the size of a chunk.
const STAMP_SIZE_BITS: u32 = CHUNK_BYTES.ilog2() + 1;

/// The owner of a slice of a map, for [`Bytes::from_owner`].
struct OsMapSlice {
    map: Arc<OsMap>,
    range: Range<usize>,
}

// === impl OsMap ===

impl OsMap {
    /// A map of the first `size_bytes` of a file, which may be shorter still.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn new(file: &File, size_bytes: u64, in_use: Arc<InUse>) -> io::Result<Self> {
        let size = usize::try_from(size_bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let map = MmapOptions::new().len(size).map_raw_read_only(file)?;
        let groups = size.div_ceil(CHUNK_BYTES * GROUP_CHUNKS);
        let populated = (0..groups).map(|_| OnceLock::new()).collect();
        Ok(Self { map, populated, clock: SystemClock::new(), _in_use: in_use })
    }

    /// Panics when the range is not inside the map: a broken invariant of the caller, never a matter of input.
    fn checked_range(&self, position: u64, size_bytes: usize) -> Range<usize> {
        let start = usize::try_from(position).expect("a position inside a map fits the address space");
        let end = start.checked_add(size_bytes).expect("a range inside a map fits the address space");
        assert!(end <= self.map.len(), "range {start}..{end} beyond the map's {} bytes", self.map.len());
        start..end
    }

    fn populate_range(&self, range: Range<usize>) -> io::Result<()> {
        // Maps start on a page, so rounding the offset down keeps the address inside the map.
        let page = rustix::param::page_size();
        let start = range.start / page * page;
        populate_pages(&self.map, start..range.end, page)
    }

    /// Brings those chunks of the range into memory that were not lately, from where the first of them begins: runs of
    /// them, each with one call.
    fn populate_stale(&self, range: &Range<usize>) -> io::Result<()> {
        let now = self.clock.monotonic();
        let chunks = chunks_of(range);
        let is_fresh = |chunk: usize| self.stamp(chunk).is_fresh(size_within(chunk, range.end), now);
        let mut next = chunks.start;
        while next < chunks.end {
            let end = (next..chunks.end).find(|&chunk| is_fresh(chunk)).unwrap_or(chunks.end);
            self.populate_range(next * CHUNK_BYTES..range.end.min(end * CHUNK_BYTES))?;
            for chunk in next..end {
                self.stamp(chunk).set(size_within(chunk, range.end), now);
            }
            next = end + 1;
        }
        Ok(())
    }

    /// Whether all of the range was brought into memory lately.
    fn is_fresh(&self, range: &Range<usize>) -> bool {
        let now = self.clock.monotonic();
        chunks_of(range).all(|chunk| {
            let group = self.populated[chunk / GROUP_CHUNKS].get();
            group
                .is_some_and(|group| group[chunk % GROUP_CHUNKS].is_fresh(size_within(chunk, range.end), now))
        })
    }

    fn stamp(&self, chunk: usize) -> &Stamp {
        let group = self.populated[chunk / GROUP_CHUNKS]
            .get_or_init(|| (0..GROUP_CHUNKS).map(|_| Stamp::default()).collect());
        &group[chunk % GROUP_CHUNKS]
    }
}

/// The numbers of the chunks that a range, which is not empty, has a part in.
fn chunks_of(range: &Range<usize>) -> Range<usize> {
    range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES)
}

/// How much of a chunk lies before `end`.
fn size_within(chunk: usize, end: usize) -> usize {
    (end - chunk * CHUNK_BYTES).min(CHUNK_BYTES)
}

// === impl Stamp ===

impl Stamp {
    fn set(&self, size_bytes: usize, now: Duration) {
        self.0.store(millis(now) << STAMP_SIZE_BITS | size_bytes as u64, Ordering::Relaxed);
    }

    /// Whether at least so much of the chunk was brought into memory lately.
    fn is_fresh(&self, size_bytes: usize, now: Duration) -> bool {
        let stamp = self.0.load(Ordering::Relaxed);
        let (set, populated_bytes) = (stamp >> STAMP_SIZE_BITS, stamp & ((1 << STAMP_SIZE_BITS) - 1));
        // Another reader may have set it later than this one's `now`.
        populated_bytes >= size_bytes as u64 && millis(now).saturating_sub(set) < millis(FRESH)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl FileMap for OsMap ===

impl FileMap for OsMap {
    fn size_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    fn slice(self: Arc<Self>, position: u64, size_bytes: usize) -> Bytes {
        let range = self.checked_range(position, size_bytes);
        if range.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(OsMapSlice { map: self, range })
    }

    fn populate(&self, position: u64, size_bytes: usize) -> io::Result<()> {
        let range = self.checked_range(position, size_bytes);
        if range.is_empty() || self.is_fresh(&range) {
            return Ok(());
        }
        // Of less than a chunk nobody waits for what is before it.
        if range.len() >= CHUNK_BYTES && self.populate_stale(&range).is_ok() {
            return Ok(());
        }
        // Nor is a medium error there, in the first chunk, the reader's.
        self.populate_range(range)
    }
}

#[cfg(target_os = "linux")]
fn populate_pages(map: &MmapRaw, range: Range<usize>, page: usize) -> io::Result<()> {
    loop {
        // SAFETY: the address range lies inside the map (checked by the caller, rounded down to a page of it),
        // and the advice only faults pages in: it changes no byte and no protection.
        let outcome = unsafe {
            rustix::mm::madvise(
                map.as_mut_ptr().add(range.start).cast(),
                range.len(),
                rustix::mm::Advice::LinuxPopulateRead,
            )
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // What a touched page would have raised as SIGBUS.
            Err(Errno::FAULT) => return Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error())),
            // Kernels before 5.14 do not know the advice.
            Err(Errno::INVAL) => {
                touch_pages(map, range, page);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn populate_pages(map: &MmapRaw, range: Range<usize>, page: usize) -> io::Result<()> {
    touch_pages(map, range, page);
    Ok(())
}

/// Reads one byte of each page, so that the page is in memory.
fn touch_pages(map: &MmapRaw, range: Range<usize>, page: usize) {
    for offset in range.step_by(page) {
        // SAFETY: the offset lies inside the map, which is readable and outlives the call; the range was
        // written, so the file reaches there. A volatile read is not optimised away.
        let _ = unsafe { map.as_ptr().add(offset).read_volatile() };
    }
}

// === impl OsMapSlice ===

impl AsRef<[u8]> for OsMapSlice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the range lies inside the map (checked by `slice`), which this owner keeps alive. Callers of
        // `FileMap::slice` pass only ranges that were written and never change: the log writes below its end
        // never again, cuts a file only beyond its written end, and deletes by unlinking, which leaves maps
        // intact (`release` cuts such a file only when no map of it is left); the lock on the data directory
        // keeps a second broker out. So the bytes are initialised, inside the file, and not written while this
        // reference lives.
        unsafe { std::slice::from_raw_parts(self.map.map.as_ptr().add(self.range.start), self.range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Disk as _, OpenMode, OsDisk};
    use super::*;

    #[test]
    fn a_range_has_a_part_in_chunks() {
        let chunks = |from, to| {
            let range = from..to;
            chunks_of(&range).map(|chunk| size_within(chunk, to)).collect::<Vec<_>>()
        };
        assert_eq!(chunks(0, 1), [1]);
        assert_eq!(chunks(0, CHUNK_BYTES), [CHUNK_BYTES]);
        assert_eq!(chunks(CHUNK_BYTES - 10, CHUNK_BYTES + 10), [CHUNK_BYTES, 10]);
        assert_eq!(chunks_of(&(CHUNK_BYTES + 1..3 * CHUNK_BYTES)), 1..3);
    }

    #[test]
    fn a_chunk_is_fresh_for_a_while_as_far_as_it_was_populated() {
        let stamp = Stamp::default();
        assert!(!stamp.is_fresh(1, Duration::ZERO), "it never was");
        stamp.set(CHUNK_BYTES, Duration::from_millis(100));
        assert!(stamp.is_fresh(CHUNK_BYTES, Duration::from_millis(90)), "by a reader that began earlier");
        assert!(stamp.is_fresh(1, Duration::from_millis(100) + FRESH - Duration::from_millis(1)));
        assert!(!stamp.is_fresh(1, Duration::from_millis(100) + FRESH));
        stamp.set(500, Duration::from_millis(200));
        assert!(stamp.is_fresh(500, Duration::from_millis(200)));
        assert!(!stamp.is_fresh(501, Duration::from_millis(200)));
    }

    #[test]
    fn only_what_is_stale_is_populated_and_noted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let disk = OsDisk::new();
        disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at(&[7; 4 * CHUNK_BYTES + 100], 0).unwrap();
        let file = File::open(&path).unwrap();
        let map = OsMap::new(&file, 1 << 30, disk.releaser.note_use(&file).unwrap()).unwrap();
        let noted = |map: &OsMap| -> Vec<u64> {
            let stamps = map.populated[0].get().map_or(&[][..], |stamps| &stamps[..6]);
            let sizes = stamps.iter().map(|stamp| stamp.0.load(Ordering::Relaxed) % (1 << STAMP_SIZE_BITS));
            sizes.collect()
        };
        let chunk = CHUNK_BYTES as u64;
        map.populate(5, CHUNK_BYTES - 1).unwrap();
        assert!(noted(&map).is_empty(), "a short range is not noted");
        map.populate(chunk + 10, CHUNK_BYTES).unwrap();
        assert_eq!(noted(&map), [0, chunk, 10, 0, 0, 0]);
        assert!(map.is_fresh(&(CHUNK_BYTES..2 * CHUNK_BYTES + 10)), "what is before the range as well");
        assert!(!map.is_fresh(&(CHUNK_BYTES..2 * CHUNK_BYTES + 11)));
        map.populate(0, 4 * CHUNK_BYTES + 100).unwrap();
        assert_eq!(noted(&map), [chunk, chunk, chunk, chunk, 100, 0]);
        // Behind the page of the file's end there is nothing to be brought.
        map.populate(4 * chunk, 2 * CHUNK_BYTES).unwrap_err();
        assert_eq!(noted(&map), [chunk, chunk, chunk, chunk, 100, 0]);
        assert!(
            map.populated[1..].iter().all(|group| group.get().is_none()),
            "room for what is read, not for all"
        );
        let slice = Arc::new(map).slice(chunk, 3 * CHUNK_BYTES);
        assert!(slice.iter().all(|&byte| byte == 7));
    }
}
