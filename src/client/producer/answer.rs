//! Produce requests out of batches, and what a broker's answer means for each of them.

use std::sync::Arc;
use std::time::Duration;

use super::Acks;
use super::delivery::{Acked, Failed};
use super::queue::{Batch, PartitionQueue};
use crate::client::error::Error;
use crate::types::TopicId;
use crate::wire::ErrorCode;
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};

/// A batch in a request.
#[derive(Debug)]
pub(super) struct SentBatch {
    pub(super) queue: Arc<PartitionQueue>,
    pub(super) batch: Batch,
    /// The topic's id at the time; zero when the cluster has none.
    pub(super) topic_id: TopicId,
}

/// A batch and what the broker says of it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) sent: SentBatch,
    pub(super) result: Result<Acked, Failed>,
}

/// The request that carries `batches`, which hold at most one per partition.
pub(super) fn request(batches: &[SentBatch], acks: Acks, timeout: Duration) -> ProduceRequest {
    let mut topics: Vec<(&Arc<str>, TopicId, Vec<PartitionProduceData>)> = Vec::new();
    for SentBatch { queue, batch, topic_id } in batches {
        let data = PartitionProduceData { index: queue.partition, records: Some(batch.bytes.clone()) };
        match topics.iter_mut().find(|(name, ..)| **name == queue.topic) {
            Some((.., partitions)) => partitions.push(data),
            None => topics.push((&queue.topic, *topic_id, vec![data])),
        }
    }
    let topic_data = topics.into_iter().map(|(name, topic_id, partitions)| TopicProduceData {
        name: (&**name).into(),
        topic_id,
        partition_data: partitions.into(),
    });
    ProduceRequest {
        acks: match acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        },
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topic_data.collect(),
        ..ProduceRequest::default()
    }
}

/// What the answer to a request means for each of its batches.
pub(super) fn settle(batches: Vec<SentBatch>, response: Result<ProduceResponse, Error>) -> Vec<Answered> {
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let failed = |sent| Answered { sent, result: Err(error.clone().into()) };
            return batches.into_iter().map(failed).collect();
        }
    };
    let mut answers = Vec::new();
    for topic in &response.responses {
        let name = topic.name.to_string();
        answers.extend(topic.partition_responses.iter().map(|answer| (name.clone(), topic.topic_id, answer)));
    }
    let settled = batches.into_iter().map(|sent| {
        let queue = &sent.queue;
        // From version 13 on, topics have an id and no name.
        let mine = |(name, id, answer): &(String, TopicId, PartitionProduceResponse)| {
            let is_topic = if name.is_empty() { *id == sent.topic_id } else { **name == *queue.topic };
            is_topic && answer.index == queue.partition
        };
        let result = match answers.iter().position(mine) {
            Some(index) => {
                let (_, _, answer) = answers.swap_remove(index);
                result_of(queue, &answer)
            }
            None => {
                Err(Error::broker(context(queue), ErrorCode::UNKNOWN_SERVER_ERROR, Some("no answer".into()))
                    .into())
            }
        };
        Answered { sent, result }
    });
    settled.collect()
}

fn result_of(queue: &PartitionQueue, answer: &PartitionProduceResponse) -> Result<Acked, Failed> {
    match answer.error_code {
        ErrorCode::NONE => Ok(Acked {
            base_offset: (answer.base_offset >= 0).then_some(answer.base_offset),
            append_time_ms: (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms),
        }),
        // A retry of a batch that is in the log but too far back for the broker to remember its offset.
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Ok(Acked { base_offset: None, append_time_ms: None }),
        code => {
            let message = answer.error_message.as_ref().map(ToString::to_string);
            let records = answer.record_errors.iter().filter_map(|refused| {
                let index = u32::try_from(refused.batch_index).ok()?;
                let message = refused.batch_index_error_message.as_ref().map(ToString::to_string);
                Some((index, message.unwrap_or_else(|| "refused".to_owned())))
            });
            Err(Failed { records: records.collect(), error: Error::broker(context(queue), code, message) })
        }
    }
}

fn context(queue: &PartitionQueue) -> String {
    format!("producing to {}-{}", queue.topic, queue.partition)
}

/// Whether a broker does not agree with the sequence number, so that it may help to begin a new row.
pub(super) fn is_about_numbers(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
                | ErrorCode::UNKNOWN_PRODUCER_ID
                | ErrorCode::INVALID_PRODUCER_EPOCH
                | ErrorCode::INVALID_PRODUCER_ID_MAPPING
                | ErrorCode::PRODUCER_FENCED
        )
    )
}
