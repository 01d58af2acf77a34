// variant: 0.6.0 cargo: rskafka@=0.6.0
// variant: 0.5.0 cargo: rskafka@=0.5.0
// lacks: * | it has no consumer groups
// cargo: futures@0.3
// cargo: tokio@1
//
// rskafka, the newest and the one of 2023: no settings of topics, no partitioner, no idempotence, always acks=all, and
// early versions of each request.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::exit;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
#[cfg(not(feature = "0.5.0"))]
use rskafka::chrono::TimeDelta;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::consumer::{StartOffset, StreamConsumer, StreamConsumerBuilder};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const TIMEOUT_MS: i32 = 15_000;

const LACKS: [(&str, &str); 16] = [
    ("describe cluster", "it tells topics and their partitions only"),
    ("unknown topic", "asking for a topic always lets the broker create it"),
    ("keys", "it has no partitioner; null and empty keys are told apart with the values"),
    ("acks 0", "it always asks for all"),
    ("acks 1", "it always asks for all"),
    ("idempotent producer", "it has none"),
    ("idempotent, 1 in flight", "it has none"),
    ("describe topics", "it tells topics and their partitions only"),
    ("create partitions", "it has no such call"),
    ("describe configs", "it has no such call"),
    ("alter configs", "it has no such call"),
    ("incremental alter configs", "it has no such call"),
    ("append to config lists", "it has no such call"),
    ("describe log dirs", "it has no such call"),
    ("keyless on compacted topic", "it cannot create a topic with settings"),
    ("leader epoch after a restart", "it does not tell epochs"),
];

// === telling ===

/// What went wrong last, and where: a behaviour fails by a panic.
static FAILURE: Mutex<String> = Mutex::new(String::new());

struct Teller {
    only: String,
    failed: bool,
}

impl Teller {
    async fn tell(&mut self, name: &str, behaviour: impl Future<Output = ()> + Send + 'static) {
        if !name.contains(&self.only) {
            return;
        }
        let limited = tokio::time::timeout(3 * PATIENCE, tokio::spawn(behaviour)).await;
        match limited {
            Ok(Ok(())) => println!("ok\t{name}"),
            Ok(Err(_)) => {
                self.failed = true;
                let text = FAILURE.lock().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
                println!("fail\t{name}\t{}", text.chars().take(600).collect::<String>());
            }
            Err(_) => {
                self.failed = true;
                println!("fail\t{name}\tno end within {:?}", 3 * PATIENCE);
            }
        }
    }

