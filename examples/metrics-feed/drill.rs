//! The drill: the feed over a broker that is killed half-way.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use millrace::client::{Client, ClientConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Error;
use crate::feed::{self, Plan};

/// How soon a worker that is killed is missed.
const SESSION: Duration = Duration::from_secs(1);

/// Settings of the broker that allow for it, in both protocols.
const SETTINGS: [&str; 6] = [
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=1000",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=1000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=100",
];

/// Runs the feed for the plan's duration with a `kill -9` in the middle, and checks what each saw.
pub(crate) async fn run(binary: &Path, plan: &Plan) -> Result<(), Error> {
    let data = tempfile::tempdir()?;
    let (mut broker, address) = start(binary, data.path(), "127.0.0.1:0").await?;
    println!("drill: broker on {address}, to be killed after {:?}", plan.duration / 2);
    let plan = &Plan { broker: address.to_string(), session: SESSION, ..plan.clone() };
    let client = Client::connect(ClientConfig::new(&plan.broker)?).await?;
    let crash = async {
        tokio::time::sleep(plan.duration / 2).await;
        broker.kill().await?;
        println!("drill: killed; starting it again on the same directory");
        start(binary, data.path(), &address.to_string()).await
    };
    let (record, restarted) = tokio::join!(feed::run(&client, plan), crash);
    let (mut broker, _) = restarted?;
    let record = record?;
    record.check()?;
    broker.kill().await?;
    println!("drill: {}", record.workers.summary());
    println!(
        "drill: {} samples acknowledged across a kill -9; table and chart both saw exactly these",
        record.acknowledged.len()
    );
    Ok(())
}

/// Starts a broker and waits for the line that says where it accepts connections.
async fn start(binary: &Path, data: &Path, listen: &str) -> Result<(Child, SocketAddr), Error> {
    let mut broker = Command::new(binary)
        .arg("serve")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", listen])
        .args(SETTINGS.into_iter().flat_map(|setting| ["--set", setting]))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = broker.stdout.take().ok_or("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    let address = line.split_whitespace().find_map(|word| word.parse().ok());
    Ok((broker, address.ok_or_else(|| format!("the broker did not say where it listens: {line:?}"))?))
}
