//! Memory that requests are read into, used again.
//!
//! Fresh memory is not free: the system clears each page on its first touch, which costs about as much as all else that a
//! broker does with a byte. So the buffer of a request that is done goes back to a pool, and the next request is read
//! into pages that are there already (docs/BENCHMARKS.md has the figures).
//!
//! What always holds: a buffer is in one place at a time, the pool or its one user; the pool keeps no more than its
//! limit; what nobody needed between two calls of [`BufferPool::trim`] goes back to the system, so that a broker at
//! rest keeps nothing. Deliberately absent: accounting of what is in use, which is [`super::budget`]'s.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers at rest. One is shared by all connections.
#[derive(Debug)]
pub struct BufferPool {
    free: Mutex<Free>,
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct Free {
    /// The newest last: its pages are the likeliest to be in the processor's caches.
    buffers: Vec<Vec<u8>>,
    size_bytes: usize,
    /// The least that was free since the last trim: these were not needed.
    unused: usize,
}

/// Memory to be read into; goes back to its pool when it is dropped.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Weak<BufferPool>,
}

/// Capacities are whole pages.
const PAGE_BYTES: usize = 4096;
/// What the allocator keeps for itself anyway is not worth a place.
const POOLED_BYTES_MIN: usize = 16 << 10;
/// Larger requests are rare, and few of them would fill the pool.
const POOLED_BYTES_MAX: usize = 2 << 20;

// === impl BufferPool ===

impl BufferPool {
    /// A pool that keeps up to `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), limit_bytes })
    }

    /// An empty buffer with room for `size_bytes` at least, and for at most twice as much and a page.
    #[must_use]
    pub fn take(self: &Arc<Self>, size_bytes: usize) -> Buffer {
        let wanted = size_bytes.next_multiple_of(PAGE_BYTES);
        let found = self.free.lock().take(wanted..=wanted * 2);
        Buffer { bytes: found.unwrap_or_else(|| Vec::with_capacity(wanted)), pool: Arc::downgrade(self) }
    }

    /// Gives back to the system what was not needed since the last call.
    pub fn trim(&self) {
        let unused: Vec<Vec<u8>> = {
            let mut free = self.free.lock();
            let count = free.unused;
            let unused: Vec<_> = free.buffers.drain(..count).collect();
            free.size_bytes -= unused.iter().map(Vec::capacity).sum::<usize>();
            free.unused = free.buffers.len();
            unused
        };
        // Outside of the lock, since unmapping takes its time.
        drop(unused);
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if !(POOLED_BYTES_MIN..=POOLED_BYTES_MAX).contains(&bytes.capacity()) {
            return;
        }
        bytes.clear();
        let mut free = self.free.lock();
        if free.size_bytes + bytes.capacity() <= self.limit_bytes {
            free.size_bytes += bytes.capacity();
            free.buffers.push(bytes);
        }
    }
}

impl Free {
    /// The smallest buffer within these capacities; of equal ones the newest.
    fn take(&mut self, capacities: std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
        let fitting =
            self.buffers.iter().enumerate().rev().filter(|(_, at)| capacities.contains(&at.capacity()));
        let (index, _) = fitting.min_by_key(|(_, at)| at.capacity())?;
        let bytes = self.buffers.remove(index);
        self.size_bytes -= bytes.capacity();
        self.unused = self.unused.min(self.buffers.len());
        Some(bytes)
    }
}

// === impl Buffer ===

impl Buffer {
    /// What was read so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that can be read without growing.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// The memory, to be filled.
    pub fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The same bytes, shared and fixed; the memory goes back to the pool with the last slice of them.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_the_last_slice_of_it_is_gone() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(100_000);
        buffer.as_mut_vec().extend_from_slice(b"record");
        let address = buffer.as_slice().as_ptr();
        let slice = buffer.freeze().slice(2..4);
        assert_ne!(pool.take(100_000).as_slice().as_ptr(), address, "it is in use still");
        drop(slice);
        let again = pool.take(90_000);
        assert_eq!((again.as_slice().as_ptr(), again.as_slice().len()), (address, 0));
    }

    #[test]
    fn a_small_request_does_not_get_a_large_buffer() {
        let pool = BufferPool::new(8 << 20);
        drop(pool.take(1 << 20));
        let small = pool.take(20_000);
        assert!(small.room_bytes() <= 2 * 20_000 + PAGE_BYTES, "{}", small.room_bytes());
    }

    #[test]
    fn no_more_than_the_limit_is_kept_and_nothing_that_is_not_needed() {
        let pool = BufferPool::new(100_000);
        drop([pool.take(40_000), pool.take(40_000), pool.take(40_000)]);
        assert_eq!(pool.free.lock().buffers.len(), 2);
        pool.trim();
        drop(pool.take(40_000));
        pool.trim();
        assert_eq!(pool.free.lock().buffers.len(), 1, "one was needed since, the other was not");
        pool.trim();
        assert_eq!(pool.free.lock().size_bytes, 0);
    }
}
