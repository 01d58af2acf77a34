//! `millrace group lag`: how far groups are behind.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::name_of;
use crate::cli::broker::BrokerArgs;
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
    broker: BrokerArgs,
    /// A JSON object per group and line.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let admin = Admin::new(&args.broker.connect().await?);
    let mut stdout = io::stdout().lock();
    if !args.groups.is_empty() {
        for (index, group_id) in args.groups.iter().enumerate() {
            let group = admin.describe_group(group_id).await?;
            let partitions = admin.group_lag(&group).await?;
            if args.json {
                writeln!(stdout, "{}", lag_json(&group, &partitions))?;
            } else {
                if index > 0 {
                    writeln!(stdout)?;
                }
                print_lag(&mut stdout, &group, &partitions)?;
            }
        }
        return Ok(());
    }
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
        if args.json {
            writeln!(stdout, "{}", lag_json(&group, &partitions))?;
        } else {
            let (count, members) = (partitions.len(), group.members.len());
            let lag = total(&partitions);
            writeln!(
                stdout,
                "{}  {}  members {members}  partitions {count}  lag {lag}",
                group.group_id, group.state
            )?;
        }
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
