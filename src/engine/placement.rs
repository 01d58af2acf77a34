//! Where partitions are, and who leads them: questions that one broker answers without moving anything.
//!
//! Every partition's one replica is on this broker, in its one directory, and led by it. So an election is never needed, a
//! reassignment to this broker is done already, and every other place is refused by the error that says why.

use std::collections::HashSet;
use std::sync::Arc;

use super::Error;
use super::api::{ActiveProducer, QuorumState, TopicRef};
use super::core::Engine;
use super::image::MetadataImage;

// === impl Engine ===

impl Engine {
    /// Makes the preferred replica the leader, which it is.
    ///
    /// # Errors
    /// Always: [`Error::ElectionNotNeeded`], or that there is no such partition.
    pub fn elect_leader(&self, topic: &Arc<str>, partition: i32) -> Result<(), Error> {
        let image = self.core.image.load();
        image.partition(&TopicRef::Name(Arc::clone(topic)), partition)?;
        Err(Error::ElectionNotNeeded { topic: format!("{topic}-{partition}") })
    }

    /// Moves a partition to other brokers, or with None stops moving it.
    ///
    /// # Errors
    /// [`Error::InvalidReplicaAssignment`] for any brokers but this one, [`Error::NoReassignment`] where a move is to be
    /// stopped, or that there is no such partition.
    pub fn reassign(&self, topic: &Arc<str>, partition: i32, replicas: Option<&[i32]>) -> Result<(), Error> {
        let image = self.core.image.load();
        image.partition(&TopicRef::Name(Arc::clone(topic)), partition)?;
        match replicas {
            Some(replicas) => check_replicas(&image, replicas),
            None => Err(Error::NoReassignment { topic: format!("{topic}-{partition}") }),
        }
    }

    /// Moves a partition's replica to another directory of this broker.
    ///
    /// # Errors
    /// [`Error::LogDirNotFound`] for any directory but the one there is, or that there is no such partition.
    pub fn move_replica(&self, path: &str, topic: &Arc<str>, partition: i32) -> Result<(), Error> {
        if path != self.core.data_dir.display().to_string() {
            return Err(Error::LogDirNotFound { path: path.to_owned() });
        }
        let image = self.core.image.load();
        image.partition(&TopicRef::Name(Arc::clone(topic)), partition).map(drop)
    }

    /// The quorum that decides on the metadata: this broker alone, with the end of its catalog.
    pub fn describe_quorum(&self) -> impl Future<Output = Result<QuorumState, Error>> + Send + use<> {
        // A change of the catalog holds its lock while it syncs.
        let done = self.core.on_pool(|core| {
            let log_end_offset = core.catalog.lock().log_end_offset();
            let image = core.image.load();
            QuorumState {
                voter: image.broker_id,
                leader_epoch: image.leader_epoch,
                log_end_offset,
                now_ms: core.env.clock.now_ms(),
            }
        });
        async move { done.await.ok_or(Error::Stopping) }
    }

    /// The idempotent producers that a partition remembers, by id.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn describe_producers(
        &self,
        topic: &Arc<str>,
        partition: i32,
    ) -> impl Future<Output = Result<Vec<ActiveProducer>, Error>> + Send + use<> {
        let partition =
            self.core.image.load().partition(&TopicRef::Name(Arc::clone(topic)), partition).cloned();
        let core = Arc::clone(&self.core);
        async move {
            let partition = partition?;
            // An append holds the lock of the log's producers while it writes.
            let done = core.on_pool(move |_| {
                let producers = partition.log().producers().into_iter().map(|known| ActiveProducer {
                    id: known.id,
                    epoch: known.epoch,
                    last_sequence: known.last_sequence,
                    last_timestamp_ms: known.last_timestamp_ms,
                });
                producers.collect()
            });
            done.await.ok_or(Error::Stopping)
        }
    }
}

/// Whether a partition's replicas can be on these brokers: on this one, and under `replication.factor.clamp` on this one
/// and others, which are then left out with a warning.
pub(super) fn check_replicas(image: &MetadataImage, replicas: &[i32]) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::InvalidReplicaAssignment { why });
    if replicas.is_empty() {
        return refuse("the list of replicas is empty".into());
    }
    let mut seen = HashSet::new();
    if let Some(twice) = replicas.iter().find(|replica| !seen.insert(**replica)) {
        return refuse(format!("broker {twice} is named more than once"));
    }
    let only = image.broker_id.0;
    match replicas.iter().find(|replica| **replica != only) {
        None => Ok(()),
        Some(_) if image.settings.clamps_replicas() && replicas.contains(&only) => {
            tracing::warn!(
                ?replicas,
                only,
                "replicas on other brokers are left out (replication.factor.clamp)"
            );
            Ok(())
        }
        Some(other) => refuse(format!(
            "there is no broker {other}; the only one is {only} (replication.factor.clamp=true leaves others out)"
        )),
    }
}
