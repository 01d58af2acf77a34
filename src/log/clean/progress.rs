//! How far a log is cleaned: the file `cleaner-checkpoint`.
//!
//! Written when a cleaning has ended, and not synced: a lost, old or torn one says less than is true, and costs a cleaning
//! of what was clean. It never says more, since all that it speaks of was durable before.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::frame;
use crate::env::Disk;
use crate::types::{Offset, TimestampMs};

const MAGIC: [u8; 4] = *b"MLcl";
const VERSION: u16 = 1;
/// The file's name.
pub(super) const NAME: &str = "cleaner-checkpoint";
const FILE_BYTES_MAX: u64 = 1 << 10;

/// No tombstone waits for its time.
pub(super) const NO_HORIZON: TimestampMs = TimestampMs::MAX;

/// How far a log is cleaned.
pub(in super::super) struct Progress {
    upto: AtomicI64,
    /// The earliest delete horizon of a tombstone below.
    next_horizon_ms: AtomicI64,
}

// === impl Progress ===

impl Progress {
    /// What the file in `dir` says; nothing is cleaned if it cannot be read, or speaks of the active segment, which it
    /// never does.
    pub(in super::super) fn load(disk: &dyn Disk, dir: &Path, active_base: Offset) -> Self {
        let read = disk.read(&dir.join(NAME), FILE_BYTES_MAX).ok().and_then(|bytes| decode(&bytes));
        let (upto, next_horizon_ms) =
            read.filter(|&(upto, _)| upto <= active_base).unwrap_or((0, NO_HORIZON));
        Self { upto: AtomicI64::new(upto), next_horizon_ms: AtomicI64::new(next_horizon_ms) }
    }

    /// Everything below is cleaned.
    pub(super) fn upto(&self) -> Offset {
        self.upto.load(Ordering::Acquire)
    }

    pub(super) fn next_horizon_ms(&self) -> TimestampMs {
        self.next_horizon_ms.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, upto: Offset, next_horizon_ms: TimestampMs) {
        self.upto.store(upto, Ordering::Release);
        self.next_horizon_ms.store(next_horizon_ms, Ordering::Release);
    }

    /// The file's content.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = self.upto().to_be_bytes().to_vec();
        payload.extend_from_slice(&self.next_horizon_ms().to_be_bytes());
        frame::encode(MAGIC, VERSION, &payload)
    }
}

fn decode(bytes: &[u8]) -> Option<(Offset, TimestampMs)> {
    let mut fields = frame::decode(MAGIC, VERSION, bytes).ok()?;
    let read = (fields.offset().ok()?, fields.i64().ok()?);
    fields.finish().ok().map(|()| read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back() {
        let progress = Progress { upto: AtomicI64::new(70), next_horizon_ms: AtomicI64::new(99) };
        assert_eq!(decode(&progress.encode()), Some((70, 99)));
        assert_eq!(decode(b""), None);
        assert_eq!(decode(&progress.encode()[1..]), None);
    }
}
