//! Rebalances: a group of many members, and one more that comes and goes. The time counts from its first request until
//! every member knows what it has to read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use millrace::types::TopicId;
use millrace::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, HeartbeatTopicPartitions,
};
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::{ErrorCode, Str};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Target;
use crate::measured::Meter;
use crate::raw::{Raw, block_on};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Members, beside the one that comes and goes.
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// classic or consumer.
    #[arg(long, default_value = "classic")]
    protocol: String,
    /// How often that one comes and goes.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often members send heartbeats.
    #[arg(long, default_value_t = 100)]
    heartbeat_ms: u64,
}

/// What a member knows: the generation or epoch, and how many partitions are its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Knows {
    generation: i32,
    partitions: usize,
}

/// Members that report what they know, and the order to go.
struct Members {
    knows: Vec<watch::Receiver<Knows>>,
    go: Vec<watch::Sender<bool>>,
}

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(options: &Options) -> Value {
    options.target.create_topic();
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    let group = group_id(&options.target);
    Raw::connect(&options.target.broker).await.await_coordinator(&group).await;
    let mut members = Members { knows: Vec::new(), go: Vec::new() };
    let start = Instant::now();
    for number in 0..options.count {
        members.join(options, number);
    }
    members.settled(options).await;
    let formed = start.elapsed();
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    let meter = Meter::start(options.target.pid);
    for round in 0..options.rounds {
        let start = Instant::now();
        members.join(options, options.count + round);
        members.settled(options).await;
        joins.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        members.leave_last().await;
        members.settled(options).await;
        leaves.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_seconds = meter.cpu_seconds();
    joins.sort_by(f64::total_cmp);
    leaves.sort_by(f64::total_cmp);
    json!({
        "formed_ms": formed.as_secs_f64() * 1e3,
        "join_ms": joins[joins.len() / 2],
        "leave_ms": leaves[leaves.len() / 2],
        "cpu_seconds_per_rebalance": cpu_seconds / (2 * options.rounds) as f64,
    })
}

impl Members {
    fn join(&mut self, options: &Options, number: usize) {
        let (told, knows) = watch::channel(Knows::default());
        let (go, going) = watch::channel(false);
        let member = Member {
            target: options.target.clone(),
            heartbeat: Duration::from_millis(options.heartbeat_ms),
            number,
            told: Arc::new(told),
            going,
        };
        let is_classic = options.protocol == "classic";
        tokio::spawn(
            async move { if is_classic { member.classic().await } else { member.consumer().await } },
        );
        self.knows.push(knows);
        self.go.push(go);
    }

    async fn leave_last(&mut self) {
        self.go.pop().unwrap().send_replace(true);
        let mut knows = self.knows.pop().unwrap();
        // Its end closes the channel.
        while knows.changed().await.is_ok() {}
    }

    /// Waits until all know the same generation and all partitions are somebody's, evenly.
    async fn settled(&mut self, options: &Options) {
        let all = usize::try_from(options.target.partitions).unwrap();
        let even = all / self.knows.len();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let known: Vec<Knows> = self.knows.iter().map(|knows| *knows.borrow()).collect();
            let sum: usize = known.iter().map(|knows| knows.partitions).sum();
            let is_same =
                known.iter().all(|knows| knows.generation == known[0].generation && knows.generation > 0);
            if is_same
                && sum == all
                && known.iter().all(|knows| (even..=even + 1).contains(&knows.partitions))
            {
                return;
            }
            assert!(Instant::now() < deadline, "the group does not settle: {known:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

struct Member {
    target: Target,
    heartbeat: Duration,
    number: usize,
    told: Arc<watch::Sender<Knows>>,
    going: watch::Receiver<bool>,
}

impl Member {
    fn group_id(&self) -> Str {
        group_id(&self.target).into()
    }

    /// Is a classic member until it is to go.
    async fn classic(mut self) {
        let mut raw = Raw::connect(&self.target.broker).await;
        let mut member_id = Str::default();
        loop {
            let generation = self.join_and_sync(&mut raw, &mut member_id).await;
            loop {
                if tokio::time::timeout(self.heartbeat, self.going.changed()).await.is_ok() {
                    let identity = MemberIdentity { member_id, ..MemberIdentity::default() };
                    let request = LeaveGroupRequest {
                        group_id: self.group_id(),
                        members: vec![identity].into(),
                        ..LeaveGroupRequest::default()
                    };
                    raw.call(&request, 4).await;
                    return;
                }
                let request = HeartbeatRequest {
                    group_id: self.group_id(),
                    generation_id: generation,
                    member_id: member_id.clone(),
                    ..HeartbeatRequest::default()
                };
                match raw.call(&request, 4).await.error_code {
                    ErrorCode::NONE => {}
                    ErrorCode::REBALANCE_IN_PROGRESS => break,
                    other => panic!("a heartbeat was refused: {other:?}"),
                }
            }
        }
    }

    /// One round; the leader gives consecutive partitions to the members. An assignment is a count here, since nobody
    /// reads.
    async fn join_and_sync(&mut self, raw: &mut Raw, member_id: &mut Str) -> i32 {
        loop {
            let protocol = JoinGroupRequestProtocol {
                name: Str::from_static("range"),
                metadata: subscription(&self.target.topic),
            };
            let request = JoinGroupRequest {
                group_id: self.group_id(),
                session_timeout_ms: 45_000,
                rebalance_timeout_ms: 60_000,
                member_id: member_id.clone(),
                protocol_type: Str::from_static("consumer"),
                protocols: vec![protocol].into(),
                ..JoinGroupRequest::default()
            };
            let joined = raw.call(&request, 7).await;
            member_id.clone_from(&joined.member_id);
            match joined.error_code {
                ErrorCode::NONE => {}
                ErrorCode::MEMBER_ID_REQUIRED | ErrorCode::REBALANCE_IN_PROGRESS => continue,
                other => panic!("a join was refused: {other:?}"),
            }
            let members = joined.members.len();
            let all = usize::try_from(self.target.partitions).unwrap();
            let share = |index: usize| all / members + usize::from(index < all % members);
            let assignments =
                joined.members.iter().enumerate().map(|(index, member)| SyncGroupRequestAssignment {
                    member_id: member.member_id,
                    assignment: Bytes::copy_from_slice(&(share(index) as u64).to_be_bytes()),
                });
            let request = SyncGroupRequest {
                group_id: self.group_id(),
                generation_id: joined.generation_id,
                member_id: member_id.clone(),
                protocol_type: Some(Str::from_static("consumer")),
                protocol_name: joined.protocol_name.clone(),
                assignments: assignments.collect(),
                ..SyncGroupRequest::default()
            };
            let synced = raw.call(&request, 5).await;
            if synced.error_code == ErrorCode::REBALANCE_IN_PROGRESS {
                continue;
            }
            assert_eq!(synced.error_code, ErrorCode::NONE);
            let partitions = u64::from_be_bytes(synced.assignment[..].try_into().unwrap());
            let knows =
                Knows { generation: joined.generation_id, partitions: usize::try_from(partitions).unwrap() };
            self.told.send_replace(knows);
            return joined.generation_id;
        }
    }

    /// Is a member of the consumer protocol until it is to go.
    async fn consumer(mut self) {
        let mut raw = Raw::connect(&self.target.broker).await;
        let member_id: Str = format!("member-{}", self.number).into();
        let mut owned: Vec<(TopicId, Vec<i32>)> = Vec::new();
        let mut epoch = 0;
        let mut is_told = false;
        loop {
            let joins = epoch == 0;
            let topics = owned.iter().map(|(topic_id, partitions)| HeartbeatTopicPartitions {
                topic_id: *topic_id,
                partitions: partitions.clone().into(),
            });
            let mut request = ConsumerGroupHeartbeatRequest {
                group_id: self.group_id(),
                member_id: member_id.clone(),
                member_epoch: epoch,
                rebalance_timeout_ms: if joins { 60_000 } else { -1 },
                subscribed_topic_names: joins.then(|| vec![self.target.topic.as_str().into()].into()),
                topic_partitions: (!is_told).then(|| topics.collect()),
                ..ConsumerGroupHeartbeatRequest::default()
            };
            let response = raw.call(&request, 1).await;
            assert_eq!(response.error_code, ErrorCode::NONE, "a heartbeat was refused");
            epoch = response.member_epoch;
            is_told = true;
            if let Some(assignment) = response.assignment {
                let topic = assignment.topic_partitions.iter();
                owned = topic.map(|topic| (topic.topic_id, topic.partitions.iter().collect())).collect();
                is_told = false;
            }
            let partitions = owned.iter().map(|(_, partitions)| partitions.len()).sum();
            self.told.send_replace(Knows { generation: epoch, partitions });
            // What it has given up others wait for; that is told at once.
            if is_told && tokio::time::timeout(self.heartbeat, self.going.changed()).await.is_ok() {
                request.member_epoch = -1;
                request.subscribed_topic_names = None;
                request.topic_partitions = None;
                raw.call(&request, 1).await;
                return;
            }
        }
    }
}

fn group_id(target: &Target) -> String {
    format!("rebalance-{}", target.topic)
}

/// A subscription to one topic, as version 0 of Kafka's consumer protocol has it.
fn subscription(topic: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    bytes.put_i16(i16::try_from(topic.len()).unwrap());
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(-1);
    bytes.freeze()
}
