//! One topic for many groups: each reads it from its beginning to its end, again and again, and commits once a second.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Crowd;
use crate::Target;
use crate::measured::Period;
use crate::raw::{Raw, block_on, end_of};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,
    /// Bytes that one response may bring.
    #[arg(long, default_value_t = 1 << 20)]
    fetch_bytes: i32,
}

pub(crate) fn run(options: &Options) -> Value {
    block_on(measure(options))
}

async fn measure(options: &Options) -> Value {
    let crowd = &options.crowd;
    let client = |group, period| read(crowd.target.clone(), options.fetch_bytes, group, period);
    let (bytes, cpu_seconds) = crowd.run("fanout", client).await;
    let gigabytes = bytes.into_iter().sum::<u64>() as f64 / 1e9;
    json!({
        "megabytes_per_second": gigabytes * 1e3 / crowd.window.seconds,
        "cpu_seconds_per_gb": cpu_seconds / gigabytes,
    })
}

/// Reads partition 0 until the period is over; the bytes of records that came in it.
async fn read(target: Target, fetch_bytes: i32, group: String, period: Period) -> u64 {
    let mut raw = Raw::connect(&target.broker).await;
    let (mut offset, mut bytes, mut committed_at) = (0, 0, Instant::now());
    while Instant::now() < period.end {
        let came = raw.fetch(&target.topic, [(0, offset)].into_iter(), fetch_bytes).await;
        let records = came.into_iter().next().map(|(_, records)| records).unwrap_or_default();
        if period.contains(Instant::now()) {
            bytes += records.len() as u64;
        }
        // At the end of the topic it begins again.
        offset = end_of(&records).unwrap_or(0);
        if committed_at.elapsed() >= Duration::from_secs(1) {
            committed_at = Instant::now();
            raw.commit(&group, &target.topic, offset).await;
        }
    }
    bytes
}
