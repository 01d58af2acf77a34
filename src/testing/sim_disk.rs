//! A disk in memory that loses, tears, rots, fills up, fails and stalls when told to.
//!
//! Two states are kept apart: what the running process sees (page cache and names) and what is on the medium. A
//! sync moves the one to the other. A power cut keeps, of what was not synced, whatever a seed decides: each 4 KiB
//! page of a file whole, torn at a 512-byte sector, or not; the length old, new or between; each created, renamed
//! or removed name or not, unless its directory was synced.
//!
//! What it watches: a slice of a map is only ever made of written bytes, and those bytes are never changed or cut
//! off while the process lives; code that breaks this panics here, as it would crash or lie on a real disk.
//! Deliberately absent: directories' own contents being torn (journaling file systems prevent that), permissions,
//! links.

mod faults;
mod file;
mod power;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

pub use faults::{Fault, Op};
pub use state::PAGE_BYTES;

use super::ManualClock;
use crate::env::{Disk, DiskFile, Lock, LockError, OpenMode};
use file::SimFile;
use state::{Entry, NameChange, State};

/// A simulated disk; clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

/// What all handles share.
struct Shared {
    state: Mutex<State>,
    /// Signalled when a stall ends.
    resumed: Condvar,
    clock: Arc<ManualClock>,
}

/// A lock that is held.
struct SimLock {
    shared: Arc<Shared>,
    path: PathBuf,
    boot: u64,
}

// === impl SimDisk ===

impl SimDisk {
    /// An empty disk. `clock` dates the files, and moves when a latency is set.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        let shared = Shared { state: Mutex::default(), resumed: Condvar::new(), clock };
        Self { shared: Arc::new(shared) }
    }

    /// The content of a file as the process sees it.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.shared.state.lock();
        state.nodes[&state.inode(path).expect("a file of this name")].cached.clone()
    }

    /// Makes a file with this content, durable at once.
    pub fn put(&self, path: &Path, content: &[u8]) {
        self.shared.state.lock().put(path, content);
    }

    /// The names of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.shared.state.lock();
        let files = state.names.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// How many I/O calls were made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.state.lock().calls
    }

    /// How many bytes were read so far. A slice of a map counts as read, as it reads what is not cached.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.shared.state.lock().read_bytes
    }

    /// The last hundred thousand I/O calls, one line each: the same for the same seed.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.shared.state.lock().trace.iter().cloned().collect()
    }

    fn start(&self, op: Op, path: &Path, detail: &dyn std::fmt::Display) -> io::Result<Started<'_>> {
        self.shared.start(op, path, None, detail)
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

/// An I/O call in progress: the locked state, and what becomes of the call when it has had its effect.
struct Started<'a> {
    state: parking_lot::MutexGuard<'a, State>,
    power_goes: bool,
    /// The error of a call that fails although it has done everything.
    error: Option<io::Error>,
}

// === impl Started ===

impl Started<'_> {
    /// Ends the call; a power cut takes its answer away, though maybe not its effect.
    fn finish<T>(mut self, outcome: io::Result<T>) -> io::Result<T> {
        if self.power_goes {
            self.state.off = true;
            return Err(state::no_power());
        }
        match self.error {
            Some(error) => Err(error),
            None => outcome,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Begins an I/O call: waits out a stall, counts, traces, and lets the faults speak. `boot` is that of the
    /// handle used; None for calls on the disk itself.
    fn start(
        &self,
        op: Op,
        path: &Path,
        boot: Option<u64>,
        detail: &dyn std::fmt::Display,
    ) -> io::Result<Started<'_>> {
        let mut state = self.state.lock();
        let caller = boot.unwrap_or(state.boot);
        while state.stalls(op, path, caller) {
            state.stalled_calls += 1;
            self.resumed.wait(&mut state);
            state.stalled_calls -= 1;
        }
        if state.off || boot.is_some_and(|boot| boot != state.boot) {
            return Err(state::no_power());
        }
        state.note_call(op, path, detail);
        if !state.latency.is_zero() {
            self.clock.advance(state.latency);
        }
        let power_goes = state.power_cut_at == Some(state.calls);
        let error = state.fault(op, path)?;
        Ok(Started { state, power_goes, error })
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut started = self.start(Op::Open, path, &format_args!("{mode:?}"))?;
        let now_ms = crate::env::Clock::now_ms(&*self.shared.clock);
        let opened = started.state.open(path, mode, now_ms);
        let boot = started.state.boot;
        let inode = started.finish(opened)?;
        Ok(Arc::new(SimFile { shared: Arc::clone(&self.shared), path: path.to_owned(), inode, boot }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut started = self.start(Op::CreateDir, path, &"")?;
        let mut missing: Vec<&Path> =
            path.ancestors().filter(|at| !started.state.names.contains_key(*at)).collect();
        missing.reverse();
        for dir in missing {
            started.state.change(NameChange::one(dir, Some(Entry::Dir)));
        }
        started.finish(Ok(()))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let started = self.start(Op::ReadDir, path, &"")?;
        let state = &started.state;
        let listed = match state.names.get(path) {
            Some(Entry::Dir) => Ok(state.children(path)),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        started.finish(listed)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let started = self.start(Op::ReadDir, path, &"exists")?;
        let exists = started.state.names.contains_key(path);
        started.finish(Ok(exists))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut started = self.start(Op::Rename, from, &to.display())?;
        let renamed = match started.state.names.get(from).copied() {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(entry) => {
                started.state.change(NameChange::rename(from, to, entry));
                Ok(())
            }
        };
        started.finish(renamed)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut started = self.start(Op::Remove, path, &"")?;
        let removed = started.state.inode(path).map(|_| ());
        if removed.is_ok() {
            started.state.change(NameChange::one(path, None));
        }
        started.finish(removed)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut started = self.start(Op::Remove, path, &"all")?;
        let removed = match started.state.names.get(path) {
            Some(Entry::Dir) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let below: Vec<PathBuf> =
            started.state.names.keys().filter(|at| at.starts_with(path)).cloned().collect();
        for at in below.iter().rev() {
            started.state.change(NameChange::one(at, None));
        }
        started.finish(removed)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut started = self.start(Op::SyncDir, path, &"")?;
        if !started.power_goes {
            started.state.settle_names(|change| change.touches(path));
        }
        started.finish(Ok(()))
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let mut started = self.start(Op::SyncFileSystem, path, &"")?;
        if !started.power_goes {
            started.state.settle_names(|_| true);
            started.state.nodes.values_mut().for_each(state::Node::sync);
        }
        started.finish(Ok(()))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let started = self.start(Op::ReadDir, path, &"free")?;
        let free = started.state.free_bytes();
        started.finish(Ok(free))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let started = self.start(Op::ReadDir, path, &"total")?;
        let total = started.state.capacity.unwrap_or(u64::MAX);
        started.finish(Ok(total))
    }

    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Lock>, LockError> {
        let started = self.start(Op::Open, path, &"lock")?;
        if let Some(holder) = started.state.locks.get(path) {
            return Err(LockError::Held { holder: holder.clone() });
        }
        let boot = started.state.boot;
        let mut started = started;
        started.state.put(path, holder.as_bytes());
        started.state.locks.insert(path.to_owned(), holder.to_owned());
        started.finish(Ok(()))?;
        Ok(Box::new(SimLock { shared: Arc::clone(&self.shared), path: path.to_owned(), boot }))
    }
}

// === impl SimLock ===

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        // The lock of a process that lost power was let go of already, and may be another's now.
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

/// The names of a directory tree.
type Names = BTreeMap<PathBuf, Entry>;

#[cfg(test)]
mod tests;
