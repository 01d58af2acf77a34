//! Batches of one size to partitions in turn, one in each request: the same requests whatever the number of partitions
//! is, which no client library sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millrace::env::Env;
use serde_json::Value;

use crate::Target;
use crate::measured::Meter;
use crate::raw::{Raw, batch, block_on};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Bytes of each batch, about.
    #[arg(long, default_value_t = 64 << 10)]
    batch_bytes: usize,
    /// Bytes of batches in all.
    #[arg(long, default_value_t = 400_000_000)]
    bytes: u64,
    /// Connections, each with one batch on its way at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

pub(crate) fn run(options: &Options) -> Value {
    options.target.create_topic();
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    // Of now, or retention takes them away.
    let now_ms = Env::system().clock.now_ms();
    let batch = batch(options.batch_bytes, now_ms);
    let size_bytes = batch.bytes().len() as u64;
    let records = u64::try_from(batch.header().record_count).unwrap();
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        connections.push(Raw::connect(&options.target.broker).await);
    }
    let count = options.bytes.div_ceil(size_bytes);
    let next = Arc::new(AtomicU64::new(0));
    let meter = Meter::start(options.target.pid);
    let sending: Vec<_> = connections
        .into_iter()
        .map(|raw| {
            let (target, batch) = (options.target.clone(), batch.bytes().clone());
            tokio::spawn(send(raw, target, batch, Arc::clone(&next), count))
        })
        .collect();
    for task in sending {
        task.await.unwrap();
    }
    meter.told(count * records, count * size_bytes)
}

/// Sends the batches whose turn it is until all `count` are sent.
async fn send(mut raw: Raw, target: Target, batch: Bytes, next: Arc<AtomicU64>, count: u64) {
    let partitions = u64::try_from(target.partitions).unwrap();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let partition = i32::try_from(number % partitions).unwrap();
        raw.produce(&target.topic, partition, batch.clone()).await;
    }
}
