//! One fetch: the request for a leader's partitions, and what its answer says of each.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ConsumerConfig;
use super::assignment::{Key, Watermarks};
use crate::client::cluster::Client;
use crate::client::error::Error;
use crate::types::{Isolation, Offset, TopicId};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};

/// The last version of Fetch that names topics; from the next on they have ids.
const LAST_VERSION_WITH_NAMES: i16 = 12;

/// A request outside of any fetch session.
///
/// Source: KIP-227.
const NO_SESSION_EPOCH: i32 = -1;

/// A partition to ask for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) topic_id: TopicId,
    pub(super) generation: u64,
    pub(super) fetch_offset: Offset,
    pub(super) leader_epoch: i32,
    pub(super) last_fetched_epoch: Option<i32>,
}

/// What a broker answered about one partition.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Whole batches from the one that contains the offset on, or nothing new.
    Records { bytes: Bytes, aborted: Vec<AbortedTransaction>, watermarks: Watermarks },
    /// The log was cut back since the last fetch: it agrees with what was read up to here.
    Diverged(Offset),
    /// The offset is not in the log.
    OutOfRange,
    /// Another error.
    Failed(Error),
}

/// A transaction whose records a reader of committed records leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AbortedTransaction {
    pub(super) producer_id: i64,
    pub(super) first_offset: Offset,
}

/// Asks one broker for `wanted`; the answers are in the same order.
pub(super) async fn fetch(
    client: &Client,
    node_id: i32,
    wanted: &[Wanted],
    config: &ConsumerConfig,
) -> Result<Vec<Fetched>, Error> {
    let connection = client.connection(node_id).await?;
    let mut version = connection.version_of::<FetchRequest>()?;
    if wanted.iter().any(|wanted| wanted.topic_id.is_zero()) {
        version = version.min(LAST_VERSION_WITH_NAMES);
    }
    let response = connection.call_at(&request(wanted, config), version, config.max_wait).await?;
    if let Ok(throttle_ms @ 1..) = u64::try_from(response.throttle_time_ms) {
        // KIP-219: the broker counts on the client to keep away.
        tokio::time::sleep(Duration::from_millis(throttle_ms)).await;
    }
    Error::check(response.error_code, None, || format!("fetching from broker {node_id}"))?;
    let mut answers = Vec::with_capacity(wanted.len());
    for topic in &response.responses {
        let (name, id) = (topic.topic.to_string(), topic.topic_id);
        answers.extend(topic.partitions.into_iter().map(|data| (name.clone(), id, Some(data))));
    }
    let fetched = wanted.iter().map(|wanted| {
        let (topic, partition) = &wanted.key;
        let mine = answers.iter_mut().find(|(name, id, data)| {
            let is_topic =
                if version > LAST_VERSION_WITH_NAMES { *id == wanted.topic_id } else { **name == **topic };
            is_topic && data.as_ref().is_some_and(|data| data.partition_index == *partition)
        });
        // A broker may leave out what did not change only within a session, and there is none.
        let missing = || Fetched::Failed(failed(wanted, ErrorCode::UNKNOWN_SERVER_ERROR));
        mine.and_then(|(.., data)| data.take()).map_or_else(missing, |data| answer_of(wanted, data))
    });
    Ok(fetched.collect())
}

fn request(wanted: &[Wanted], config: &ConsumerConfig) -> FetchRequest {
    let limit = |size_bytes| i32::try_from(size_bytes).unwrap_or(i32::MAX);
    let mut topics: Vec<(&Arc<str>, TopicId, Vec<FetchPartition>)> = Vec::new();
    for wanted in wanted {
        let (name, partition) = &wanted.key;
        let partition = FetchPartition {
            partition: *partition,
            current_leader_epoch: wanted.leader_epoch,
            fetch_offset: wanted.fetch_offset,
            last_fetched_epoch: wanted.last_fetched_epoch.unwrap_or(-1),
            log_start_offset: -1,
            partition_max_bytes: limit(config.max_partition_bytes),
            ..FetchPartition::default()
        };
        match topics.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., partitions)) => partitions.push(partition),
            None => topics.push((name, wanted.topic_id, vec![partition])),
        }
    }
    let topics = topics.into_iter().map(|(name, topic_id, partitions)| FetchTopic {
        topic: (&**name).into(),
        topic_id,
        partitions: partitions.into(),
    });
    FetchRequest {
        replica_id: -1,
        max_wait_ms: limit(usize::try_from(config.max_wait.as_millis()).unwrap_or(usize::MAX)),
        min_bytes: limit(config.min_bytes),
        max_bytes: limit(config.max_bytes),
        isolation_level: match config.isolation {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        },
        session_id: 0,
        session_epoch: NO_SESSION_EPOCH,
        topics: topics.collect(),
        ..FetchRequest::default()
    }
}

fn answer_of(wanted: &Wanted, data: PartitionData) -> Fetched {
    match data.error_code {
        ErrorCode::NONE => {}
        ErrorCode::OFFSET_OUT_OF_RANGE => return Fetched::OutOfRange,
        code => return Fetched::Failed(failed(wanted, code)),
    }
    if data.diverging_epoch.end_offset >= 0 {
        return Fetched::Diverged(data.diverging_epoch.end_offset);
    }
    let aborted = data.aborted_transactions.into_iter().flatten().map(|transaction| AbortedTransaction {
        producer_id: transaction.producer_id,
        first_offset: transaction.first_offset,
    });
    Fetched::Records {
        aborted: aborted.collect(),
        watermarks: Watermarks {
            log_start_offset: data.log_start_offset,
            high_watermark: data.high_watermark,
            last_stable_offset: data.last_stable_offset,
        },
        bytes: data.records.map(crate::wire::Records::into_bytes).unwrap_or_default(),
    }
}

fn failed(wanted: &Wanted, code: ErrorCode) -> Error {
    let (topic, partition) = &wanted.key;
    Error::broker(format!("fetching {topic}-{partition} from offset {}", wanted.fetch_offset), code, None)
}
