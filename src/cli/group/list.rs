//! `millrace group list`.

use std::io::{self, Write};

use serde_json::json;

use crate::cli::broker::BrokerArgs;
use crate::cli::failure::Failure;
use crate::client::Admin;

/// Options of `millrace group list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  millrace group list
  millrace group list --state Empty --long")]
pub(super) struct Args {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Only groups in this state (Stable, Empty, PreparingRebalance, Assigning, ...); may be given several times.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// Type and state beside each name.
    #[arg(short, long, conflicts_with = "json")]
    long: bool,
    /// A JSON object per line, with type and state.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let admin = Admin::new(&args.broker.connect().await?);
    let states: Vec<&str> = args.states.iter().map(String::as_str).collect();
    let groups = admin.list_groups(&states).await?;
    let width = groups.iter().map(|group| group.group_id.chars().count()).max().unwrap_or_default();
    let mut stdout = io::stdout().lock();
    for group in groups {
        let (state, kind) = (group.state.as_deref(), group.group_type.as_deref());
        if args.json {
            let line = json!({
                "group": group.group_id,
                "type": kind.map(str::to_lowercase),
                "state": state,
                "protocol_type": group.protocol_type,
            });
            writeln!(stdout, "{line}")?;
        } else if args.long {
            let (kind, state) = (kind.unwrap_or("-").to_lowercase(), state.unwrap_or("-"));
            writeln!(stdout, "{:<width$}  {kind:<8}  {state}", group.group_id)?;
        } else {
            writeln!(stdout, "{}", group.group_id)?;
        }
    }
    Ok(())
}
