//! Groups of the consumer protocol (KIP-848) through the socket. Codes and assignments are those that Apache Kafka 4.3.1
//! gave to the same requests.

use bytes::Bytes;
use millrace::types::TopicId;
use millrace::wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, DescribedConsumerGroup,
};
use millrace::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatTopicPartitions,
};
use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::wire::messages::describe_groups::DescribeGroupsRequest;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::wire::messages::list_groups::ListGroupsRequest;
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Broker, Client, PATIENCE, broker};

const GROUP: i8 = 32;

fn text(text: &str) -> Str {
    Str::from(text)
}

/// A heartbeat that says nothing but that the member is alive.
fn alive(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: text("readers"),
        member_id: text(member),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// The first heartbeat of a member that reads `feed`.
fn join(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![text("feed")].into()),
        topic_partitions: Some(Vec::new().into()),
        ..alive(member, 0)
    }
}

fn having(member: &str, epoch: i32, topic: TopicId, partitions: &[i32]) -> ConsumerGroupHeartbeatRequest {
    let owned = HeartbeatTopicPartitions { topic_id: topic, partitions: partitions.to_vec().into() };
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![owned].into()), ..alive(member, epoch) }
}

/// The epoch and the partitions of the one topic that a member is told to read, where it is told.
fn told(response: &ConsumerGroupHeartbeatResponse) -> (i32, Option<Vec<i32>>) {
    assert!(response.error_code.is_none(), "{response:?}");
    let assignment = response.assignment.as_ref().map(|assignment| {
        assignment
            .topic_partitions
            .iter()
            .flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>())
            .collect()
    });
    (response.member_epoch, assignment)
}

