//! Fetch: record batches from given offsets on, waiting for new ones.
//!
//! No fetch sessions are kept (KIP-227): the answer's session id is always 0, and the client goes on with full
//! requests. A session saves a client bytes in its requests; on one broker it saves nothing else.
//!
//! Batches compressed with zstd go to clients of every version, as Kafka sends them: versions below 10 only do not
//! promise that the client knows zstd, and some clients that do never ask in a later one.

use std::sync::Arc;
use std::time::Duration;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::Error;
use crate::engine::api::{self, FetchOutcome, Fetched, TopicRef};
use crate::types::{Isolation, LeaderEpoch, TopicId};
use crate::wire::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use crate::wire::{ErrorCode, Records, Str};

/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;

/// Session epochs that ask for all partitions: a new session, or none.
const FULL_EPOCHS: [i32; 2] = [0, -1];

/// A topic of the request, to name it in the answer.
struct Topic {
    name: Str,
    id: TopicId,
    partitions: Vec<i32>,
}

/// Waits for the data asked for and answers with it.
pub(in crate::kafka) async fn handle(call: Call, request: FetchRequest) -> FetchResponse {
    if !FULL_EPOCHS.contains(&request.session_epoch) {
        return FetchResponse { error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND, ..Default::default() };
    }
    let (topics, partitions) = take_apart(call.version, &request);
    let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
    let wanted = api::FetchRequest {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: size(request.min_bytes),
        max_bytes: size(request.max_bytes),
        isolation: if request.isolation_level == 1 {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        },
        partitions,
    };
    drop(request);
    let outcomes = call.broker.engine.fetch(wanted).await;
    put_together(topics, outcomes)
}

fn take_apart(version: i16, request: &FetchRequest) -> (Vec<Topic>, Vec<api::FetchPartition>) {
    let mut partitions = Vec::new();
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    let topics = request.topics.iter().map(|topic| {
        let reference = if version >= TOPIC_IDS_FROM {
            TopicRef::Id(topic.topic_id)
        } else {
            TopicRef::Name(Arc::from(topic.topic.as_str()))
        };
        partitions.reserve(topic.partitions.len());
        let indexes = topic.partitions.iter().map(|partition| {
            partitions.push(api::FetchPartition {
                topic: reference.clone(),
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                current_leader_epoch: epoch(partition.current_leader_epoch),
                last_fetched_epoch: epoch(partition.last_fetched_epoch),
            });
            partition.partition
        });
        Topic { partitions: indexes.collect(), name: topic.topic, id: topic.topic_id }
    });
    let topics = topics.collect();
    // It may wait for long, and most name one partition: no room for more is kept.
    partitions.shrink_to_fit();
    (topics, partitions)
}

fn put_together(topics: Vec<Topic>, outcomes: Vec<FetchOutcome>) -> FetchResponse {
    let mut outcomes = outcomes.into_iter();
    let responses = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|&index| {
            let outcome = outcomes.next().expect("the engine answers for every partition");
            partition_data(index, outcome)
        });
        FetchableTopicResponse { partitions: partitions.collect(), topic: topic.name, topic_id: topic.id }
    });
    FetchResponse { responses: responses.collect(), ..Default::default() }
}

fn partition_data(partition_index: i32, outcome: FetchOutcome) -> PartitionData {
    let fetched = match outcome {
        Ok(fetched) => fetched,
        Err(error) => return refused(partition_index, &error),
    };
    let Fetched { high_watermark, last_stable_offset, log_start_offset, records, aborted, diverging } =
        fetched;
    PartitionData {
        partition_index,
        high_watermark,
        last_stable_offset,
        log_start_offset,
        diverging_epoch: diverging
            .map(|end| EpochEndOffset { epoch: end.epoch.0, end_offset: end.end_offset })
            .unwrap_or_default(),
        aborted_transactions: aborted.map(|aborted| {
            let listed = aborted.into_iter();
            listed.map(|(id, first_offset)| AbortedTransaction { producer_id: id.0, first_offset }).collect()
        }),
        records: Some(Records::from(records)),
        ..Default::default()
    }
}

/// An error of one partition. Its records are empty rather than null: some clients take a null for damage.
fn refused(partition_index: i32, error: &Error) -> PartitionData {
    PartitionData {
        partition_index,
        error_code: error_code_of_existing(error),
        high_watermark: -1,
        records: Some(Records::default()),
        ..Default::default()
    }
}
