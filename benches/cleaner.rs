//! What the log cleaner costs those who produce meanwhile: the time to a durable acknowledgement with the cleaner at work and
//! without, in turns in one run. `cargo bench --bench cleaner`.
//!
//! Records are due at a fixed rate and each counts from when it was due, so a stall shows in all that come in it. The dirty
//! topic is larger than what is cleaned in the time.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot write has nothing to say")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use millrace::engine::api::{
    Acks, ConfigChange, ConfigOp, ConfigResource, NewTopic, ProducePartition, ProduceRequest, TopicRef,
};
use millrace::engine::{Engine, EngineConfig, ThreadPool, config::Overrides};
use millrace::env::Env;
use millrace::record::{BatchBuilder, Compression};
use millrace::types::BrokerId;
use tokio::task::JoinSet;

/// Of the topic that is measured.
const PARTITIONS: i32 = 4;
/// Of the compacted topic: a phase begins with the next one, and takes in both halves of its cleaning.
const TABLE_PARTITIONS: i32 = 16;
/// Dirty bytes in each partition of the compacted topic.
const DIRTY_BYTES: usize = 96 << 20;
const VALUE_BYTES: usize = 1024;
/// Records a second, to the topic that is measured.
const RATE: u32 = 1000;
const ROUNDS: usize = 7;
const PHASE: Duration = Duration::from_secs(3);
/// What a phase begins with and does not count: the cleaner has to come, or to go.
const WARM_UP: Duration = Duration::from_millis(500);

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("MILLRACE_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let engine = open(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(run(&engine, directory.path()));
}

async fn run(engine: &Arc<Engine>, directory: &Path) {
    let large = ("segment.bytes", "33554432");
    make(
        engine,
        "table",
        TABLE_PARTITIONS,
        &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), large],
    )
    .await;
    make(engine, "measured", PARTITIONS, &[]).await;
    let dirty = fill(engine).await;
    let before = bytes_below(directory);
    println!(
        "cleaner: {} MiB to clean, {RATE} records/s of {VALUE_BYTES} bytes to {PARTITIONS} partitions, acks=all, {ROUNDS} rounds of {} s",
        dirty >> 20,
        PHASE.as_secs()
    );
    let mut all = [Histogram::<u64>::new(3).unwrap(), Histogram::<u64>::new(3).unwrap()];
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let mut p99 = [0; 2];
        for (index, enabled) in ["false", "true"].into_iter().enumerate() {
            set(engine, "log.cleaner.enable", enabled).await;
            let micros = measure(engine).await;
            p99[index] = micros.value_at_quantile(0.99);
            // The first round does not count.
            if round > 0 {
                all[index].add(&micros).unwrap();
            }
        }
        if round > 0 {
            ratios.push(p99[1] as f64 / p99[0] as f64);
        }
    }
    set(engine, "log.cleaner.enable", "false").await;
    ratios.sort_by(f64::total_cmp);
    println!("\ntime to a durable acknowledgement, milliseconds\n");
    println!("| cleaner | p50 | p99 | p99.9 |\n|---|---:|---:|---:|");
    for (name, micros) in ["off", "at work"].iter().zip(&all) {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        println!("| {name} | {:.2} | {:.2} | {:.2} |", at(0.5), at(0.99), at(0.999));
    }
    let p99 = all.map(|micros| micros.value_at_quantile(0.99) as f64);
    println!("\np99 with the cleaner to p99 without: {:.2}", p99[1] / p99[0]);
    println!(
        "median of the rounds: {:.2} ({:.2} to {:.2})",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    let gone = before.saturating_sub(bytes_below(directory));
    println!("the cleaner made the directory {} MiB smaller meanwhile, less what was produced", gone >> 20);
}

fn open(directory: &Path) -> Arc<Engine> {
    let settings =
        [("log.cleaner.enable", "false"), ("log.cleaner.backoff.ms", "100"), ("num.io.threads", "64")];
    let config = EngineConfig {
        data_dir: directory.to_owned(),
        broker_id: BrokerId(1),
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<Overrides>(),
        holder: "bench".into(),
        shown_settings: Vec::new(),
        own_timer: true,
    };
    Engine::open(config, Env::system(), Arc::new(ThreadPool::new())).unwrap()
}

async fn make(engine: &Engine, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let topic = NewTopic {
        name: name.into(),
        partitions: Some(partitions),
        replication_factor: None,
        assignments: Vec::new(),
        configs: configs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect(),
    };
    engine.create_topics(vec![topic], false).await.remove(0).unwrap();
}

async fn set(engine: &Engine, name: &str, value: &str) {
    let change = ConfigChange::Incremental(vec![(name.to_owned(), ConfigOp::Set(Some(value.to_owned())))]);
    engine.alter_configs(ConfigResource::Broker(String::new()), change, false).await.unwrap();
}

/// Writes keys in random order, each about twice, so that every batch has something that goes and something that stays.
async fn fill(engine: &Engine) -> usize {
    let keys = DIRTY_BYTES / VALUE_BYTES / 2;
    let mut seed = 1_u64;
    let mut written = 0;
    for partition in 0..TABLE_PARTITIONS {
        let mut in_partition = 0;
        while in_partition < DIRTY_BYTES {
            let mut builder = BatchBuilder::new(Compression::None);
            for _ in 0..64 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = (seed >> 33) % keys as u64;
                let value = vec![b'v'; VALUE_BYTES];
                builder.append(now_ms(), Some(&key.to_be_bytes()), Some(&value), &[]).unwrap();
            }
            let records = builder.build();
            in_partition += records.len();
            engine.produce(produce("table", partition, records, Acks::Leader)).await.remove(0).unwrap();
        }
        written += in_partition;
    }
    written
}

fn now_ms() -> i64 {
    Env::system().clock.now_ms()
}

fn produce(topic: &str, partition: i32, records: Bytes, acks: Acks) -> ProduceRequest {
    let partitions = vec![ProducePartition { topic: TopicRef::Name(topic.into()), partition, records }];
    ProduceRequest { acks, timeout: Duration::from_secs(30), zstd: true, partitions }
}

/// Produces at the rate for a phase; microseconds from when a record was due until it was acknowledged.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
async fn measure(engine: &Engine) -> Histogram<u64> {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'v'; VALUE_BYTES];
    let begun = Instant::now();
    let mut waiting = JoinSet::new();
    let mut micros = Histogram::new(3).unwrap();
    let count = RATE * u32::try_from(PHASE.as_secs()).unwrap();
    for index in 0..count {
        let due = begun + Duration::from_secs(1) * index / RATE;
        tokio::time::sleep_until(due.into()).await;
        builder.append(now_ms(), None, Some(&value), &[]).unwrap();
        let partition = i32::try_from(index).unwrap() % PARTITIONS;
        let produced = engine.produce(produce("measured", partition, builder.build(), Acks::All));
        waiting.spawn(async move {
            produced.await.remove(0).unwrap();
            (due, due.elapsed())
        });
        while let Some(done) = waiting.try_join_next() {
            note(&mut micros, begun, done.unwrap());
        }
    }
    while let Some(done) = waiting.join_next().await {
        note(&mut micros, begun, done.unwrap());
    }
    micros
}

fn note(micros: &mut Histogram<u64>, begun: Instant, (due, took): (Instant, Duration)) {
    if due - begun >= WARM_UP {
        micros.record(u64::try_from(took.as_micros()).unwrap()).unwrap();
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        // A file that the cleaner has replaced meanwhile.
        Err(_) => 0,
    };
    entries.map(size).sum()
}
