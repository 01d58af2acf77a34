//! DeleteRecords: moves the log start offset of partitions.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::api::TopicRef;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

/// "Everything that consumers can see."
const HIGH_WATERMARK: i64 = -1;

/// Deletes the records.
pub(in crate::kafka) async fn handle(call: Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::new();
    for topic in &request.topics {
        let reference = TopicRef::Name(Arc::from(topic.name.as_str()));
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let partition_index = asked.partition_index;
            let before = (asked.offset != HIGH_WATERMARK).then_some(asked.offset);
            let deleted = call.broker.engine.delete_records(&reference, partition_index, before).await;
            partitions.push(match deleted {
                Ok(low_watermark) => {
                    DeleteRecordsPartitionResult { partition_index, low_watermark, ..Default::default() }
                }
                Err(error) => DeleteRecordsPartitionResult {
                    partition_index,
                    low_watermark: -1,
                    error_code: error_code_of_existing(&error),
                },
            });
        }
        topics.push(DeleteRecordsTopicResult { name: topic.name, partitions: partitions.into() });
    }
    DeleteRecordsResponse { topics: topics.into(), ..Default::default() }
}
