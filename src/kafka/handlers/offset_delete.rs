//! OffsetDelete: takes committed offsets of topics away that no member reads.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use crate::engine::api::TopicRef;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

/// Deletes, and answers when that is on the disk.
pub(in crate::kafka) async fn handle(call: Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let reference = TopicRef::Name(Arc::from(topic.name.as_str()));
        partitions.extend(topic.partitions.iter().map(|asked| (reference.clone(), asked.partition_index)));
    }
    let group: Arc<str> = request.group_id.as_str().into();
    let outcomes = match call.broker.engine.delete_offsets(&group, partitions).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            return OffsetDeleteResponse { error_code: group_error_code(&error), ..Default::default() };
        }
    };
    let mut outcomes = outcomes.iter();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| OffsetDeleteResponsePartition {
            partition_index: asked.partition_index,
            error_code: match outcomes.next() {
                Some(Err(error)) => group_error_code(error),
                _ => ErrorCode::NONE,
            },
        });
        OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.name.clone() }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..Default::default() }
}
