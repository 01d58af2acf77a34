//! DescribeLogDirs: the one data directory, and how large its partitions are.

use std::sync::Arc;

use super::super::dispatch::Call;
use crate::engine::api::LogDir;
use crate::wire::Str;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};

/// Answers with the sizes of all partitions, or of those asked for that exist.
pub(in crate::kafka) fn handle(call: &Call, request: &DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let asked: Option<Vec<(Arc<str>, Vec<i32>)>> = request.topics.as_ref().map(|topics| {
        topics
            .iter()
            .map(|topic| (Arc::from(topic.topic.as_str()), topic.partitions.iter().collect()))
            .collect()
    });
    let dir = call.broker.engine.describe_log_dirs(asked.as_deref());
    DescribeLogDirsResponse { results: vec![described(dir)].into(), ..Default::default() }
}

fn described(dir: LogDir) -> DescribeLogDirsResult {
    let bytes = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1);
    let topics = dir.topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
        name: Str::from(&*name),
        partitions: partitions
            .into_iter()
            .map(|partition| DescribeLogDirsPartition {
                partition_index: partition.partition,
                partition_size: bytes(Some(partition.size_bytes)),
                ..Default::default()
            })
            .collect(),
    });
    DescribeLogDirsResult {
        topics: topics.collect(),
        log_dir: dir.path.into(),
        total_bytes: bytes(dir.total_bytes),
        usable_bytes: bytes(dir.usable_bytes),
        ..Default::default()
    }
}
