//! Looking offsets up: ends of the log, times, epochs.

use std::sync::Arc;

use super::Error;
use super::api::{EpochEnd, ListedOffset, OffsetSpec, TopicRef};
use super::core::Engine;
use super::fetch::check_epoch;
use super::partition::Partition;
use crate::log::{ReadError, TimestampHit};
use crate::types::{Isolation, LeaderEpoch, Offset};

/// A lookup that may read from the disk.
type Lookup = Box<dyn FnOnce(&Partition) -> Result<Option<TimestampHit>, ReadError> + Send>;

// === impl Engine ===

impl Engine {
    /// The offset at an end of what a reader may see, or of the first record at a time. Lookups by time may read
    /// from the disk and run on the pool.
    pub fn list_offsets(
        &self,
        topic: &TopicRef,
        partition: i32,
        spec: OffsetSpec,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> impl Future<Output = Result<ListedOffset, Error>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let partition = core.image.load().partition(topic, partition).cloned().and_then(|partition| {
            check_epoch(&partition, current_leader_epoch)?;
            Ok(partition)
        });
        async move {
            let partition = partition?;
            let visible = visible(&partition, isolation);
            let work: Lookup = match spec {
                OffsetSpec::Latest => return Ok(end(&partition, visible)),
                OffsetSpec::Earliest => return Ok(end(&partition, partition.log().log_start_offset())),
                OffsetSpec::MaxTimestamp => Box::new(move |partition| partition.log().max_timestamp(visible)),
                OffsetSpec::Timestamp(timestamp_ms) => {
                    Box::new(move |partition| partition.log().lookup_timestamp(timestamp_ms, visible))
                }
            };
            let found = core.on_pool(move |_| work(&partition)).await.ok_or(Error::Stopping)??;
            Ok(ListedOffset {
                offset: found.map(|hit| hit.offset),
                timestamp_ms: found.map(|hit| hit.timestamp_ms),
                leader_epoch: found.map(|hit| hit.leader_epoch),
            })
        }
    }

    /// Where `epoch` ended in the log: the largest epoch known at or below it and the first offset after that one.
    /// None when the log knows no such epoch.
    ///
    /// # Errors
    /// When there is no such partition, or the client knows another leader epoch.
    pub fn epoch_end_offset(
        &self,
        topic: &TopicRef,
        partition: i32,
        current_leader_epoch: Option<LeaderEpoch>,
        epoch: LeaderEpoch,
    ) -> Result<Option<EpochEnd>, Error> {
        let image = self.core.image.load();
        let partition = image.partition(topic, partition)?;
        check_epoch(partition, current_leader_epoch)?;
        if epoch == partition.leader_epoch() {
            // The present epoch has not ended; it reaches to the end of the log, records or not.
            return Ok(Some(EpochEnd { epoch, end_offset: partition.log().log_end_offset() }));
        }
        if epoch > partition.leader_epoch() {
            return Ok(None);
        }
        Ok(partition.log().epoch_end(epoch).map(|(epoch, end_offset)| EpochEnd { epoch, end_offset }))
    }
}

fn visible(partition: &Partition, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => partition.log().high_watermark(),
        Isolation::ReadCommitted => partition.log().last_stable_offset(),
    }
}

fn end(partition: &Partition, offset: Offset) -> ListedOffset {
    let leader_epoch = partition.log().epoch_at(offset).or(Some(partition.leader_epoch()));
    ListedOffset { offset: Some(offset), timestamp_ms: None, leader_epoch }
}
