//! What brokers have on their disks.

use super::Admin;
use crate::client::error::Error;
use crate::wire::messages::describe_log_dirs::DescribeLogDirsRequest;

/// A directory that a broker keeps logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// The broker.
    pub node_id: i32,
    /// The path on the broker's host.
    pub path: String,
    /// The size of its file system in bytes, when the broker tells.
    pub total_bytes: Option<u64>,
    /// What is free of it, when the broker tells.
    pub usable_bytes: Option<u64>,
    /// The partitions in it.
    pub partitions: Vec<LogDirPartition>,
}

/// A partition on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The size of its segments.
    pub size_bytes: u64,
}

// === impl Admin ===

impl Admin {
    /// The log directories of one broker with all partitions in them.
    ///
    /// # Errors
    /// When the broker does not answer or cannot use one of its directories.
    pub async fn describe_log_dirs(&self, node_id: i32) -> Result<Vec<LogDir>, Error> {
        let request = DescribeLogDirsRequest { topics: None };
        let context = || format!("describing the log directories of broker {node_id}");
        let response = self.client.retrying(context, || self.client.call(node_id, &request)).await?;
        Error::check(response.error_code, None, context)?;
        let mut log_dirs = Vec::new();
        for result in &response.results {
            Error::check(result.error_code, None, || format!("{}: {}", context(), result.log_dir))?;
            let mut partitions = Vec::new();
            for topic in &result.topics {
                partitions.extend(topic.partitions.iter().map(|partition| LogDirPartition {
                    topic: topic.name.to_string(),
                    partition: partition.partition_index,
                    size_bytes: partition.partition_size.try_into().unwrap_or_default(),
                }));
            }
            log_dirs.push(LogDir {
                node_id,
                path: result.log_dir.to_string(),
                total_bytes: result.total_bytes.try_into().ok(),
                usable_bytes: result.usable_bytes.try_into().ok(),
                partitions,
            });
        }
        Ok(log_dirs)
    }
}
