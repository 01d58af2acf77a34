//! `millrace group lag`: how far groups are behind.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ShowArgs, name_of};
use crate::cli::failure::Failure;
use crate::client::{Admin, ErrorCode, GroupDescription, PartitionLag};

/// Options of `millrace group lag`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace group lag                  one line for each group
  millrace group lag billing          one line for each of its partitions
  millrace group lag billing --json | jq .lag")]
pub(super) struct Args {
    /// The groups, each in full; without any, a line for each group there is.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    show: ShowArgs,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let admin = args.show.admin().await?;
    if args.groups.is_empty() { all(args, &admin).await } else { named(args, &admin).await }
}

/// Each partition of the groups that were named.
async fn named(args: &Args, admin: &Admin) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    for (index, group_id) in args.groups.iter().enumerate() {
        let group = admin.describe_group(group_id).await?;
        let partitions = admin.group_lag(&group).await?;
        let json = || lag_json(&group, &partitions);
        args.show.print(&mut stdout, index, json, |out| print_lag(out, &group, &partitions))?;
    }
    Ok(())
}

/// A line for each group that shares topics.
async fn all(args: &Args, admin: &Admin) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    for listing in admin.list_groups(&[]).await? {
        if !listing.shares_topics() {
            continue;
        }
        let group = match admin.describe_group(&listing.group_id).await {
            Ok(group) => group,
            // Deleted since it was listed.
            Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => continue,
            Err(error) => return Err(error.into()),
        };
        let partitions = admin.group_lag(&group).await?;
        // No empty lines between them: each is one.
        args.show.print(
            &mut stdout,
            0,
            || lag_json(&group, &partitions),
            |out| {
                let (count, members, lag) = (partitions.len(), group.members.len(), total(&partitions));
                writeln!(
                    out,
                    "{}  {}  members {members}  partitions {count}  lag {lag}",
                    group.group_id, group.state
                )
            },
        )?;
    }
    Ok(())
}

/// All lags that are known.
fn total(partitions: &[PartitionLag]) -> i64 {
    partitions.iter().filter_map(PartitionLag::lag).sum()
}

fn lag_json(group: &GroupDescription, partitions: &[PartitionLag]) -> Value {
    let lines: Vec<Value> = partitions.iter().map(|partition| partition_json(group, partition)).collect();
    json!({
        "group": group.group_id,
        "type": group.group_type,
        "state": group.state,
        "lag": total(partitions),
        "partitions": lines,
    })
}

/// One partition's line; `topic describe` prints the same.
pub(in crate::cli) fn partition_json(group: &GroupDescription, partition: &PartitionLag) -> Value {
    let member = partition.member.and_then(|index| group.members.get(index));
    let committed = partition.committed.as_ref();
    json!({
        "topic": &*partition.partition.0,
        "partition": partition.partition.1,
        "committed": committed.map(|committed| committed.offset),
        "leader_epoch": committed.and_then(|committed| committed.leader_epoch),
        "metadata": committed.map(|committed| committed.metadata.as_str()).filter(|text| !text.is_empty()),
        "end": partition.end,
        "lag": partition.lag(),
        "member_id": member.map(|member| member.member_id.as_str()),
        "instance_id": member.and_then(|member| member.instance_id.as_deref()),
        "client_id": member.map(|member| member.client_id.as_str()),
        "host": member.map(|member| member.client_host.as_str()),
    })
}

fn print_lag(out: &mut impl Write, group: &GroupDescription, partitions: &[PartitionLag]) -> io::Result<()> {
    writeln!(out, "{}  {}  lag {}", group.group_id, group.state, total(partitions))?;
    let width = partitions.iter().map(|each| each.partition.0.chars().count()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "  {:<width$} {:>9} {:>14} {:>14} {:>12}  member",
        "topic", "partition", "committed", "end", "lag"
    )?;
    let shown = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for each in partitions {
        let member = each.member.and_then(|index| group.members.get(index)).map_or("-", name_of);
        writeln!(
            out,
            "  {:<width$} {:>9} {:>14} {:>14} {:>12}  {member}",
            each.partition.0,
            each.partition.1,
            shown(each.committed.as_ref().map(|committed| committed.offset)),
            shown(each.end),
            shown(each.lag()),
        )?;
    }
    Ok(())
}
