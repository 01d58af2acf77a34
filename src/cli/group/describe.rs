//! `millrace group describe`: state and members.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ShowArgs, name_of, shown};
use crate::cli::failure::Failure;
use crate::client::{GroupDescription, MemberDescription, TopicPartition};

/// Options of `millrace group describe`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    show: ShowArgs,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let admin = args.show.admin().await?;
    let mut stdout = io::stdout().lock();
    for (index, group_id) in args.groups.iter().enumerate() {
        let group = admin.describe_group(group_id).await?;
        args.show.print(&mut stdout, index, || described_json(&group), |out| print_described(out, &group))?;
    }
    Ok(())
}

fn described_json(group: &GroupDescription) -> Value {
    let members: Vec<Value> = group.members.iter().map(member_json).collect();
    json!({
        "group": group.group_id,
        "type": group.group_type,
        "state": group.state,
        "protocol_type": group.protocol_type,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "epoch": group.epoch,
        "members": members,
    })
}

fn member_json(member: &MemberDescription) -> Value {
    let partitions = |partitions: &[TopicPartition]| -> Vec<Value> {
        partitions
            .iter()
            .map(|(topic, partition)| json!({ "topic": &**topic, "partition": partition }))
            .collect()
    };
    json!({
        "member_id": member.member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "host": member.client_host,
        "topics": member.topics,
        "pattern": member.pattern,
        "epoch": member.epoch,
        "assigned": partitions(&member.assigned),
        "target": member.target.as_deref().map(partitions),
    })
}

fn print_described(out: &mut impl Write, group: &GroupDescription) -> io::Result<()> {
    let GroupDescription { group_id, group_type, state, coordinator, members, .. } = group;
    write!(out, "{group_id}  {group_type}  {state}  coordinator {coordinator}")?;
    if !group.assignor.is_empty() {
        write!(out, "  assignor {}", group.assignor)?;
    }
    if let Some(epoch) = group.epoch {
        write!(out, "  epoch {epoch}")?;
    }
    writeln!(out, "  members {}", members.len())?;
    for member in members {
        writeln!(out, "  {}  client {} at {}", name_of(member), member.client_id, member.client_host)?;
        let epoch = member.epoch.map(|epoch| format!("  (epoch {epoch})")).unwrap_or_default();
        writeln!(out, "    reads {}{epoch}", shown(&member.assigned))?;
        if let Some(target) = member.target.as_deref().filter(|target| *target != member.assigned) {
            writeln!(out, "    is to read {}", shown(target))?;
        }
    }
    Ok(())
}
