//! The whole feed: the producer, both consumers and the workers, until all have seen the last sample.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace::client::{
    Admin, Client, Consumer, ConsumerConfig, ErrorCode, GroupProtocol, NewTopic, OffsetSpec, StartAt,
};
use millrace::types::Isolation;
use tokio::sync::watch;

use crate::sample::Sample;
use crate::workers::{self, Workers};
use crate::{Error, chart, producer, table};

/// Partitions of the topic, where it does not exist yet: enough for the workers to share.
const PARTITIONS: i32 = 6;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where the broker is.
    pub(crate) broker: String,
    pub(crate) topic: String,
    pub(crate) workers: usize,
    pub(crate) protocol: GroupProtocol,
    /// How long the partitions of a worker that was killed wait; in the consumer protocol the broker says.
    pub(crate) session: Duration,
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

/// What each of them saw of this run, in order of partition and offset.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) acknowledged: Vec<Placed>,
    pub(crate) table: Vec<Placed>,
    pub(crate) chart: Vec<Placed>,
    pub(crate) workers: Workers,
    /// Where the run began in each partition.
    starts: BTreeMap<i32, i64>,
}

/// Where the consumers have to get to: the run's last acknowledged offset of each partition, once it is known.
pub(crate) type Finish = watch::Receiver<Option<Arc<Vec<(i32, i64)>>>>;

// === impl Record ===

impl Record {
    /// Both consumers must have seen exactly what was acknowledged, and the workers must have judged it.
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
        self.workers.check(&self.acknowledged, &self.starts)
    }
}

// === impl Plan ===

impl Plan {
    pub(crate) fn protocol_name(&self) -> &'static str {
        match self.protocol {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
        }
    }
}

/// Runs the feed for the plan's duration.
pub(crate) async fn run(client: &Client, plan: &Plan) -> Result<Record, Error> {
    std::fs::create_dir_all(&plan.out)?;
    make_topic(client, &plan.topic).await?;
    let producer = producer::open(client, &plan.topic).await?;
    // The consumers start at the topic's end, before the first sample.
    let starts = ends(client, &plan.topic).await?;
    let (all, acknowledged) = watch::channel(None);
    let workers = tokio::spawn(workers::run(plan.clone(), acknowledged));
    let (finish, finished) = watch::channel(None);
    let table = tokio::spawn(table::run(consumer(client, plan).await?, finished.clone()));
    let chart = tokio::spawn(chart::run(consumer(client, plan).await?, finished, plan.out.clone()));
    let mut acknowledged = producer::run(producer, plan).await?;
    acknowledged.sort();
    finish.send_replace(Some(Arc::new(last_offsets(&acknowledged))));
    all.send_replace(Some(acknowledged.clone()));
    let (table, chart, workers) = (table.await??, chart.await??, workers.await??);
    let mut record = Record { acknowledged, table, chart, workers, starts };
    record.table.sort();
    record.chart.sort();
    Ok(record)
}

async fn make_topic(client: &Client, name: &str) -> Result<(), Error> {
    let topic = NewTopic::new(name).partitions(PARTITIONS);
    for created in Admin::new(client).create_topics(&[topic], false).await? {
        match created {
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Where each partition ends now.
async fn ends(client: &Client, name: &str) -> Result<BTreeMap<i32, i64>, Error> {
    let topic = client.topic(name).await?;
    let partitions: Vec<i32> = topic.partitions.iter().map(|found| found.partition).collect();
    let query = |partition: &i32| (Arc::clone(&topic.name), *partition, OffsetSpec::Latest);
    let queries: Vec<_> = partitions.iter().map(query).collect();
    let listed = Admin::new(client).list_offsets(&queries, Isolation::ReadUncommitted).await;
    let mut ends = BTreeMap::new();
    for (partition, listed) in partitions.into_iter().zip(listed) {
        ends.insert(partition, listed?.offset.unwrap_or_default());
    }
    Ok(ends)
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
