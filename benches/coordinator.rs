//! Committed offsets: how many a second are durable, and how long a start takes to read a million of them.
//!
//! `cargo bench --bench coordinator`. The engine is asked directly, without sockets: what is measured is the log of groups.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot write has nothing to say")]

mod support;

use std::path::Path;
use std::sync::Arc;

use millrace::engine::api::group::{CommitOffsetsRequest, Committer, MemberName, OffsetToCommit};
use millrace::engine::api::{NewTopic, TopicRef};
use millrace::engine::config::Overrides;
use millrace::engine::{Engine, EngineConfig, ThreadPool};
use millrace::env::Env;
use millrace::types::BrokerId;
use support::timed;

/// Offsets in one request.
const OFFSETS: usize = 10;
/// Requests of each measure of commits.
const REQUESTS: usize = 20_000;
/// What the start is to read.
const REPLAYED: usize = 1_000_000;

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("MILLRACE_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("| durable commits of {OFFSETS} offsets | requests/s | offsets/s |\n|---|---:|---:|");
    runtime.block_on(async {
        let engine = open(directory.path());
        create(&engine).await;
        for at_once in [1, 16, 256] {
            let requests = if at_once == 1 { REQUESTS / 20 } else { REQUESTS };
            let took =
                committed(&engine, requests, at_once, |request| format!("group-{}", request % 500)).await;
            let rate = requests as f64 / took.as_secs_f64();
            println!("| {at_once} at once | {rate:.0} | {:.0} |", rate * OFFSETS as f64);
        }
    });
    for (title, groups) in [("of one partition each time, one group", 1), ("of 100,000 groups", 100_000)] {
        let directory = tempfile::tempdir_in(directory.path()).unwrap();
        runtime.block_on(async {
            let engine = open(directory.path());
            create(&engine).await;
            committed(&engine, REPLAYED / OFFSETS, 256, move |request| format!("group-{}", request % groups))
                .await;
            // No orderly end: the start scans and replays what is there.
        });
        let took = timed(|| {
            let engine = open(directory.path());
            while engine.find_coordinator("group-0").is_err() {
                std::thread::yield_now();
            }
        });
        println!("\n{REPLAYED} offset commits {title}: ready {:.2} s after a crash", took.as_secs_f64());
    }
}

fn open(directory: &Path) -> Arc<Engine> {
    let config = EngineConfig {
        data_dir: directory.join("data"),
        broker_id: BrokerId(1),
        settings: Overrides::new(),
        holder: "a bench".into(),
        shown_settings: Vec::new(),
        own_timer: true,
    };
    Engine::open(config, Env::system(), Arc::new(ThreadPool::new())).unwrap()
}

async fn create(engine: &Engine) {
    while engine.find_coordinator("any").is_err() {
        tokio::task::yield_now().await;
    }
    let new = NewTopic { name: "topic".into(), partitions: Some(100), ..NewTopic::default() };
    engine.create_topics(vec![new], false).await.remove(0).unwrap();
}

/// Commits so many requests, so many at a time; how long that took.
async fn committed(
    engine: &Arc<Engine>,
    requests: usize,
    at_once: usize,
    group: impl Fn(usize) -> String + Send + Sync + 'static,
) -> std::time::Duration {
    let group = Arc::new(group);
    let started = tokio::time::Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let (engine, group) = (Arc::clone(engine), Arc::clone(&group));
            tokio::spawn(async move {
                for request in (task..requests).step_by(at_once) {
                    let offsets = (0..OFFSETS).map(|index| OffsetToCommit {
                        topic: TopicRef::Name("topic".into()),
                        partition: i32::try_from((request * OFFSETS + index) % 100).unwrap(),
                        offset: i64::try_from(request).unwrap(),
                        leader_epoch: -1,
                        metadata: "".into(),
                    });
                    let commit = CommitOffsetsRequest {
                        group: group(request).into(),
                        committer: Committer {
                            name: MemberName { member: "".into(), instance: None },
                            generation: -1,
                            knows_epochs: false,
                        },
                        offsets: offsets.collect(),
                    };
                    let outcomes = engine.commit_offsets(commit).await.unwrap();
                    assert!(outcomes.iter().all(Result::is_ok));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}
