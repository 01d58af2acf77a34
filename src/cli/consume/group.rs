//! `millrace consume --group`: as a member of a group, from where the group is.
//!
//! A record counts as done once it is printed: what was handed out but not printed is not committed.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Args, Output, POLL, nobody_reads};
use crate::cli::exit;
use crate::cli::failure::{Failure, complain};
use crate::cli::position::Position;
use crate::cli::time::parse_duration;
use crate::client::{
    Admin, Assignor, Client, ConsumedRecord, ConsumerConfig, GroupConfig, GroupConsumer, GroupEvent,
    GroupProtocol, OffsetQuery, OffsetSpec, OutOfRange, StartAt, TopicPartition,
};
use crate::types::{Isolation, Offset};

/// Options that make a member of `consume`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "As a member of a group")]
pub(super) struct GroupArgs {
    /// Share the topics with the other members of this group, and go on where it has committed to be.
    #[arg(short = 'g', long, value_name = "GROUP", conflicts_with = "partitions")]
    pub(super) group: Option<String>,
    /// How the group divides its partitions: classic (among the members) or consumer (by the broker, KIP-848).
    #[arg(long, value_name = "PROTOCOL", default_value = "classic", value_parser = ["classic", "consumer"], requires = "group")]
    protocol: String,
    /// Read all topics whose whole name matches this regular expression, those to come included.
    #[arg(long, value_name = "REGEX", conflicts_with = "topics", requires = "group")]
    pub(super) pattern: Option<String>,
    /// A name that this member keeps over restarts, so that it gets its partitions back.
    #[arg(long, value_name = "NAME", requires = "group")]
    instance_id: Option<String>,
    /// How to divide: range, roundrobin or cooperative-sticky in the classic protocol, the broker's names in the other.
    #[arg(long, value_name = "NAME", requires = "group")]
    assignor: Option<String>,
    /// How long the broker waits for this member when it says nothing, in the classic protocol.
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = parse_duration, requires = "group")]
    session_timeout: Duration,
}

/// Reads as a member until there is nothing more to do or a signal comes; then commits and leaves.
pub(super) async fn consume(
    args: &Args,
    group_id: &str,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    let mut consumer = GroupConsumer::new(client, config(args, group_id)?);
    match &args.group.pattern {
        Some(pattern) => {
            consumer.subscribe_pattern(pattern).map_err(|error| Failure::usage(error.to_string()))?;
        }
        None => consumer.subscribe(&args.topics),
    }
    let followed = Follower { args, client, output, ends: None }.follow(&mut consumer).await;
    let closed = consumer.close().await.map_err(Failure::from);
    followed.and(closed)
}

fn config(args: &Args, group_id: &str) -> Result<GroupConfig, Failure> {
    let mut config = GroupConfig::new(group_id);
    config.group_instance_id.clone_from(&args.group.instance_id);
    config.session_timeout = args.group.session_timeout;
    // Three may get lost.
    config.heartbeat_interval = config.heartbeat_interval.min(config.session_timeout / 4);
    if args.group.protocol == "consumer" {
        config.protocol = GroupProtocol::Consumer;
        config.server_assignor.clone_from(&args.group.assignor);
    } else if let Some(assignor) = &args.group.assignor {
        config.assignors = vec![assignor.parse::<Assignor>().map_err(Failure::usage)?];
    }
    let isolation = if args.committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let out_of_range = match args.offset {
        Position::Beginning => OutOfRange::Beginning,
        Position::End => OutOfRange::End,
        _ => {
            return Err(Failure::usage(
                "a group goes on where it is; --offset says beginning or end, for partitions that it is new to \
                 (`millrace group reset` sends it elsewhere)",
            ));
        }
    };
    config.consumer = ConsumerConfig { isolation, out_of_range, ..ConsumerConfig::default() };
    Ok(config)
}

struct Follower<'a> {
    args: &'a Args,
    client: &'a Client,
    output: &'a Output,
    /// With `--exit`: where the partitions of this member ended when it got them, without those that were read that far;
    /// `None` before it got any.
    ends: Option<HashMap<TopicPartition, Offset>>,
}

// === impl Follower ===

impl Follower<'_> {
    async fn follow(&mut self, consumer: &mut GroupConsumer) -> Result<(), Failure> {
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut stdout = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let mut left = self.args.count.unwrap_or(u64::MAX);
        loop {
            if let Some(ends) = &mut self.ends {
                ends.retain(|(topic, partition), end| {
                    consumer.position(topic, *partition).is_some_and(|position| position < *end)
                });
            }
            let is_at_end = self.args.exit && self.ends.as_ref().is_some_and(HashMap::is_empty);
            if left == 0 || is_at_end || nobody_reads() {
                return Ok(());
            }
            let event = tokio::select! {
                event = consumer.next(POLL) => event?,
                _ = interrupt.recv() => return Err(Failure::silent(exit::INTERRUPTED)),
                _ = terminate.recv() => return Err(Failure::silent(exit::INTERRUPTED)),
            };
            match event {
                Some(GroupEvent::Records(records)) => {
                    self.print(consumer, &mut stdout, &records, &mut left).await?;
                }
                Some(GroupEvent::Assigned(partitions)) if self.args.exit => {
                    self.look_up_ends(partitions).await?;
                }
                Some(GroupEvent::Lost(partitions)) => {
                    complain(format_args!(
                        "lost {} partitions to other members of the group",
                        partitions.len()
                    ));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Prints records, as many as are left to be printed; the member's position stays behind the last one printed.
    async fn print(
        &self,
        consumer: &mut GroupConsumer,
        stdout: &mut impl Write,
        records: &[ConsumedRecord],
        left: &mut u64,
    ) -> Result<(), Failure> {
        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(records.len());
        let printed = records[..count].iter().try_for_each(|record| self.output.write(stdout, record));
        let printed = printed.and_then(|()| stdout.flush());
        *left -= count as u64;
        // Which of them have gone out before the failure nobody knows: rather once more than never.
        let first_undone = if printed.is_ok() { records.get(count) } else { records.first() };
        if let Some(record) = first_undone {
            let start = StartAt::Offset(record.offset);
            consumer.seek(&record.topic, record.partition, start).await?;
        }
        Ok(printed?)
    }

    async fn look_up_ends(&mut self, partitions: Vec<TopicPartition>) -> Result<(), Failure> {
        let isolation =
            if self.args.committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        let query = |(topic, partition): &TopicPartition| -> OffsetQuery {
            (Arc::clone(topic), *partition, OffsetSpec::Latest)
        };
        let queries: Vec<OffsetQuery> = partitions.iter().map(query).collect();
        let listed = Admin::new(self.client).list_offsets(&queries, isolation).await;
        let ends = self.ends.get_or_insert_default();
        for (key, listed) in partitions.into_iter().zip(listed) {
            ends.insert(key, listed?.offset.unwrap_or_default());
        }
        Ok(())
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(exit::FAILED, format!("cannot listen for signals: {error}")))
}
