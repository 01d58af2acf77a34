//! Produce: record batches to the engine, in order, and what became of each back.

use std::sync::Arc;
use std::time::Duration;

use super::super::connection::{Handling, Outcome};
use super::super::dispatch::{Call, answer, close, decode};
use super::super::error_code::error_code;
use crate::engine::api::{self, Acks, ProduceError, ProduceOutcome, TopicRef};
use crate::types::TopicId;
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use crate::wire::{ErrorCode, Reader, Str};

/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;

/// The first version whose batches may be compressed with zstd (KIP-110).
const ZSTD_FROM: i16 = 7;

/// Partitions of one request. Each takes some bytes of the request but more of memory; no client sends as many.
const PARTITIONS_MAX: usize = 20_000;

/// A topic of the request, to name it in the answer.
struct Topic {
    name: Str,
    id: TopicId,
    partitions: Vec<i32>,
}

/// Starts a produce: the engine has taken all batches, in order, when this returns.
pub(in crate::kafka) fn start(call: &Call, body: &mut Reader<'_>) -> Handling {
    let request: ProduceRequest = match decode(call, body) {
        Ok(request) => request,
        Err(closed) => return closed,
    };
    let count: usize = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
    if count > PARTITIONS_MAX {
        return close(format!("a produce to {count} partitions"));
    }
    let acks = match request.acks {
        0 => Acks::None,
        1 => Acks::Leader,
        -1 => Acks::All,
        _ => return refuse_all(call, &request, ErrorCode::INVALID_REQUIRED_ACKS),
    };
    if request.transactional_id.is_some() {
        // Transactions are not served yet: no id can have one open.
        return refuse_all(call, &request, ErrorCode::INVALID_TXN_STATE);
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let (topics, partitions) = take_apart(call, &request);
    let produced = call.broker.engine.produce(api::ProduceRequest {
        acks,
        timeout,
        zstd: call.version >= ZSTD_FROM,
        partitions,
    });
    let call = call.clone();
    Handling::Later(Box::pin(async move {
        let outcomes = produced.await;
        if acks == Acks::None {
            return match outcomes.iter().find_map(|outcome| outcome.as_ref().err()) {
                None => Outcome::Silence,
                // There is no other way to tell a client that does not wait for answers.
                Some(failed) => Outcome::Close(format!("a produce with acks=0 failed: {}", failed.error)),
            };
        }
        answer(&call, &put_together(topics, outcomes))
    }))
}

/// The request's partitions as the engine takes them, and what the answer has to name.
fn take_apart(call: &Call, request: &ProduceRequest) -> (Vec<Topic>, Vec<api::ProducePartition>) {
    let mut partitions = Vec::new();
    let topics = request.topic_data.iter().map(|topic| {
        let reference = if call.version >= TOPIC_IDS_FROM {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(Arc::from(topic.name.as_str()))
        };
        let indexes = topic.partition_data.iter().map(|partition| {
            partitions.push(api::ProducePartition {
                topic: reference.clone(),
                partition: partition.index,
                records: partition.records.unwrap_or_default(),
            });
            partition.index
        });
        Topic { partitions: indexes.collect(), name: topic.name, id: topic.topic_id }
    });
    (topics.collect(), partitions)
}

/// The answer, in the order of the request.
fn put_together(topics: Vec<Topic>, outcomes: Vec<ProduceOutcome>) -> ProduceResponse {
    let mut outcomes = outcomes.into_iter();
    let responses = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|&index| {
            partition_response(index, outcomes.next().expect("the engine answers for every partition"))
        });
        TopicProduceResponse {
            partition_responses: partitions.collect(),
            name: topic.name,
            topic_id: topic.id,
        }
    });
    ProduceResponse { responses: responses.collect(), ..Default::default() }
}

fn partition_response(index: i32, outcome: ProduceOutcome) -> PartitionProduceResponse {
    match outcome {
        Ok(produced) => PartitionProduceResponse {
            index,
            base_offset: produced.base_offset,
            log_append_time_ms: produced.log_append_time_ms.unwrap_or(-1),
            log_start_offset: produced.log_start_offset,
            ..Default::default()
        },
        Err(ProduceError { error, records }) => PartitionProduceResponse {
            index,
            error_code: error_code(&error),
            base_offset: -1,
            record_errors: records
                .into_iter()
                .map(|fault| BatchIndexAndErrorMessage {
                    batch_index: fault.index,
                    batch_index_error_message: Some(fault.message.into()),
                })
                .collect(),
            error_message: Some(error.to_string().into()),
            ..Default::default()
        },
    }
}

/// Refuses every partition for a fault of the request as a whole.
fn refuse_all(call: &Call, request: &ProduceRequest, error: ErrorCode) -> Handling {
    if request.acks == 0 {
        return close(format!("a produce with acks=0 failed: {error}"));
    }
    let responses = request.topic_data.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| PartitionProduceResponse {
            index: partition.index,
            error_code: error,
            base_offset: -1,
            ..Default::default()
        });
        TopicProduceResponse {
            partition_responses: partitions.collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        }
    });
    let response = ProduceResponse { responses: responses.collect(), ..Default::default() };
    Handling::Done(answer(call, &response))
}
