//! Peers that are no broker, old brokers, and brokers that say nothing.

use std::time::Duration;

use millrace::client::{Client, ClientConfig, Connection, Error, ErrorKind};
use millrace::wire::ApiKey;
use millrace::wire::messages::metadata::MetadataRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A peer that answers each frame with the next of `answers`, and then says no more.
async fn peer(answers: Vec<Vec<u8>>) -> ClientConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ClientConfig::new(&listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for answer in answers {
            let size = stream.read_u32().await.unwrap();
            let mut frame = vec![0; size as usize];
            stream.read_exact(&mut frame).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
        // Open, and read, until the client closes it.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    config
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// ApiVersions of version 0: correlation id, error, and one range for ApiVersions and Metadata each.
fn versions_v0(correlation_id: u8, error: u8, metadata_max: u8) -> Vec<u8> {
    frame(&[0, 0, 0, correlation_id, 0, error, 0, 0, 0, 2, 0, 18, 0, 0, 0, 0, 0, 3, 0, 0, 0, metadata_max])
}

async fn open(config: &ClientConfig) -> Result<Connection, Error> {
    Connection::open(&config.bootstrap[0], config).await
}

#[tokio::test]
async fn an_old_broker_that_refuses_the_first_question_is_asked_in_its_own_version() {
    let config = peer(vec![versions_v0(0, 35, 1), versions_v0(1, 0, 1)]).await;
    let connection = open(&config).await.unwrap();
    assert_eq!(connection.ranges().served(ApiKey::Metadata), Some((0, 1)));
    assert_eq!(connection.version_of::<MetadataRequest>().unwrap(), 1);
    assert_eq!(connection.ranges().served(ApiKey::Fetch), None);
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_told_apart() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let wrong_id = versions_v0(9, 0, 1);
    let cut_short = frame(&[0, 0, 0, 0, 0, 0]);
    let nothing = frame(&[]);
    for answer in [http, wrong_id, cut_short, nothing] {
        let config = peer(vec![answer]).await;
        let error = open(&config).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
}

#[tokio::test]
async fn a_count_beyond_the_frame_is_refused_without_reserving_for_it() {
    let config = peer(vec![frame(&[0, 0, 0, 0, 0, 35, 0x7f, 0xff, 0xff, 0xff])]).await;
    assert!(matches!(open(&config).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn a_response_larger_than_allowed_closes_the_connection() {
    let mut config = peer(vec![versions_v0(0, 35, 1)]).await;
    config.max_response_bytes = 10;
    let error = open(&config).await.unwrap_err();
    assert!(error.to_string().contains("at most 10"), "{error}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up_in_time_and_for_all_that_wait() {
    let mut config = peer(vec![]).await;
    config.connect_timeout = Duration::from_millis(50);
    assert!(matches!(open(&config).await, Err(Error::Connect { .. })));

    let mut config = peer(vec![versions_v0(0, 35, 1), versions_v0(1, 0, 1)]).await;
    config.request_timeout = Duration::from_millis(50);
    let connection = open(&config).await.unwrap();
    let (request, other) = (MetadataRequest::default(), MetadataRequest::default());
    let (one, two) = tokio::join!(connection.call(&request), connection.call(&other));
    assert!(matches!(one, Err(Error::RequestTimeout { api: ApiKey::Metadata, .. })), "{one:?}");
    assert!(two.is_err());
    assert!(connection.is_closed());
    assert!(connection.call(&request).await.is_err(), "it does not come back");
}

#[tokio::test]
async fn without_a_broker_connecting_fails_at_once_and_says_where() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = ClientConfig::new(&free.to_string()).unwrap();
    let error = Client::connect(config).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }));
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}
