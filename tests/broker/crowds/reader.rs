//! A member of a group of the consumer protocol (KIP-848) on one raw connection.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use millrace::types::TopicId;
use millrace::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, HeartbeatTopicPartitions,
};
use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::{Array, ErrorCode};

use super::text;
use crate::fixture::Client;

/// The topic that readers read.
pub(super) const TOPIC: &str = "crowd";

/// A member; dropped, it is gone without a word.
pub(super) struct Reader {
    client: Client,
    group: String,
    id: String,
    epoch: i32,
    topic: TopicId,
    owned: BTreeSet<u16>,
}

/// What a heartbeat came to.
pub(super) enum Beat {
    /// The member is one; what it has to give up, and what it has got.
    Member { lost: Vec<u16>, gained: Vec<u16> },
    /// The group has gone on without it: it owns nothing any more, and joins anew next time.
    Fenced,
}

/// Makes the topic with so many partitions.
pub(super) async fn make_topic(client: &mut Client, partitions: u16) -> TopicId {
    let topic = CreatableTopic {
        name: text(TOPIC),
        num_partitions: partitions.into(),
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
    let made = client.ask(&request, 7).await.topics.iter().next().unwrap();
    assert!(made.error_code.is_none(), "{made:?}");
    made.topic_id
}

impl Reader {
    /// Somebody of that name, which must be nobody else's.
    pub(super) async fn new(broker: SocketAddr, group: &str, id: String, topic: TopicId) -> Self {
        let client = Client::connect(broker).await;
        Self { client, group: group.to_owned(), id, epoch: 0, topic, owned: BTreeSet::new() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Says that it is alive and what it owns; follows what it is told.
    pub(super) async fn beat(&mut self) -> Beat {
        let partitions: Array<i32> = self.owned.iter().copied().map(i32::from).collect();
        let owned = HeartbeatTopicPartitions { topic_id: self.topic, partitions };
        let owned = if self.owned.is_empty() { Vec::new() } else { vec![owned] };
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: text(&self.group),
            member_id: text(&self.id),
            member_epoch: self.epoch,
            rebalance_timeout_ms: -1,
            topic_partitions: Some(owned.into()),
            ..Default::default()
        };
        if self.epoch == 0 {
            request.rebalance_timeout_ms = 10_000;
            request.subscribed_topic_names = Some(vec![text(TOPIC)].into());
        }
        let mut answer = self.client.ask(&request, 1).await;
        while answer.error_code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
            answer = self.client.ask(&request, 1).await;
        }
        match answer.error_code {
            ErrorCode::NONE => {}
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_MEMBER_EPOCH => {
                self.epoch = 0;
                self.owned.clear();
                return Beat::Fenced;
            }
            other => panic!("a heartbeat was answered with {other:?}"),
        }
        self.epoch = answer.member_epoch;
        let Some(assignment) = answer.assignment else {
            return Beat::Member { lost: Vec::new(), gained: Vec::new() };
        };
        let told = assignment.topic_partitions.iter();
        let told: Vec<i32> = told.flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>()).collect();
        let told: BTreeSet<u16> =
            told.into_iter().map(|partition| u16::try_from(partition).unwrap()).collect();
        let lost = self.owned.difference(&told).copied().collect();
        let gained = told.difference(&self.owned).copied().collect();
        self.owned = told;
        Beat::Member { lost, gained }
    }

    /// Leaves, on another connection: an earlier request may be in the way on its own.
    pub(super) async fn leave(&self, broker: SocketAddr) {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: text(&self.group),
            member_id: text(&self.id),
            member_epoch: -1,
            rebalance_timeout_ms: -1,
            ..Default::default()
        };
        Client::connect(broker).await.ask(&request, 1).await;
    }
}
