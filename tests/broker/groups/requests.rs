//! The requests that the script is made of.

use bytes::Bytes;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
};
use millrace::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::{Array, Str};

pub(super) fn text(text: &str) -> Str {
    Str::from(text)
}

/// What a consumer of the topic says to its leader.
pub(super) fn subscription() -> Bytes {
    Bytes::from_static(b"\0\x01\0\0\0\x01\0\x04feed\xff\xff\xff\xff\0\0\0\0")
}

pub(super) fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: text("range"), metadata: subscription() };
    JoinGroupRequest {
        group_id: text(group),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: text(member),
        protocol_type: text("consumer"),
        protocols: vec![protocol].into(),
        ..Default::default()
    }
}

pub(super) fn sync(group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assigned = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(b"\0\x01\0\0\0\x01\0\x04feed\0\0\0\x01\0\0\0\0\xff\xff\xff\xff"),
    };
    SyncGroupRequest {
        group_id: text(group),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        assignments: vec![assigned].into(),
        ..Default::default()
    }
}

pub(super) fn heartbeat(group: &str, member: &Str, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest { group_id: text(group), member_id: member.clone(), generation_id, ..Default::default() }
}

pub(super) fn commit(
    group: &str,
    member: &str,
    generation: i32,
    topic: &str,
    partition_index: i32,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 7,
        committed_leader_epoch: 0,
        committed_metadata: Some(text("note")),
    };
    let topic = OffsetCommitRequestTopic {
        name: text(topic),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: text(group),
        member_id: text(member),
        generation_id_or_member_epoch: generation,
        topics: vec![topic].into(),
        ..Default::default()
    }
}

/// Topics with their partitions; None for all.
type Wanted<'a> = Option<&'a [(&'a str, &'a [i32])]>;

fn wanted(topics: Wanted<'_>) -> Option<Array<OffsetFetchRequestTopic>> {
    topics.map(|topics| {
        let topics = topics.iter().map(|(name, partitions)| OffsetFetchRequestTopic {
            name: text(name),
            partition_indexes: partitions.to_vec().into(),
            ..Default::default()
        });
        topics.collect()
    })
}

pub(super) fn fetch(group: &str, topics: Wanted<'_>) -> OffsetFetchRequest {
    OffsetFetchRequest { group_id: text(group), topics: wanted(topics), ..Default::default() }
}

pub(super) fn fetch_group(group: &str, topics: Wanted<'_>) -> OffsetFetchRequestGroup {
    OffsetFetchRequestGroup { group_id: text(group), topics: wanted(topics), ..Default::default() }
}
