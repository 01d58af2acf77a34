//! AlterPartitionReassignments: a partition may be moved to where it is.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::Error;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopic, ReassignableTopicResponse,
};
use crate::wire::{ErrorCode, Str};

/// Answers for each partition. A move never changes the number of replicas here, so it need not be looked at whether
/// the request allows that.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let responses = request.topics.iter().map(|topic| reassigned(call, topic)).collect();
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses,
        ..Default::default()
    }
}

fn reassigned(call: &Call, topic: ReassignableTopic) -> ReassignableTopicResponse {
    let name: Arc<str> = Arc::from(topic.name.as_str());
    let partition = |asked: ReassignablePartition| {
        let replicas: Option<Vec<i32>> = asked.replicas.as_ref().map(|replicas| replicas.iter().collect());
        let moved = call.broker.engine.reassign(&name, asked.partition_index, replicas.as_deref());
        let (error_code, error_message) = match moved {
            Ok(()) => (ErrorCode::NONE, None),
            // As Kafka: a code that says it all.
            Err(error @ Error::NoReassignment { .. }) => (error_code_of_existing(&error), None),
            Err(error) => (error_code_of_existing(&error), Some(Str::from(error.to_string()))),
        };
        ReassignablePartitionResponse { partition_index: asked.partition_index, error_code, error_message }
    };
    let partitions = topic.partitions.iter().map(partition).collect();
    ReassignableTopicResponse { name: topic.name, partitions }
}
