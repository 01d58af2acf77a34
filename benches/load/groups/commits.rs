//! Offset commits: many connections, each waiting for one commit before it sends the next.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millrace::wire::ErrorCode;
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use serde_json::{Value, json};

use super::{Raw, block_on};
use crate::Target;
use crate::process::Process;

/// A version that names topics and that all brokers know.
const VERSION: i16 = 8;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Connections, each with a group of its own.
    #[arg(long, default_value_t = 200)]
    count: usize,
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

pub(crate) fn run(options: &Options) -> Value {
    options.target.create_topic();
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    let process = Process(options.target.pid);
    let mut raw = Raw::connect(&options.target.broker).await;
    for number in 0..options.count {
        raw.await_coordinator(&group(number)).await;
    }
    let start = Instant::now() + Duration::from_secs_f64(options.warmup_seconds);
    let end = start + Duration::from_secs_f64(options.seconds);
    let committing: Vec<_> = (0..options.count)
        .map(|number| tokio::spawn(commit(options.target.clone(), number, start, end)))
        .collect();
    tokio::time::sleep_until(start.into()).await;
    let used = process.cpu_seconds();
    tokio::time::sleep_until(end.into()).await;
    let now_used = process.cpu_seconds();
    let mut micros = Histogram::<u64>::new(3).unwrap();
    for task in committing {
        micros.add(task.await.unwrap()).unwrap();
    }
    let count = micros.len() as f64;
    json!({
        "commits_per_second": count / options.seconds,
        "cpu_seconds_per_million": (now_used.0 + now_used.1 - used.0 - used.1) * 1e6 / count,
        "p50_ms": micros.value_at_percentile(50.0) as f64 / 1e3,
        "p99_ms": micros.value_at_percentile(99.0) as f64 / 1e3,
    })
}

/// One commit after the other; the times of those that ended between `start` and `end`.
async fn commit(target: Target, number: usize, start: Instant, end: Instant) -> Histogram<u64> {
    let mut raw = Raw::connect(&target.broker).await;
    let mut micros = Histogram::new(3).unwrap();
    let mut request =
        OffsetCommitRequest { group_id: group(number).into(), ..OffsetCommitRequest::default() };
    for offset in 0.. {
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
        request.topics = vec![topic].into();
        let sent = Instant::now();
        let response = raw.call(&request, VERSION).await;
        let answered = Instant::now();
        let code = response.topics.iter().next().unwrap().partitions.iter().next().unwrap().error_code;
        assert_eq!(code, ErrorCode::NONE, "a commit was refused");
        if answered >= end {
            break;
        }
        if answered >= start {
            micros.record(u64::try_from((answered - sent).as_micros()).unwrap()).unwrap();
        }
    }
    micros
}

fn group(number: usize) -> String {
    format!("commits-{number}")
}
