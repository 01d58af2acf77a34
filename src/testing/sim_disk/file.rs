//! Open files and maps of a simulated disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::faults::Op;
use super::state::PAGE_BYTES;
use super::{Shared, Started};
use crate::env::{Clock as _, DiskFile, FileMap};
use crate::types::TimestampMs;

/// An open file; dead once the machine lost power.
pub(super) struct SimFile {
    pub(super) shared: Arc<Shared>,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) boot: u64,
}

/// A map of an open file. A slice is a copy, which shows the same bytes, since those never change.
struct SimMap {
    shared: Arc<Shared>,
    path: PathBuf,
    inode: u64,
    boot: u64,
    size_bytes: u64,
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("simulated files fit in memory")
}

// === impl SimFile ===

impl SimFile {
    fn start(&self, op: Op, detail: &dyn std::fmt::Display) -> io::Result<Started<'_>> {
        self.shared.start(op, &self.path, Some(self.boot), detail)
    }

    /// Writes as much as the disk has room for.
    fn write(&self, started: &mut Started<'_>, buf: &[u8], position: u64) -> io::Result<()> {
        let now_ms = self.shared.clock.now_ms();
        let free = started.state.free_bytes();
        let node = started.state.node(self.inode);
        let room = node.used_bytes().saturating_add(free / PAGE_BYTES as u64 * PAGE_BYTES as u64);
        let fitting = room.saturating_sub(position).min(buf.len() as u64);
        node.write(&buf[..index(fitting)], index(position));
        node.modified_ms = now_ms;
        if fitting < buf.len() as u64 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let started = self.start(Op::ReadDir, &"len")?;
        let length = started.state.nodes[&self.inode].cached.len() as u64;
        started.finish(Ok(length))
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        let started = self.start(Op::ReadDir, &"modified")?;
        let modified_ms = started.state.nodes[&self.inode].modified_ms;
        started.finish(Ok(modified_ms))
    }

    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        let mut started = self.start(Op::Read, &format_args!("{}@{position}", buf.len()))?;
        started.state.read_bytes += buf.len() as u64;
        let cached = &started.state.nodes[&self.inode].cached;
        let from = index(position);
        let read = match cached.get(from..from.saturating_add(buf.len())) {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        started.finish(read)
    }

    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let mut started = self.start(Op::Write, &format_args!("{}@{position}", buf.len()))?;
        let written = self.write(&mut started, buf, position);
        started.finish(written)
    }

    fn write_all_vectored_at(&self, bufs: &[Bytes], position: u64) -> io::Result<()> {
        self.write_all_at(&bufs.concat(), position)
    }

    fn allocate(&self, position: u64, size_bytes: u64) -> io::Result<()> {
        let mut started = self.start(Op::Allocate, &format_args!("{size_bytes}@{position}"))?;
        let free = started.state.free_bytes();
        let node = started.state.node(self.inode);
        let to = position + size_bytes;
        let more = to.next_multiple_of(PAGE_BYTES as u64).saturating_sub(node.used_bytes());
        let allocated = if more > free {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            node.allocated_to = node.allocated_to.max(to);
            Ok(())
        };
        started.finish(allocated)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut started = self.start(Op::SetLen, &length)?;
        let now_ms = self.shared.clock.now_ms();
        let node = started.state.node(self.inode);
        node.set_len(index(length));
        node.modified_ms = now_ms;
        started.finish(Ok(()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut started = self.start(Op::SyncData, &"")?;
        if !started.power_goes {
            started.state.node(self.inode).sync();
        }
        started.finish(Ok(()))
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        let mut started = self.start(Op::DropCache, &position)?;
        started.state.node(self.inode).drop_cache(index(position));
        started.finish(Ok(()))
    }

    fn map(&self, size_bytes: u64) -> io::Result<Arc<dyn FileMap>> {
        let started = self.start(Op::Map, &size_bytes)?;
        let map = SimMap {
            shared: Arc::clone(&self.shared),
            path: self.path.clone(),
            inode: self.inode,
            boot: self.boot,
            size_bytes,
        };
        started.finish(Ok(Arc::new(map) as Arc<dyn FileMap>))
    }
}

// === impl SimMap ===

impl FileMap for SimMap {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn slice(self: Arc<Self>, position: u64, size_bytes: usize) -> Bytes {
        let mut state = self.shared.state.lock();
        state.read_bytes += size_bytes as u64;
        assert!(position + size_bytes as u64 <= self.size_bytes, "a slice beyond the map");
        let same_boot = state.boot == self.boot;
        let node = state.node(self.inode);
        let range = index(position)..index(position) + size_bytes;
        assert!(range.end <= node.cached.len(), "a slice beyond the file's end would be a SIGBUS");
        if same_boot {
            node.sliced_to = node.sliced_to.max(range.end);
        }
        Bytes::copy_from_slice(&node.cached[range])
    }

    fn populate(&self, position: u64, size_bytes: usize) -> io::Result<()> {
        let detail = format_args!("{size_bytes}@{position} mapped");
        let started = self.shared.start(Op::Read, &self.path, Some(self.boot), &detail)?;
        started.finish(Ok(()))
    }
}
