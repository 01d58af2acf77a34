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

/// What is noted as being in memory, and looked at as a whole.
const CHUNK_BYTES: usize = 256 << 10;
/// How long pages that were touched are taken for being in memory. A slice is read later than it was made anyway: a page that
/// the system has taken back in between is read from the disk by whoever reads the slice.
const FRESH: Duration = Duration::from_secs(1);

/// A read-only map of a file's start.
#[derive(Debug)]
pub(super) struct OsMap {
    map: MmapRaw,
    /// When all of a chunk was brought into memory, for each chunk; there once a whole one was.
    populated: OnceLock<Box<[Stamp]>>,
    clock: SystemClock,
    _in_use: Arc<InUse>,
}

/// A moment: milliseconds of the map's clock, and one; 0 for never.
#[derive(Debug, Default)]
struct Stamp(AtomicU64);

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
        Ok(Self { map, populated: OnceLock::new(), clock: SystemClock::new(), _in_use: in_use })
    }

    /// Panics when the range is not inside the map: a broken invariant of the caller, never a matter of input.
    fn checked_range(&self, position: u64, size_bytes: usize) -> Range<usize> {
        let start = usize::try_from(position).expect("a position inside a map fits the address space");
        let end = start.checked_add(size_bytes).expect("a range inside a map fits the address space");
        assert!(end <= self.map.len(), "range {start}..{end} beyond the map's {} bytes", self.map.len());
        start..end
    }

    fn populate_range(&self, range: Range<usize>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // Maps start on a page, so rounding the offset down keeps the address inside the map.
        let page = rustix::param::page_size();
        let start = range.start / page * page;
        populate_pages(&self.map, start..range.end, page)
    }

    /// Brings those of the chunks into memory that were not lately: runs of them, each with one call.
    fn populate_chunks(&self, chunks: Range<usize>) -> io::Result<()> {
        let count = self.map.len() / CHUNK_BYTES;
        let stamps = self.populated.get_or_init(|| (0..count).map(|_| Stamp::default()).collect());
        let now = self.clock.monotonic();
        let mut next = chunks.start;
        while next < chunks.end {
            let fresh = (next..chunks.end).find(|&chunk| stamps[chunk].is_fresh(now));
            let end = fresh.unwrap_or(chunks.end);
            self.populate_range(next * CHUNK_BYTES..end * CHUNK_BYTES)?;
            for stamp in &stamps[next..end] {
                stamp.set(now);
            }
            next = end + 1;
        }
        Ok(())
    }
}

/// The numbers of the chunks that end in a range. The first may begin before it, where all is written too; a range of less
/// than a chunk has none, so that nobody waits for much more than was asked for.
fn whole_chunks(range: &Range<usize>) -> Range<usize> {
    let first = range.start / CHUNK_BYTES;
    if range.len() < CHUNK_BYTES { first..first } else { first..range.end / CHUNK_BYTES }
}

// === impl Stamp ===

impl Stamp {
    fn set(&self, now: Duration) {
        self.0.store(millis(now) + 1, Ordering::Relaxed);
    }

    fn is_fresh(&self, now: Duration) -> bool {
        let set = self.0.load(Ordering::Relaxed);
        // Another reader may have set it later than this one's `now`.
        set > 0 && (millis(now) + 1).saturating_sub(set) < millis(FRESH)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
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
        let chunks = whole_chunks(&range);
        if chunks.is_empty() {
            return self.populate_range(range);
        }
        let behind = chunks.end * CHUNK_BYTES;
        if self.populate_chunks(chunks).is_ok() {
            return self.populate_range(behind..range.end);
        }
        // A medium error in front of the range, in its first chunk, is not the reader's.
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
    fn the_chunks_of_a_range_end_in_it() {
        let chunks = |from, to| whole_chunks(&(from..to));
        assert!(chunks(0, CHUNK_BYTES - 1).is_empty());
        assert!(chunks(CHUNK_BYTES - 10, CHUNK_BYTES + 10).is_empty());
        assert_eq!(chunks(0, CHUNK_BYTES), 0..1);
        assert_eq!(chunks(10, CHUNK_BYTES + 10), 0..1);
        assert_eq!(chunks(CHUNK_BYTES + 1, 5 * CHUNK_BYTES - 1), 1..4);
    }

    #[test]
    fn a_chunk_is_fresh_for_a_while_after_it_was_populated() {
        let stamp = Stamp::default();
        assert!(!stamp.is_fresh(Duration::ZERO), "it never was");
        stamp.set(Duration::from_millis(100));
        assert!(stamp.is_fresh(Duration::from_millis(90)), "by a reader that began earlier");
        assert!(stamp.is_fresh(Duration::from_millis(100) + FRESH - Duration::from_millis(1)));
        assert!(!stamp.is_fresh(Duration::from_millis(100) + FRESH));
    }

    #[test]
    fn only_stale_chunks_are_populated_and_what_was_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let disk = OsDisk::new();
        disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at(&[7; 4 * CHUNK_BYTES + 100], 0).unwrap();
        let file = File::open(&path).unwrap();
        let map = OsMap::new(&file, 8 << 20, disk.releaser.note_use(&file).unwrap()).unwrap();
        let noted = |map: &OsMap| -> Vec<bool> {
            let now = map.clock.monotonic();
            map.populated.get().map_or_else(Vec::new, |stamps| {
                stamps.iter().take(5).map(|stamp| stamp.is_fresh(now)).collect()
            })
        };
        map.populate(5, CHUNK_BYTES - 1).unwrap();
        assert!(noted(&map).is_empty(), "a short range is looked at each time");
        map.populate(CHUNK_BYTES as u64 + 10, CHUNK_BYTES).unwrap();
        assert_eq!(noted(&map), [false, true, false, false, false]);
        // Behind the file's end there is nothing to be brought: the chunk that is not whole is not noted.
        map.populate(0, 4 * CHUNK_BYTES + 100).unwrap();
        assert_eq!(noted(&map), [true, true, true, true, false]);
        map.populate(4 * CHUNK_BYTES as u64, 2 * CHUNK_BYTES).unwrap_err();
        assert_eq!(noted(&map), [true, true, true, true, false]);
        map.populate(0, 4 * CHUNK_BYTES).unwrap();
        let slice = Arc::new(map).slice(CHUNK_BYTES as u64, 3 * CHUNK_BYTES);
        assert!(slice.iter().all(|&byte| byte == 7));
    }
}
