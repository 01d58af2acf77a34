//! OffsetForLeaderEpoch: where an epoch ends, so that a reader notices a lost tail (KIP-320).

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::api::TopicRef;
use crate::types::LeaderEpoch;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

/// Looks up all partitions asked for.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let engine = &call.broker.engine;
    let topics = request.topics.iter().map(|topic| {
        let reference = TopicRef::Name(Arc::from(topic.topic.as_str()));
        let partitions = topic.partitions.iter().map(|asked| {
            let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
            let end = match epoch(asked.leader_epoch) {
                Some(of) => engine.epoch_end_offset(
                    &reference,
                    asked.partition,
                    epoch(asked.current_leader_epoch),
                    of,
                ),
                None => Ok(None),
            };
            match end {
                Ok(Some(end)) => EpochEndOffset {
                    partition: asked.partition,
                    leader_epoch: end.epoch.0,
                    end_offset: end.end_offset,
                    ..Default::default()
                },
                // No epoch at or below the one asked for.
                Ok(None) => EpochEndOffset { partition: asked.partition, ..Default::default() },
                Err(error) => EpochEndOffset {
                    partition: asked.partition,
                    error_code: error_code_of_existing(&error),
                    ..Default::default()
                },
            }
        });
        OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: topic.topic }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}
