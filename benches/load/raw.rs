//! A light client of our own: a connection that has one request on its way at a time, and the calls that several loads
//! make. It costs next to nothing, so that what is measured is the broker.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::record::{Batch, BatchBuilder, BatchHeader, Compression};
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::wire::{self, ErrorCode, Records, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

// Versions that name topics and that all brokers know.
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const LIST_OFFSETS_VERSION: i16 = 6;
const COMMIT_VERSION: i16 = 8;
const FIND_COORDINATOR_VERSION: i16 = 3;
const HEARTBEAT_VERSION: i16 = 4;

/// Bytes of a record's value in the batches that are made here.
pub(crate) const VALUE_BYTES: usize = 1024;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const TIMEOUT_MS: i32 = 30_000;

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    correlation_id: i32,
}

// === impl Raw ===

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0 }
    }

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.correlation_id += 1;
        let frame = wire::encode_request(request, version, self.correlation_id, None).unwrap();
        self.stream.write_all(&frame.into_bytes()).await.unwrap();
        let size = self.stream.read_u32().await.unwrap() as usize;
        let mut frame = Vec::with_capacity(size);
        (&mut self.stream).take(size as u64).read_to_end(&mut frame).await.unwrap();
        assert_eq!(frame.len(), size, "the broker hung up");
        wire::decode_response(&frame.into(), version).unwrap().1
    }

    /// Sends one batch and waits until it is acknowledged by all.
    pub(crate) async fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) {
        let data = PartitionProduceData { index: partition, records: Some(batch) };
        let data = TopicProduceData {
            name: topic.into(),
            partition_data: vec![data].into(),
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![data].into(),
            ..ProduceRequest::default()
        };
        let response = self.call(&request, PRODUCE_VERSION).await;
        let topic = response.responses.iter().next().unwrap();
        assert_eq!(topic.partition_responses.iter().next().unwrap().error_code, ErrorCode::NONE);
    }

    /// Reads from `places` (partition and offset) in this order, up to `max_bytes` in all; what came, by partition.
    pub(crate) async fn fetch(
        &mut self,
        topic: &str,
        places: impl Iterator<Item = (i32, i64)>,
        max_bytes: i32,
    ) -> Vec<(i32, Bytes)> {
        let partitions = places.map(|(partition, fetch_offset)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: max_bytes,
            ..FetchPartition::default()
        });
        let topic =
            FetchTopic { topic: topic.into(), partitions: partitions.collect(), ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes,
            topics: vec![topic].into(),
            ..FetchRequest::default()
        };
        let response = self.call(&request, FETCH_VERSION).await;
        let mut came = Vec::new();
        for answer in response.responses.iter().flat_map(|topic| topic.partitions) {
            assert_eq!(answer.error_code, ErrorCode::NONE, "partition {}", answer.partition_index);
            let records = answer.records.map(Records::into_bytes).unwrap_or_default();
            if !records.is_empty() {
                came.push((answer.partition_index, records));
            }
        }
        came
    }

    /// The first offset of each partition and the one behind its last, the partitions in their order.
    pub(crate) async fn ends(&mut self, topic: &str, partitions: i32) -> Vec<(i64, i64)> {
        let (first, end) =
            (self.list(topic, partitions, EARLIEST).await, self.list(topic, partitions, LATEST).await);
        first.into_iter().zip(end).collect()
    }

    async fn list(&mut self, topic: &str, partitions: i32, timestamp: i64) -> Vec<i64> {
        let asked = (0..partitions).map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp,
            ..ListOffsetsPartition::default()
        });
        let topic = ListOffsetsTopic { name: topic.into(), partitions: asked.collect() };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic].into(),
            ..ListOffsetsRequest::default()
        };
        let response = self.call(&request, LIST_OFFSETS_VERSION).await;
        let told = response.topics.iter().flat_map(|topic| topic.partitions);
        let mut offsets: Vec<(i32, i64)> = told.map(|told| (told.partition_index, told.offset)).collect();
        offsets.sort_unstable();
        assert_eq!(offsets.len(), usize::try_from(partitions).unwrap());
        offsets.into_iter().map(|(_, offset)| offset).collect()
    }

    /// Waits until the broker coordinates the group: Kafka makes a topic for that when it is asked for the first time.
    pub(crate) async fn await_coordinator(&mut self, group: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let request = FindCoordinatorRequest { key: group.into(), ..FindCoordinatorRequest::default() };
            let found = self.call(&request, FIND_COORDINATOR_VERSION).await.error_code;
            // A member that there is not: only a coordinator knows that.
            let request = HeartbeatRequest {
                group_id: group.into(),
                member_id: "nobody".into(),
                ..HeartbeatRequest::default()
            };
            let answered = self.call(&request, HEARTBEAT_VERSION).await.error_code;
            if found == ErrorCode::NONE && answered == ErrorCode::UNKNOWN_MEMBER_ID {
                return;
            }
            assert!(Instant::now() < deadline, "no coordinator for {group}: {found:?}, {answered:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Commits an offset of partition 0 for a group.
    pub(crate) async fn commit(&mut self, group: &str, topic: &str, offset: i64) {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition].into(),
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![topic].into(),
            ..OffsetCommitRequest::default()
        };
        let response = self.call(&request, COMMIT_VERSION).await;
        let code = response.topics.iter().next().unwrap().partitions.iter().next().unwrap().error_code;
        assert_eq!(code, ErrorCode::NONE, "a commit was refused");
    }
}

/// One thread for all clients: with the broker's beside it they fill two processors.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A batch of nearly `batch_bytes`.
pub(crate) fn batch(batch_bytes: usize, timestamp_ms: i64) -> Batch {
    let value = [b'v'; VALUE_BYTES];
    let mut builder = BatchBuilder::new(Compression::None);
    let record_bytes = BatchBuilder::record_size_bound(None, Some(&value), &[]);
    while builder.is_empty() || builder.uncompressed_size_bytes() + record_bytes <= batch_bytes {
        builder.append(timestamp_ms, None, Some(&value), &[]).unwrap();
    }
    Batch::parse(builder.build()).unwrap()
}

/// The offset after the last whole batch of `records`.
pub(crate) fn end_of(records: &[u8]) -> Option<i64> {
    let (mut rest, mut end) = (records, None);
    while let Ok(header) = BatchHeader::parse(rest) {
        let Some(after) = rest.get(header.size_bytes()..) else { break };
        end = Some(header.next_offset());
        rest = after;
    }
    end
}
