//! A broker in this process and a client that speaks in raw frames.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millrace::env::Env;
use millrace::record::{BatchBuilder, Compression};
use millrace::server::Server;
use millrace::server::config::{Layers, ServerConfig, Source};
use millrace::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use millrace::wire::{Message, Request, Str, decode_response, encode_request};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes, shorter than anybody waits for a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A broker on a free port with a data directory of its own.
pub(crate) struct Broker {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    dir: TempDir,
}

/// Starts a broker; `settings` are `key=value`.
pub(crate) async fn broker(settings: &[&str]) -> Broker {
    start(tempfile::tempdir().unwrap(), settings).await
}

async fn start(dir: TempDir, settings: &[&str]) -> Broker {
    let mut layers = Layers::default();
    layers.add("log.dir", dir.path().to_str().unwrap(), Source::Set);
    layers.add("listeners", "127.0.0.1:0", Source::Set);
    for setting in settings {
        layers.add_set(setting).unwrap();
    }
    let config = ServerConfig::from_layers(&layers).unwrap();
    let server = Server::start(&config, Env::system()).await.unwrap();
    Broker { address: server.addresses()[0], server, dir }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

/// How the broker's side of a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Frame(Bytes),
}

impl Broker {
    /// Stops the broker and starts it again on its data directory.
    pub(crate) async fn restart(self, settings: &[&str]) -> Self {
        self.server.stop().await.unwrap();
        start(self.dir, settings).await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Asserts that the broker serves somebody else.
    pub(crate) async fn serves(&self) {
        let response = self.connect().await.ask(&MetadataRequest::default(), 1).await;
        assert_eq!(response.brokers.len(), 1);
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), correlation_id: 0 }
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a frame with its size in front.
    pub(crate) async fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.send_bytes(&bytes).await;
    }

    /// Sends a request; returns its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        self.correlation_id += 1;
        let client = Str::from_static("raw");
        let parts = encode_request(request, version, self.correlation_id, Some(&client)).unwrap();
        let bytes = parts.into_bytes();
        self.send_bytes(&bytes).await;
        self.correlation_id
    }

    /// The next frame, or that the connection has ended.
    pub(crate) async fn next(&mut self) -> End {
        let read = async {
            let Ok(size) = self.stream.read_i32().await else { return End::Closed };
            let mut frame = vec![0; usize::try_from(size).unwrap()];
            match self.stream.read_exact(&mut frame).await {
                Ok(_) => End::Frame(frame.into()),
                Err(_) => End::Closed,
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("neither an answer nor an end")
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Bytes {
        match self.next().await {
            End::Frame(frame) => frame,
            End::Closed => panic!("the connection ended"),
        }
    }

    /// The next answer, which must be the one to `correlation_id`.
    pub(crate) async fn receive<M: Message>(&mut self, version: i16, correlation_id: i32) -> M {
        let frame = self.frame().await;
        let (header, response) = decode_response(&frame, version).unwrap();
        assert_eq!(header.correlation_id, correlation_id);
        response
    }

    pub(crate) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let correlation_id = self.send(request, version).await;
        self.receive(version, correlation_id).await
    }

    /// Asserts that the broker closes this connection without another byte.
    pub(crate) async fn is_closed(&mut self) {
        assert_eq!(self.next().await, End::Closed);
    }

    /// Makes a topic by asking for it, and waits until it can be written to.
    pub(crate) async fn make_topic(&mut self, name: &'static str) {
        let topic = MetadataRequestTopic { name: Some(Str::from_static(name)), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic].into()), ..Default::default() };
        let response = self.ask(&request, 9).await;
        assert!(response.topics.iter().all(|topic| topic.error_code.is_none()), "{response:?}");
    }
}

/// A batch of records with the given values.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.append(now_ms(), None, Some(value), &[]).unwrap();
    }
    builder.build()
}

fn now_ms() -> i64 {
    Env::system().clock.now_ms()
}

/// A produce of one batch to partition 0.
pub(crate) fn produce(topic: &'static str, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData { index: 0, records: Some(records) };
    let topic = TopicProduceData {
        name: Str::from_static(topic),
        partition_data: vec![partition].into(),
        ..Default::default()
    };
    ProduceRequest { acks, timeout_ms: 10_000, topic_data: vec![topic].into(), ..Default::default() }
}

/// The one partition of a produce's answer.
pub(crate) fn only(
    response: &millrace::wire::messages::produce::ProduceResponse,
) -> PartitionProduceResponse {
    let topic = response.responses.iter().next().unwrap();
    topic.partition_responses.iter().next().unwrap()
}
