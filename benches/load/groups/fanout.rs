//! One topic for many groups: each reads it from its beginning to its end, again and again, and commits once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace::record::BatchHeader;
use millrace::wire::ErrorCode;
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use serde_json::{Value, json};

use super::{Raw, block_on};
use crate::Target;
use crate::process::Process;

/// The last version of Fetch that names topics.
const FETCH_VERSION: i16 = 12;
const COMMIT_VERSION: i16 = 8;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Groups, of one member each.
    #[arg(long, default_value_t = 10)]
    count: usize,
    /// Bytes that one response may bring.
    #[arg(long, default_value_t = 1 << 20)]
    fetch_bytes: i32,
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

pub(crate) fn run(options: &Options) -> Value {
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    let process = Process(options.target.pid);
    let mut raw = Raw::connect(&options.target.broker).await;
    for number in 0..options.count {
        raw.await_coordinator(&group(number)).await;
    }
    let bytes = Arc::new(AtomicU64::new(0));
    let reading: Vec<_> = (0..options.count)
        .map(|number| {
            tokio::spawn(read(options.target.clone(), options.fetch_bytes, number, Arc::clone(&bytes)))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs_f64(options.warmup_seconds)).await;
    let (start, before, used) = (Instant::now(), bytes.load(Ordering::Relaxed), process.cpu_seconds());
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let (seconds, after) = (start.elapsed().as_secs_f64(), bytes.load(Ordering::Relaxed));
    let now_used = process.cpu_seconds();
    for task in reading {
        assert!(!task.is_finished(), "a reader has failed");
        task.abort();
    }
    let gigabytes = (after - before) as f64 / 1e9;
    json!({
        "megabytes_per_second": gigabytes * 1e3 / seconds,
        "cpu_seconds_per_gb": (now_used.0 + now_used.1 - used.0 - used.1) / gigabytes,
    })
}

/// Reads partition 0 without an end, counting the bytes of records.
async fn read(target: Target, fetch_bytes: i32, number: usize, bytes: Arc<AtomicU64>) {
    let mut raw = Raw::connect(&target.broker).await;
    let (mut offset, mut committed_at) = (0, Instant::now());
    loop {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: fetch_bytes,
            current_leader_epoch: -1,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: target.topic.as_str().into(),
            partitions: vec![partition].into(),
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: fetch_bytes,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..FetchRequest::default()
        };
        let response = raw.call(&request, FETCH_VERSION).await;
        let answer = response.responses.iter().next().unwrap().partitions.iter().next().unwrap();
        let records = answer.records.map(millrace::wire::Records::into_bytes).unwrap_or_default();
        bytes.fetch_add(records.len() as u64, Ordering::Relaxed);
        let end = end_of(&records);
        // At the end of the topic it begins again.
        offset = end.unwrap_or(0);
        if committed_at.elapsed() >= Duration::from_secs(1) {
            committed_at = Instant::now();
            commit(&mut raw, &target, number, offset).await;
        }
    }
}

/// The offset after the last whole batch.
fn end_of(records: &[u8]) -> Option<i64> {
    let (mut rest, mut end) = (records, None);
    while let Ok(header) = BatchHeader::parse(rest) {
        let Some(after) = rest.get(header.size_bytes()..) else { break };
        end = Some(header.next_offset());
        rest = after;
    }
    end
}

async fn commit(raw: &mut Raw, target: &Target, number: usize, offset: i64) {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: target.topic.as_str().into(),
        partitions: vec![partition].into(),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group(number).into(),
        topics: vec![topic].into(),
        ..OffsetCommitRequest::default()
    };
    let response = raw.call(&request, COMMIT_VERSION).await;
    let code = response.topics.iter().next().unwrap().partitions.iter().next().unwrap().error_code;
    assert_eq!(code, ErrorCode::NONE, "a commit was refused");
}

fn group(number: usize) -> String {
    format!("fanout-{number}")
}
