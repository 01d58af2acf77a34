//! Giving back the space of large files that were removed: a little at a time, and not before the last reader has gone.
//!
//! A file system frees a file whose name and last user are gone in one go, and as long as that takes it keeps others from
//! the disk: 10 ms for 32 MiB on ext4 with `discard`, in which no sync of another file ended. Here such a file is opened
//! before its name goes, waits until none of this process's files and maps of it is left, and a thread of its own then drops
//! its pages from memory and cuts it shorter step by step.
//!
//! What always holds: a file that has any other name is left as it is; nothing is cut that this process can still read;
//! what cannot be had (a descriptor, a thread) makes the release sudden, never wrong. A process that ends leaves the rest
//! to the kernel. Deliberately absent: files below [`LARGE_BYTES`], whose release nobody notices.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::stand_back;
use super::drop_cache;

/// From this size on a file is released in steps.
const LARGE_BYTES: u64 = 4 << 20;
/// What one step gives back: a third of a millisecond of a disk.
const STEP_BYTES: u64 = 1 << 20;
/// Between two steps when one file waits: 1 GiB takes three to four seconds.
const PAUSE: Duration = Duration::from_millis(3);
/// The more files wait, the shorter the pause, down to this part of it: about a GiB a second.
const HASTE_MAX: u32 = 4;
/// With less than this part of a file system free, space matters more than pauses.
const SHORT_OF_SPACE: u64 = 16;
/// How many files are being released at most, each with a descriptor; more than those are released at once.
const FILES_MAX: usize = 128;
/// Of the thread, which calls the system and nothing else.
const STACK_BYTES: usize = 256 << 10;

/// Device and inode: what a file is called as long as anybody has it.
type FileId = (u64, u64);

/// Which files are in use, and those whose space is being given back.
#[derive(Debug, Default)]
pub(super) struct Releaser {
    in_use: Mutex<HashMap<FileId, Weak<InUse>>>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Those that the thread has not seen yet.
    arrived: Vec<File>,
    /// All that are not released yet, those included.
    files: usize,
    /// Who is at it; there is nobody when there is nothing.
    thread: Option<JoinHandle<()>>,
}

/// Kept by each open file and map of one file of the file system.
#[derive(Debug)]
pub(super) struct InUse {
    id: FileId,
    /// The file, when its name is gone and it is to be released after the last user.
    removed: Mutex<Option<File>>,
    releaser: Arc<Releaser>,
}

/// A large file whose name is about to go.
#[derive(Debug)]
pub(super) struct Leaving(Option<File>);

// === impl InUse ===

impl Drop for InUse {
    fn drop(&mut self) {
        let mut in_use = self.releaser.in_use.lock();
        // Another may have come in its place meanwhile.
        if in_use.get(&self.id).is_some_and(|present| present.strong_count() == 0) {
            in_use.remove(&self.id);
        }
        drop(in_use);
        if let Some(file) = self.removed.get_mut().take() {
            self.releaser.release(file);
        }
    }
}

// === impl Releaser ===

impl Releaser {
    /// Notes that a file that was just opened is in use, until all copies of the answer are gone.
    ///
    /// # Errors
    /// `NotFound` when its name went since: it may be cut already.
    pub(super) fn note_use(self: &Arc<Self>, file: &File) -> io::Result<Arc<InUse>> {
        let id = id_of(&file.metadata()?);
        let noted = {
            let mut in_use = self.in_use.lock();
            let present = in_use.entry(id).or_default();
            present.upgrade().unwrap_or_else(|| {
                let new = Arc::new(InUse { id, removed: Mutex::default(), releaser: Arc::clone(self) });
                *present = Arc::downgrade(&new);
                new
            })
        };
        // Whoever removes the name looks for users afterwards: one of the two sees the other.
        if file.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(noted)
    }

    /// To be called before the name `path` goes, be it removed or given to another file.
    pub(super) fn leaving(path: &Path) -> Leaving {
        let is_large =
            path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() >= LARGE_BYTES);
        Leaving(if is_large { OpenOptions::new().write(true).open(path).ok() } else { None })
    }

    /// To be called after the name has gone: releases the file, now or after its last user.
    pub(super) fn gone(self: &Arc<Self>, leaving: Leaving) {
        let Some(file) = leaving.0 else { return };
        let Ok(metadata) = file.metadata() else { return };
        if metadata.nlink() > 0 {
            return;
        }
        let in_use = self.in_use.lock().get(&id_of(&metadata)).and_then(Weak::upgrade);
        match in_use {
            Some(in_use) => *in_use.removed.lock() = Some(file),
            None => self.release(file),
        }
    }

    /// Gives back the space of a file that nobody sees any more, by and by.
    fn release(self: &Arc<Self>, file: File) {
        let mut queue = self.queue.lock();
        if queue.files >= FILES_MAX {
            // Not under the lock: closing it is what takes long.
            drop(queue);
            drop(file);
            return;
        }
        queue.files += 1;
        queue.arrived.push(file);
        if queue.thread.is_some() {
            return;
        }
        let releaser = Arc::clone(self);
        let thread = std::thread::Builder::new().name("release".into()).stack_size(STACK_BYTES);
        match thread.spawn(move || releaser.run()) {
            Ok(thread) => queue.thread = Some(thread),
            Err(error) => {
                let all_at_once = std::mem::take(&mut *queue);
                drop(queue);
                tracing::debug!(%error, files = all_at_once.files, "no thread to release removed files");
            }
        }
    }

    /// The thread: until there is nothing left.
    fn run(&self) {
        stand_back();
        let mut waiting = VecDeque::new();
        loop {
            let arrived = {
                let mut queue = self.queue.lock();
                if queue.files == 0 {
                    queue.thread = None;
                    return;
                }
                std::mem::take(&mut queue.arrived)
            };
            for file in arrived {
                // Its memory is given back at once, which holds up nobody: what is written next takes the same pages, and
                // not some that the machine may first have to find.
                if let Err(error) = drop_cache(&file, 0) {
                    tracing::debug!(%error, "pages of a removed file stay until it is released");
                }
                waiting.push_back(file);
            }
            let Some(file) = waiting.front() else { continue };
            if shorten(file, waiting.len()).unwrap_or(false) {
                continue;
            }
            // Where it cannot be cut it is closed with all that is left.
            waiting.pop_front();
            self.queue.lock().files -= 1;
        }
    }
}

/// Cuts a step off a file without a name, the first of so many, and pauses; false when there is nothing left to cut.
fn shorten(file: &File, waiting: usize) -> io::Result<bool> {
    let metadata = file.metadata()?;
    // By way of its descriptor it may have been given a name again.
    if metadata.nlink() > 0 || metadata.len() == 0 {
        return Ok(false);
    }
    file.set_len((metadata.len() - 1) / STEP_BYTES * STEP_BYTES)?;
    let space = rustix::fs::fstatvfs(file)?;
    if space.f_bavail > space.f_blocks / SHORT_OF_SPACE {
        std::thread::sleep(PAUSE / u32::try_from(waiting).unwrap_or(u32::MAX).clamp(1, HASTE_MAX));
    }
    Ok(true)
}

fn id_of(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
