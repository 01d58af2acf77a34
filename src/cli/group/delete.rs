//! `millrace group delete`: groups, or some of their committed offsets.

use std::io::{self, Write};

use super::active;
use super::partitions::TopicPartitions;
use crate::cli::broker::BrokerArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::topic::{confirm, first_failure};
use crate::client::{Admin, Client, Error, ErrorCode, GroupDescription, TopicPartition};

/// Options of `millrace group delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace group delete billing --yes
  millrace group delete billing -t orders --dry-run     only its committed offsets of one topic")]
pub(super) struct Args {
    /// The groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Delete only the committed offsets of a topic, or of partitions of it (orders:0,3); may be given several times.
    #[arg(short, long = "topic", value_name = "TOPIC[:PARTITIONS]")]
    topics: Vec<TopicPartitions>,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// A group that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
    /// Only show what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    if !args.yes && !args.dry_run {
        let what = if args.topics.is_empty() { "all committed offsets" } else { "these committed offsets" };
        confirm(&format!("Delete {what} of {}?", args.groups.join(", ")))?;
    }
    let client = args.broker.connect().await?;
    let admin = Admin::new(&client);
    let mut groups = Vec::with_capacity(args.groups.len());
    for group_id in &args.groups {
        match admin.describe_group(group_id).await {
            Ok(group) => groups.push(group),
            Err(error) if args.if_exists && error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if args.topics.is_empty() {
        delete_groups(args, &admin, &groups).await
    } else {
        delete_offsets(args, &client, &groups).await
    }
}

async fn delete_groups(args: &Args, admin: &Admin, groups: &[GroupDescription]) -> Result<(), Failure> {
    // Nothing is deleted when one of them cannot be.
    if let Some(group) = groups.iter().find(|group| !group.members.is_empty()) {
        return Err(Failure::new(exit::REFUSED, active(group)));
    }
    let names: Vec<&str> = groups.iter().map(|group| group.group_id.as_str()).collect();
    if args.dry_run {
        let mut stdout = io::stdout().lock();
        for group_id in names {
            let count = admin.list_group_offsets(group_id).await?.len();
            writeln!(stdout, "{group_id}  {count} committed offsets")?;
        }
        return Ok(());
    }
    let is_gone = |error: &Error| args.if_exists && error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND);
    let deleted = admin.delete_groups(&names).await;
    first_failure(deleted.into_iter().map(|result| match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }))
}

async fn delete_offsets(args: &Args, client: &Client, groups: &[GroupDescription]) -> Result<(), Failure> {
    let admin = Admin::new(client);
    for group in groups {
        let committed = admin.list_group_offsets(&group.group_id).await?;
        // By what is committed, not by what exists: the topic may be gone already.
        let is_chosen = |(topic, partition): &TopicPartition| {
            args.topics.iter().any(|chosen| {
                chosen.topic == **topic
                    && (chosen.partitions.is_empty() || chosen.partitions.contains(partition))
            })
        };
        let keys: Vec<TopicPartition> = committed.into_iter().map(|(key, _)| key).filter(is_chosen).collect();
        if args.dry_run {
            let mut stdout = io::stdout().lock();
            for (topic, partition) in &keys {
                writeln!(stdout, "{}  {topic} {partition}", group.group_id)?;
            }
        } else if !keys.is_empty() {
            first_failure(admin.delete_group_offsets(&group.group_id, &keys).await?.into_iter())?;
        }
    }
    Ok(())
}
