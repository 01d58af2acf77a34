//! The checkpoint: how far each partition is synced, so that recovery scans only what lies beyond.
//!
//! One file for the whole broker, replaced as a whole. It is never needed: without it, or with one that cannot be
//! read, more is scanned.

use std::collections::HashMap;
use std::path::PathBuf;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Error;
use super::data_dir::DataDir;
use super::frame::{self, Payload};
use super::partition::Partition;
use crate::env::Env;
use crate::log::SyncedUpTo;
use crate::types::{Offset, TopicId, TopicPartition};

/// One partition's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointEntry {
    topic: [u8; 16],
    partition: i32,
    /// All below is on the disk.
    synced_offset: Offset,
    /// Base offset of the segment that was active.
    segment: Offset,
    /// Position in that segment's file.
    position: u64,
    log_start_offset: Offset,
    high_watermark: Offset,
}

/// The file.
pub(super) struct CheckpointFile {
    path: PathBuf,
    /// One writer at a time.
    writing: Mutex<()>,
}

const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is to be remembered of a partition.
pub(super) fn entry(partition: &Partition, synced: SyncedUpTo) -> CheckpointEntry {
    let id = partition.id();
    CheckpointEntry {
        topic: id.topic.0,
        partition: id.partition,
        synced_offset: synced.offset,
        segment: synced.segment,
        position: synced.position,
        log_start_offset: partition.log().log_start_offset(),
        high_watermark: partition.log().high_watermark(),
    }
}

// === impl CheckpointEntry ===

impl CheckpointEntry {
    pub(super) fn synced(&self) -> SyncedUpTo {
        SyncedUpTo { offset: self.synced_offset, segment: self.segment, position: self.position }
    }

    pub(super) fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }
}

// === impl CheckpointFile ===

impl CheckpointFile {
    pub(super) fn new(dir: &DataDir) -> Self {
        Self { path: dir.checkpoint(), writing: Mutex::new(()) }
    }

    /// Replaces the file.
    pub(super) fn write(&self, env: &Env, entries: &Vec<CheckpointEntry>) -> Result<(), Error> {
        let _one_at_a_time = self.writing.lock();
        let frame = frame::encode(Payload::Checkpoint, entries);
        env.disk.replace(&self.path, &frame).map_err(|error| Error::Storage { why: error.to_string() })
    }
}

/// Up to where each partition was synced, by the bytes of a checkpoint.
pub(super) fn synced_offsets(bytes: &[u8]) -> Result<HashMap<TopicPartition, Offset>, String> {
    let entries = frame::decode::<Vec<CheckpointEntry>>(Payload::Checkpoint, bytes)?;
    let synced = entries.into_iter().map(|entry| {
        (TopicPartition { topic: TopicId(entry.topic), partition: entry.partition }, entry.synced_offset)
    });
    Ok(synced.collect())
}

/// Reads the checkpoint. Empty when there is none or it cannot be read, which costs a scan and nothing else.
pub(super) fn read(env: &Env, dir: &DataDir) -> HashMap<TopicPartition, CheckpointEntry> {
    let path = dir.checkpoint();
    if !env.disk.exists(&path).unwrap_or(false) {
        return HashMap::new();
    }
    let entries = env
        .disk
        .read(&path, FILE_BYTES_MAX)
        .map_err(|error| error.to_string())
        .and_then(|bytes| frame::decode::<Vec<CheckpointEntry>>(Payload::Checkpoint, &bytes));
    match entries {
        Ok(entries) => entries
            .into_iter()
            .map(|entry| (TopicPartition { topic: TopicId(entry.topic), partition: entry.partition }, entry))
            .collect(),
        Err(why) => {
            tracing::warn!(path = %path.display(), why, "the checkpoint cannot be read; scanning instead");
            HashMap::new()
        }
    }
}