impl Client {
    async fn create(&mut self, name: &str, partitions: i32) -> TopicId {
        let topic = CreatableTopic {
            name: text(name),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
        let made = self.ask(&request, 7).await.topics.iter().next().unwrap();
        assert!(made.error_code.is_none(), "{made:?}");
        made.topic_id
    }

    async fn beat(&mut self, request: &ConsumerGroupHeartbeatRequest) -> (i32, Option<Vec<i32>>) {
        told(&self.ask(request, 1).await)
    }

    async fn code(&mut self, request: &ConsumerGroupHeartbeatRequest) -> ErrorCode {
        self.ask(request, 1).await.error_code
    }

    async fn described(&mut self) -> DescribedConsumerGroup {
        let request =
            ConsumerGroupDescribeRequest { group_ids: vec![text("readers")].into(), ..Default::default() };
        self.ask(&request, 1).await.groups.iter().next().unwrap()
    }

    async fn listed(&mut self) -> Vec<(String, String, String)> {
        let groups = self.ask(&ListGroupsRequest::default(), 5).await.groups;
        let shown = |group: millrace::wire::messages::list_groups::ListedGroup| {
            (group.protocol_type.to_string(), group.group_state.to_string(), group.group_type.to_string())
        };
        groups.iter().map(shown).collect()
    }

    async fn set(&mut self, group: &str, name: &str, value: &str) -> ErrorCode {
        let config = AlterableConfig { name: text(name), config_operation: 0, value: Some(text(value)) };
        let resource = AlterConfigsResource {
            resource_type: GROUP,
            resource_name: text(group),
            configs: vec![config].into(),
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        self.ask(&request, 1).await.responses.iter().next().unwrap().error_code
    }

    async fn commit(&mut self, member: &str, epoch: i32, version: i16) -> ErrorCode {
        let partition = OffsetCommitRequestPartition { committed_offset: 7, ..Default::default() };
        let topic = OffsetCommitRequestTopic {
            name: text("feed"),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: text("readers"),
            member_id: text(member),
            generation_id_or_member_epoch: epoch,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let topic = self.ask(&request, version).await.topics.iter().next().unwrap();
        topic.partitions.iter().next().unwrap().error_code
    }
}

async fn with_feed(partitions: i32) -> (Broker, Client, TopicId) {
    let broker = broker(&["group.initial.rebalance.delay.ms=0"]).await;
    let mut client = broker.connect().await;
    let topic = client.create("feed", partitions).await;
    (broker, client, topic)
}

#[tokio::test]
async fn members_join_live_and_leave() {
    let (_broker, mut client, feed) = with_feed(4).await;
    let joined = client.ask(&join("m1"), 1).await;
    assert_eq!(told(&joined), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!((joined.member_id, joined.heartbeat_interval_ms), (Some(text("m1")), 5000));
    assert_eq!(client.beat(&alive("m1", 1)).await, (1, None));
    assert_eq!(client.beat(&join("m2")).await, (2, Some(Vec::new())));
    assert_eq!(client.beat(&alive("m1", 1)).await, (1, Some(vec![0, 1])));
    assert_eq!(client.beat(&alive("m2", 2)).await, (2, None));
    assert_eq!(client.beat(&having("m1", 1, feed, &[0, 1])).await, (2, None));
    assert_eq!(client.beat(&alive("m2", 2)).await, (2, Some(vec![2, 3])));

    let group = client.described().await;
    assert_eq!((group.group_state.as_str(), group.group_epoch, group.assignment_epoch), ("Stable", 2, 2));
    assert_eq!(group.assignor_name, "uniform");
    let members: Vec<_> = group.members.iter().collect();
    assert_eq!(members.len(), 2);
    for (member, (id, partitions)) in members.iter().zip([("m1", vec![0, 1]), ("m2", vec![2, 3])]) {
        assert_eq!((member.member_id.as_str(), member.member_epoch, member.member_type), (id, 2, 1));
        assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("raw", "/127.0.0.1"));
        assert_eq!(member.assignment, member.target_assignment);
        let topic = member.assignment.topic_partitions.iter().next().unwrap();
        assert_eq!((topic.topic_id, topic.topic_name.as_str()), (feed, "feed"));
        assert_eq!(topic.partitions.iter().collect::<Vec<_>>(), partitions);
    }
    let shown = |state: &str| vec![("consumer".to_owned(), state.to_owned(), "consumer".to_owned())];
    assert_eq!(client.listed().await, shown("Stable"));
    let request = DescribeGroupsRequest { groups: vec![text("readers")].into(), ..Default::default() };
    let described = client.ask(&request, 6).await.groups.iter().next().unwrap();
    assert_eq!(described.error_code, ErrorCode::GROUP_ID_NOT_FOUND);

    let left = client.ask(&alive("m2", -1), 1).await;
    assert_eq!((told(&left), left.heartbeat_interval_ms), ((-1, None), 0));
    assert_eq!(client.beat(&alive("m1", 2)).await, (3, Some(vec![0, 1, 2, 3])));
    client.beat(&alive("m1", -1)).await;
    assert_eq!(client.listed().await, shown("Empty"));
    // Version 0 lets the coordinator name its members.
    let unnamed = client.ask(&join(""), 0).await;
    assert_eq!(unnamed.member_id.unwrap().as_str().len(), 36);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_kafkas_codes() {
    let (_broker, mut client, feed) = with_feed(2).await;
    for (request, code) in [
        (alive("m1", 5), ErrorCode::GROUP_ID_NOT_FOUND),
        (alive("m1", -1), ErrorCode::GROUP_ID_NOT_FOUND),
        (ConsumerGroupHeartbeatRequest { group_id: text(""), ..join("m1") }, ErrorCode::INVALID_REQUEST),
        (join(""), ErrorCode::INVALID_REQUEST),
        (alive("m1", 0), ErrorCode::INVALID_REQUEST),
        (alive("m1", -2), ErrorCode::INVALID_REQUEST),
        (alive("m1", -3), ErrorCode::INVALID_REQUEST),
        (
            ConsumerGroupHeartbeatRequest { server_assignor: Some(text("nope")), ..join("m1") },
            ErrorCode::UNSUPPORTED_ASSIGNOR,
        ),
        (
            ConsumerGroupHeartbeatRequest { subscribed_topic_regex: Some(text("(")), ..join("m1") },
            ErrorCode::INVALID_REGULAR_EXPRESSION,
        ),
    ] {
        assert_eq!(client.code(&request).await, code, "{request:?}");
    }
    assert!(client.listed().await.is_empty(), "what was refused leaves no group");

    let instance = |request| ConsumerGroupHeartbeatRequest { instance_id: Some(text("i")), ..request };
    client.beat(&instance(join("m1"))).await;
    for (request, code) in [
        (alive("m2", 1), ErrorCode::UNKNOWN_MEMBER_ID),
        (alive("m1", 2), ErrorCode::FENCED_MEMBER_EPOCH),
        (instance(join("m2")), ErrorCode::UNRELEASED_INSTANCE_ID),
        (instance(alive("m2", 1)), ErrorCode::FENCED_INSTANCE_ID),
        (instance(alive("m2", -2)), ErrorCode::FENCED_INSTANCE_ID),
    ] {
        assert_eq!(client.code(&request).await, code, "{request:?}");
    }
    client.beat(&instance(alive("m1", -2))).await;
    assert_eq!(client.beat(&instance(join("m2"))).await, (1, Some(vec![0, 1])));
    assert_eq!(client.beat(&instance(having("m2", 1, feed, &[0, 1]))).await, (1, None));
}

#[tokio::test]
async fn a_topic_that_a_pattern_matches_is_noticed_without_a_heartbeat() {
    let (_broker, mut client, _) = with_feed(1).await;
    let pattern = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(text("fe+d.*")),
        ..join("m1")
    };
    assert_eq!(client.beat(&pattern).await, (1, Some(vec![0])));
    client.create("other", 1).await;
    client.create("feeds", 2).await;
    let noticed = async {
        while client.described().await.group_epoch < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("the group hears of new topics");
    let (epoch, mut partitions) = client.beat(&alive("m1", 1)).await;
    partitions.as_mut().unwrap().sort_unstable();
    assert_eq!((epoch, partitions.unwrap()), (2, vec![0, 0, 1]));
}

#[tokio::test]
async fn offsets_are_committed_in_the_members_epoch() {
    let (_broker, mut client, _) = with_feed(1).await;
    client.beat(&join("m1")).await;
    assert_eq!(client.commit("m1", 1, 9).await, ErrorCode::NONE);
    assert_eq!(client.commit("m1", 0, 9).await, ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(client.commit("m2", 1, 9).await, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(client.commit("", -1, 9).await, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(client.commit("m1", 1, 8).await, ErrorCode::UNSUPPORTED_VERSION);
    client.beat(&alive("m1", -1)).await;
    assert_eq!(client.commit("", -1, 9).await, ErrorCode::NONE, "anybody may, of a group without members");
}

#[tokio::test]
async fn settings_of_a_group_take_effect_at_once() {
    let (_broker, mut client, _) = with_feed(1).await;
    let described = async |client: &mut Client| {
        let resource = DescribeConfigsResource {
            resource_type: GROUP,
            resource_name: text("readers"),
            configuration_keys: Some(vec![text("consumer.heartbeat.interval.ms")].into()),
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource].into(),
            include_synonyms: true,
            ..Default::default()
        };
        let result = client.ask(&request, 4).await.results.iter().next().unwrap();
        let entry = result.configs.iter().next().unwrap();
        (entry.value.unwrap().to_string(), entry.config_source, entry.synonyms.len())
    };
    assert_eq!(described(&mut client).await, ("5000".to_owned(), 5, 1));
    assert_eq!(client.ask(&join("m1"), 1).await.heartbeat_interval_ms, 5000);
    assert_eq!(client.set("readers", "consumer.heartbeat.interval.ms", "7000").await, ErrorCode::NONE);
    assert_eq!(client.ask(&alive("m1", 1), 1).await.heartbeat_interval_ms, 7000);
    assert_eq!(described(&mut client).await, ("7000".to_owned(), 8, 2));
    for (name, value, code) in [
        ("consumer.session.timeout.ms", "10", ErrorCode::INVALID_CONFIG),
        ("consumer.session.timeout.ms", "1000000", ErrorCode::INVALID_CONFIG),
        ("consumer.session.timeout.ms", "x", ErrorCode::INVALID_CONFIG),
        ("consumer.heartbeat.interval.ms", "10", ErrorCode::INVALID_CONFIG),
        ("nope", "1", ErrorCode::INVALID_CONFIG),
    ] {
        assert_eq!(client.set("readers", name, value).await, code, "{name}={value}");
    }
    assert_eq!(client.set("", "consumer.session.timeout.ms", "50000").await, ErrorCode::INVALID_REQUEST);
}

// Members of both protocols in one group.

fn subscription(owned: &[i32]) -> Bytes {
    let mut bytes = b"\0\x01\0\0\0\x01\0\x04feed\xff\xff\xff\xff\0\0\0\x01\0\x04feed".to_vec();
    bytes.extend_from_slice(&i32::try_from(owned.len()).unwrap().to_be_bytes());
    owned.iter().for_each(|partition| bytes.extend_from_slice(&partition.to_be_bytes()));
    bytes.into()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let mut bytes = b"\0\x01\0\0\0\x01\0\x04feed".to_vec();
    bytes.extend_from_slice(&i32::try_from(partitions.len()).unwrap().to_be_bytes());
    partitions.iter().for_each(|partition| bytes.extend_from_slice(&partition.to_be_bytes()));
    bytes.extend_from_slice(&[0xff; 4]);
    bytes.into()
}

const NOTHING: &[u8] = b"\0\x01\0\0\0\0\xff\xff\xff\xff";

impl Client {
    async fn classic_join(&mut self, member: &Str, owned: &[i32]) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol { name: text("range"), metadata: subscription(owned) };
        let request = JoinGroupRequest {
            group_id: text("readers"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            member_id: member.clone(),
            protocol_type: text("consumer"),
            protocols: vec![protocol].into(),
            ..Default::default()
        };
        self.ask(&request, 9).await
    }

    /// Joins as a member that has no id yet.
    async fn classic_newcomer(&mut self) -> JoinGroupResponse {
        let refused = self.classic_join(&Str::default(), &[]).await;
        assert_eq!(refused.error_code, ErrorCode::MEMBER_ID_REQUIRED);
        self.classic_join(&refused.member_id, &[]).await
    }

    async fn classic_sync(
        &mut self,
        joined: &JoinGroupResponse,
        assigned: Option<&[i32]>,
    ) -> (ErrorCode, Bytes) {
        let assigned = assigned.map(|partitions| SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: assignment(partitions),
        });
        let request = SyncGroupRequest {
            group_id: text("readers"),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some(text("consumer")),
            protocol_name: Some(text("range")),
            assignments: assigned.into_iter().collect(),
            ..Default::default()
        };
        let response = self.ask(&request, 5).await;
        (response.error_code, response.assignment)
    }

    async fn classic_beat(&mut self, joined: &JoinGroupResponse) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: text("readers"),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            ..Default::default()
        };
        self.ask(&request, 4).await.error_code
    }
}

#[tokio::test]
async fn a_classic_member_follows_in_a_consumer_group_which_becomes_classic_when_it_is_alone() {
    let (_broker, mut client, feed) = with_feed(4).await;
    client.beat(&join("m1")).await;
    let joined = client.classic_newcomer().await;
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (ErrorCode::NONE, 2, ""));
    assert_eq!((joined.protocol_type, joined.protocol_name), (Some(text("consumer")), Some(text("range"))));
    let joined = client.classic_join(&joined.member_id, &[]).await;
    assert_eq!(client.classic_sync(&joined, None).await, (ErrorCode::NONE, NOTHING.into()));
    assert_eq!(client.classic_beat(&joined).await, ErrorCode::NONE, "what it is to read is still another's");
    assert_eq!(client.beat(&alive("m1", 1)).await, (1, Some(vec![0, 1])));
    client.beat(&having("m1", 1, feed, &[0, 1])).await;
    assert_eq!(client.classic_beat(&joined).await, ErrorCode::REBALANCE_IN_PROGRESS);
    let joined = client.classic_join(&joined.member_id, &[]).await;
    assert_eq!(client.classic_sync(&joined, None).await, (ErrorCode::NONE, assignment(&[2, 3])));
    let members: Vec<_> = client.described().await.members.iter().collect();
    let types = members.iter().map(|member| (member.member_id.as_str() == "m1", member.member_type));
    let mut types: Vec<_> = types.collect();
    types.sort_unstable();
    assert_eq!(types, [(false, 0), (true, 1)]);

    client.beat(&alive("m1", -1)).await;
    let listed = ("consumer".to_owned(), "PreparingRebalance".to_owned(), "classic".to_owned());
    assert_eq!(client.listed().await, [listed]);
    assert_eq!(client.classic_beat(&joined).await, ErrorCode::REBALANCE_IN_PROGRESS);
    let joined = client.classic_join(&joined.member_id, &[2, 3]).await;
    assert_eq!((joined.error_code, joined.leader.as_str()), (ErrorCode::NONE, joined.member_id.as_str()));
    assert!(joined.generation_id > 2);
    let synced = client.classic_sync(&joined, Some(&[0, 1, 2, 3])).await;
    assert_eq!(synced, (ErrorCode::NONE, assignment(&[0, 1, 2, 3])));
}

#[tokio::test]
async fn a_consumer_member_makes_a_classic_group_one_of_its_protocol() {
    let (_broker, mut client, _) = with_feed(4).await;
    let joined = client.classic_newcomer().await;
    client.classic_sync(&joined, Some(&[0, 1, 2, 3])).await;
    let (epoch, told) = client.beat(&join("m1")).await;
    assert_eq!((epoch, told), (joined.generation_id + 1, Some(Vec::new())));
    let listed = ("consumer".to_owned(), "Reconciling".to_owned(), "consumer".to_owned());
    assert_eq!(client.listed().await, [listed]);
    assert_eq!(client.classic_beat(&joined).await, ErrorCode::REBALANCE_IN_PROGRESS);
    // It has to give two up, and does so by joining once more without them.
    let again = client.classic_join(&joined.member_id, &[0, 1, 2, 3]).await;
    assert_eq!(again.generation_id, joined.generation_id);
    assert_eq!(client.classic_sync(&again, None).await, (ErrorCode::NONE, assignment(&[0, 1])));
    assert_eq!(client.beat(&alive("m1", epoch)).await, (epoch, None));
    assert_eq!(client.classic_beat(&again).await, ErrorCode::REBALANCE_IN_PROGRESS);
    let done = client.classic_join(&joined.member_id, &[0, 1]).await;
    assert_eq!(done.generation_id, epoch);
    assert_eq!(client.classic_sync(&done, None).await, (ErrorCode::NONE, assignment(&[0, 1])));
    assert_eq!(client.classic_beat(&done).await, ErrorCode::NONE);
    assert_eq!(client.beat(&alive("m1", epoch)).await, (epoch, Some(vec![2, 3])));
}

#[tokio::test]
async fn a_group_that_is_not_of_consumers_stays_what_it_is() {
    let (_broker, mut client, _) = with_feed(1).await;
    let protocol = JoinGroupRequestProtocol { name: text("p"), metadata: Bytes::from_static(b"x") };
    let request = JoinGroupRequest {
        group_id: text("readers"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: text("connect"),
        protocols: vec![protocol].into(),
        ..Default::default()
    };
    assert!(client.ask(&request, 2).await.error_code.is_none());
    assert_eq!(client.code(&join("m1")).await, ErrorCode::GROUP_ID_NOT_FOUND);
    assert_eq!(client.listed().await[0].2, "classic");
    // And the other way round.
    client.beat(&ConsumerGroupHeartbeatRequest { group_id: text("new"), ..join("m1") }).await;
    let request = JoinGroupRequest { group_id: text("new"), ..request };
    assert_eq!(client.ask(&request, 2).await.error_code, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
}
