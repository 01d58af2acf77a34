//! Offsets: looking them up by time, and deleting the records before them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Admin, no_answer, timeout_ms};
use crate::client::cluster::{AutoCreate, Client};
use crate::client::error::{Error, is_stale_metadata};
use crate::client::retry::Attempts;
use crate::types::{Isolation, LeaderEpoch, Offset, TimestampMs};
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};

/// Which offset of a partition to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The oldest record kept.
    Earliest,
    /// The end: the high watermark, or the last stable offset for readers of committed records.
    Latest,
    /// The first record with the largest timestamp.
    MaxTimestamp,
    /// The first record with this timestamp or a later one.
    Timestamp(TimestampMs),
}

/// An offset that was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` when no record matches.
    pub offset: Option<Offset>,
    /// The timestamp of its record, where the lookup was by time.
    pub timestamp_ms: Option<TimestampMs>,
    /// The leader epoch of its record, when the broker tells.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What to look up: topic, partition and which offset.
pub type OffsetQuery = (Arc<str>, i32, OffsetSpec);

// === impl OffsetSpec ===

impl OffsetSpec {
    fn to_wire(self) -> TimestampMs {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(timestamp_ms) => timestamp_ms.max(0),
        }
    }
}

// === impl Admin ===

impl Admin {
    /// Looks up offsets, all at once per leader. The answers are in the order of the queries.
    pub async fn list_offsets(
        &self,
        queries: &[OffsetQuery],
        isolation: Isolation,
    ) -> Vec<Result<ListedOffset, Error>> {
        list_offsets(&self.client, queries, isolation).await
    }

    /// Deletes all records of a partition below `before`; -1 stands for the high watermark. Returns the partition's new
    /// log start offset.
    ///
    /// # Errors
    /// When there is no such partition, or `before` lies beyond the high watermark.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: Offset) -> Result<Offset, Error> {
        let context = || format!("deleting the records of {topic}-{partition} before offset {before}");
        self.client
            .retrying(context, || async {
                let leader = leader_of(&self.client, topic, partition).await?.0;
                let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset: before }];
                let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions: partitions.into() }];
                let request =
                    DeleteRecordsRequest { topics: topics.into(), timeout_ms: timeout_ms(&self.client) };
                let response = self.client.call(leader, &request).await?;
                let answer = response.topics.iter().find_map(|topic| topic.partitions.iter().next());
                let answer = answer.ok_or_else(|| no_answer(context()))?;
                forget_if_stale(&self.client, topic, answer.error_code).await;
                Error::check(answer.error_code, None, context)?;
                Ok(answer.low_watermark)
            })
            .await
    }
}

/// See [`Admin::list_offsets`].
pub(crate) async fn list_offsets(
    client: &Client,
    queries: &[OffsetQuery],
    isolation: Isolation,
) -> Vec<Result<ListedOffset, Error>> {
    let mut results: Vec<Option<Result<ListedOffset, Error>>> = vec![None; queries.len()];
    let after = client.config().api_timeout;
    let mut attempts = Attempts::within(client.config().retry, after);
    loop {
        let open: Vec<usize> = (0..queries.len()).filter(|&index| results[index].is_none()).collect();
        let mut last = None;
        for (index, result) in list_round(client, queries, &open, isolation).await {
            match result {
                Err(error) if error.may_pass() => last = Some(Box::new(error)),
                settled => results[index] = Some(settled),
            }
        }
        if last.is_none() || !attempts.wait().await {
            let timed_out =
                || Error::Timeout { what: "looking up offsets".to_owned(), after, last: last.clone() };
            return results.into_iter().map(|result| result.unwrap_or_else(|| Err(timed_out()))).collect();
        }
    }
}

