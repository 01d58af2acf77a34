//! What the process sees, what the medium holds, and what lies between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Names;
use super::faults::{Fault, Op};
use crate::env::OpenMode;
use crate::types::TimestampMs;

/// The unit in which written bytes reach the medium, or do not.
pub const PAGE_BYTES: usize = 4096;

/// How many lines of trace are kept.
const TRACE_LINES_MAX: usize = 100_000;

/// A directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(u64),
}

/// A change of names that the medium has wholly or not at all.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    /// Each name with what it stands for afterwards.
    steps: Vec<(PathBuf, Option<Entry>)>,
}

/// A file's content.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// As the process sees it.
    pub(super) cached: Vec<u8>,
    /// On the medium.
    pub(super) durable: Vec<u8>,
    /// Pages that were changed since the last sync.
    pub(super) dirty: BTreeSet<usize>,
    /// Up to where blocks are reserved.
    pub(super) allocated_to: u64,
    /// The end of the bytes that slices of maps were made of.
    pub(super) sliced_to: usize,
    pub(super) modified_ms: TimestampMs,
}

/// All of a simulated disk.
#[derive(Default)]
pub(super) struct State {
    /// Which start of the machine this is: handles of earlier ones are dead.
    pub(super) boot: u64,
    pub(super) off: bool,
    /// Which calls wait until the disk goes on.
    pub(super) stall: Option<Stall>,
    /// Calls that wait now.
    pub(super) stalled_calls: usize,
    /// Bytes read, through maps too.
    pub(super) read_bytes: u64,
    pub(super) latency: Duration,
    pub(super) calls: u64,
    pub(super) power_cut_at: Option<u64>,
    pub(super) trace: VecDeque<String>,
    pub(super) faults: Vec<Fault>,
    /// Bytes that the disk holds; None for enough.
    pub(super) capacity: Option<u64>,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    /// Changes of names that are not on the medium, oldest first.
    pub(super) pending: Vec<NameChange>,
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) locks: BTreeMap<PathBuf, String>,
}

/// The calls that a stalled disk does not answer.
#[derive(Debug)]
pub(super) struct Stall {
    /// The kind of call; None for every kind.
    pub(super) op: Option<Op>,
    pub(super) path_contains: String,
}

/// What every call answers once the power is gone.
pub(super) fn no_power() -> io::Error {
    io::Error::other("the simulated machine has no power")
}

pub(super) fn page_range(from: usize, to: usize) -> std::ops::Range<usize> {
    from / PAGE_BYTES..to.div_ceil(PAGE_BYTES)
}

// === impl NameChange ===

impl NameChange {
    pub(super) fn one(path: &Path, entry: Option<Entry>) -> Self {
        Self { steps: vec![(path.to_owned(), entry)] }
    }

    pub(super) fn rename(from: &Path, to: &Path, entry: Entry) -> Self {
        Self { steps: vec![(from.to_owned(), None), (to.to_owned(), Some(entry))] }
    }

    /// Whether one of the names is in the directory.
    pub(super) fn touches(&self, dir: &Path) -> bool {
        self.steps.iter().any(|(path, _)| path.parent() == Some(dir))
    }

    pub(super) fn apply(&self, names: &mut Names) {
        for (path, entry) in &self.steps {
            match entry {
                Some(entry) => names.insert(path.clone(), *entry),
                None => names.remove(path),
            };
        }
    }
}

// === impl Node ===

