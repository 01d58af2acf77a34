//! Catch-up reading through the engine: slices of the log's maps, against a bare loop of positioned reads of the
//! same file, in one run; and the way of a record from a produce to a fetch that waits for it.
//! `cargo bench --bench fetch`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot write has nothing to say")]

mod support;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use millrace::engine::api::{Acks, FetchPartition, FetchRequest, ProducePartition, ProduceRequest, TopicRef};
use millrace::engine::{Engine, EngineConfig, ThreadPool, config::Overrides};
use millrace::env::Env;
use millrace::record::{BatchBuilder, BatchHeader, Compression};
use millrace::types::{BrokerId, Isolation};
use support::{in_turns, print_rates, timed};

const TOTAL_BYTES: usize = 256 << 20;
const READ_BYTES: usize = 1 << 20;

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("MILLRACE_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let engine = open(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(engine.auto_create(vec!["bench".into()])).is_empty());
    let mut written = 0;
    while written < TOTAL_BYTES {
        let records = batch(64, 1024);
        written += records.len();
        runtime.block_on(engine.produce(produce(records, Acks::Leader)))[0].as_ref().unwrap();
    }
    println!("fetch: {} MiB in batches of 64 KiB, read in steps of 1 MiB", written >> 20);
    let segment = largest_file(directory.path());
    let mut slices = || timed(|| runtime.block_on(catch_up(&engine, written, false)));
    let mut touched = || timed(|| runtime.block_on(catch_up(&engine, written, true)));
    let mut positioned = || timed(|| positioned_reads(&segment, written));
    let contenders = in_turns(
        7,
        &mut [
            ("positioned reads into a buffer, every page looked at", &mut positioned),
            ("engine fetch, every page looked at", &mut touched),
            ("engine fetch, slices only", &mut slices),
        ],
    );
    print_rates("catch-up read", written as f64 / 1e9, "GB", &contenders);
    wake_up(&engine);
}

fn open(directory: &Path) -> Arc<Engine> {
    let config = EngineConfig {
        data_dir: directory.to_owned(),
        broker_id: BrokerId(1),
        settings: Overrides::from([("num.io.threads".to_owned(), "64".to_owned())]),
        holder: "bench".into(),
        shown_settings: Vec::new(),
        own_timer: true,
    };
    Engine::open(config, Env::system(), Arc::new(ThreadPool::new())).unwrap()
}

fn batch(records: usize, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'v'; value_bytes];
    (0..records).for_each(|_| _ = builder.append(1, None, Some(&value), &[]).unwrap());
    builder.build()
}

fn produce(records: Bytes, acks: Acks) -> ProduceRequest {
    let topic = TopicRef::Name("bench".into());
    let partitions = vec![ProducePartition { topic, partition: 0, records }];
    ProduceRequest { acks, timeout: Duration::from_secs(30), zstd: true, partitions }
}

fn fetch(offset: i64, max_wait: Duration) -> FetchRequest {
    FetchRequest {
        max_wait,
        min_bytes: 1,
        max_bytes: READ_BYTES,
        isolation: Isolation::ReadUncommitted,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name("bench".into()),
            partition: 0,
            fetch_offset: offset,
            max_bytes: READ_BYTES,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }],
    }
}

async fn catch_up(engine: &Engine, bytes: usize, look: bool) {
    let (mut read, mut offset) = (0, 0);
    while read < bytes {
        let fetched = engine.fetch(fetch(offset, Duration::from_secs(10))).await.remove(0).unwrap();
        for run in &fetched.records {
            read += run.len();
            let mut rest = &run[..];
            while let Ok(header) = BatchHeader::parse(rest) {
                offset = header.next_offset();
                rest = &rest[header.size_bytes()..];
            }
            if look {
                look_at(run);
            }
        }
    }
}

fn positioned_reads(path: &Path, bytes: usize) {
    let file = File::open(path).unwrap();
    let mut buffer = vec![0; READ_BYTES];
    let mut position = 0;
    while position < bytes {
        let count = file.read_at(&mut buffer, position as u64).unwrap();
        look_at(&buffer[..count]);
        position += count;
    }
}

fn look_at(bytes: &[u8]) {
    bytes.chunks(4096).for_each(|page| _ = black_box(page[0]));
}

fn largest_file(directory: &Path) -> PathBuf {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                found.push((metadata.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().unwrap().1
}

/// From the call of a produce to the answer of a fetch that was parked for it, record durable.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn wake_up(engine: &Arc<Engine>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    runtime.block_on(async {
        let latest = engine.produce(produce(batch(1, 100), Acks::All)).await.remove(0).unwrap().base_offset;
        for offset in latest + 1..latest + 2_001 {
            let waiting = tokio::spawn(engine.fetch(fetch(offset, Duration::from_secs(60))));
            while engine.waiting_requests() == 0 {
                tokio::task::yield_now().await;
            }
            let start = std::time::Instant::now();
            let produced = tokio::spawn(engine.produce(produce(batch(1, 100), Acks::All)));
            waiting.await.unwrap().remove(0).unwrap();
            histogram.record(u64::try_from(start.elapsed().as_micros()).unwrap()).unwrap();
            produced.await.unwrap().remove(0).unwrap();
        }
    });
    println!("\nproduce to parked fetch, durable, in the engine (microseconds)\n");
    println!("| p50 | p99 | p99.9 |\n|---:|---:|---:|");
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!("| {} | {} | {} |", at(0.5), at(0.99), at(0.999));
}
