//! OffsetCommit: how far a group has come.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::commit_error_code;
use super::groups::member_name;
use crate::engine::api::TopicRef;
use crate::engine::api::group::{CommitOffsetsRequest, Committer, OffsetToCommit};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::{ErrorCode, Str};

/// From here on members of the newer protocol commit with their epoch.
pub(super) const EPOCHS_FROM: i16 = 9;
/// From here on topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Commits, and answers when that is on the disk.
pub(in crate::kafka) async fn handle(call: Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut offsets = Vec::new();
    for topic in &request.topics {
        let reference = if call.version >= TOPIC_IDS_FROM {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(Arc::from(topic.name.as_str()))
        };
        offsets.extend(topic.partitions.iter().map(|partition| OffsetToCommit {
            topic: reference.clone(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map_or("", Str::as_str).into(),
        }));
    }
    let commit = CommitOffsetsRequest {
        group: request.group_id.as_str().into(),
        committer: Committer {
            name: member_name(&request.member_id, request.group_instance_id.as_ref()),
            generation: request.generation_id_or_member_epoch,
            knows_epochs: call.version >= EPOCHS_FROM,
        },
        offsets,
    };
    let committed = call.broker.engine.commit_offsets(commit).await;
    let mut outcomes = committed.as_ref().map_or(&[][..], Vec::as_slice).iter();
    let of_all = committed.as_ref().err().map(commit_error_code);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: of_all.unwrap_or_else(|| match outcomes.next() {
                Some(Err(error)) => commit_error_code(error),
                _ => ErrorCode::NONE,
            }),
        });
        OffsetCommitResponseTopic {
            partitions: partitions.collect(),
            name: topic.name.clone(),
            topic_id: topic.topic_id,
        }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
