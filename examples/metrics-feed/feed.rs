//! The whole feed: the producer and both consumers, until all have seen the last sample.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace::client::{Client, Consumer, ConsumerConfig, StartAt};
use tokio::sync::watch;

use crate::sample::Sample;
use crate::{Error, chart, producer, table};

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) topic: String,
    pub(crate) duration: Duration,
    pub(crate) interval: Duration,
    /// Where the CSV and the chart go.
    pub(crate) out: PathBuf,
}

/// A record as the producer was told of it, or as a consumer read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: String,
}

/// What each of the three saw of this run, in order of partition and offset.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) acknowledged: Vec<Placed>,
    pub(crate) table: Vec<Placed>,
    pub(crate) chart: Vec<Placed>,
}

/// Where the consumers have to get to: the run's last acknowledged offset of each partition, once it is known.
pub(crate) type Finish = watch::Receiver<Option<Arc<Vec<(i32, i64)>>>>;

// === impl Record ===

impl Record {
    /// Both consumers must have seen exactly what was acknowledged.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.acknowledged.is_empty() {
            return Err("no sample was acknowledged".into());
        }
        for (name, seen) in [("table", &self.table), ("chart", &self.chart)] {
            if *seen != self.acknowledged {
                let missing = self.acknowledged.iter().find(|placed| seen.binary_search(placed).is_err());
                let surplus = seen.iter().find(|placed| self.acknowledged.binary_search(placed).is_err());
                return Err(format!(
                    "the {name} saw {} records, {} were acknowledged; first missing {missing:?}, first surplus {surplus:?}",
                    seen.len(),
                    self.acknowledged.len()
                )
                .into());
            }
        }
        Ok(())
    }
}

/// Runs the feed for the plan's duration.
pub(crate) async fn run(client: &Client, plan: &Plan) -> Result<Record, Error> {
    std::fs::create_dir_all(&plan.out)?;
    // Looking the topic up through a producer makes it where it does not exist yet; then the consumers can start
    // at its end, before the first sample.
    let producer = producer::open(client, &plan.topic).await?;
    let (finish, finished) = watch::channel(None);
    let table = tokio::spawn(table::run(consumer(client, plan).await?, finished.clone()));
    let chart = tokio::spawn(chart::run(consumer(client, plan).await?, finished, plan.out.clone()));
    let mut acknowledged = producer::run(producer, plan).await?;
    acknowledged.sort();
    finish.send_replace(Some(Arc::new(last_offsets(&acknowledged))));
    let mut record = Record { acknowledged, table: table.await??, chart: chart.await?? };
    record.table.sort();
    record.chart.sort();
    Ok(record)
}

async fn consumer(client: &Client, plan: &Plan) -> Result<Consumer, Error> {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign_topic(&plan.topic, StartAt::End).await?;
    Ok(consumer)
}

fn last_offsets(sorted: &[Placed]) -> Vec<(i32, i64)> {
    let mut last: Vec<(i32, i64)> = Vec::new();
    for placed in sorted {
        match last.last_mut() {
            Some((partition, offset)) if *partition == placed.partition => *offset = placed.offset,
            _ => last.push((placed.partition, placed.offset)),
        }
    }
    last
}

/// Reads records until the finish is known and reached, handing each sample on.
pub(crate) async fn follow(
    mut consumer: Consumer,
    mut finish: Finish,
    mut on_sample: impl FnMut(&Sample) -> Result<(), Error>,
) -> Result<Vec<Placed>, Error> {
    let mut seen: Vec<Placed> = Vec::new();
    loop {
        if finish.borrow().as_ref().is_some_and(|goal| reached(goal, &seen)) {
            return Ok(seen);
        }
        let records = tokio::select! {
            records = consumer.poll(Duration::from_secs(60)) => records?,
            changed = finish.changed() => {
                changed.map_err(|_| "the producer failed")?;
                continue;
            }
        };
        for record in records {
            let value = record.value.ok_or("a sample has a value")?;
            on_sample(&serde_json::from_slice(&value)?)?;
            seen.push(Placed {
                partition: record.partition,
                offset: record.offset,
                value: String::from_utf8(value.to_vec())?,
            });
        }
    }
}

fn reached(goal: &[(i32, i64)], seen: &[Placed]) -> bool {
    goal.iter().all(|(partition, offset)| {
        seen.iter().rev().any(|placed| placed.partition == *partition && placed.offset >= *offset)
    })
}
