//! What groups cost: commits, rebalances, and one topic for many groups. Spoken by light clients of our own, one task and
//! one connection each, so that what is measured is the broker.

pub(crate) mod commits;
pub(crate) mod fanout;
pub(crate) mod rebalance;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::{self, ErrorCode, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that has one request on its way at a time.
pub(crate) struct Raw {
    stream: TcpStream,
    correlation_id: i32,
}

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0 }
    }

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let frame = self.call_frame(request, version).await;
        wire::decode_response(&frame, version).unwrap().1
    }

    /// Waits until the broker coordinates the group: Kafka makes a topic for that when it is asked for the first time.
    pub(crate) async fn await_coordinator(&mut self, group: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let request = FindCoordinatorRequest { key: group.into(), ..FindCoordinatorRequest::default() };
            let found = self.call(&request, 3).await.error_code;
            // A member that there is not: only a coordinator knows that.
            let request = HeartbeatRequest {
                group_id: group.into(),
                member_id: "nobody".into(),
                ..HeartbeatRequest::default()
            };
            let answered = self.call(&request, 4).await.error_code;
            if found == ErrorCode::NONE && answered == ErrorCode::UNKNOWN_MEMBER_ID {
                return;
            }
            assert!(Instant::now() < deadline, "no coordinator for {group}: {found:?}, {answered:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The answer as it came.
    pub(crate) async fn call_frame<R: Request>(&mut self, request: &R, version: i16) -> Bytes {
        self.correlation_id += 1;
        let frame = wire::encode_request(request, version, self.correlation_id, None).unwrap();
        self.stream.write_all(&frame.into_bytes()).await.unwrap();
        let size = self.stream.read_u32().await.unwrap() as usize;
        let mut frame = Vec::with_capacity(size);
        (&mut self.stream).take(size as u64).read_to_end(&mut frame).await.unwrap();
        assert_eq!(frame.len(), size, "the broker hung up");
        frame.into()
    }
}

/// One thread for all clients: with the broker's beside it they fill two processors.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
