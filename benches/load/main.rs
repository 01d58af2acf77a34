//! librdkafka as a load generator (and light clients of our own where it would be the bottleneck, or would choose its
//! requests by itself), for the comparison of brokers: `benches/side_by_side` runs it against each in turns.
//!
//! `cargo bench --bench load -- produce --broker 127.0.0.1:9092 --pid 4711` measures a broker that runs already; `--pid` is
//! its process, whose processor time is told beside the rate. Each command prints one JSON object.
//!
//! What always holds: nothing counts before the warm-up is over; a record counts when it is acknowledged or read, not
//! when it is sent; latencies count from the moment a record was due, so that a broker that stalls cannot hide it by
//! slowing the sender down.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot talk to its broker has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(clippy::print_stderr, reason = "a bench says how it is to be used")]

mod batches;
mod consume;
mod fetch;
mod groups;
mod latency;
mod measured;
mod parked;
mod process;
mod produce;
mod raw;
mod sparse;

use clap::{Args, Parser, Subcommand};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
    /// `cargo bench` gives this to every bench.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// As fast as the broker takes it.
    Produce(produce::Options),
    /// As fast as the broker gives it.
    Consume(consume::Options),
    /// At a fixed rate, until acknowledged and until read.
    Latency(latency::Options),
    /// Many fetches that wait: their memory, what they cost at rest, and how fast the right ones wake.
    Parked(parked::Options),
    /// Batches of one size to partitions in turn.
    Batches(batches::Options),
    /// Fetches of one size, from partitions in turn or from many places of one.
    Fetch(fetch::Options),
    /// A long log in the directory of a partition whose broker is stopped, most of it holes.
    Sparse(sparse::Options),
    /// Offset commits over many connections.
    Commits(groups::commits::Options),
    /// Members that come to a large group and go.
    Rebalance(groups::rebalance::Options),
    /// One topic, filled before, for many groups.
    Fanout(groups::fanout::Options),
}

/// Where, and on what topic.
#[derive(Args, Clone)]
struct Target {
    /// Host and port of the broker.
    #[arg(long)]
    broker: String,
    /// The broker's process.
    #[arg(long)]
    pid: u32,
    /// The topic, created when it is not there.
    #[arg(long, default_value = "load")]
    topic: String,
    /// Its partitions, when it is created.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// A config of the topic, when it is created; may be given several times.
    #[arg(long = "config", value_parser = pair)]
    configs: Vec<(String, String)>,
}

fn main() {
    // `cargo bench` runs every bench with this word alone; this one has nothing to measure on its own.
    if std::env::args().skip(1).all(|word| word == "--bench") {
        return eprintln!(
            "load: measures a broker that runs: `cargo bench --bench load -- --help`, benches/side_by_side"
        );
    }
    let command = Command::parse();
    let told = match command.what {
        What::Produce(options) => produce::run(&options),
        What::Consume(options) => consume::run(&options),
        What::Latency(options) => latency::run(&options),
        What::Parked(options) => parked::run(&options),
        What::Batches(options) => batches::run(&options),
        What::Fetch(options) => fetch::run(&options),
        What::Sparse(options) => sparse::run(&options),
        What::Commits(options) => groups::commits::run(&options),
        What::Rebalance(options) => groups::rebalance::run(&options),
        What::Fanout(options) => groups::fanout::run(&options),
    };
    println!("{told}");
}

/// Ends the process. Callbacks of librdkafka run on its threads, where a panic would say the same less clearly.
fn fail(why: &str) -> ! {
    eprintln!("load: {why}");
    std::process::exit(1)
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected KEY=VALUE".to_owned())
}

impl Target {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker).set("message.max.bytes", "20000000");
        config
    }

    /// Creates the topic if it is not there.
    fn create_topic(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let mut topic = NewTopic::new(&self.topic, self.partitions, TopicReplication::Fixed(1));
        for (key, value) in &self.configs {
            topic = topic.set(key, value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        match &created[0] {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, error)) => panic!("the topic {} cannot be created: {error}", self.topic),
        }
    }
}
