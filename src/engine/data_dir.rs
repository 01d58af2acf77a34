//! The data directory: who may use it, what it is, and how it was left.
//!
//! ```text
//! lock                            held by the running broker; says who that is
//! meta                            format, cluster id, node id, count of starts
//! clean                           there only after an orderly stop, removed before anything is opened
//! checkpoint                      how far each partition is synced
//! catalog/                        the log of topics and settings
//! groups/                         the log of consumer groups and their offsets
//! topics/<topic id>/<partition>/  the partitions' logs
//! ```
//!
//! What always holds: the lock is taken before anything is read; a second broker leaves no trace; the count of
//! starts, which is the leader epoch, is durable before anything is served.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::core::OpenError;
use super::frame::{self, Payload};
use crate::env::{Env, Lock, LockError, OpenMode};
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

/// An opened, locked data directory.
pub(super) struct DataDir {
    path: PathBuf,
    meta: Meta,
    was_clean: bool,
    _lock: Box<dyn Lock>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    format: u32,
    cluster_id: String,
    broker_id: i32,
    /// How often a broker was started on the directory, this time included.
    starts: i32,
}

const FORMAT: u32 = 1;
const META_BYTES_MAX: u64 = 4096;

// === impl DataDir ===

impl DataDir {
    /// Locks the directory (making it where it does not exist), reads what it is, counts this start.
    pub(super) fn open(env: &Env, path: &Path, broker_id: BrokerId, holder: &str) -> Result<Self, OpenError> {
        let disk = &*env.disk;
        if !disk.exists(path)? {
            disk.create_dir_all(path)?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                disk.sync_dir(parent)?;
            }
        }
        let lock = disk.lock(&path.join("lock"), holder).map_err(|error| match error {
            LockError::Held { holder } => OpenError::InUse { dir: path.display().to_string(), holder },
            LockError::Io(error) => OpenError::Disk(error),
        })?;
        let refuse = |why: String| OpenError::Refused { dir: path.display().to_string(), why };
        let meta_path = path.join("meta");
        let mut meta = if disk.exists(&meta_path)? {
            let bytes = disk.read(&meta_path, META_BYTES_MAX)?;
            let meta: Meta = frame::decode(Payload::Meta, &bytes)
                .map_err(|why| refuse(format!("the file meta is damaged: {why}; restore it from a copy")))?;
            if meta.format != FORMAT {
                return Err(refuse(format!(
                    "format {} is newer than this version reads ({FORMAT})",
                    meta.format
                )));
            }
            if meta.broker_id != broker_id.0 {
                let was = meta.broker_id;
                return Err(refuse(format!(
                    "it belongs to broker {was}, this one is configured as {}",
                    broker_id.0
                )));
            }
            meta
        } else {
            if disk.exists(&path.join("catalog"))? {
                return Err(refuse(
                    "the file meta is missing beside a catalog; restore it from a copy".into(),
                ));
            }
            let mut id = [0; 16];
            env.entropy.fill(&mut id);
            Meta { format: FORMAT, cluster_id: TopicId(id).to_string(), broker_id: broker_id.0, starts: 0 }
        };
        // Removed, durably, before anything is opened: a crash from here on is a crash (KAFKA-10471).
        let clean = path.join("clean");
        let was_clean = disk.exists(&clean)?;
        if was_clean {
            disk.remove_file(&clean)?;
            disk.sync_dir(path)?;
        }
        meta.starts += 1;
        disk.replace(&meta_path, &frame::encode(Payload::Meta, &meta))?;
        for name in ["catalog", "groups", "topics"] {
            disk.create_dir_all(&path.join(name))?;
        }
        disk.sync_dir(path)?;
        Ok(Self { path: path.to_owned(), meta, was_clean, _lock: lock })
    }

    /// The epoch of this start: 0 at the first.
    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.meta.starts - 1)
    }

    pub(super) fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }

    /// Whether the last broker stopped in order.
    pub(super) fn was_clean(&self) -> bool {
        self.was_clean
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn catalog(&self) -> PathBuf {
        self.path.join("catalog")
    }

    pub(super) fn groups(&self) -> PathBuf {
        self.path.join("groups")
    }

    pub(super) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Marks the orderly end, durably, and lets go of the lock.
    pub(super) fn close_clean(self, env: &Env) -> io::Result<()> {
        env.disk.open(&self.path.join("clean"), OpenMode::Create)?.sync_data()?;
        env.disk.sync_dir(&self.path)
    }
}

/// Whether `bytes` are a readable `meta` file.
pub(super) fn check_meta(bytes: &[u8]) -> Result<(), String> {
    frame::decode::<Meta>(Payload::Meta, bytes).map(drop)
}

/// Where a topic's partitions are.
pub(super) fn topic_dir(data_dir: &Path, topic: TopicId) -> PathBuf {
    data_dir.join("topics").join(topic.to_string())
}

/// Where a partition's log is. No name of a client's reaches a path: topics are named by id here.
pub(super) fn partition_dir(data_dir: &Path, partition: TopicPartition) -> PathBuf {
    topic_dir(data_dir, partition.topic).join(partition.partition.to_string())
}
