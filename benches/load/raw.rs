//! A light client of our own: a connection that has one request on its way at a time, and the calls that several loads
//! make. It costs next to nothing, so that what is measured is the broker.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::record::BatchHeader;
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::{self, ErrorCode, Records, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

// Versions that name topics and that all brokers know.
const FETCH_VERSION: i16 = 12;
const COMMIT_VERSION: i16 = 8;
const FIND_COORDINATOR_VERSION: i16 = 3;
const HEARTBEAT_VERSION: i16 = 4;

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
