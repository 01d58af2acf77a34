//! `millrace consume`: records on stdout, of one topic from where the user says, or as a member of a group.

mod group;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use self::group::GroupArgs;
use super::broker::{self, BrokerArgs};
use super::failure::Failure;
use super::format::{Format, FormatOptions, TOKENS_HELP};
use super::json;
use super::position::Position;
use crate::client::{
    Admin, Client, ConsumedRecord, Consumer, ConsumerConfig, Error, OffsetQuery, OffsetSpec, OutOfRange,
    StartAt,
};
use crate::types::{Isolation, Offset};

/// How long one poll waits; only decides how soon an end is noticed.
const POLL: Duration = Duration::from_millis(200);

/// Options of `millrace consume`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  millrace consume orders                          all records, and those to come
  millrace consume orders -e -o -10                the last ten of each partition
  millrace consume orders -o @5m                   since five minutes ago
  millrace consume orders -p 0 -o 42 -c 1 --raw    one value, byte for byte
  millrace consume orders -e -f '%T %p:%o %k=%s\\n'
  millrace consume orders -e --json | millrace produce copy --json
  millrace consume orders payments -g billing      shared with the other members of the group
  millrace consume --pattern 'orders-.*' -g billing --protocol consumer

With --group, positions are committed every five seconds and at the end, also when Ctrl-C or SIGTERM ends it; a record
counts as done once it is printed. With --exit too, the end is that of the partitions which this member was given.

Format tokens:
{TOKENS_HELP}"))]
pub(super) struct Args {
    /// The topic; with --group, one or several.
    #[arg(required_unless_present = "pattern", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    group: GroupArgs,
    /// Where to start: beginning, end, OFFSET (must exist where -p names the partition, else the nearest that does),
    /// -N (the last N of each partition), or @TIME (ms since 1970, RFC 3339, or how long ago: 5m, 1h30m, 7d). With
    /// --group only beginning and end, for partitions that the group has committed no offset of.
    #[arg(short, long, value_name = "POSITION", default_value = "beginning", allow_hyphen_values = true)]
    offset: Position,
    /// Only this partition; may be given several times.
    #[arg(short, long = "partition", value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Stop at the end, as it is at the start of the command.
    #[arg(short, long)]
    exit: bool,
    /// Stop after this many records.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Print records in this format, see below.
    #[arg(short, long, value_name = "FORMAT", default_value = "%s\\n", conflicts_with_all = ["json", "raw"])]
    format: String,
    /// Print each record as a line of JSON.
    #[arg(long)]
    json: bool,
    /// With --json: all keys, values and header values as base64, not only those that are not text.
    #[arg(long, requires = "json")]
    base64: bool,
    /// Print values as they are, with nothing between them.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print null keys and values as NULL, not as nothing.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Leave out records of transactions that are open or were aborted.
    #[arg(long)]
    committed: bool,
}

/// How records are printed.
enum Output {
    Format(Format, FormatOptions),
    Json { all_base64: bool },
    Raw,
}

/// Runs `millrace consume`.
pub(super) fn run(args: &Args) -> ExitCode {
    broker::run(consume(args))
}

async fn consume(args: &Args) -> Result<(), Failure> {
    let output = args.output()?;
    let client = args.broker.connect().await?;
    if let Some(group_id) = &args.group.group {
        return group::consume(args, group_id, &client, &output).await;
    }
    let [topic] = &args.topics[..] else {
        return Err(Failure::usage("several topics need a group to read them: give --group"));
    };
    let isolation = if args.committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let partitions = partitions(args, topic, &client).await?;

    let topic: Arc<str> = Arc::from(topic.as_str());
    let mut ends = HashMap::new();
    if args.exit {
        ends = listed(&client, &topic, &partitions, OffsetSpec::Latest, isolation).await?;
    }
    let starts = starts(args, &client, &topic, &partitions, isolation).await?;
    for &(partition, start) in &starts {
        // With an end to stop at, a start beyond it would never be fetched, so the broker could not refuse it.
        if let (StartAt::Offset(offset), Some(&end)) = (start, ends.get(&partition))
            && offset > end
        {
            return Err(Error::OffsetOutOfRange { topic: topic.to_string(), partition, offset }.into());
        }
    }
    let config = ConsumerConfig {
        isolation,
        // An offset that the user named must exist. For the others only a log that moves meanwhile can pass them by.
        out_of_range: match args.offset {
            Position::At(_) => OutOfRange::Error,
            Position::End => OutOfRange::End,
            _ => OutOfRange::Beginning,
        },
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(&client, config);
    consumer.assign(&topic, &starts).await?;

    let mut left = args.count.unwrap_or(u64::MAX);
    let mut stdout = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    loop {
        if args.exit {
            ends.retain(|&partition, &mut end| {
                let is_behind = consumer.position(&topic, partition).is_some_and(|position| position < end);
                if !is_behind {
                    consumer.unassign(&topic, partition);
                }
                is_behind
            });
        }
        if left == 0 || args.exit && ends.is_empty() || nobody_reads() {
            return Ok(());
        }
        for record in consumer.poll(POLL).await? {
            let is_beyond = args.exit && ends.get(&record.partition).is_none_or(|&end| record.offset >= end);
            if left > 0 && !is_beyond {
                output.write(&mut stdout, &record)?;
                left -= 1;
            }
        }
        // Whoever waits for a record sees it as soon as it comes; a busy topic fills the buffer in between.
        stdout.flush()?;
    }
}

/// Whether the reader of stdout has gone (`| head -1`). Without a look, that would show only at the next record.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let looked = rustix::event::poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    looked.is_ok() && watched[0].revents().contains(PollFlags::ERR)
}

