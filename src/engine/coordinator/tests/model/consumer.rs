//! A client of the consumer protocol.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Client, HEARTBEAT, Model, Protocol, REBALANCE, is_passing};
use crate::engine::api::consumer_group::{ConsumerHeartbeat, LEAVES, TopicPartitions};
use crate::engine::group::GroupError;
use crate::engine::tests::simulation::Life;

pub(super) struct Consumer {
    pub(super) epoch: i32,
    /// What it was told to read last.
    told: BTreeSet<i32>,
    /// What it said it reads; None when it has to say everything anew.
    said: Option<BTreeSet<i32>>,
    /// It stops reading what it was not told then.
    stops_at: Duration,
}

// === impl Consumer ===

impl Consumer {
    pub(super) fn new() -> Self {
        Self { epoch: 0, told: BTreeSet::new(), said: None, stops_at: Duration::ZERO }
    }

    pub(super) fn leaves(&self, id: &str, life: &Life) {
        let request = super::super::heartbeat_of(id, LEAVES);
        let _ = life.drive(life.engine.consumer_group_heartbeat(&request));
    }
}

// === impl Model ===

impl Model {
    pub(super) fn consumer_acts(&mut self, client: &mut Client) {
        let now = self.now();
        let Protocol::Consumer(consumer) = &mut client.protocol else { unreachable!("the caller looked") };
        if consumer.stops_at <= now {
            client.reads.retain(|partition, _| consumer.told.contains(partition));
        }
        let reads: BTreeSet<i32> = client.reads.keys().copied().collect();
        if client.heartbeat_at > now && consumer.said.as_ref() == Some(&reads) {
            return;
        }
        client.heartbeat_at = now + HEARTBEAT;
        let topic = self.life().engine.image().topic_by_name("orders").unwrap().id;
        let listed: TopicPartitions = match reads.len() {
            0 => Vec::new(),
            _ => vec![(topic, reads.iter().copied().collect())],
        };
        let is_full = consumer.said.is_none();
        let request = ConsumerHeartbeat {
            rebalance_timeout: is_full.then_some(REBALANCE),
            topics: is_full.then(|| vec!["orders".into()]),
            owned: (is_full || consumer.said.as_ref() != Some(&reads)).then_some(listed),
            ..super::super::heartbeat_of(&client.id, consumer.epoch)
        };
        let outcome = self.life().drive(self.life().engine.consumer_group_heartbeat(&request)).unwrap();
        if self.rng.one_in(10) {
            // The answer is lost: next time it says everything.
            consumer.said = None;
            return;
        }
        match outcome {
            Ok(outcome) => {
                assert!(outcome.epoch >= consumer.epoch, "{} after {}", outcome.epoch, consumer.epoch);
                consumer.epoch = outcome.epoch;
                consumer.said = Some(reads);
                if let Some(assignment) = outcome.assignment {
                    let told: BTreeSet<i32> =
                        assignment.into_iter().flat_map(|(_, indexes)| indexes).collect();
                    consumer.told = told.clone();
                    consumer.stops_at = now + Duration::from_millis(self.rng.below(4) * self.rng.below(3000));
                    self.reads_from_now_on(client, &told);
                }
            }
            Err(
                GroupError::UnknownMember { .. }
                | GroupError::FencedMemberEpoch { .. }
                | GroupError::GroupIdNotFound { .. },
            ) => {
                *consumer = Consumer::new();
                client.loses_all();
            }
            Err(error) if is_passing(&error) => consumer.said = None,
            Err(other) => panic!("{request:?}: {other}"),
        }
    }
}
