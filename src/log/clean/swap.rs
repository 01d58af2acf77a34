//! Putting a cleaned segment in the place of those that it was made from.
//!
//! ```text
//!  0.log 10.log 20.log 30.log   0.cleaned.tmp    written and synced; an opening would remove it
//!  0.log 10.log 20.log 30.log   0.30.swap        renamed, directory synced: from here on an opening goes forward
//!  0.log               30.log   0.30.swap        the others and all their indexes removed, directory synced
//!  0.log               30.log                    renamed over the first, directory synced
//! ```
//!
//! The name `<base>.<next>.swap` says all that is needed to go on: which segments it replaces. Each line is durable before
//! the next is begun, so whatever a crash leaves is one of the lines, or between two of them, and going on from there leads
//! to the last. The same steps are gone in a running log and at an opening. In a running log those who read the old segments
//! keep their files open ([`Segment::pin`]), since the names stand for something else afterwards.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Log;
use super::super::error::LogError;
use super::super::index_checkpoint;
use super::super::names::{self, Kind};
use super::super::segment::{Segment, SegmentParts};
use super::output::Finished;
use crate::env::Disk;
use crate::types::Offset;

/// What is in the middle of being replaced.
#[derive(Default)]
pub(in super::super) struct Structure {
    /// A swap that could not be finished. Nothing else is removed or replaced before it is.
    pending: Option<Swap>,
}

struct Swap {
    old: Vec<Arc<Segment>>,
    base_offset: Offset,
    next_offset: Offset,
    finished: Finished,
    stage: Stage,
}

/// What the last call that was tried would lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The name of the swap.
    Announcing,
    /// The old files gone and the name of the segment the new one's.
    Replacing,
}

// === impl Log ===

impl Log {
    /// Puts `finished` in the place of `old`; false when those are no longer all there, because retention was faster.
    pub(super) fn swap_in(&self, old: Vec<Arc<Segment>>, finished: Finished) -> Result<bool, LogError> {
        let mut structure = self.structure.lock();
        let is_there =
            |segment: &Arc<Segment>| self.segments.load().iter().any(|present| Arc::ptr_eq(present, segment));
        let pinned = old.iter().try_for_each(|segment| segment.pin(self.index_interval_bytes()));
        if pinned.is_err() || !old.iter().all(is_there) {
            old.iter().for_each(|segment| segment.unpin());
            let removed = self.resources.env().disk.remove_file(&finished.path);
            pinned.and(removed).map_err(LogError::at(&finished.path))?;
            return Ok(false);
        }
        let (base_offset, next_offset) = (old[0].base_offset, old[old.len() - 1].next_offset());
        let stage = Stage::Announcing;
        structure.pending = Some(Swap { old, base_offset, next_offset, finished, stage });
        self.finish_swap(&mut structure)?;
        Ok(true)
    }

    /// Finishes a swap that was begun, if there is one.
    ///
    /// # Errors
    /// `SyncFailed` fences the log; after any other error it can be tried again, and an opening finishes it too.
    pub(in super::super) fn finish_swap(&self, structure: &mut Structure) -> Result<(), LogError> {
        let Some(swap) = &mut structure.pending else { return Ok(()) };
        if self.is_fenced() {
            return Err(LogError::Fenced);
        }
        if swap.stage == Stage::Announcing {
            match self.announce(swap) {
                Ok(true) => swap.stage = Stage::Replacing,
                Ok(false) => {
                    // Nothing has happened; the old segments are what they were.
                    swap.old.iter().for_each(|segment| segment.unpin());
                    let path = swap.finished.path.clone();
                    structure.pending = None;
                    let removed = self.resources.env().disk.remove_file(&path);
                    let why = removed.err().unwrap_or_else(|| io::Error::other("it could not be renamed"));
                    return Err(LogError::at(path)(why));
                }
                Err(error) => return Err(error),
            }
        }
        self.replace(swap)?;
        if let Some(swap) = structure.pending.take() {
            self.install(swap);
        }
        Ok(())
    }

    /// Makes the swap's name durable; false when the file surely has its old name still.
    fn announce(&self, swap: &Swap) -> Result<bool, LogError> {
        let disk = &self.resources.env().disk;
        let name = self.dir().join(names::swap(swap.base_offset, swap.next_offset));
        if let Err(error) = disk.rename(&swap.finished.path, &name) {
            tracing::warn!(file = %name.display(), %error, "a cleaned segment could not be renamed");
            // A call that fails may have had its effect.
            if !disk.exists(&name).map_err(LogError::at(&name))? {
                return Ok(false);
            }
        }
        self.sync_names()?;
        Ok(true)
    }