/// Asks once for the queries at the indexes `open`; every one of them is in the answer.
async fn list_round(
    client: &Client,
    queries: &[OffsetQuery],
    open: &[usize],
    isolation: Isolation,
) -> Vec<(usize, Result<ListedOffset, Error>)> {
    let mut results = Vec::with_capacity(open.len());
    // A request may name a partition once only: the second query for it is in a second request.
    let mut requests: HashMap<(i32, usize), Vec<(usize, LeaderEpoch)>> = HashMap::new();
    let mut queried: HashMap<(&str, i32), usize> = HashMap::new();
    for &index in open {
        let (topic, partition, _) = &queries[index];
        match leader_of(client, topic, *partition).await {
            Ok((leader, epoch)) => {
                let turn = queried.entry((topic, *partition)).or_default();
                requests.entry((leader, *turn)).or_default().push((index, epoch));
                *turn += 1;
            }
            Err(error) => results.push((index, Err(error))),
        }
    }
    for ((leader, _), asked) in requests {
        let request = list_request(queries, &asked, isolation);
        let response = client.call(leader, &request).await;
        let mut answers = HashMap::new();
        if let Ok(response) = &response {
            for topic in &response.topics {
                let name = topic.name.to_string();
                answers.extend(
                    topic.partitions.iter().map(|answer| ((name.clone(), answer.partition_index), answer)),
                );
            }
        }
        for (index, _) in asked {
            let (topic, partition, _) = &queries[index];
            let result = match &response {
                Err(error) => Err(error.clone()),
                Ok(_) => match answers.get(&(topic.to_string(), *partition)) {
                    Some(answer) => {
                        forget_if_stale(client, topic, answer.error_code).await;
                        listed(answer, || format!("looking up offsets of {topic}-{partition}"))
                    }
                    None => Err(no_answer(format!("looking up offsets of {topic}-{partition}"))),
                },
            };
            results.push((index, result));
        }
    }
    results
}

fn list_request(
    queries: &[OffsetQuery],
    asked: &[(usize, LeaderEpoch)],
    isolation: Isolation,
) -> ListOffsetsRequest {
    let mut topics: Vec<(&Arc<str>, Vec<ListOffsetsPartition>)> = Vec::new();
    for (index, epoch) in asked {
        let (name, partition_index, spec) = &queries[*index];
        let partition = ListOffsetsPartition {
            partition_index: *partition_index,
            current_leader_epoch: epoch.0,
            timestamp: spec.to_wire(),
        };
        match topics.iter_mut().find(|(known, _)| *known == name) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((name, vec![partition])),
        }
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic { name: (&**name).into(), partitions: partitions.into() });
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: match isolation {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        },
        topics: topics.collect(),
        ..ListOffsetsRequest::default()
    }
}

fn listed(
    answer: &ListOffsetsPartitionResponse,
    context: impl FnOnce() -> String,
) -> Result<ListedOffset, Error> {
    Error::check(answer.error_code, None, context)?;
    Ok(ListedOffset {
        offset: (answer.offset >= 0).then_some(answer.offset),
        timestamp_ms: (answer.timestamp >= 0).then_some(answer.timestamp),
        leader_epoch: (answer.leader_epoch >= 0).then_some(LeaderEpoch(answer.leader_epoch)),
    })
}

/// Who leads a partition, and its epoch.
async fn leader_of(client: &Client, topic: &str, partition: i32) -> Result<(i32, LeaderEpoch), Error> {
    let found = client.topic(topic).await?;
    let Some(known) = found.partition(partition) else {
        let message = format!("the topic has {} partitions, counted from 0", found.partitions.len());
        let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        return Err(Error::broker(format!("partition {partition} of topic {topic}"), code, Some(message)));
    };
    match known.leader {
        Some(leader) => Ok((leader, LeaderEpoch(known.leader_epoch))),
        None => {
            let code = ErrorCode::LEADER_NOT_AVAILABLE;
            forget_if_stale(client, topic, code).await;
            Err(Error::broker(format!("partition {partition} of topic {topic}"), code, None))
        }
    }
}

/// Asks for a topic's metadata again when `code` says that it is out of date.
async fn forget_if_stale(client: &Client, topic: &str, code: ErrorCode) {
    if is_stale_metadata(code)
        && let Err(error) = client.fetch_topic(topic, AutoCreate::No, Instant::now()).await
    {
        tracing::debug!(topic, %error, "cannot refresh metadata");
    }
}
