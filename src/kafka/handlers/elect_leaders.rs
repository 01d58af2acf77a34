//! ElectLeaders: every partition has its preferred leader already, since there is one broker.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::Error;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, TopicPartitions,
};
use crate::wire::{ErrorCode, Str};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Answers for each partition asked for.
pub(in crate::kafka) fn handle(call: &Call, request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let known_type = matches!(request.election_type, PREFERRED | UNCLEAN);
    let error_code = if known_type { ErrorCode::NONE } else { ErrorCode::INVALID_REQUEST };
    let results = match &request.topic_partitions {
        Some(topics) => topics.iter().map(|topic| elected(call, topic, request.election_type)).collect(),
        // As Kafka: all topics, with those partitions that an election was needed for.
        None => {
            let image = call.broker.engine.image();
            let none = |topic: &str| ReplicaElectionResult { topic: topic.into(), ..Default::default() };
            image.topics().map(|topic| none(&topic.name)).collect()
        }
    };
    ElectLeadersResponse { error_code, replica_election_results: results, ..Default::default() }
}

fn elected(call: &Call, asked: TopicPartitions, election_type: i8) -> ReplicaElectionResult {
    let topic: Arc<str> = Arc::from(asked.topic.as_str());
    let result = |partition_id| {
        let elected = if matches!(election_type, PREFERRED | UNCLEAN) {
            call.broker.engine.elect_leader(&topic, partition_id)
        } else {
            Err(Error::InvalidRequest { why: format!("there is no election of type {election_type}") })
        };
        let (error_code, error_message) = match elected {
            Ok(()) => (ErrorCode::NONE, None),
            Err(error) => (error_code_of_existing(&error), Some(Str::from(error.to_string()))),
        };
        PartitionResult { partition_id, error_code, error_message }
    };
    let partition_result = asked.partitions.iter().map(result).collect();
    ReplicaElectionResult { topic: asked.topic, partition_result }
}
