//! `millrace produce`: lines, files or JSON lines into a topic.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};

use super::broker::{self, BrokerArgs};
use super::exit;
use super::failure::Failure;
use super::format::unescape;
use super::input::{self, Block, Cut, find};
use super::json;
use super::time::parse_duration;
use crate::client::{
    Acks, Compression, Delivery, Header, Producer, ProducerConfig, ProducerRecord, ProducerTopic,
};

/// How many records may be without an answer before the next is read.
const MAX_PENDING: usize = 200_000;

/// Options of `millrace produce`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  echo hello | millrace produce greetings
  millrace produce orders -K: < pairs.txt              lines of KEY:VALUE
  millrace produce photos --whole -f a.jpg -f b.jpg    one record per file
  millrace produce events --json -z zstd -f events.jsonl
  echo | millrace produce users -k user-7 -Z           a null value: deletes the key when compacted

JSON lines have these fields, all optional:
  {\"key\": \"k\", \"value\": \"v\", \"headers\": {\"name\": \"v\"}, \"partition\": 0, \"timestamp\": 1767225600000}
Bytes that are not text are {\"base64\": \"...\"}; headers may also be a list of [name, value] pairs;
a value that is an object or a number is sent as its JSON text. `consume --json` prints such lines.")]
pub(super) struct Args {
    /// The topic; created on first use where the broker allows it.
    topic: String,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Read this file instead of stdin; may be given several times; - is stdin.
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Each input is one record.
    #[arg(long, conflicts_with_all = ["json", "delimiter", "key_delimiter"])]
    whole: bool,
    /// Each line is a JSON object with key, value, headers, partition and timestamp.
    #[arg(long, conflicts_with_all = ["key_delimiter", "key", "headers", "partition", "null"])]
    json: bool,
    /// What ends a record (\n, \t, \0, \xNN are understood).
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n")]
    delimiter: String,
    /// What separates key and value in a record; one without it has no key.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "key")]
    key_delimiter: Option<String>,
    /// Key of all records.
    #[arg(short, long)]
    key: Option<String>,
    /// Header of all records; may be given several times; without = its value is null.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// Partition of all records; chosen by the key, or at will, when not given.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Empty values, and empty keys with -K, are null.
    #[arg(short = 'Z', long)]
    null: bool,
    /// When a record counts as delivered: all (committed, on disk), 1 (appended), 0 (sent).
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// Compress batches: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none")]
    compression: Compression,
    /// Let a retry write a record twice. Otherwise, with acks=all, the broker recognises retries.
    #[arg(long)]
    no_idempotence: bool,
    /// How long a batch that is not full waits for more.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = parse_duration)]
    linger: Duration,
    /// A batch is sent when it has this many bytes, before compression.
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024)]
    batch_bytes: usize,
    /// Fail when the topic does not exist, even if the broker would create it.
    #[arg(long)]
    no_create: bool,
    /// Print where each record went, in order, on stdout: a line of PARTITION and OFFSET (- where unknown).
    #[arg(long)]
    report: bool,
    /// No progress bar.
    #[arg(short, long)]
    quiet: bool,
}

/// What is sent and not answered yet, oldest first.
struct Pending {
    deliveries: VecDeque<(Place, Delivery)>,
    /// The names of the inputs so far.
    inputs: Vec<String>,
    report: Option<io::BufWriter<io::Stdout>>,
}

/// Where a record comes from: the index of its input and its number in it.
type Place = (usize, u64);

/// Runs `millrace produce`.
pub(super) fn run(args: &Args) -> ExitCode {
    broker::run(produce(args))
}

async fn produce(args: &Args) -> Result<(), Failure> {
    let cut = args.cut()?;
    let key_delimiter = args.key_delimiter.as_deref().map(|text| delimiter("-K", text)).transpose()?;
    let headers: Vec<Header> = args.headers.iter().map(|text| header(text)).collect();
    let client = args.broker.connect().await?;
    let producer = Producer::new(&client, args.producer_config())?;
    let topic = producer.topic(&args.topic).await?;

    let progress = args.progress_bar();
    let mut blocks = input::read(args.files.clone(), cut.clone());
    let mut pending = Pending {
        deliveries: VecDeque::new(),
        inputs: Vec::new(),
        report: args.report.then(|| io::BufWriter::new(io::stdout())),
    };
    let work = async {
        while let Some(block) = blocks.recv().await {
            let block = block?;
            let input = pending.begin(&block);
            for (number, bytes) in (block.first_number..).zip(block.records(&cut)) {
                let sent = if args.json {
                    send_json(&topic, bytes).await
                } else {
                    let record = args.record(bytes, key_delimiter.as_deref(), &headers);
                    topic.send(&record).await.map_err(Failure::from)
                };
                let delivery =
                    sent.map_err(|failure| failure.at(format_args!("{}:{number}", block.input)))?;
                pending.deliveries.push_back(((input, number), delivery));
                while pending.deliveries.len() >= MAX_PENDING {
                    pending.settle_one().await?;
                }
            }
            progress.inc(block.size_bytes() as u64);
            pending.settle_known()?;
        }
        Ok(())
    };
    let read = tokio::select! {
        read = work => read,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(exit::INTERRUPTED, "stopped; what was read is being delivered")),
    };
    // Whatever happened: what was sent before is delivered, and reported, first.
    let _each_delivery_tells = producer.close().await;
    let settled = pending.settle_all().await;
    progress.finish_and_clear();
    settled.and(read)
}

