//! One worker of the scaled-out reader, in a process of its own: a member of the group that judges samples.
//!
//! It says on stdout what it does, a line each, for whoever started it: what it has judged, what of it the group has
//! committed, and what it lost to others. It ends, after leaving the group, when its stdin does.

use std::io::Write as _;
use std::time::Duration;

use millrace::client::{Client, ClientConfig, GroupConfig, GroupConsumer, GroupEvent};
use tokio::sync::oneshot;

use crate::Error;
use crate::feed::Plan;
use crate::sample::Sample;

/// From this share of the processors on a sample is an alarm.
const BUSY_PERCENT: f64 = 90.0;

/// After how many samples a worker commits, and how long after the last one at the latest: a worker that is killed
/// leaves so much to be judged again.
const COMMIT_AFTER_SAMPLES: usize = 20;
const COMMIT_AFTER: Duration = Duration::from_millis(250);

/// What a worker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has judged the sample at this place.
    Judged { partition: i32, offset: i64, is_alarm: bool },
    /// The group has committed this offset, in this worker's name.
    Done { partition: i32, offset: i64 },
    /// The partition went to another worker before this one was done with it.
    Lost { partition: i32 },
}

/// Whether a sample is an alarm.
pub(crate) fn is_alarm(sample: &Sample) -> bool {
    sample.cpu_percent >= BUSY_PERCENT
}

/// Judges samples until stdin ends.
pub(crate) async fn run(plan: &Plan) -> Result<(), Error> {
    let client = connect(&plan.broker).await?;
    let mut config = GroupConfig::new(format!("{}-workers", plan.topic));
    config.protocol = plan.protocol;
    config.session_timeout = plan.session;
    config.heartbeat_interval = plan.session / 10;
    // The worker commits when a few samples are judged, and says so.
    config.auto_commit = None;
    let mut consumer = GroupConsumer::new(&client, config);
    consumer.subscribe(&[&plan.topic]);
    let (end, mut ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ended_or_broken = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        end.send(())
    });
    let (mut open, mut ends) = (0, false);
    loop {
        let event = tokio::select! {
            event = consumer.next(COMMIT_AFTER) => event?,
            _ = &mut ended, if !ends => {
                ends = true;
                None
            }
        };
        match event {
            Some(GroupEvent::Records(records)) => {
                for record in &records {
                    let sample =
                        serde_json::from_slice(record.value.as_deref().ok_or("a sample has a value")?)?;
                    let (partition, offset, is_alarm) = (record.partition, record.offset, is_alarm(&sample));
                    tell(Told::Judged { partition, offset, is_alarm })?;
                }
                open += records.len();
                if open < COMMIT_AFTER_SAMPLES && !ends {
                    continue;
                }
            }
            Some(GroupEvent::Lost(partitions)) => {
                for (_, partition) in partitions {
                    tell(Told::Lost { partition })?;
                }
            }
            // Others go on from what is committed before the worker comes back.
            Some(GroupEvent::Revoking(_)) | None => {}
            Some(_) => continue,
        }
        // Not before it knows what became of all that it judged: a commit that fails is followed by the news of why.
        if commit(&consumer).await? && ends {
            return Ok(consumer.close().await?);
        }
        open = 0;
    }
}

/// Commits what is judged; whether the group took it.
async fn commit(consumer: &GroupConsumer) -> Result<bool, Error> {
    let positions: Vec<(i32, i64)> = consumer
        .assignment()
        .into_iter()
        .filter_map(|(topic, partition)| Some((partition, consumer.position(&topic, partition)?)))
        .collect();
    match consumer.commit().await {
        Ok(()) => {
            positions
                .into_iter()
                .try_for_each(|(partition, offset)| tell(Told::Done { partition, offset }))?;
            Ok(true)
        }
        // The group went on without this worker, and the next event says what that cost.
        Err(error) => {
            eprintln!("worker: {error}");
            Ok(false)
        }
    }
}

/// A broker that is away is waited for: it may be the one that is killed.
async fn connect(broker: &str) -> Result<Client, Error> {
    loop {
        match Client::connect(ClientConfig::new(broker)?).await {
            Ok(client) => return Ok(client),
            Err(error) if error.is_retriable() => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell(told: Told) -> Result<(), Error> {
    let line = match told {
        Told::Judged { partition, offset, is_alarm } => format!("judged {partition} {offset} {is_alarm}"),
        Told::Done { partition, offset } => format!("done {partition} {offset}"),
        Told::Lost { partition } => format!("lost {partition}"),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

impl std::str::FromStr for Told {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words[..] {
            ["judged", partition, offset, is_alarm] => Self::Judged {
                partition: partition.parse()?,
                offset: offset.parse()?,
                is_alarm: is_alarm.parse()?,
            },
            ["done", partition, offset] => {
                Self::Done { partition: partition.parse()?, offset: offset.parse()? }
            }
            ["lost", partition] => Self::Lost { partition: partition.parse()? },
            _ => return Err(format!("a worker said {line:?}").into()),
        })
    }
}
