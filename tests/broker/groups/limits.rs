//! What groups may keep, and what may be asked of them: requests that would cost without end are refused.

use bytes::Bytes;
use millrace::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::describe_groups::DescribeGroupsRequest;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::messages::offset_fetch::OffsetFetchRequest;
use millrace::wire::{ErrorCode, Str};

use super::super::fixture::{Client, broker};
use super::requests::{commit, fetch, fetch_group, join, text};

const NONE: ErrorCode = ErrorCode::NONE;
const PARTITIONS: i32 = 20;

async fn make_feed(client: &mut Client) {
    let topic = CreatableTopic {
        name: text("feed"),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
    let made = client.ask(&request, 7).await;
    assert!(made.topics.iter().all(|topic| topic.error_code == NONE), "{made:?}");
}

/// Commits each partition with so long a text.
async fn commit_all(client: &mut Client, bytes: usize) -> ErrorCode {
    let note = Str::from("x".repeat(bytes));
    let partitions = (0..PARTITIONS).map(|partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 7,
        committed_metadata: Some(note.clone()),
        ..Default::default()
    });
    let topic = OffsetCommitRequestTopic {
        name: text("feed"),
        partitions: partitions.collect(),
        ..Default::default()
    };
    let request = OffsetCommitRequest { topics: vec![topic].into(), ..commit("readers", "", -1, "feed", 0) };
    let answer = client.ask(&request, 9).await;
    let topic = answer.topics.iter().next().unwrap();
    let codes: Vec<ErrorCode> = topic.partitions.iter().map(|partition| partition.error_code).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "all or none: {codes:?}");
    codes[0]
}

#[tokio::test]
async fn a_group_that_would_keep_too_much_is_refused() {
    let broker = broker(&["group.max.bytes=65536", "group.initial.rebalance.delay.ms=0"]).await;
    let mut client = broker.connect().await;
    make_feed(&mut client).await;
    assert_eq!(commit_all(&mut client, 4096).await, ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
    assert_eq!(commit_all(&mut client, 1000).await, NONE);
    let metadata = |bytes| {
        let protocol =
            JoinGroupRequestProtocol { name: text("range"), metadata: Bytes::from(vec![0; bytes]) };
        JoinGroupRequest { protocols: vec![protocol].into(), ..join("members", "") }
    };
    let refused = client.ask(&metadata(70_000), 3).await;
    assert_eq!(refused.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert_eq!(client.ask(&metadata(50_000), 3).await.error_code, NONE);
    let heartbeat = ConsumerGroupHeartbeatRequest {
        group_id: text("consumers"),
        member_id: text("m1"),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some((0..5000).map(|index| text(&format!("topic-{index}"))).collect()),
        topic_partitions: Some(Vec::new().into()),
        ..Default::default()
    };
    let refused = client.ask(&heartbeat, 1).await;
    assert_eq!(refused.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    assert!(refused.error_message.unwrap().contains("group.max.bytes"));
}

/// A partition takes four bytes to be asked for, and its text may have four thousand.
#[tokio::test]
async fn nothing_is_told_twice_in_one_answer() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    make_feed(&mut client).await;
    assert_eq!(commit_all(&mut client, 100).await, NONE);
    let twice = ErrorCode::INVALID_REQUEST;
    // Partitions that nothing is committed for cost nothing.
    let asked: &[(&str, &[i32])] = &[("feed", &[0, 0, 77, 77]), ("feed", &[1, 0])];
    let answer = client.ask(&fetch("readers", Some(asked)), 7).await;
    let codes = answer.topics.iter().map(|topic| topic.partitions.iter().map(|one| one.error_code).collect());
    let codes: Vec<Vec<ErrorCode>> = codes.collect();
    assert_eq!(codes, [vec![NONE, twice, NONE, NONE], vec![NONE, twice]]);

    let group = || fetch_group("readers", None);
    let request = OffsetFetchRequest { groups: vec![group(), group()].into(), ..Default::default() };
    let answer = client.ask(&request, 8).await;
    let told: Vec<_> = answer.groups.iter().map(|group| (group.error_code, group.topics.len())).collect();
    assert_eq!(told, [(NONE, 1), (twice, 0)]);

    let groups = vec![text("readers"), text("readers")].into();
    let request = DescribeGroupsRequest { groups, ..Default::default() };
    let codes: Vec<_> = client.ask(&request, 6).await.groups.iter().map(|group| group.error_code).collect();
    assert_eq!(codes, [NONE, twice]);
}