    fn replace(&self, swap: &Swap) -> Result<(), LogError> {
        self.forget_indexes(&swap.old)?;
        let disk = &self.resources.env().disk;
        let at = || LogError::at(self.dir());
        remove_replaced(&**disk, self.dir(), swap.base_offset, swap.next_offset).map_err(at())?;
        self.sync_names()?;
        rename_over(&**disk, self.dir(), swap.base_offset, swap.next_offset).map_err(at())?;
        self.sync_names()
    }

    /// Makes sure that nothing vouches for the old segments' indexes once the names are the new one's.
    fn forget_indexes(&self, old: &[Arc<Segment>]) -> Result<(), LogError> {
        // Whoever writes the index checkpoint holds this lock too.
        let _writer = self.writer.lock();
        old.iter().for_each(|segment| segment.set_index_record(None));
        if self.try_write_index_checkpoint().is_err() {
            let path = self.dir().join(index_checkpoint::NAME);
            remove(&*self.resources.env().disk, &path).map_err(LogError::at(path))?;
        }
        Ok(())
    }

    /// Makes the swap that is done on the disk what the log is.
    fn install(&self, swap: Swap) {
        let Swap {
            old,
            base_offset,
            next_offset,
            finished: Finished { file, size_bytes, mut index, .. },
            ..
        } = swap;
        let parts = SegmentParts::sealed(&self.dir, base_offset, next_offset, size_bytes, None);
        let segment = Segment::new(parts, Arc::clone(&self.resources));
        segment.adopt_file(file);
        // Retention by time goes on from when the records came.
        if let Some(last_append_ms) = old.iter().filter_map(|old| old.last_append_ms().ok()).max() {
            segment.note_append_ms(last_append_ms);
        }
        match index.persist(&*self.resources.env().disk, &segment, true) {
            Ok(_) => segment.set_index_record(index.record(true)),
            Err(error) => {
                tracing::warn!(file = %segment.log_path().display(), %error, "the index was not written");
            }
        }
        segment.put_index(index);
        let _writer = self.writer.lock();
        let mut segments = self.segments.load().to_vec();
        let from = segments.iter().position(|present| Arc::ptr_eq(present, &old[0]));
        let from = from.expect("nobody else removes segments meanwhile");
        segments.splice(from..from + old.len(), [segment]);
        self.segments.store(Arc::new(segments));
        self.write_index_checkpoint();
        self.resources.counters().segments_cleaned.fetch_add(1, Ordering::Relaxed);
    }

    fn sync_names(&self) -> Result<(), LogError> {
        self.resources.env().disk.sync_dir(self.dir()).map_err(|error| {
            self.fence();
            LogError::SyncFailed { path: self.dir().to_path_buf(), source: Arc::new(error) }
        })
    }
}

/// Finishes a swap that an earlier process began and made known by its name. Durable when it returns; can be repeated.
pub(in super::super) fn finish_swap_on_disk(
    disk: &dyn Disk,
    dir: &Path,
    base_offset: Offset,
    next_offset: Offset,
) -> io::Result<()> {
    // The name may be there and not be durable yet.
    disk.sync_dir(dir)?;
    remove_replaced(disk, dir, base_offset, next_offset)?;
    // What it vouches for are the old segments' indexes.
    remove(disk, &dir.join(index_checkpoint::NAME))?;
    disk.sync_dir(dir)?;
    rename_over(disk, dir, base_offset, next_offset)?;
    disk.sync_dir(dir)
}

/// Removes the files of the segments in `[base_offset, next_offset)`, all but the first one's batches.
fn remove_replaced(disk: &dyn Disk, dir: &Path, base_offset: Offset, next_offset: Offset) -> io::Result<()> {
    for name in disk.read_dir(dir)? {
        let is_replaced = match names::parse(&name) {
            Some((offset, Kind::Log)) => offset > base_offset && offset < next_offset,
            Some((offset, Kind::Index | Kind::TimeIndex)) => offset >= base_offset && offset < next_offset,
            _ => false,
        };
        if is_replaced {
            remove(disk, &dir.join(name))?;
        }
    }
    Ok(())
}

/// Gives the swap the name of the segment that it is.
fn rename_over(disk: &dyn Disk, dir: &Path, base_offset: Offset, next_offset: Offset) -> io::Result<()> {
    let swap = dir.join(names::swap(base_offset, next_offset));
    match disk.rename(&swap, &dir.join(names::log(base_offset))) {
        // Done by a call that answered with an error.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
