//! DescribeQuorum: one broker is its own quorum, and its catalog the metadata log.

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use crate::engine::api::QuorumState;
use crate::types::TopicId;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumRequestTopic, DescribeQuorumResponse,
    DescribeQuorumResponsePartition, DescribeQuorumResponseTopic, Listener, Node, ReplicaState,
};
use crate::wire::{ErrorCode, Str};

/// The topic by whose name Kafka asks for the log of its metadata.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Answers for partition 0 of the metadata topic alone; whatever else a request names, all of it is not there.
pub(in crate::kafka) async fn handle(call: Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    if !is_metadata(&request) {
        let topics = request.topics.iter().map(unknown).collect();
        return DescribeQuorumResponse { error_message: Some(Str::default()), topics, ..Default::default() };
    }
    match call.broker.engine.describe_quorum().await {
        Ok(quorum) => described(&call, &quorum),
        Err(error) => DescribeQuorumResponse {
            error_code: error_code(&error),
            error_message: Some(error.to_string().into()),
            ..Default::default()
        },
    }
}

fn is_metadata(request: &DescribeQuorumRequest) -> bool {
    let mut topics = request.topics.iter();
    let Some(topic) = topics.next().filter(|topic| topic.topic_name == METADATA_TOPIC) else { return false };
    let partitions: Vec<i32> = topic.partitions.iter().map(|asked| asked.partition_index).take(2).collect();
    topics.next().is_none() && partitions == [0]
}

fn unknown(topic: DescribeQuorumRequestTopic) -> DescribeQuorumResponseTopic {
    let partition = |partition_index| DescribeQuorumResponsePartition {
        partition_index,
        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        error_message: Some(Str::from_static("no quorum decides on this partition")),
        ..Default::default()
    };
    let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect();
    DescribeQuorumResponseTopic { topic_name: topic.topic_name, partitions }
}

fn described(call: &Call, quorum: &QuorumState) -> DescribeQuorumResponse {
    let voter = ReplicaState {
        replica_id: quorum.voter.0,
        // Voters have a directory id only where they can be added and removed.
        replica_directory_id: TopicId::ZERO,
        log_end_offset: quorum.log_end_offset,
        last_fetch_timestamp: quorum.now_ms,
        last_caught_up_timestamp: quorum.now_ms,
    };
    let partition = DescribeQuorumResponsePartition {
        error_message: Some(Str::default()),
        leader_id: quorum.voter.0,
        leader_epoch: quorum.leader_epoch.0,
        // A change is in the log when it is on the disk.
        high_watermark: quorum.log_end_offset,
        current_voters: vec![voter].into(),
        ..Default::default()
    };
    let topic = DescribeQuorumResponseTopic {
        topic_name: Str::from_static(METADATA_TOPIC),
        partitions: vec![partition].into(),
    };
    let endpoint = call.broker.endpoint(call.local);
    let listener = Listener {
        name: Str::from_static("PLAINTEXT"),
        host: endpoint.host,
        port: u16::try_from(endpoint.port).unwrap_or_default(),
    };
    DescribeQuorumResponse {
        error_message: Some(Str::default()),
        topics: vec![topic].into(),
        nodes: vec![Node { node_id: quorum.voter.0, listeners: vec![listener].into() }].into(),
        ..Default::default()
    }
}
