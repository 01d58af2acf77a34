//! What is known of the cluster: its brokers, its topics, and who leads which partition.
//!
//! A [`Metadata`] is immutable; a refresh makes a new one out of the old one and a broker's answer. Old knowledge of
//! a partition is never put in place of newer: the leader epoch decides, since a broker that lags behind may answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::config::BrokerAddress;
use crate::types::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::metadata::MetadataResponse;

/// What one client knows of its cluster.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The cluster's id, when the broker tells.
    pub cluster_id: Option<String>,
    /// The broker to send administrative requests to, when there is one.
    pub controller_id: Option<i32>,
    /// The brokers by node id.
    pub brokers: BTreeMap<i32, BrokerMetadata>,
    /// The topics asked for so far.
    pub topics: HashMap<Arc<str>, Arc<TopicMetadata>>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// Where it listens.
    pub address: BrokerAddress,
    /// Its rack, when it has one.
    pub rack: Option<String>,
}

/// One topic.
#[derive(Debug, Clone)]
pub struct TopicMetadata {
    /// The name.
    pub name: Arc<str>,
    /// The id; [`TopicId::ZERO`] from brokers that know no topic ids.
    pub id: TopicId,
    /// Whether it belongs to the broker itself.
    pub is_internal: bool,
    /// The partitions, in order of their index, which may have gaps on a broken cluster only.
    pub partitions: Vec<PartitionMetadata>,
    /// When a broker told.
    pub(crate) fetched_at: Instant,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// The index.
    pub partition: i32,
    /// The node id of the leader; `None` while there is none.
    pub leader: Option<i32>,
    /// The leader's epoch, -1 from brokers that do not tell.
    pub leader_epoch: i32,
    /// Node ids of the replicas.
    pub replicas: Vec<i32>,
    /// Node ids of the replicas in sync.
    pub in_sync_replicas: Vec<i32>,
}

/// A refresh's result: the new metadata, and the topics of the answer that a broker reports an error for.
pub(crate) struct Refreshed {
    pub(crate) metadata: Metadata,
    pub(crate) errors: Vec<(Arc<str>, ErrorCode)>,
}

// === impl Metadata ===

impl Metadata {
    /// A topic, when it has been asked for and exists.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)
    }

    /// A broker's address.
    #[must_use]
    pub fn address(&self, node_id: i32) -> Option<&BrokerAddress> {
        self.brokers.get(&node_id).map(|broker| &broker.address)
    }

    /// This, brought up to date by a broker's answer.
    pub(crate) fn updated(&self, response: &MetadataResponse, now: Instant) -> Refreshed {
        let mut metadata = Self {
            cluster_id: response
                .cluster_id
                .as_ref()
                .map(ToString::to_string)
                .or_else(|| self.cluster_id.clone()),
            controller_id: (response.controller_id >= 0).then_some(response.controller_id),
            brokers: BTreeMap::new(),
            topics: self.topics.clone(),
        };
        for broker in &response.brokers {
            let Some(port) = u16::try_from(broker.port).ok().filter(|&port| port != 0) else { continue };
            let address = BrokerAddress { host: broker.host.to_string(), port };
            let rack = broker.rack.as_ref().map(ToString::to_string);
            metadata.brokers.insert(broker.node_id, BrokerMetadata { address, rack });
        }
        let mut errors = Vec::new();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let name: Arc<str> = Arc::from(&**name);
            if topic.error_code != ErrorCode::NONE && topic.error_code != ErrorCode::LEADER_NOT_AVAILABLE {
                metadata.topics.remove(&name);
                errors.push((name, topic.error_code));
                continue;
            }
            let mut partitions: Vec<PartitionMetadata> = topic
                .partitions
                .iter()
                .filter(|partition| partition.partition_index >= 0)
                .map(|partition| PartitionMetadata {
                    partition: partition.partition_index,
                    leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.iter().collect(),
                    in_sync_replicas: partition.isr_nodes.iter().collect(),
                })
                .collect();
            partitions.sort_unstable_by_key(|partition| partition.partition);
            if partitions.is_empty() {
                errors.push((name, ErrorCode::LEADER_NOT_AVAILABLE));
                continue;
            }
            let mut fresh = TopicMetadata {
                name: Arc::clone(&name),
                id: topic.topic_id,
                is_internal: topic.is_internal,
                partitions,
                fetched_at: now,
            };
            if let Some(known) = self.topics.get(&name) {
                fresh.keep_newer(known);
            }
            metadata.topics.insert(name, Arc::new(fresh));
        }
        Refreshed { metadata, errors }
    }
}

// === impl TopicMetadata ===

impl TopicMetadata {
    /// One partition, by its index.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&PartitionMetadata> {
        let guess = usize::try_from(partition).ok().and_then(|index| self.partitions.get(index));
        match guess {
            Some(found) if found.partition == partition => Some(found),
            _ => self.partitions.iter().find(|found| found.partition == partition),
        }
    }

    /// Takes over what `known` knows of newer leaders, when it is the same topic.
    fn keep_newer(&mut self, known: &Self) {
        if self.id != known.id {
            return;
        }
        for partition in &mut self.partitions {
            if let Some(known) = known.partition(partition.partition)
                && known.leader_epoch > partition.leader_epoch
            {
                *partition = known.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: u8, leaders: &[(i32, i32)]) -> TopicMetadata {
        let partitions =
            leaders.iter().zip(0..).map(|(&(leader, leader_epoch), partition)| PartitionMetadata {
                partition,
                leader: Some(leader),
                leader_epoch,
                replicas: vec![leader],
                in_sync_replicas: vec![leader],
            });
        TopicMetadata {
            name: "t".into(),
            id: TopicId([id; 16]),
            is_internal: false,
            partitions: partitions.collect(),
            fetched_at: Instant::now(),
        }
    }

    #[test]
    fn an_answer_from_a_lagging_broker_does_not_bring_back_an_old_leader() {
        let known = topic(1, &[(1, 5), (1, 5)]);
        let mut fresh = topic(1, &[(2, 6), (3, 4)]);
        fresh.keep_newer(&known);
        let leaders: Vec<_> = fresh.partitions.iter().map(|partition| partition.leader).collect();
        assert_eq!(leaders, [Some(2), Some(1)]);
    }

    #[test]
    fn a_topic_made_again_forgets_the_old_ones_epochs() {
        let known = topic(1, &[(1, 5)]);
        let mut fresh = topic(2, &[(2, 0)]);
        fresh.keep_newer(&known);
        assert_eq!(fresh.partitions[0].leader, Some(2));
    }

    #[test]
    fn partitions_are_found_by_index_even_with_gaps() {
        let mut topic = topic(1, &[(1, 0), (1, 0), (1, 0)]);
        topic.partitions.remove(1);
        assert_eq!(topic.partition(2).map(|found| found.partition), Some(2));
        assert_eq!(topic.partition(1), None);
        assert_eq!(topic.partition(-1), None);
    }
}
