//! As fast as the broker gives it: everything that a topic holds, once.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::Target;
use crate::measured::Meter;

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
    consumer.assign(&assignment).unwrap();
    let meter = Meter::start(options.target.pid);
    let (mut bytes, mut records) = (0u64, 0u64);
    while left > 0 && bytes < options.bytes {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else {
            panic!("{left} records did not come within 10 s");
        };
        bytes += message.unwrap().payload_len() as u64;
        records += 1;
        left -= 1;
    }
    meter.told(records, bytes)
}
