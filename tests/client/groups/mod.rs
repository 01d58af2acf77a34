//! Consumers that share topics as a group, in both protocols.

mod admin;
mod members;
mod offsets;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millrace::client::{
    Client, GroupConfig, GroupConsumer, GroupEvent, GroupProtocol, ProducerConfig, TopicPartition,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::fixture::{PATIENCE, producer, value_for};

const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

/// A member's configuration with short times.
fn config(protocol: GroupProtocol, group_id: &str) -> GroupConfig {
    let mut config = GroupConfig::new(group_id);
    config.protocol = protocol;
    config.session_timeout = Duration::from_secs(1);
    config.heartbeat_interval = Duration::from_millis(50);
    config.auto_commit = Some(Duration::from_millis(50));
    config
}

/// The same test in each protocol is about topics and groups of its own.
fn named(name: &str, protocol: GroupProtocol) -> String {
    match protocol {
        GroupProtocol::Classic => format!("{name}-classic"),
        GroupProtocol::Consumer => format!("{name}-consumer"),
    }
}

/// Sends `count` numbered values to each partition.
async fn fill(client: &Client, topic: &str, partitions: i32, count: usize) {
    let (producer, topic) = producer(client, topic, ProducerConfig::default()).await;
    for number in 0..count {
        for partition in 0..partitions {
            topic.send(&value_for(partition, &number.to_string())).await.unwrap();
        }
    }
    producer.close().await.unwrap();
}

/// What a group of members has done so far.
#[derive(Debug, Clone, Default)]
struct Ledger {
    /// How often each record was read.
    reads: BTreeMap<(TopicPartition, i64), usize>,
    /// Who reads what, as far as the members themselves know.
    owners: BTreeMap<TopicPartition, usize>,
    /// The id and the generation or epoch of each member.
    memberships: BTreeMap<usize, (String, i32)>,
    /// What each member was told, oldest first.
    told: Vec<(usize, GroupEvent)>,
}

/// Members that write into one ledger.
struct Group {
    client: Client,
    ledger: Arc<watch::Sender<Ledger>>,
    next: usize,
}

/// A member that reads until it is stopped, in a task of its own.
struct Member {
    number: usize,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
    group: Arc<watch::Sender<Ledger>>,
}

impl Ledger {
    fn owned_by(&self, member: usize) -> BTreeSet<TopicPartition> {
        self.owners.iter().filter(|(_, owner)| **owner == member).map(|(key, _)| key.clone()).collect()
    }

    /// Partitions per owner, fewest first.
    fn shares(&self) -> Vec<usize> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.owners.values().for_each(|owner| *counts.entry(*owner).or_default() += 1);
        let mut shares: Vec<usize> = counts.into_values().collect();
        shares.sort_unstable();
        shares
    }

    fn has_read_all(&self, topic: &str, partitions: i32, count: i64) -> bool {
        let has_read = |partition: i32, offset| self.reads.contains_key(&((topic.into(), partition), offset));
        (0..partitions).all(|partition| (0..count).all(|offset| has_read(partition, offset)))
    }

    fn on_event(&mut self, member: usize, event: GroupEvent) {
        match &event {
            GroupEvent::Records(records) => {
                for record in records {
                    let key = (Arc::clone(&record.topic), record.partition);
                    assert_eq!(self.owners.get(&key), Some(&member), "{key:?} is read by whoever owns it");
                    *self.reads.entry((key, record.offset)).or_default() += 1;
                }
                return;
            }
            GroupEvent::Assigned(keys) => {
                for key in keys {
                    let before = self.owners.insert(key.clone(), member);
                    assert_eq!(before, None, "{key:?} goes to {member} while another still has it");
                }
            }
            GroupEvent::Revoking(keys) | GroupEvent::Lost(keys) => {
                for key in keys {
                    if self.owners.get(key) == Some(&member) {
                        self.owners.remove(key);
                    }
                }
            }
            other => panic!("an event of an unknown kind: {other:?}"),
        }
        self.told.push((member, event));
    }
}

impl Group {
    fn new(client: &Client) -> Self {
        Self { client: client.clone(), ledger: Arc::new(watch::channel(Ledger::default()).0), next: 0 }
    }

    fn join(&mut self, config: GroupConfig, subscribe: impl FnOnce(&mut GroupConsumer)) -> Member {
        let number = self.next;
        self.next += 1;
        let mut consumer = GroupConsumer::new(&self.client, config);
        subscribe(&mut consumer);
        let (stop, mut stopped) = mpsc::channel(1);
        let ledger = Arc::clone(&self.ledger);
        let task = tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = consumer.next(Duration::from_millis(100)) => event.unwrap(),
                    _ = stopped.recv() => break,
                };
                let membership = consumer.membership();
                ledger.send_if_modified(|ledger| match membership {
                    Some(membership) => {
                        ledger.memberships.insert(number, membership.clone()) != Some(membership)
                    }
                    None => ledger.memberships.remove(&number).is_some(),
                });
                // Written before the member comes back, which lets go of what it was told to give up.
                if let Some(event) = event {
                    ledger.send_modify(|ledger| ledger.on_event(number, event));
                }
            }
            let owned = consumer.assignment();
            ledger.send_modify(|ledger| {
                owned.iter().for_each(|key| {
                    ledger.owners.remove(key);
                });
            });
            consumer.close().await.unwrap();
        });
        Member { number, stop, task, group: Arc::clone(&self.ledger) }
    }

    fn join_topic(&mut self, config: GroupConfig, topic: &str) -> Member {
        self.join(config, |consumer| consumer.subscribe(&[topic]))
    }

    /// Waits until the members have got there.
    async fn until(&self, what: &str, is_there: impl Fn(&Ledger) -> bool) -> Ledger {
        let mut watched = self.ledger.subscribe();
        let waiting = watched.wait_for(|ledger| is_there(ledger));
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(ledger) => ledger.unwrap().clone(),
            Err(_) => panic!("not in time: {what}; {:#?}", self.ledger.borrow().owners),
        }
    }
}

impl Member {
    /// Stops it in order: it commits and leaves.
    async fn close(self) {
        self.stop.send(()).await.unwrap();
        self.task.await.unwrap();
    }

    /// Stops it as a crash does: it says nothing to anybody.
    async fn kill(self) {
        self.task.abort();
        let _aborted = self.task.await;
        self.group.send_modify(|ledger| ledger.owners.retain(|_, owner| *owner != self.number));
    }
}