async fn send_json(topic: &ProducerTopic, line: &[u8]) -> Result<Delivery, Failure> {
    let record = json::parse(line).map_err(|reason| Failure::new(exit::DAMAGED, reason))?;
    let headers: Vec<Header> = record
        .headers
        .into_iter()
        .map(|(name, value)| Header { key: Bytes::from(name), value: value.map(Bytes::from) })
        .collect();
    let record = ProducerRecord {
        partition: record.partition,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    };
    Ok(topic.send(&record).await?)
}

// === impl Args ===

impl Args {
    fn cut(&self) -> Result<Cut, Failure> {
        if self.whole { Ok(Cut::Whole) } else { delimiter("-D", &self.delimiter).map(Cut::At) }
    }

    fn producer_config(&self) -> ProducerConfig {
        let defaults = ProducerConfig::default();
        ProducerConfig {
            acks: self.acks,
            compression: self.compression,
            idempotence: self.acks == Acks::All && !self.no_idempotence,
            batch_bytes: self.batch_bytes.clamp(1, 64 * 1024 * 1024),
            linger: self.linger,
            // What a topic takes is the broker's to say: it answers with a better message than a limit here could.
            max_record_bytes: 512 * 1024 * 1024,
            buffer_bytes: 1024 * 1024 * 1024,
            delivery_timeout: self.broker.timeout().max(Duration::from_secs(1)),
            auto_create_topics: !self.no_create,
            ..defaults
        }
    }

    /// The record that a piece of input stands for.
    fn record<'a>(
        &'a self,
        bytes: &'a [u8],
        key_delimiter: Option<&[u8]>,
        headers: &'a [Header],
    ) -> ProducerRecord<'a> {
        let split = key_delimiter.and_then(|delimiter| Some((find(bytes, delimiter)?, delimiter.len())));
        let (key, value) = match split {
            Some((at, length)) => (Some(&bytes[..at]), &bytes[at + length..]),
            None => (self.key.as_deref().map(str::as_bytes), bytes),
        };
        let present = |bytes: &&[u8]| !(self.null && bytes.is_empty());
        ProducerRecord {
            partition: self.partition,
            timestamp_ms: None,
            key: key.filter(present),
            value: Some(value).filter(present),
            headers,
        }
    }

    /// A bar over the size of all files; hidden for stdin, and where stderr is not a terminal.
    fn progress_bar(&self) -> ProgressBar {
        let sizes =
            self.files.iter().map(|path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file));
        let total: Option<u64> = sizes.map(|file| file.map(|file| file.len())).sum();
        match total {
            Some(total) if !self.quiet && !self.files.is_empty() && io::stderr().is_terminal() => {
                let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
                let style = ProgressStyle::with_template(template).expect("the template is well-formed");
                ProgressBar::new(total).with_style(style)
            }
            _ => ProgressBar::hidden(),
        }
    }
}

// === impl Pending ===

impl Pending {
    /// The index of the block's input.
    fn begin(&mut self, block: &Block) -> usize {
        if self.inputs.last() != Some(&block.input) {
            self.inputs.push(block.input.clone());
        }
        self.inputs.len() - 1
    }

    /// Takes note of the answers that are there.
    fn settle_known(&mut self) -> Result<(), Failure> {
        while let Some((place, delivery)) = self.deliveries.front() {
            let Some(result) = delivery.result() else { break };
            self.settle(*place, result)?;
            self.deliveries.pop_front();
        }
        if let Some(report) = &mut self.report {
            report.flush()?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), Failure> {
        let Some((place, delivery)) = self.deliveries.pop_front() else { return Ok(()) };
        let result = delivery.wait().await;
        self.settle(place, result)
    }

    async fn settle_all(&mut self) -> Result<(), Failure> {
        while !self.deliveries.is_empty() {
            self.settle_one().await?;
        }
        if let Some(report) = &mut self.report {
            report.flush()?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        (input, number): Place,
        result: Result<crate::client::Delivered, crate::client::Error>,
    ) -> Result<(), Failure> {
        let place = || format!("{}:{number}", self.inputs[input]);
        let delivered = result.map_err(|error| Failure::from(error).at(place()))?;
        if let Some(report) = &mut self.report {
            match delivered.offset {
                Some(offset) => writeln!(report, "{} {offset}", delivered.partition)?,
                None => writeln!(report, "{} -", delivered.partition)?,
            }
        }
        Ok(())
    }
}

fn delimiter(option: &str, text: &str) -> Result<Vec<u8>, Failure> {
    match unescape(text) {
        Ok(bytes) if bytes.is_empty() => {
            Err(Failure::usage(format!("{option} needs at least one character")))
        }
        Ok(bytes) => Ok(bytes),
        Err(reason) => Err(Failure::usage(format!("{option}: {reason}"))),
    }
}

fn header(text: &str) -> Header {
    match text.split_once('=') {
        Some((name, value)) => Header {
            key: Bytes::copy_from_slice(name.as_bytes()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        },
        None => Header { key: Bytes::copy_from_slice(text.as_bytes()), value: None },
    }
}

/// Reads `--acks`.
pub(super) fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" | "leader" => Ok(Acks::Leader),
        "0" | "none" => Ok(Acks::None),
        _ => Err("write all, 1 or 0".to_owned()),
    }
}
