//! DescribeProducers: the idempotent producers that partitions remember.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use crate::engine::Error;
use crate::engine::api::ActiveProducer;
use crate::wire::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use crate::wire::{ErrorCode, Str};

/// Answers for each partition.
///
/// Kafka describes what is named twice twice; here the second is refused, so that a small request cannot ask for an
/// answer of any size.
pub(in crate::kafka) async fn handle(
    call: Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut seen = HashSet::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        let mut partitions = Vec::new();
        for index in &topic.partition_indexes {
            let described = if seen.insert((topic.name.clone(), index)) {
                call.broker.engine.describe_producers(&name, index).await
            } else {
                Err(Error::InvalidRequest { why: "the partition was described before".into() })
            };
            partitions.push(partition(index, described));
        }
        topics.push(TopicResponse { name: topic.name, partitions: partitions.into() });
    }
    DescribeProducersResponse { topics: topics.into(), ..Default::default() }
}

fn partition(partition_index: i32, described: Result<Vec<ActiveProducer>, Error>) -> PartitionResponse {
    let (error_code, error_message, producers) = match described {
        Ok(producers) => (ErrorCode::NONE, None, producers),
        Err(error) => (error_code(&error), Some(Str::from(error.to_string())), Vec::new()),
    };
    let active_producers = producers.iter().map(state).collect();
    PartitionResponse { partition_index, error_code, error_message, active_producers }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0.into(),
        last_sequence: producer.last_sequence.unwrap_or(-1),
        last_timestamp: producer.last_timestamp_ms.unwrap_or(-1),
        // Nobody coordinates a producer without transactions.
        coordinator_epoch: -1,
        ..Default::default()
    }
}
