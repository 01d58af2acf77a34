//! Groups without end, by commits of somebody who is in none of them.

use std::net::SocketAddr;

use millrace::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::{ErrorCode, Str};

use super::victim::Victim;
use crate::fixture::Client;

/// What all groups may keep in this test.
const KEPT_BYTES: u64 = 32 << 20;
/// What a broker has beside the groups: stacks, queues, its allocator's slack, the end of the log of groups.
const SLACK_BYTES: u64 = 24 << 20;
const CLIENTS: usize = 64;

fn commit(group: &str, note: &Str) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: 7,
        committed_metadata: Some(note.clone()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: Str::from_static("feed"),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic].into(),
        ..Default::default()
    }
}

/// Makes groups until it is refused; how many it made.
async fn flood(broker: SocketAddr, number: usize, bytes: usize) -> usize {
    let mut client = Client::connect(broker).await;
    let note = Str::from("x".repeat(bytes));
    for made in 0.. {
        let answer = client.ask(&commit(&format!("group-{number}-{made}"), &note), 8).await;
        let topic = answer.topics.iter().next().unwrap();
        match topic.partitions.iter().next().unwrap().error_code {
            ErrorCode::NONE => {}
            ErrorCode::INVALID_COMMIT_OFFSET_SIZE => return made,
            other => panic!("{other}"),
        }
    }
    unreachable!("it would take a while")
}

#[tokio::test]
async fn groups_without_end_take_no_more_memory_than_they_may() {
    for bytes in [0, 4000] {
        let limit = format!("group.coordinator.max.bytes={KEPT_BYTES}");
        let victim = Victim::start(&[&limit]);
        let mut client = Client::connect(victim.address).await;
        let topic = CreatableTopic {
            name: Str::from_static("feed"),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        client.ask(&CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() }, 7).await;
        let before = victim.memory().anonymous_bytes;
        let floods: Vec<_> =
            (0..CLIENTS).map(|number| tokio::spawn(flood(victim.address, number, bytes))).collect();
        let mut made = 0;
        for flood in floods {
            made += flood.await.unwrap();
        }
        let grown = victim.memory().anonymous_bytes.saturating_sub(before);
        let each = grown / made as u64;
        println!("{made} groups with {bytes} bytes of text: {} MiB, {each} bytes each", grown >> 20);
        assert!(made > 1000, "{made}");
        assert!(grown < KEPT_BYTES + SLACK_BYTES, "{grown} bytes for {made} groups");
        // Who has a group goes on.
        let answer = client.ask(&commit("group-0-0", &Str::default()), 8).await;
        let topic = answer.topics.iter().next().unwrap();
        assert_eq!(topic.partitions.iter().next().unwrap().error_code, ErrorCode::NONE);
    }
}
