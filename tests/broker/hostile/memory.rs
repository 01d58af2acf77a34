//! Lengths that are declared and never sent, and requests without end on one connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::attacker::{PATIENCE, connect_from, header, sized};
use super::victim::Victim;
use crate::fixture::Client;
use millrace::wire::messages::metadata::MetadataRequest;

/// What a broker has beside the connections: stacks, queues, its allocator's slack.
const SLACK_BYTES: u64 = 8 << 20;

/// Opens `count` connections of which each has declared 100 MiB and sent `sent_bytes`.
pub(super) async fn half_frames(broker: SocketAddr, count: usize, sent_bytes: usize) -> Vec<TcpStream> {
    let mut half = (100i32 << 20).to_be_bytes().to_vec();
    half.extend(header(0, 9, true));
    half.resize(sent_bytes, 0);
    let mut attackers = Vec::new();
    for _ in 0..count {
        let mut attacker = connect_from(2, broker).await;
        attacker.write_all(&half).await.unwrap();
        attackers.push(attacker);
    }
    attackers
}

/// Sends `count` Metadata requests at once and reads the answers, which must be in order.
pub(super) async fn pipelined(broker: SocketAddr, count: i32) {
    let attacker = connect_from(3, broker).await;
    let (mut answers, mut requests) = attacker.into_split();
    let sending = tokio::spawn(async move {
        let mut bytes = Vec::new();
        for number in 0..count {
            // Metadata of no topics, version 1: the shortest answer.
            let mut frame = header(3, 1, false);
            frame[4..8].copy_from_slice(&number.to_be_bytes());
            frame.extend([0, 0, 0, 0]);
            bytes.extend(sized(&frame));
        }
        requests.write_all(&bytes).await.unwrap();
        requests
    });
    let reading = async {
        for number in 0..count {
            let size = answers.read_i32().await.unwrap();
            let mut answer = vec![0; usize::try_from(size).unwrap()];
            answers.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[..4], number.to_be_bytes(), "answers come in the order of the requests");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("all requests are answered");
    sending.await.unwrap();
}

#[tokio::test]
async fn f15_a_declared_length_costs_twice_what_was_sent_and_64_kib_at_most() {
    let victim = Victim::start(&[]);
    let mut bystander = Client::connect(victim.address).await;
    bystander.ask(&MetadataRequest::default(), 1).await;
    for (count, sent_bytes) in [(300, 5), (300, 1000), (100, 100_000), (20, 3_000_000)] {
        let before = victim.memory().anonymous_bytes;
        let attackers = half_frames(victim.address, count, sent_bytes).await;
        // Answered by the broker after it has read what came before, on a fair runtime; the sends were complete.
        bystander.ask(&MetadataRequest::default(), 1).await;
        let grown = victim.memory().anonymous_bytes.saturating_sub(before);
        let each = grown / count as u64;
        println!("{count} connections with {sent_bytes} bytes of 100 MiB: {each} bytes each");
        let limit = count as u64 * (2 * sent_bytes as u64 + (64 << 10)) + SLACK_BYTES;
        assert!(grown <= limit, "{grown} bytes for {count} connections that sent {sent_bytes} each");
        drop(attackers);
    }
}

#[tokio::test]
async fn f15_ten_thousand_pipelined_requests_are_answered_in_order_in_little_memory() {
    let victim = Victim::start(&[]);
    let before = victim.memory().anonymous_bytes;
    pipelined(victim.address, 10_000).await;
    let grown = victim.memory().anonymous_bytes.saturating_sub(before);
    println!("memory grew by {} KiB", grown >> 10);
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[tokio::test]
async fn f15_requests_of_a_client_that_reads_no_answer_stay_in_its_socket() {
    let victim = Victim::start(&["connections.response.timeout.ms=1500"]);
    let before = victim.memory().anonymous_bytes;
    let mut attacker = connect_from(3, victim.address).await;
    let request = sized(&[&header(18, 0, false)[..]].concat());
    let many = request.repeat(10_000);
    // Until the broker stops reading and then cuts: a write that fails is the end of it.
    let writing = async { while attacker.write_all(&many).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, writing).await.expect("the broker took requests without end");
    let grown = victim.memory().anonymous_bytes.saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for one connection");
    Client::connect(victim.address).await.ask(&MetadataRequest::default(), 1).await;
}
