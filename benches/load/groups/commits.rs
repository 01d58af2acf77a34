//! Offset commits: many connections, each waiting for one commit before it sends the next.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Crowd;
use crate::Target;
use crate::measured::Period;
use crate::raw::{Raw, block_on};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    crowd: Crowd,
}

pub(crate) fn run(options: &Options) -> Value {
    options.crowd.target.create_topic();
    block_on(measure(&options.crowd))
}

async fn measure(crowd: &Crowd) -> Value {
    let client = |group, period| commit(crowd.target.clone(), group, period);
    let (results, cpu_seconds) = crowd.run("commits", client).await;
    let mut micros = Histogram::<u64>::new(3).unwrap();
    results.into_iter().for_each(|one| micros.add(one).unwrap());
    let count = micros.len() as f64;
    json!({
        "commits_per_second": count / crowd.window.seconds,
        "cpu_seconds_per_million": cpu_seconds * 1e6 / count,
        "p50_ms": micros.value_at_percentile(50.0) as f64 / 1e3,
        "p99_ms": micros.value_at_percentile(99.0) as f64 / 1e3,
    })
}

/// One commit after the other; the times of those that ended in the period.
async fn commit(target: Target, group: String, period: Period) -> Histogram<u64> {
    let mut raw = Raw::connect(&target.broker).await;
    let mut micros = Histogram::new(3).unwrap();
    for offset in 0.. {
        let sent = Instant::now();
        raw.commit(&group, &target.topic, offset).await;
        let answered = Instant::now();
        if answered >= period.end {
            break;
        }
        if period.contains(answered) {
            micros.record(u64::try_from((answered - sent).as_micros()).unwrap()).unwrap();
        }
    }
    micros
}
