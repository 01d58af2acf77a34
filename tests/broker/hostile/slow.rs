//! Those who send a byte now and then, and those who never read.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use millrace::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::wire::messages::metadata::MetadataRequest;
use millrace::wire::{ErrorCode, Str, encode_request};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::attacker::{PATIENCE, bytes_until_closed, connect_from, header, sized};
use super::victim::Victim;
use crate::fixture::{Client, batch, only, produce};

/// A topic with more in it than one answer.
pub(crate) const FEED: &str = "feed";
/// How many records of a megabyte it has.
pub(crate) const FEED_RECORDS: i64 = 58;
/// The largest answer asked for.
const ANSWER_BYTES: i32 = 50 << 20;

/// `count` clients that each send one byte of a request every 100 ms until the broker cuts them. Returns how long the
/// first and the last of them lived.
pub(super) async fn dribble(broker: SocketAddr, count: usize) -> (Duration, Duration) {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..count {
        let stream = connect_from(4, broker).await;
        clients.spawn(async move {
            let frame = sized(&[&header(3, 1, false)[..], &[0; 60_000]].concat());
            let (mut answers, mut requests) = stream.into_split();
            let begun = Instant::now();
            let sending = async move {
                let mut pace = tokio::time::interval(Duration::from_millis(100));
                for byte in frame {
                    pace.tick().await;
                    if requests.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
            };
            let closed = async {
                let mut byte = [0; 1];
                let _ = tokio::io::AsyncReadExt::read(&mut answers, &mut byte).await;
            };
            let lived = async {
                tokio::select! { () = sending => {}, () = closed => {} }
            };
            tokio::time::timeout(PATIENCE, lived).await.expect("a dribbling client was not cut");
            begun.elapsed()
        });
    }
    let lives = clients.join_all().await;
    (*lives.iter().min().unwrap(), *lives.iter().max().unwrap())
}

/// Makes [`FEED`] with 56 MiB in it.
pub(crate) async fn fill_feed(broker: SocketAddr) {
    let mut client = Client::connect(broker).await;
    client.make_topic(FEED).await;
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..FEED_RECORDS {
        let response = client.ask(&produce(FEED, -1, batch(&[&megabyte])), 9).await;
        assert_eq!(only(&response).error_code, ErrorCode::NONE);
    }
}

/// A request for 50 MiB of the feed.
pub(crate) fn greedy_frame() -> Bytes {
    let partition = FetchPartition { partition_max_bytes: ANSWER_BYTES, ..Default::default() };
    let topic = FetchTopic {
        topic: Str::from_static(FEED),
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: ANSWER_BYTES,
        topics: vec![topic].into(),
        ..Default::default()
    };
    encode_request(&request, 4, 1, None).unwrap().into_bytes()
}

/// `count` clients that each ask for 50 MiB twice and read nothing.
pub(super) async fn greedy(broker: SocketAddr, count: usize) -> Vec<TcpStream> {
    let frame = greedy_frame();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = connect_from(5, broker).await;
        client.write_all(&frame).await.unwrap();
        client.write_all(&frame).await.unwrap();
        clients.push(client);
    }
    clients
}

/// Waits until the broker has cut all of them, which shows without reading.
pub(crate) async fn are_cut(clients: &[TcpStream]) {
    for client in clients {
        let cut = client.ready(Interest::ERROR);
        tokio::time::timeout(PATIENCE, cut).await.expect("a client that never reads was not cut").unwrap();
    }
}

#[tokio::test]
async fn f16_a_thousand_dribbling_clients_are_cut_at_the_deadline_and_a_good_one_is_served() {
    let victim = Victim::start(&["connections.request.timeout.ms=1500"]);
    let mut bystander = Client::connect(victim.address).await;
    let attack = tokio::spawn(dribble(victim.address, 1000));
    while !attack.is_finished() {
        bystander.ask(&MetadataRequest::default(), 1).await;
        // Asked now and then, as a client would; the attack ends by the broker's doing.
        tokio::task::yield_now().await;
    }
    let (first, last) = attack.await.unwrap();
    println!("the first was cut after {first:?}, the last after {last:?}");
    assert!(first >= Duration::from_millis(1400), "{first:?}");
    assert!(last <= Duration::from_secs(15), "{last:?}");
}

/// The deadline of a request moves on with what arrives, so that a large one may take its time. It was once granted for
/// all that had arrived at once: whoever sent 90 MiB quickly and then stopped held them for 24 minutes.
#[tokio::test]
async fn f16_a_large_request_that_stops_is_cut_as_soon_as_a_small_one() {
    let victim = Victim::start(&["connections.request.timeout.ms=1000"]);
    let mut attacker = connect_from(4, victim.address).await;
    let mut half = (100i32 << 20).to_be_bytes().to_vec();
    half.extend(header(0, 9, true));
    half.resize(40 << 20, 0);
    attacker.write_all(&half).await.unwrap();
    let stopped = Instant::now();
    bytes_until_closed(&mut attacker).await;
    assert!(stopped.elapsed() < Duration::from_secs(10), "held for {:?}", stopped.elapsed());
}

#[tokio::test]
async fn f19_two_hundred_clients_that_never_read_are_cut_and_cost_little_memory() {
    let victim = Victim::start(&["connections.response.timeout.ms=2000"]);
    fill_feed(victim.address).await;
    let before = victim.memory();
    let clients = greedy(victim.address, 200).await;
    let mut bystander = Client::connect(victim.address).await;
    bystander.ask(&MetadataRequest::default(), 1).await;
    let during = victim.memory();
    are_cut(&clients).await;
    let anonymous = during.anonymous_bytes.saturating_sub(before.anonymous_bytes);
    let resident = during.resident_bytes.saturating_sub(before.resident_bytes);
    println!("200 answers of 50 MiB: {} MiB more, {} MiB of them anonymous", resident >> 20, anonymous >> 20);
    assert!(resident <= 256 << 20, "{resident} bytes");
    bystander.ask(&MetadataRequest::default(), 1).await;
}
