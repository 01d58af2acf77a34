//! Deleting records, and the sizes of logs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Error;
use super::api::{LogDir, PartitionSize, TopicRef};
use super::core::{Engine, Key};
use crate::types::Offset;

// === impl Engine ===

impl Engine {
    /// Deletes the records below `before`, or all committed ones: moves the log start offset, which it gives. Not in a
    /// topic that is only compacted, where the newest record of each key is to stay.
    pub fn delete_records(
        &self,
        topic: &TopicRef,
        partition: i32,
        before: Option<Offset>,
    ) -> impl Future<Output = Result<Offset, Error>> + Send + use<> {
        let partition = self.core.image.load().partition(topic, partition).cloned();
        let core = Arc::clone(&self.core);
        async move {
            let partition = partition?;
            if !partition.settings().deletes {
                let why = "records of a topic that is only compacted are not deleted: its cleanup.policy has no delete";
                return Err(Error::Forbidden { why: why.into() });
            }
            let done = core.on_pool(move |core| {
                let before = before.unwrap_or_else(|| partition.log().high_watermark());
                let deleted = partition.log().delete_records(before);
                let deleted =
                    deleted.inspect_err(|error| core.check_fence(partition.log().is_fenced(), error))?;
                partition.dirty.store(true, Ordering::Release);
                // Readers below the new start have to be told.
                core.purgatory.check(&Key::HighWatermark(partition.id()));
                Ok(deleted.log_start_offset)
            });
            done.await.unwrap_or(Err(Error::Stopping))
        }
    }

    /// The data directory with the sizes of some or all partitions' logs.
    #[must_use]
    pub fn describe_log_dirs(&self, wanted: Option<&[(Arc<str>, Vec<i32>)]>) -> LogDir {
        let image = self.core.image.load();
        let wanted: Option<HashMap<&str, HashSet<i32>>> = wanted.map(|wanted| {
            wanted.iter().map(|(name, indexes)| (&**name, indexes.iter().copied().collect())).collect()
        });
        let topics = image.topics().filter_map(|topic| {
            let indexes = match &wanted {
                Some(wanted) => Some(wanted.get(&*topic.name)?),
                None => None,
            };
            let sizes = topic.partitions.iter().filter_map(|partition| {
                let index = partition.id().partition;
                let size = PartitionSize { partition: index, size_bytes: partition.log().size_bytes() };
                indexes.is_none_or(|indexes| indexes.contains(&index)).then_some(size)
            });
            let sizes: Vec<PartitionSize> = sizes.collect();
            (!sizes.is_empty()).then(|| (Arc::clone(&topic.name), sizes))
        });
        LogDir {
            path: self.core.data_dir.display().to_string(),
            topics: topics.collect(),
            total_bytes: self.core.env.disk.total_bytes(&self.core.data_dir).ok(),
            usable_bytes: self.core.env.disk.free_bytes(&self.core.data_dir).ok(),
        }
    }
}
