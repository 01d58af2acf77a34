//! CreatePartitions: more partitions for topics that exist.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::wire::{ErrorCode, Str};

/// Adds the partitions, or only checks whether they could be added.
pub(in crate::kafka) async fn handle(
    call: Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut times: HashMap<Str, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name).or_default() += 1;
    }
    let mut results = Vec::new();
    for topic in &request.topics {
        let Some(count) = times.remove(&topic.name) else { continue };
        if count > 1 {
            let message = "the request names this topic more than once".to_owned();
            results.push(result(topic.name, ErrorCode::INVALID_REQUEST, Some(message)));
            continue;
        }
        let assignments = topic
            .assignments
            .map(|assignments| assignments.iter().map(|one| one.broker_ids.iter().collect()).collect());
        let name: Arc<str> = Arc::from(topic.name.as_str());
        let added =
            call.broker.engine.create_partitions(name, topic.count, assignments, request.validate_only).await;
        results.push(match added {
            Ok(()) => result(topic.name, ErrorCode::NONE, None),
            Err(error) => result(topic.name, error_code_of_existing(&error), Some(error.to_string())),
        });
    }
    CreatePartitionsResponse { results: results.into(), ..Default::default() }
}

fn result(name: Str, error_code: ErrorCode, message: Option<String>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code, error_message: message.map(Str::from) }
}
