//! The command line, one file per subcommand.
//!
//! Each file holds the subcommand's `Args` and a `run(args) -> ExitCode`; this file only picks one. What always
//! holds: data goes to stdout, everything else to stderr, and the exit codes of [`exit`] mean the same in every
//! subcommand. Deliberately absent: any use of the engine. `serve` starts [`crate::server`]; all others are
//! ordinary Kafka clients built on [`crate::client`].

mod base64;
mod bench;
mod broker;
mod completions;
mod consume;
pub mod exit;
mod failure;
mod format;
mod group;
mod input;
mod json;
mod position;
mod produce;
mod serve;
mod time;
mod topic;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// A message broker that speaks the Kafka protocol, in one binary; an ack means that it is on the disk.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, max_term_width = 110, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker.
    Serve(serve::Args),
    /// Send records to a topic, from stdin or files.
    Produce(produce::Args),
    /// Print the records of a topic, or share topics as a member of a group.
    Consume(consume::Args),
    /// Create, list, describe, change and delete topics.
    Topic(topic::Args),
    /// List, describe, reset and delete consumer groups, and show how far they are behind.
    Group(group::Args),
    /// Check a data directory while no broker uses it.
    Verify(verify::Args),
    /// Measure throughput and latency against a running broker.
    Bench(bench::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
}

/// Parses the command line and runs what it asks for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches_mut(&mut command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Topic(args) => topic::run(&args),
        Command::Group(args) => group::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// The command line, each subcommand's help with a word on the exit codes.
fn command() -> clap::Command {
    fn with_exit_codes(subcommand: clap::Command) -> clap::Command {
        let help = subcommand.get_after_help().map(|help| format!("{help}\n\n")).unwrap_or_default();
        subcommand.after_help(help + exit::SEE).mut_subcommands(with_exit_codes)
    }
    Cli::command().mut_subcommands(with_exit_codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