    fn say(&self, word: &str, name: &str, why: &str) {
        if name.contains(&self.only) {
            println!("{word}\t{name}\t{why}");
        }
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, expected: ProtocolError) {
    match answer {
        Err(Error::ServerError { protocol_error, .. }) if protocol_error == expected => {}
        other => panic!("{other:?} instead of {expected:?}"),
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

// === what the behaviours are made of ===

fn topic(name: &str) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("rust-{}-{}-{now}", name.replace(' ', "-"), std::process::id())
}

async fn connect(address: &str) -> Client {
    ClientBuilder::new(vec![address.to_owned()]).build().await.unwrap()
}

async fn client() -> Client {
    connect(&env::var("BROKER").unwrap()).await
}

async fn attempt(name: &str, partitions: i32, replicas: i16) -> Result<(), Error> {
    let controller = client().await.controller_client().unwrap();
    controller.create_topic(name, partitions, replicas, TIMEOUT_MS).await
}

async fn listed(client: &Client, name: &str) -> Option<Vec<i32>> {
    let topics = client.list_topics().await.unwrap();
    topics.into_iter().find(|each| each.name == name).map(|each| each.partitions.into_iter().collect())
}

async fn partition(client: &Client, name: &str, index: i32) -> Arc<PartitionClient> {
    Arc::new(client.partition_client(name, index, UnknownTopicHandling::Retry).await.unwrap())
}

/// A new topic of one partition, and that partition.
async fn create_on(client: &Client, name: &str) -> Arc<PartitionClient> {
    client.controller_client().unwrap().create_topic(name, 1, 1, TIMEOUT_MS).await.unwrap();
    partition(client, name, 0).await
}

async fn create(name: &str) -> Arc<PartitionClient> {
    create_on(&client().await, &topic(name)).await
}

fn now() -> DateTime<Utc> {
    let milliseconds = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    DateTime::from_timestamp_millis(milliseconds as i64).unwrap()
}

fn at(key: Option<&[u8]>, value: Option<&[u8]>, timestamp: DateTime<Utc>) -> Record {
    let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
    Record { key, value, headers: BTreeMap::new(), timestamp }
}

fn record(value: impl AsRef<[u8]>) -> Record {
    at(None, Some(value.as_ref()), now())
}

fn numbered(count: usize) -> Vec<Record> {
    (0..count).map(|n| record(n.to_string())).collect()
}

/// Bytes that no codec makes smaller, by xorshift.
fn random(size: usize) -> Vec<u8> {
    let mut state = size as u64 + 88_172_645_463_325_252;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

async fn produce(to: &PartitionClient, records: Vec<Record>, compression: Compression) -> Vec<i64> {
    to.produce(records, compression).await.unwrap()
}

async fn plain(to: &PartitionClient, records: Vec<Record>) -> Vec<i64> {
    produce(to, records, Compression::NoCompression).await
}

/// Everything from an offset on.
async fn consume(from: &PartitionClient, mut offset: i64) -> Vec<Record> {
    let end = from.get_offset(OffsetAt::Latest).await.unwrap();
    let mut found = Vec::new();
    while offset < end {
        let (records, _) = from.fetch_records(offset, 1..1_000_000, 1_000).await.unwrap();
        for each in records {
            assert_eq!(each.offset, offset, "the offset of a record");
            offset += 1;
            found.push(each.record);
        }
    }
    found
}

fn values(records: &[Record]) -> Vec<String> {
    records.iter().map(|each| String::from_utf8_lossy(each.value.as_ref().unwrap()).into_owned()).collect()
}

#[track_caller]
fn same_values(found: &[Record], sent: &[Record]) {
    assert_eq!(found.len(), sent.len(), "the number of records");
    for (n, (found, sent)) in found.iter().zip(sent).enumerate() {
        assert!(found.value == sent.value, "value {n} is another");
    }
}

// === behaviours ===

async fn metadata() {
    let (client, name) = (client().await, topic("metadata"));
    client.controller_client().unwrap().create_topic(&name, 3, 1, TIMEOUT_MS).await.unwrap();
    until("the topic is listed", || async { listed(&client, &name).await == Some(vec![0, 1, 2]) }).await;
    partition(&client, &name, 2).await;
}

async fn automatic_topic_creation() {
    let place = partition(&client().await, &topic("automatic"), 0).await;
    plain(&place, vec![record("first")]).await;
    assert_eq!(values(&consume(&place, 0).await), ["first"]);
}

async fn unknown_partition() {
    let (client, name) = (client().await, topic("partition"));
    create_on(&client, &name).await;
    let answer = client.partition_client(&name, 7, UnknownTopicHandling::Error).await;
    assert!(answer.is_err(), "a partition that is not there was found");
}

async fn codec(name: &str, compression: Compression) {
    let place = create(&format!("codec-{name}")).await;
    let mut sent: Vec<Record> = (1..2_000).step_by(13).map(|size| record(random(size))).collect();
    produce(&place, sent.clone(), compression).await;
    if compression != Compression::NoCompression {
        // 4 MiB go through a limit of 1 MiB only when they are compressed.
        let large = record("all work and no play, ".repeat(200_000));
        produce(&place, vec![large.clone()], compression).await;
        sent.push(large);
    }
    same_values(&consume(&place, 0).await, &sent);
}

/// Its headers are a map: no key twice, no null value.
async fn headers() {
    let place = create("headers").await;
    let sent = [("a", "1"), ("empty", ""), ("ключ", "значение")];
    let headers: BTreeMap<_, _> = sent.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into();
    plain(&place, vec![Record { headers: headers.clone(), ..record("x") }, record("without")]).await;
    let found = consume(&place, 0).await;
    assert_eq!(found[0].headers, headers, "the headers");
    assert!(found[1].headers.is_empty(), "headers of a record without");
}

async fn null_and_empty_values() {
    let place = create("null").await;
    let sent = [(Some(&b"k"[..]), None), (Some(b"k"), Some(&b""[..])), (None, None), (Some(b""), Some(b""))];
    plain(&place, sent.map(|(key, value)| at(key, value, now())).into()).await;
    let found = consume(&place, 0).await;
    let found: Vec<_> = found.iter().map(|each| (each.key.as_deref(), each.value.as_deref())).collect();
    assert_eq!(found, sent, "keys and values");
}

/// It creates topics only with the broker's limit of 1 MiB, so the larger ones travel compressed.
async fn sizes() {
    let place = create("sizes").await;
    let mut sent = Vec::new();
    for size in [1, 2, 100, 4_095, 65_537, 900_000] {
        sent.push(record(random(size)));
        plain(&place, vec![sent[sent.len() - 1].clone()]).await;
    }
    for size in [2 << 20, 10 << 20] {
        sent.push(record(vec![(size % 251) as u8; size]));
        produce(&place, vec![sent[sent.len() - 1].clone()], Compression::Zstd).await;
    }
    // Fetch limits far below the records: at least one whole batch comes all the same.
    let mut found = Vec::new();
    for offset in 0..sent.len() as i64 {
        let (records, _) = place.fetch_records(offset, 1..1_000, 1_000).await.unwrap();
        found.push(records[0].record.clone());
    }
    same_values(&found, &sent);
}

async fn message_too_large() {
    let place = create("large").await;
    let large = vec![record(random(2 << 20))];
    refused(place.produce(large, Compression::NoCompression).await, ProtocolError::MessageTooLarge);
    assert_eq!(plain(&place, vec![record("after")]).await, [0]);
    assert_eq!(values(&consume(&place, 0).await), ["after"]);
}

async fn acks_all() {
    let place = create("acks").await;
    let mut offsets = Vec::new();
    for sent in numbered(1_000).chunks(100) {
        offsets.extend(plain(&place, sent.to_vec()).await);
    }
    assert_eq!(offsets, (0..1_000).collect::<Vec<_>>(), "the offsets");
    same_values(&consume(&place, 0).await, &numbered(1_000));
}

#[cfg(not(feature = "0.5.0"))]
async fn offsets_by_time() {
    let place = create("times").await;
    let start = now() - TimeDelta::minutes(10);
    let after = |milliseconds| start + TimeDelta::milliseconds(milliseconds);
    // One batch, so that the answer must be looked for inside it; times are not in order.
    let sent = [0, 10, 30, 20, 40].map(|stamp| at(None, Some(b"x"), after(stamp)));
    produce(&place, sent.into(), Compression::Zstd).await;
    for (asked, expected) in [(0, 0), (5, 1), (11, 2), (25, 2), (31, 4), (41, -1)] {
        let found = place.get_offset(OffsetAt::Timestamp(after(asked))).await.unwrap();
        assert_eq!(found, expected, "the offset at start+{asked}");
    }
}

/// Earliest and latest are all that it asks for beside times.
async fn list_offsets() {
    let place = create("list").await;
    plain(&place, numbered(3)).await;
    assert_eq!(place.get_offset(OffsetAt::Earliest).await.unwrap(), 0, "earliest");
    assert_eq!(place.get_offset(OffsetAt::Latest).await.unwrap(), 3, "latest");
}

async fn seek_into_a_batch() {
    let place = create("seek").await;
    let sent = numbered(1_000);
    produce(&place, sent.clone(), Compression::Gzip).await;
    for offset in [1, 499, 998, 999] {
        same_values(&consume(&place, offset as i64).await, &sent[offset..]);
    }
}

async fn fetch_waits_for_data() {
    let name = topic("wait");
    let (reading, writing) = (client().await, client().await);
    let place = create_on(&reading, &name).await;
    let other = partition(&writing, &name, 0).await;
    let began = Instant::now();
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        plain(&other, vec![record("late")]).await;
    });
    let (found, _) = place.fetch_records(0, 1..1_000_000, 30_000).await.unwrap();
    let waited = began.elapsed();
    late.await.unwrap();
    assert_eq!(found[0].record.value.as_deref(), Some(&b"late"[..]));
    assert!((900..10_000).contains(&waited.as_millis()), "it came after {waited:?}; the fetch may wait 30 s");
}

/// It tells the error and leaves the reset to its caller.
async fn offset_out_of_range() {
    let place = create("range").await;
    plain(&place, numbered(2)).await;
    refused(place.fetch_records(1_000, 1..1_000, 100).await, ProtocolError::OffsetOutOfRange);
    let reset = place.get_offset(OffsetAt::Earliest).await.unwrap();
    assert_eq!(values(&consume(&place, reset).await), ["0", "1"]);
}

/// Without settings. Too many replicas are left out: it tries again for ever when these are refused.
async fn create_topic() {
    let name = topic("create");
    attempt(&name, 5, 1).await.unwrap();
    let client = client().await;
    until("it has five partitions", || async { listed(&client, &name).await == Some((0..5).collect()) })
        .await;
    refused(attempt(&name, 5, 1).await, ProtocolError::TopicAlreadyExists);
    refused(attempt("not/a/name", 1, 1).await, ProtocolError::InvalidTopicException);
    refused(attempt("..", 1, 1).await, ProtocolError::InvalidTopicException);
    refused(attempt(&topic("zero"), 0, 1).await, ProtocolError::InvalidPartitions);
}

async fn delete_records() {
    let place = create("records").await;
    plain(&place, numbered(10)).await;
    place.delete_records(4, TIMEOUT_MS).await.unwrap();
    assert_eq!(place.get_offset(OffsetAt::Earliest).await.unwrap(), 4, "earliest");
    same_values(&consume(&place, 4).await, &numbered(10)[4..]);
    refused(place.fetch_records(2, 1..1_000, 100).await, ProtocolError::OffsetOutOfRange);
    refused(place.delete_records(11, TIMEOUT_MS).await, ProtocolError::OffsetOutOfRange);
    place.delete_records(-1, TIMEOUT_MS).await.unwrap();
    assert_eq!(place.get_offset(OffsetAt::Earliest).await.unwrap(), 10, "earliest at the end");
    assert_eq!(plain(&place, numbered(1)).await, [10], "the next offset");
}

async fn delete_topic() {
    let (name, client) = (topic("gone"), client().await);
    let place = create_on(&client, &name).await;
    plain(&place, numbered(3)).await;
    let controller = client.controller_client().unwrap();
    controller.delete_topic(&name, TIMEOUT_MS).await.unwrap();
    until("the topic is gone", || async { listed(&client, &name).await.is_none() }).await;
    refused(controller.delete_topic(&name, TIMEOUT_MS).await, ProtocolError::UnknownTopicOrPartition);
    let again = create_on(&client, &name).await;
    assert_eq!(again.get_offset(OffsetAt::Latest).await.unwrap(), 0, "latest");
    assert_eq!(plain(&again, numbered(1)).await, [0], "the first offset");
}

/// Borrows a broker that may be restarted (see README.md).
async fn goes_on_after_a_restart(lender: String) {
    let mut connection = BufReader::new(TcpStream::connect(lender).unwrap());
    let line = |connection: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let client = connect(&line(&mut connection)).await;
    let place = create_on(&client, &topic("restart")).await;
    let mut reader: StreamConsumer = StreamConsumerBuilder::new(place.clone(), StartOffset::Earliest).build();
    let (mut told, mut found) = (Vec::new(), Vec::new());
    for round in 0..2 {
        for each in numbered(10) {
            told.extend(plain(&place, vec![each]).await);
        }
        for _ in 0..10 {
            let next = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap();
            found.push(next.unwrap().unwrap().0.offset);
        }
        if round == 0 {
            connection.get_mut().write_all(b"restart\n").unwrap();
            assert_eq!(line(&mut connection), "done", "the answer to the restart");
        }
    }
    assert_eq!(told, (0..20).collect::<Vec<_>>(), "the acknowledged offsets");
    assert_eq!(found, (0..20).collect::<Vec<_>>(), "the offsets read");
}

async fn tell_all() -> bool {
    let mut teller = Teller { only: env::var("ONLY").unwrap_or_default(), failed: false };
    teller.tell("metadata", metadata()).await;
    teller.tell("automatic topic creation", automatic_topic_creation()).await;
    teller.tell("unknown partition", unknown_partition()).await;
    for (name, compression) in [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        teller.tell(&format!("codec {name}"), codec(name, compression)).await;
    }
    teller.tell("headers", headers()).await;
    teller.tell("null and empty values", null_and_empty_values()).await;
    teller.tell("sizes 1 B to 10 MiB", sizes()).await;
    teller.tell("message too large", message_too_large()).await;
    teller.tell("acks all", acks_all()).await;
    #[cfg(not(feature = "0.5.0"))]
    teller.tell("offsets by time", offsets_by_time()).await;
    #[cfg(feature = "0.5.0")]
    teller.say("lacks", "offsets by time", "it asks for the earliest and the latest only");
    teller.tell("list offsets", list_offsets()).await;
    teller.tell("seek into a batch", seek_into_a_batch()).await;
    teller.tell("fetch waits for data", fetch_waits_for_data()).await;
    teller.tell("offset out of range", offset_out_of_range()).await;
    teller.tell("create topic", create_topic()).await;
    teller.tell("delete records", delete_records()).await;
    teller.tell("delete topic", delete_topic()).await;
    match env::var("RESTART") {
        Ok(lender) if !lender.is_empty() => {
            teller.tell("goes on after a restart", goes_on_after_a_restart(lender)).await;
        }
        _ => teller.say("skip", "goes on after a restart", "this run has no broker that may be restarted"),
    }
    for (name, why) in LACKS {
        teller.say("lacks", name, why);
    }
    teller.failed
}

fn main() {
    std::panic::set_hook(Box::new(|failure| *FAILURE.lock().unwrap() = failure.to_string()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    exit(i32::from(runtime.block_on(tell_all())));
}