impl Node {
    pub(super) fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            self.persist_page(page, PAGE_BYTES);
        }
        self.durable.resize(self.cached.len(), 0);
    }

    /// Brings the first `size_bytes` of a page to the medium.
    pub(super) fn persist_page(&mut self, page: usize, size_bytes: usize) {
        let from = page * PAGE_BYTES;
        let to = (from + size_bytes).min(self.cached.len());
        if from >= to {
            return;
        }
        if self.durable.len() == from {
            self.durable.extend_from_slice(&self.cached[from..to]);
            return;
        }
        if self.durable.len() < to {
            self.durable.resize(to, 0);
        }
        self.durable[from..to].copy_from_slice(&self.cached[from..to]);
    }

    /// Makes what the process sees of the clean pages from `position` on what the medium has: after a failed
    /// sync that is something else.
    pub(super) fn drop_cache(&mut self, position: usize) {
        for page in page_range(position, self.cached.len()) {
            if self.dirty.contains(&page) {
                continue;
            }
            let range = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(self.cached.len());
            let there = range.start.min(self.durable.len())..range.end.min(self.durable.len());
            let (copied, lost) = self.cached[range].split_at_mut(there.len());
            copied.copy_from_slice(&self.durable[there]);
            lost.fill(0);
        }
    }

    pub(super) fn write(&mut self, buf: &[u8], position: usize) {
        let end = position + buf.len();
        if position < self.sliced_to {
            let below = end.min(self.sliced_to);
            let same = self.cached[position..below] == buf[..below - position];
            assert!(same, "bytes at {position}..{below} changed under a slice");
        }
        if position == self.cached.len() {
            self.cached.extend_from_slice(buf);
        } else {
            if self.cached.len() < end {
                let from = self.cached.len();
                self.cached.resize(end, 0);
                self.dirty.extend(page_range(from, end));
            }
            self.cached[position..end].copy_from_slice(buf);
        }
        self.dirty.extend(page_range(position, end));
    }

    pub(super) fn set_len(&mut self, length: usize) {
        assert!(length >= self.sliced_to, "cut to {length} under a slice up to {}", self.sliced_to);
        let from = self.cached.len().min(length);
        self.cached.resize(length, 0);
        // The rest of the last page is zeroed by a cut, and so written.
        self.dirty.extend(page_range(from, length.max(from)));
        self.dirty.retain(|page| page * PAGE_BYTES < length);
        self.allocated_to = self.allocated_to.min(length as u64);
    }

    /// Blocks taken on the disk.
    pub(super) fn used_bytes(&self) -> u64 {
        self.allocated_to.max(self.cached.len() as u64).next_multiple_of(PAGE_BYTES as u64)
    }
}

// === impl State ===

impl State {
    /// Counts and traces a call.
    pub(super) fn note_call(&mut self, op: Op, path: &Path, detail: &dyn std::fmt::Display) {
        self.calls += 1;
        if self.trace.len() == TRACE_LINES_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{} {op:?} {} {detail}", self.calls, path.display()));
    }

    /// Whether such a call of a process of `boot` waits for the disk.
    pub(super) fn stalls(&self, op: Op, path: &Path, boot: u64) -> bool {
        let meant = self.stall.as_ref().is_some_and(|stall| {
            stall.op.is_none_or(|meant| meant == op) && path.to_string_lossy().contains(&stall.path_contains)
        });
        meant && !self.off && boot == self.boot
    }

    pub(super) fn inode(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Entry::File(inode)) => Ok(*inode),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn node(&mut self, inode: u64) -> &mut Node {
        self.nodes.get_mut(&inode).expect("nodes live as long as their handles")
    }

    pub(super) fn children(&self, dir: &Path) -> Vec<String> {
        let children = self.names.keys().filter(|path| path.parent() == Some(dir));
        children.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode, now_ms: TimestampMs) -> io::Result<u64> {
        let exists = self.names.contains_key(path);
        match mode {
            OpenMode::CreateNew if exists => return Err(io::ErrorKind::AlreadyExists.into()),
            OpenMode::CreateNew | OpenMode::Create | OpenMode::Truncate if !exists => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if self.names.get(parent) != Some(&Entry::Dir) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let inode = self.new_node();
                self.node(inode).modified_ms = now_ms;
                self.change(NameChange::one(path, Some(Entry::File(inode))));
            }
            OpenMode::Truncate => {
                let inode = self.inode(path)?;
                self.node(inode).set_len(0);
            }
            _ => {}
        }
        self.inode(path)
    }

    fn new_node(&mut self) -> u64 {
        let inode = self.nodes.len() as u64 + 1;
        self.nodes.insert(inode, Node::default());
        inode
    }

    pub(super) fn put(&mut self, path: &Path, content: &[u8]) {
        for dir in path.ancestors().skip(1) {
            self.names.insert(dir.to_owned(), Entry::Dir);
            self.durable_names.insert(dir.to_owned(), Entry::Dir);
        }
        let inode = self.new_node();
        let node = self.node(inode);
        node.cached = content.to_vec();
        node.durable = content.to_vec();
        self.names.insert(path.to_owned(), Entry::File(inode));
        self.durable_names.insert(path.to_owned(), Entry::File(inode));
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    /// Brings the changes of names that `which` picks to the medium.
    pub(super) fn settle_names(&mut self, which: impl Fn(&NameChange) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if which(&change) {
                change.apply(&mut self.durable_names);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// Bytes in use by files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let inodes: BTreeSet<u64> = self
            .names
            .values()
            .filter_map(|entry| match entry {
                Entry::File(inode) => Some(*inode),
                Entry::Dir => None,
            })
            .collect();
        inodes.iter().map(|inode| self.nodes[inode].used_bytes()).sum()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }
}
