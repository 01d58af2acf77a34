//! `millrace topic`: create, list, describe, change and delete topics.

mod describe;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::broker::{self, BrokerArgs};
use super::exit;
use super::failure::Failure;
use crate::client::{Admin, ConfigChange, ConfigResource, Error, ErrorCode, NewTopic, TopicMetadata};

/// Options of `millrace topic`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create topics.
    #[command(after_help = "\
Examples:
  millrace topic create orders
  millrace topic create orders -p 8 -c retention.ms=86400000 -c cleanup.policy=delete --if-not-exists")]
    Create(CreateArgs),
    /// Print the names of all topics.
    List(ListArgs),
    /// Print partitions, offsets, the configs that differ from the defaults, and the groups that read it.
    Describe(describe::Args),
    /// Change configs, or add partitions.
    #[command(after_help = "\
Examples:
  millrace topic alter orders -c retention.ms=3600000
  millrace topic alter orders --reset retention.ms
  millrace topic alter orders -p 16")]
    Alter(AlterArgs),
    /// Delete topics with all their records.
    #[command(after_help = "\
Example:
  millrace topic delete orders --yes --if-exists")]
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The names: 1 to 249 letters, digits, dots, underscores and hyphens.
    #[arg(required = true)]
    topics: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// How many partitions; the broker's default when not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas; the broker's default when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A config, by Kafka's names; may be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = parse_config)]
    configs: Vec<(String, String)>,
    /// A topic that exists is no error; it stays as it is.
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether they could be created.
    #[arg(long)]
    validate_only: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Also those that belong to the broker itself.
    #[arg(long)]
    internal: bool,
    /// A JSON object per line, with id and partitions.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct AlterArgs {
    /// The name.
    topic: String,
    #[command(flatten)]
    broker: BrokerArgs,
    /// How many partitions from now on; records with keys may go to other partitions than before.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Set a config; may be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = parse_config)]
    configs: Vec<(String, String)>,
    /// Set a config back to its default; may be given several times.
    #[arg(long, value_name = "KEY")]
    reset: Vec<String>,
    /// Only check whether the configs could be changed.
    #[arg(long, conflicts_with = "partitions")]
    validate_only: bool,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The names.
    #[arg(required = true)]
    topics: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
}

/// Runs `millrace topic`.
pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Create(args) => broker::run(create(args)),
        Command::List(args) => broker::run(list(args)),
        Command::Describe(args) => broker::run(describe::run(args)),
        Command::Alter(args) => broker::run(alter(args)),
        Command::Delete(args) => broker::run(delete(args)),
    }
}

async fn create(args: &CreateArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.broker.connect().await?);
    let topics: Vec<NewTopic> = args
        .topics
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: args.partitions,
            replication_factor: args.replication_factor,
            configs: args.configs.clone(),
        })
        .collect();
    let created = admin.create_topics(&topics, args.validate_only).await?;
    first_failure(created.into_iter().map(|result| match result {
        Err(error) if args.if_not_exists && error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
        other => other.map(drop),
    }))
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let admin = Admin::new(&args.broker.connect().await?);
    let mut stdout = io::stdout().lock();
    for topic in admin.list_topics().await? {
        if topic.is_internal && !args.internal {
            continue;
        }
        if args.json {
            let line = json!({
                "topic": &*topic.name,
                "id": topic_id(&topic),
                "internal": topic.is_internal,
                "partitions": topic.partitions.len(),
            });
            writeln!(stdout, "{line}")?;
        } else {
            writeln!(stdout, "{}", topic.name)?;
        }
    }
    Ok(())
}

async fn alter(args: &AlterArgs) -> Result<(), Failure> {
    let sets = args.configs.iter().map(|(name, value)| ConfigChange::Set(name.clone(), value.clone()));
    let changes: Vec<ConfigChange> =
        sets.chain(args.reset.iter().cloned().map(ConfigChange::Reset)).collect();
    if changes.is_empty() && args.partitions.is_none() {
        return Err(Failure::usage("nothing to change: give --config, --reset or --partitions"));
    }
    let admin = Admin::new(&args.broker.connect().await?);
    if !changes.is_empty() {
        admin.alter_configs(&ConfigResource::Topic(args.topic.clone()), &changes, args.validate_only).await?;
    }
    if let Some(partitions) = args.partitions {
        admin.create_partitions(&args.topic, partitions).await?;
    }
    Ok(())
}

async fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    if !args.yes {
        confirm(&format!("Delete {} with all records?", args.topics.join(", ")))?;
    }
    let admin = Admin::new(&args.broker.connect().await?);
    let names: Vec<&str> = args.topics.iter().map(String::as_str).collect();
    let deleted = admin.delete_topics(&names).await?;
    first_failure(deleted.into_iter().map(|result| match result {
        Err(error) if args.if_exists && error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => Ok(()),
        other => other,
    }))
}

/// Asks on the terminal; without one, a script has to say `--yes`.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody to ask whether to delete: give --yes"));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().read_line(&mut answer));
    match asked {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new(exit::FAILED, "nothing was deleted")),
    }
}

/// Tells all failures and ends with the first one's code.
pub(super) fn first_failure(results: impl Iterator<Item = Result<(), Error>>) -> Result<(), Failure> {
    let mut first: Option<Failure> = None;
    for error in results.filter_map(Result::err) {
        let failure = Failure::from(error);
        match first {
            None => first = Some(failure),
            Some(_) => drop(failure.report()),
        }
    }
    first.map_or(Ok(()), Err)
}

pub(super) fn parse_config(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    if name.is_empty() {
        return Err("write KEY=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The id; none on clusters without.
fn topic_id(topic: &TopicMetadata) -> Option<String> {
    (!topic.id.is_zero()).then(|| topic.id.to_string())
}
