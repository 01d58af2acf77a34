//! ListOffsets: offsets by timestamp, or of the log's ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::api::{OffsetSpec, TopicRef};
use crate::types::{Isolation, LeaderEpoch};
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

/// What a timestamp of the request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Of(OffsetSpec),
    /// An offset of remote storage, of which there is none.
    Nothing,
    /// A special timestamp that this version does not have.
    Unknown,
}

/// Looks up all partitions asked for.
pub(in crate::kafka) async fn handle(call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation =
        if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut topics = Vec::new();
    for topic in &request.topics {
        let reference = TopicRef::Name(Arc::from(topic.name.as_str()));
        let mut times: BTreeMap<i32, usize> = BTreeMap::new();
        for partition in &topic.partitions {
            *times.entry(partition.partition_index).or_default() += 1;
        }
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            // A partition asked for twice is refused once.
            let Some(times) = times.remove(&partition.partition_index) else { continue };
            let found = if times > 1 {
                refused(partition.partition_index, ErrorCode::INVALID_REQUEST)
            } else {
                look_up(&call, &reference, &partition, isolation).await
            };
            partitions.push(found);
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions: partitions.into() });
    }
    ListOffsetsResponse { topics: topics.into(), ..Default::default() }
}

async fn look_up(
    call: &Call,
    topic: &TopicRef,
    partition: &ListOffsetsPartition,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let partition_index = partition.partition_index;
    let spec = match asked(partition.timestamp, call.version) {
        Asked::Of(spec) => spec,
        Asked::Nothing => return ListOffsetsPartitionResponse { partition_index, ..Default::default() },
        Asked::Unknown => return refused(partition_index, ErrorCode::UNSUPPORTED_VERSION),
    };
    let epoch = (partition.current_leader_epoch >= 0).then_some(LeaderEpoch(partition.current_leader_epoch));
    match call.broker.engine.list_offsets(topic, partition_index, spec, isolation, epoch).await {
        Ok(listed) => ListOffsetsPartitionResponse {
            partition_index,
            timestamp: listed.timestamp_ms.unwrap_or(-1),
            offset: listed.offset.unwrap_or(-1),
            leader_epoch: listed.leader_epoch.map_or(-1, |epoch| epoch.0),
            ..Default::default()
        },
        Err(error) => refused(partition_index, error_code_of_existing(&error)),
    }
}

fn asked(timestamp: i64, version: i16) -> Asked {
    match timestamp {
        0.. => Asked::Of(OffsetSpec::Timestamp(timestamp)),
        -1 => Asked::Of(OffsetSpec::Latest),
        -2 => Asked::Of(OffsetSpec::Earliest),
        -3 if version >= 7 => Asked::Of(OffsetSpec::MaxTimestamp),
        // Everything is local.
        -4 if version >= 8 => Asked::Of(OffsetSpec::Earliest),
        -5 if version >= 9 => Asked::Nothing,
        -6 if version >= 11 => Asked::Nothing,
        _ => Asked::Unknown,
    }
}

fn refused(partition_index: i32, error_code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index, error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_special_timestamp_has_a_version_from_which_it_means_something() {
        for (timestamp, since, expected) in [
            (-1, 1, Asked::Of(OffsetSpec::Latest)),
            (-2, 1, Asked::Of(OffsetSpec::Earliest)),
            (-3, 7, Asked::Of(OffsetSpec::MaxTimestamp)),
            (-4, 8, Asked::Of(OffsetSpec::Earliest)),
            (-5, 9, Asked::Nothing),
            (-6, 11, Asked::Nothing),
            (0, 1, Asked::Of(OffsetSpec::Timestamp(0))),
        ] {
            assert_eq!(asked(timestamp, since), expected);
            if since > 1 {
                assert_eq!(asked(timestamp, since - 1), Asked::Unknown);
            }
        }
        assert_eq!(asked(-7, 11), Asked::Unknown);
        assert_eq!(asked(i64::MIN, 11), Asked::Unknown);
    }
}
