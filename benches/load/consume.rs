//! As fast as the broker gives it: everything that a topic holds, once.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::Target;
use crate::process::Process;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Bytes that one response may bring of one partition.
    #[arg(long, default_value_t = 1 << 20)]
    partition_bytes: usize,
    /// Stop after so many bytes of values.
    #[arg(long, default_value_t = u64::MAX)]
    bytes: u64,
}

pub(crate) fn run(options: &Options) -> Value {
    let consumer: BaseConsumer = options
        .target
        .config()
        .set("group.id", "load")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "false")
        .set("max.partition.fetch.bytes", options.partition_bytes.to_string())
        .set("queued.max.messages.kbytes", "65536")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    let mut left = 0u64;
    for partition in 0..options.target.partitions {
        let patience = Duration::from_secs(10);
        let (first, end) = consumer.fetch_watermarks(&options.target.topic, partition, patience).unwrap();
        left += u64::try_from(end - first).unwrap();
        assignment.add_partition_offset(&options.target.topic, partition, Offset::Beginning).unwrap();
    }
    let process = Process(options.target.pid);
    consumer.assign(&assignment).unwrap();
    let (start, used) = (Instant::now(), process.cpu_seconds());
    let (mut bytes, mut records) = (0u64, 0u64);
    while left > 0 && bytes < options.bytes {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else {
            panic!("{left} records did not come within 10 s");
        };
        bytes += message.unwrap().payload_len() as u64;
        records += 1;
        left -= 1;
    }
    let (seconds, now_used) = (start.elapsed().as_secs_f64(), process.cpu_seconds());
    let gigabytes = bytes as f64 / 1e9;
    json!({
        "megabytes_per_second": gigabytes * 1e3 / seconds,
        "records_per_second": records as f64 / seconds,
        "gigabytes": gigabytes,
        "user_seconds_per_gb": (now_used.0 - used.0) / gigabytes,
        "system_seconds_per_gb": (now_used.1 - used.1) / gigabytes,
        "cpu_seconds_per_gb": (now_used.0 + now_used.1 - used.0 - used.1) / gigabytes,
    })
}
