//! Errors, rot, a full disk, slowness: faults that do not end the process.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::SimDisk;
use super::state::{Stall, State};

/// The kinds of I/O calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening or making a file, taking a lock.
    Open,
    /// Reading, through a map too.
    Read,
    /// Writing.
    Write,
    /// Reserving blocks.
    Allocate,
    /// Cutting or extending a file.
    SetLen,
    /// `fdatasync`.
    SyncData,
    /// Syncing a directory.
    SyncDir,
    /// `syncfs`.
    SyncFileSystem,
    /// Dropping the cache.
    DropCache,
    /// Mapping.
    Map,
    /// Renaming.
    Rename,
    /// Removing a file or a tree.
    Remove,
    /// Making a directory.
    CreateDir,
    /// Listing a directory, asking for existence or free space.
    ReadDir,
}

/// An error to be given by certain I/O calls.
///
/// A failed write may have written a part; a failed sync loses, as on Linux, the pages that it should have
/// written: they stay visible until the cache is dropped, and no later sync brings them back.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The kind of call; None for every kind.
    pub op: Option<Op>,
    /// What the path must contain; empty for every path.
    pub path_contains: String,
    /// How many such calls succeed first.
    pub skip: u64,
    /// How many fail then.
    pub times: u64,
    /// The error.
    pub error: io::ErrorKind,
    /// Whether the call that fails does everything that it was asked for all the same, a sync too. A disk may: a failure
    /// says only that nobody knows.
    pub effective: bool,
}

// === impl Fault ===

impl Fault {
    /// The next call of this kind on such a path fails with an I/O error, once.
    #[must_use]
    pub fn once(op: Op, path_contains: &str) -> Self {
        Self {
            op: Some(op),
            path_contains: path_contains.to_owned(),
            skip: 0,
            times: 1,
            error: io::ErrorKind::Other,
            effective: false,
        }
    }

    /// All calls of this kind on such a path fail with an I/O error.
    #[must_use]
    pub fn always(op: Op, path_contains: &str) -> Self {
        Self { times: u64::MAX, ..Self::once(op, path_contains) }
    }

    /// The call after the next `calls` ones fails, whatever it is.
    #[must_use]
    pub fn after_calls(calls: u64) -> Self {
        Self { op: None, skip: calls, ..Self::once(Op::Read, "") }
    }
}

// === impl State ===

impl State {
    /// Lets the faults decide about a call: the error that it gives at once, or once it has had its effect.
    pub(super) fn fault(&mut self, op: Op, path: &Path) -> io::Result<Option<io::Error>> {
        for fault in &mut self.faults {
            let meant = fault.op.is_none_or(|meant| meant == op)
                && path.to_string_lossy().contains(&fault.path_contains)
                && fault.times > 0;
            if !meant {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            let effective = fault.effective;
            let message = format!("injected fault at {op:?} of {}", path.display());
            let error = io::Error::new(fault.error, message);
            if effective {
                return Ok(Some(error));
            }
            match op {
                Op::SyncData => self.lose_dirty(path),
                Op::SyncFileSystem => self.nodes.values_mut().for_each(|node| node.dirty.clear()),
                _ => {}
            }
            return Err(error);
        }
        Ok(None)
    }

    /// What a failed sync does: the pages count as clean from now on, and are not on the medium.
    fn lose_dirty(&mut self, path: &Path) {
        if let Ok(inode) = self.inode(path) {
            self.node(inode).dirty.clear();
        }
    }
}

// === impl SimDisk ===

impl SimDisk {
    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.state.lock().faults.push(fault);
    }

    /// Takes all faults away, a full disk too.
    pub fn heal(&self) {
        let mut state = self.shared.state.lock();
        state.faults.clear();
        state.capacity = None;
    }

    /// Lets the disk hold `capacity` bytes in all; None for enough.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.shared.state.lock().capacity = capacity;
    }

    /// Bytes that can still be written.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.shared.state.lock().free_bytes()
    }

    /// Turns one bit of a file over, in the cache and on the medium.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip_bit(&self, path: &Path, position: usize, bit: u8) {
        let mut state = self.shared.state.lock();
        let inode = state.inode(path).expect("a file of this name");
        let node = state.node(inode);
        node.cached[position] ^= 1 << bit;
        if let Some(byte) = node.durable.get_mut(position) {
            *byte ^= 1 << bit;
        }
    }

    /// Lets every I/O call take this long, on the manual clock.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state.lock().latency = latency;
    }

    /// Leaves only so many bytes free, from now on.
    pub fn fill_up(&self, free: u64) {
        let mut state = self.shared.state.lock();
        state.capacity = Some(state.used_bytes() + free);
    }

    /// Holds every I/O call until [`SimDisk::resume`] or the end of the process. For tests with threads: in a
    /// single-threaded simulation the next call would wait for ever.
    pub fn stall(&self) {
        self.stall_calls(None, "");
    }

    /// Holds the calls of this kind on such paths, like [`SimDisk::stall`].
    pub fn stall_at(&self, op: Op, path_contains: &str) {
        self.stall_calls(Some(op), path_contains);
    }

    fn stall_calls(&self, op: Option<Op>, path_contains: &str) {
        let stall = Stall { op, path_contains: path_contains.to_owned() };
        self.shared.state.lock().stall = Some(stall);
    }

    /// How many calls a stall holds.
    #[must_use]
    pub fn stalled_calls(&self) -> usize {
        self.shared.state.lock().stalled_calls
    }

    /// Ends a stall.
    pub fn resume(&self) {
        self.shared.state.lock().stall = None;
        self.shared.resumed.notify_all();
    }
}
