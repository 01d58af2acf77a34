//! What the engine is asked and what it answers: plain data, no protocol.
//!
//! The Kafka adapter translates to and from these; so will every other door. Designed for an ideal caller: each
//! partition of a request has its own outcome, in the order of the request, and errors are
//! [`Error`], never wire codes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub mod consumer_group;
pub mod group;

use super::Error;
pub use super::config::Shape;
use crate::types::{
    BrokerId, Isolation, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId,
};

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicRef {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(TopicId),
}

/// When a produce is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody waits (`acks=0`).
    None,
    /// After the append (`acks=1`).
    Leader,
    /// After the commit (`acks=all`): under the default durability, when it is on the disk.
    All,
}

/// Record batches for several partitions.
#[derive(Debug)]
pub struct ProduceRequest {
    /// When to answer.
    pub acks: Acks,
    /// How long an `acks=all` may wait for its commit.
    pub timeout: Duration,
    /// Whether batches may be compressed with zstd, which older readers do not know.
    pub zstd: bool,
    /// The partitions' batches, in the order in which they are to be appended.
    pub partitions: Vec<ProducePartition>,
}

/// The batch for one partition.
#[derive(Debug)]
pub struct ProducePartition {
    /// The topic.
    pub topic: TopicRef,
    /// The partition's index.
    pub partition: i32,
    /// The raw record batch as it came, not validated yet; a slice of the request's frame.
    pub records: Bytes,
}

/// What became of one partition's batch.
pub type ProduceOutcome = Result<Produced, ProduceError>;

/// An appended (and, for `acks=all`, committed) batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The offset of the batch's first record.
    pub base_offset: Offset,
    /// The time stamped into the batch under `message.timestamp.type=LogAppendTime`.
    pub log_append_time_ms: Option<TimestampMs>,
    /// Where the log starts now.
    pub log_start_offset: Offset,
}

/// Why a batch was refused.
#[derive(Debug, Clone)]
pub struct ProduceError {
    /// What happened.
    pub error: Error,
    /// The records at fault, where the error is about single records.
    pub records: Vec<RecordFault>,
}

/// One record of a refused batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// The record's index in its batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub message: String,
}

/// A read of several partitions that may wait for data.
#[derive(Debug)]
pub struct FetchRequest {
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer once this many bytes are there, summed over all partitions.
    pub min_bytes: usize,
    /// Limit of the whole answer; the first non-empty partition gives one batch even beyond it.
    pub max_bytes: usize,
    /// What the reader may see.
    pub isolation: Isolation,
    /// The partitions, most wanted first.
    pub partitions: Vec<FetchPartition>,
}

/// Where to read in one partition.
#[derive(Debug, Clone)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicRef,
    /// The partition's index.
    pub partition: i32,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// Limit for this partition.
    pub max_bytes: usize,
    /// The epoch in which the reader believes the leader to be; fenced or unknown when it differs.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record the reader has; diverges when the log disagrees.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// One partition's part of the answer to a fetch.
#[derive(Debug)]
pub struct Fetched {
    /// First offset not visible yet.
    pub high_watermark: Offset,
    /// First offset of the oldest open transaction, else the high watermark.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Whole batches, starting with the one that contains the fetch offset: slices of the log's maps.
    pub records: Vec<Bytes>,
    /// Aborted transactions that overlap `records` (read committed only): producer id and first offset.
    pub aborted: Option<Vec<(ProducerId, Offset)>>,
    /// Set when the reader's last epoch disagrees with the log: the epoch and end offset up to which both agree.
    pub diverging: Option<EpochEnd>,
}

/// One partition's fetch outcome; an error carries what is known of the log.
pub type FetchOutcome = Result<Fetched, Error>;

/// Where an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch at or below the one asked for.
    pub epoch: LeaderEpoch,
    /// The first offset after it.
    pub end_offset: Offset,
}

/// Which offset is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The end of what the reader may see.
    Latest,
    /// The log start offset.
    Earliest,
    /// The first record with the largest timestamp.
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    Timestamp(TimestampMs),
}

/// The answer to an offset lookup; `offset` is None when no record qualifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset found.
    pub offset: Option<Offset>,
    /// The record's timestamp, for lookups by time.
    pub timestamp_ms: Option<TimestampMs>,
    /// The epoch of that offset.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A topic to create.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions; None for the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas; None for the broker's default.
    pub replication_factor: Option<i16>,
    /// An explicit assignment, partition index to brokers; empty for none.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Settings by Kafka's names.
    pub configs: Vec<(String, Option<String>)>,
}

/// An idempotent producer's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// The id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// A topic as it was created.
#[derive(Debug, Clone)]
pub struct TopicInfo {
    /// Its id; zero when it was only checked.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// All its settings.
    pub configs: Vec<ConfigEntry>,
}

/// Whose settings are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic's, by name.
    Topic(Arc<str>),
    /// The broker's: its node id as text, or empty for all brokers.
    Broker(String),
    /// A group's, by name; there need not be such a group.
    Group(Arc<str>),
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// The value in force.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether the value is a secret, and then not shown.
    pub sensitive: bool,
    /// How the value reads.
    pub shape: Shape,
    /// What it does.
    pub doc: &'static str,
    /// All values given for it, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// One of the values given for a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The setting's name there.
    pub name: String,
    /// The value there.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Given for the topic.
    Topic,
    /// Given for the group.
    Group,
    /// Given for this broker while it ran.
    DynamicBroker,
    /// Given for all brokers while they ran.
    DynamicDefaultBroker,
    /// Given at the start: file, environment, command line.
    StaticBroker,
    /// Nobody gave one.
    Default,
}

/// A change of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// These, and nothing else, are given from now on.
    Replace(Vec<(String, Option<String>)>),
    /// One by one, in order.
    Incremental(Vec<(String, ConfigOp)>),
}

// === impl ConfigChange ===

impl ConfigChange {
    /// The names of the settings it changes.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let (pairs, ops) = match self {
            Self::Replace(pairs) => (pairs.as_slice(), [].as_slice()),
            Self::Incremental(ops) => ([].as_slice(), ops.as_slice()),
        };
        pairs.iter().map(|(name, _)| name).chain(ops.iter().map(|(name, _)| name))
    }
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOp {
    /// Give a value.
    Set(Option<String>),
    /// Take the given value away.
    Delete,
    /// Add words to a list.
    Append(Option<String>),
    /// Take words off a list.
    Subtract(Option<String>),
}

/// The size of one partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSize {
    /// The partition's index.
    pub partition: i32,
    /// Bytes of all its segments.
    pub size_bytes: u64,
}

/// An idempotent producer that a partition remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The last sequence number of its last batch, if it has written any in that epoch.
    pub last_sequence: Option<i32>,
    /// The largest timestamp of that batch.
    pub last_timestamp_ms: Option<TimestampMs>,
}

/// Who decides on the metadata, and how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumState {
    /// The one voter.
    pub voter: BrokerId,
    /// The epoch in which it leads.
    pub leader_epoch: LeaderEpoch,
    /// The end of its catalog, all of which is committed.
    pub log_end_offset: Offset,
    /// Now, by the wall clock.
    pub now_ms: TimestampMs,
}

/// The data directory as admin clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Its path.
    pub path: String,
    /// The topics asked for of which any partition exists, by name, with those partitions' sizes.
    pub topics: Vec<(Arc<str>, Vec<PartitionSize>)>,
    /// Bytes that its file system holds when it is full.
    pub total_bytes: Option<u64>,
    /// Bytes that can still be written.
    pub usable_bytes: Option<u64>,
}
