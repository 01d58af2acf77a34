//! `millrace topic describe`: partitions, offsets, configs, and the groups that read it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::topic_id;
use crate::cli::broker::BrokerArgs;
use crate::cli::failure::Failure;
use crate::cli::group::partition_json;
use crate::client::{
    Admin, ConfigEntry, ConfigResource, ConfigSource, Error, OffsetQuery, OffsetSpec, PartitionLag,
    TopicMetadata, TopicReader,
};
use crate::types::{Isolation, Offset};

/// Options of `millrace topic describe`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The names.
    #[arg(required = true)]
    topics: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Also the configs that have their default.
    #[arg(short, long)]
    all: bool,
    /// A JSON object per topic and line.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let client = args.broker.connect().await?;
    let admin = Admin::new(&client);
    let mut stdout = io::stdout().lock();
    for (index, name) in args.topics.iter().enumerate() {
        let topic = admin.describe_topic(name).await?;
        let configs = admin.describe_configs(&ConfigResource::Topic(name.clone()), &[]).await?;
        let shown: Vec<&ConfigEntry> =
            configs.iter().filter(|config| args.all || config.source != ConfigSource::Default).collect();
        let starts = offsets(&admin, &topic, OffsetSpec::Earliest).await;
        let ends = offsets(&admin, &topic, OffsetSpec::Latest).await;
        let readers = match admin.topic_readers(name).await {
            Ok(readers) => readers,
            // A broker without groups has no readers to tell of.
            Err(Error::Unsupported { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if args.json {
            let mut described = described_json(&topic, &shown, &starts, &ends);
            described["groups"] = readers.iter().map(reader_json).collect();
            writeln!(stdout, "{described}")?;
        } else {
            if index > 0 {
                writeln!(stdout)?;
            }
            print_described(&mut stdout, &topic, &shown, &starts, &ends)?;
            print_readers(&mut stdout, &readers)?;
        }
    }
    Ok(())
}

/// One kind of offset of each partition; without those that could not be looked up.
async fn offsets(admin: &Admin, topic: &TopicMetadata, spec: OffsetSpec) -> HashMap<i32, Offset> {
    let query = |partition: i32| -> OffsetQuery { (Arc::clone(&topic.name), partition, spec) };
    let queries: Vec<OffsetQuery> = topic.partitions.iter().map(|found| query(found.partition)).collect();
    let listed = admin.list_offsets(&queries, Isolation::ReadUncommitted).await;
    let found = topic.partitions.iter().zip(listed);
    found.filter_map(|(found, listed)| Some((found.partition, listed.ok()?.offset?))).collect()
}

fn described_json(
    topic: &TopicMetadata,
    configs: &[&ConfigEntry],
    starts: &HashMap<i32, Offset>,
    ends: &HashMap<i32, Offset>,
) -> Value {
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .map(|found| {
            json!({
                "partition": found.partition,
                "leader": found.leader,
                "leader_epoch": found.leader_epoch,
                "replicas": found.replicas,
                "in_sync_replicas": found.in_sync_replicas,
                "start": starts.get(&found.partition),
                "end": ends.get(&found.partition),
            })
        })
        .collect();
    let configs: Map<String, Value> = configs
        .iter()
        .map(|config| {
            (config.name.clone(), json!({ "value": config.value, "source": source(config.source) }))
        })
        .collect();
    json!({
        "topic": &*topic.name,
        "id": topic_id(topic),
        "internal": topic.is_internal,
        "partitions": partitions,
        "configs": configs,
    })
}

fn print_described(
    out: &mut impl Write,
    topic: &TopicMetadata,
    configs: &[&ConfigEntry],
    starts: &HashMap<i32, Offset>,
    ends: &HashMap<i32, Offset>,
) -> io::Result<()> {
    let id = topic_id(topic).map(|id| format!("  id {id}")).unwrap_or_default();
    let replicas = topic.partitions.iter().map(|found| found.replicas.len()).max().unwrap_or_default();
    let count = topic.partitions.len();
    writeln!(out, "{}{id}  partitions {count}  replicas {replicas}", topic.name)?;
    for config in configs {
        let value = config.value.as_deref().unwrap_or("(secret)");
        writeln!(out, "  {}={value}  ({})", config.name, source(config.source))?;
    }
    writeln!(
        out,
        "  {:>9} {:>6} {:>6} {:>14} {:>14} {:>14}",
        "partition", "leader", "epoch", "start", "end", "records"
    )?;
    let shown = |number: Option<&i64>| number.map_or_else(|| "-".to_owned(), ToString::to_string);
    for found in &topic.partitions {
        let (start, end) = (starts.get(&found.partition), ends.get(&found.partition));
        let records = start.zip(end).map(|(start, end)| end - start);
        let leader = found.leader.map(i64::from);
        writeln!(
            out,
            "  {:>9} {:>6} {:>6} {:>14} {:>14} {:>14}",
            found.partition,
            shown(leader.as_ref()),
            found.leader_epoch,
            shown(start),
            shown(end),
            shown(records.as_ref()),
        )?;
    }
    Ok(())
}

fn lag_of(reader: &TopicReader) -> i64 {
    reader.partitions.iter().filter_map(PartitionLag::lag).sum()
}

fn reader_json(reader: &TopicReader) -> Value {
    let partitions = reader.partitions.iter().map(|partition| partition_json(&reader.group, partition));
    json!({
        "group": reader.group.group_id,
        "state": reader.group.state,
        "lag": lag_of(reader),
        "partitions": partitions.collect::<Vec<Value>>(),
    })
}

fn print_readers(out: &mut impl Write, readers: &[TopicReader]) -> io::Result<()> {
    if readers.is_empty() {
        return Ok(());
    }
    let width = readers.iter().map(|reader| reader.group.group_id.chars().count()).max().unwrap_or(0).max(5);
    writeln!(out, "  {:<width$} {:>14} {:>10} {:>14}", "group", "state", "partitions", "lag")?;
    for reader in readers {
        let (group, count) = (&reader.group, reader.partitions.len());
        writeln!(out, "  {:<width$} {:>14} {count:>10} {:>14}", group.group_id, group.state, lag_of(reader))?;
    }
    Ok(())
}

/// Where a config comes from, in words.
fn source(source: ConfigSource) -> String {
    match source {
        ConfigSource::Topic => "topic".to_owned(),
        ConfigSource::DynamicBroker => "broker, at run time".to_owned(),
        ConfigSource::DynamicDefaultBroker => "all brokers, at run time".to_owned(),
        ConfigSource::StaticBroker => "broker".to_owned(),
        ConfigSource::Default => "default".to_owned(),
        ConfigSource::Other(number) => format!("source {number}"),
    }
}