/// The partitions to read.
async fn partitions(args: &Args, name: &str, client: &Client) -> Result<Vec<i32>, Failure> {
    let topic = client.topic(name).await?;
    if args.partitions.is_empty() {
        return Ok(topic.partitions.iter().map(|found| found.partition).collect());
    }
    for &partition in &args.partitions {
        if topic.partition(partition).is_none() {
            let (topic, count) = (name.to_owned(), topic.partitions.len());
            return Err(Error::UnknownPartition { topic, partition, count }.into());
        }
    }
    let mut partitions = args.partitions.clone();
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

/// Where to start in each partition.
async fn starts(
    args: &Args,
    client: &Client,
    topic: &Arc<str>,
    partitions: &[i32],
    isolation: Isolation,
) -> Result<Vec<(i32, StartAt)>, Failure> {
    let same = |start| Ok(partitions.iter().map(|&partition| (partition, start)).collect());
    match args.offset {
        Position::Beginning => same(StartAt::Beginning),
        Position::End => same(StartAt::End),
        Position::At(offset) if !args.partitions.is_empty() => same(StartAt::Offset(offset)),
        Position::At(offset) => {
            let first = listed(client, topic, partitions, OffsetSpec::Earliest, isolation).await?;
            let ends = listed(client, topic, partitions, OffsetSpec::Latest, isolation).await?;
            let start = |partition| offset.min(ends[partition]).max(first[partition]);
            Ok(partitions.iter().map(|partition| (*partition, StartAt::Offset(start(partition)))).collect())
        }
        Position::Since(timestamp_ms) => same(StartAt::Timestamp(timestamp_ms)),
        Position::Last(count) => {
            let first = listed(client, topic, partitions, OffsetSpec::Earliest, isolation).await?;
            let ends = listed(client, topic, partitions, OffsetSpec::Latest, isolation).await?;
            let start = |partition| (ends[partition] - count).max(first[partition]);
            Ok(partitions.iter().map(|partition| (*partition, StartAt::Offset(start(partition)))).collect())
        }
    }
}

/// One kind of offset of each partition.
async fn listed(
    client: &Client,
    topic: &Arc<str>,
    partitions: &[i32],
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<HashMap<i32, Offset>, Error> {
    let query = |&partition| -> OffsetQuery { (Arc::clone(topic), partition, spec) };
    let queries: Vec<OffsetQuery> = partitions.iter().map(query).collect();
    let answers = Admin::new(client).list_offsets(&queries, isolation).await;
    let offset_of = |(&partition, listed): (_, Result<crate::client::ListedOffset, Error>)| {
        Ok((partition, listed?.offset.unwrap_or_default()))
    };
    partitions.iter().zip(answers).map(offset_of).collect()
}

// === impl Args ===

impl Args {
    fn output(&self) -> Result<Output, Failure> {
        if self.json {
            return Ok(Output::Json { all_base64: self.base64 });
        }
        if self.raw {
            return Ok(Output::Raw);
        }
        let format = Format::parse(&self.format).map_err(Failure::usage)?;
        Ok(Output::Format(format, FormatOptions { show_null: self.null }))
    }
}

// === impl Output ===

impl Output {
    fn write(&self, out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
        match self {
            Self::Format(format, options) => format.write(out, record, *options),
            Self::Json { all_base64 } => writeln!(out, "{}", json::line_of(record, *all_base64)),
            Self::Raw => out.write_all(record.value.as_deref().unwrap_or_default()),
        }
    }
}
