//! `millrace group`: consumer groups, their members, their committed offsets and their lag.

mod delete;
mod describe;
mod lag;
mod list;
mod partitions;
mod plan;
mod reset;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

pub(super) use self::lag::partition_json;
use super::broker::{self, BrokerArgs};
use super::failure::Failure;
use crate::client::{Admin, GroupDescription, MemberDescription, TopicPartition};

/// Options of `millrace group`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the names of all groups.
    List(list::Args),
    /// Print state, members and what each of them reads.
    Describe(describe::Args),
    /// Print how far groups are behind the ends of their partitions.
    Lag(lag::Args),
    /// Set committed offsets of a group that has no members at the moment.
    Reset(reset::Args),
    /// Delete groups, or their committed offsets of some topics.
    Delete(delete::Args),
}

/// What those subcommands share that print something about each group.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    /// A JSON object per group and line.
    #[arg(long)]
    json: bool,
}

/// Runs `millrace group`.
pub(super) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::List(args) => broker::run(list::run(args)),
        Command::Describe(args) => broker::run(describe::run(args)),
        Command::Lag(args) => broker::run(lag::run(args)),
        Command::Reset(args) => broker::run(reset::run(args)),
        Command::Delete(args) => broker::run(delete::run(args)),
    }
}

// === impl ShowArgs ===

impl ShowArgs {
    async fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::new(&self.broker.connect().await?))
    }

    /// Prints the `index`-th of several: its JSON on a line, or its text behind an empty line.
    fn print<W: Write>(
        &self,
        out: &mut W,
        index: usize,
        json: impl FnOnce() -> Value,
        text: impl FnOnce(&mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json {
            return writeln!(out, "{}", json());
        }
        if index > 0 {
            writeln!(out)?;
        }
        text(out)
    }
}

/// Why a group cannot be changed while it has members, in words that name them.
fn active(group: &GroupDescription) -> String {
    let shown = 3;
    let mut names: Vec<&str> = group.members.iter().take(shown).map(name_of).collect();
    if group.members.len() > shown {
        names.push("...");
    }
    let (count, names) = (group.members.len(), names.join(", "));
    let members = if count == 1 { "member" } else { "members" };
    format!("group {} is active: it has {count} {members} ({names}); stop them first", group.group_id)
}

/// What a member is best known by.
fn name_of(member: &MemberDescription) -> &str {
    member.instance_id.as_deref().unwrap_or(&member.member_id)
}

/// Partitions in few words: `orders:0,1,2 payments:0`.
fn shown(partitions: &[TopicPartition]) -> String {
    let topics = partitions.chunk_by(|one, other| one.0 == other.0).map(|topic| {
        let numbers: Vec<String> = topic.iter().map(|(_, partition)| partition.to_string()).collect();
        format!("{}:{}", topic[0].0, numbers.join(","))
    });
    let topics: Vec<String> = topics.collect();
    if topics.is_empty() { "-".to_owned() } else { topics.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_shown_by_topic() {
        let of = |partitions: &[(&str, i32)]| {
            let partitions: Vec<TopicPartition> =
                partitions.iter().map(|&(topic, partition)| (topic.into(), partition)).collect();
            shown(&partitions)
        };
        assert_eq!(of(&[("a", 0), ("a", 2), ("b", 1)]), "a:0,2 b:1");
        assert_eq!(of(&[]), "-");
    }
}
