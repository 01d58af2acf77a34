//! AlterReplicaLogDirs: a replica may be moved to the directory that it lies in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use crate::wire::{ErrorCode, Str};

/// Answers once for each partition. One that is named for several directories is answered for the last.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let mut topics: BTreeMap<Str, BTreeMap<i32, ErrorCode>> = BTreeMap::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            let name: Arc<str> = Arc::from(topic.name.as_str());
            let results = topics.entry(topic.name).or_default();
            for partition in &topic.partitions {
                let moved = call.broker.engine.move_replica(&dir.path, &name, partition);
                let error_code =
                    moved.map_or_else(|error| error_code_of_existing(&error), |()| ErrorCode::NONE);
                results.insert(partition, error_code);
            }
        }
    }
    let results = topics.into_iter().map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult {
        topic_name,
        partitions: partitions
            .into_iter()
            .map(|(partition_index, error_code)| AlterReplicaLogDirPartitionResult {
                partition_index,
                error_code,
            })
            .collect(),
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}
