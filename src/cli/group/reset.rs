//! `millrace group reset`: where a group goes on when its members come back.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;

use super::active;
use super::partitions::TopicPartitions;
use super::plan::{Goal, Step, parse_csv, plan};
use crate::cli::broker::BrokerArgs;
use crate::cli::exit;
use crate::cli::failure::{Failure, complain};
use crate::cli::position::Position;
use crate::cli::topic::first_failure;
use crate::client::{Admin, CommittedOffset, ErrorCode, TopicPartition};

/// Options of `millrace group reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace group reset billing -t orders --to beginning --dry-run
  millrace group reset billing -t orders:0,3 --to 4200
  millrace group reset billing --all-topics --to @2026-01-01T00:00:00Z
  millrace group reset billing --all-topics --shift-by -100
  millrace group reset billing --all-topics --to current --dry-run --csv > billing.csv
  millrace group reset billing --from-file billing.csv")]
#[command(group = clap::ArgGroup::new("goal").required(true).args(["to", "shift_by", "from_file"]))]
#[command(group = clap::ArgGroup::new("scope").args(["topics", "all_topics", "from_file"]))]
pub(super) struct Args {
    /// The group.
    group: String,
    #[command(flatten)]
    broker: BrokerArgs,
    /// A topic, or partitions of it (orders:0,3); may be given several times.
    #[arg(short, long = "topic", value_name = "TOPIC[:PARTITIONS]")]
    topics: Vec<TopicPartitions>,
    /// All partitions that the group has committed an offset of.
    #[arg(long)]
    all_topics: bool,
    /// Where to go: beginning, end, OFFSET, -N (the last N of each partition), @TIME (as in consume), or current.
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    to: Option<To>,
    /// Go so many offsets on or, with a minus, back.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// Go where the lines of this file say: TOPIC,PARTITION,OFFSET; - for stdin.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Print TOPIC,PARTITION,OFFSET lines, which --from-file reads.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print a JSON object per partition and line.
    #[arg(long)]
    json: bool,
}

/// The value of `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Position(Position),
    Current,
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "current" { Ok(Self::Current) } else { text.parse().map(Self::Position) }
    }
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let goal = args.goal()?;
    let client = args.broker.connect().await?;
    let admin = Admin::new(&client);
    match admin.describe_group(&args.group).await {
        Ok(group) if !group.members.is_empty() && args.dry_run => complain(active(&group)),
        Ok(group) if !group.members.is_empty() => return Err(Failure::new(exit::REFUSED, active(&group))),
        Ok(_) => {}
        // The reset makes it.
        Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {}
        Err(error) => return Err(error.into()),
    }
    let committed: HashMap<TopicPartition, CommittedOffset> =
        admin.list_group_offsets(&args.group).await?.into_iter().collect();
    let partitions = match &goal {
        Goal::Listed(offsets) => {
            let each = |((topic, partition), _): &(TopicPartition, _)| TopicPartitions {
                topic: topic.to_string(),
                partitions: vec![*partition],
            };
            TopicPartitions::resolve(&offsets.iter().map(each).collect::<Vec<_>>(), &client).await?
        }
        _ if args.all_topics => {
            let mut keys: Vec<TopicPartition> = committed.keys().cloned().collect();
            keys.sort_unstable();
            keys
        }
        _ => TopicPartitions::resolve(&args.topics, &client).await?,
    };
    if partitions.is_empty() {
        let why = format!("nothing to reset: group {} has committed no offsets there", args.group);
        return Err(Failure::new(exit::NOT_FOUND, why));
    }
    let steps = plan(&admin, &committed, &partitions, &goal).await?;
    if !args.dry_run {
        let offsets: Vec<(TopicPartition, CommittedOffset)> =
            steps.iter().map(|step| (step.partition.clone(), CommittedOffset::new(step.to))).collect();
        let answers = admin.alter_group_offsets(&args.group, &offsets).await?;
        first_failure(answers.into_iter())?;
    }
    args.print(&steps)
}

// === impl Args ===

impl Args {
    fn goal(&self) -> Result<Goal, Failure> {
        if let Some(path) = &self.from_file {
            let name = path.display().to_string();
            let text = if name == "-" {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).map(|_| text)
            } else {
                std::fs::read_to_string(path)
            };
            return Ok(Goal::Listed(parse_csv(
                &name,
                &text.map_err(|error| Failure::input(&name, &error))?,
            )?));
        }
        if self.topics.is_empty() && !self.all_topics {
            return Err(Failure::usage("say which partitions: give --topic or --all-topics"));
        }
        Ok(match (self.to, self.shift_by) {
            (_, Some(count)) => Goal::ShiftBy(count),
            (Some(To::Position(position)), None) => Goal::To(position),
            (Some(To::Current) | None, None) => Goal::Current,
        })
    }

    fn print(&self, steps: &[Step]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let width = steps.iter().map(|step| step.partition.0.chars().count()).max().unwrap_or(0).max(5);
        if !self.csv && !self.json {
            writeln!(stdout, "{:<width$} {:>9} {:>14} {:>14}", "topic", "partition", "from", "to")?;
        }
        for Step { partition: (topic, partition), from, to } in steps {
            if self.csv {
                writeln!(stdout, "{topic},{partition},{to}")?;
            } else if self.json {
                let line = json!({ "topic": &**topic, "partition": partition, "from": from, "to": to });
                writeln!(stdout, "{line}")?;
            } else {
                let from = from.map_or_else(|| "-".to_owned(), |from| from.to_string());
                writeln!(stdout, "{topic:<width$} {partition:>9} {from:>14} {to:>14}")?;
            }
        }
        Ok(())
    }
}
