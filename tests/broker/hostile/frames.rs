//! What is no request at all, and every request with a body that lies.

use std::net::SocketAddr;
use std::time::Duration;

use millrace::kafka::dispatch::APIS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::attacker::{PATIENCE, bytes_until_closed, connect_from, header, sized};
use super::is_timed;
use super::victim::Victim;
use crate::fixture::Client;
use millrace::wire::messages::metadata::MetadataRequest;

/// The first flight of a TLS 1.3 client, as far as it matters.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03";

/// The longest that one malformed input may take (row F22).
const INPUT_DEADLINE: Duration = Duration::from_millis(100);

/// Sends what is no frame, TLS and HTTP included; each must end its connection without an answer.
pub(super) async fn no_frames(broker: SocketAddr) {
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
    for bytes in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0, 0, 0, 0],
        // One byte more than 100 MiB.
        &[0x06, 0x40, 0, 1],
        CLIENT_HELLO,
        http,
        b"POST /topics HTTP/1.1\r\nContent-Length: 2147483647\r\n\r\n",
    ] {
        let mut attacker = connect_from(1, broker).await;
        attacker.write_all(bytes).await.unwrap();
        assert_eq!(bytes_until_closed(&mut attacker).await, 0, "an answer to {bytes:?}");
    }
}

/// Sends every key and version with bodies that are empty, all ones, all zeros, and counts as large as they can be.
/// Returns the longest that the broker took over one.
pub(super) async fn lying_bodies(broker: SocketAddr) -> Duration {
    let ones = [0xff; 64];
    let zeros = [0; 64];
    // Counts in each encoding: 2^31 - 1 as an int32, as a varint, and a null's neighbour; then zeros to count.
    let mut fixed = [0; 64];
    fixed[..4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    let mut compact = [0; 64];
    compact[..5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    let long = [0x7f; 4096];
    let mut longest = Duration::ZERO;
    for api in APIS {
        for version in api.served_from - 1..=api.last + 1 {
            for body in [&[][..], &ones, &zeros, &fixed, &compact, &long] {
                let frame = [&header(api.key.code(), version, version >= api.flexible_from), body].concat();
                let mut attacker = connect_from(1, broker).await;
                let sent = Instant::now();
                attacker.write_all(&sized(&frame)).await.unwrap();
                attacker.shutdown().await.unwrap();
                // With nothing left to send the broker answers, or not, and closes.
                bytes_until_closed(&mut attacker).await;
                longest = longest.max(sent.elapsed());
            }
        }
    }
    longest
}

/// An unknown version of ApiVersions, for which version 0 is the answer (KIP-511).
async fn asks_in_a_version_to_come(broker: SocketAddr) {
    let mut client = connect_from(1, broker).await;
    client.write_all(&sized(&[&header(18, 99, true)[..], &[0xff; 10]].concat())).await.unwrap();
    let mut answer = [0; 14];
    tokio::time::timeout(PATIENCE, client.read_exact(&mut answer)).await.unwrap().unwrap();
    // The correlation id, UNSUPPORTED_VERSION, and a list of keys with something in it.
    assert_eq!(answer[4..10], [0, 0, 0, 7, 0, 35]);
    assert!(i32::from_be_bytes(answer[10..14].try_into().unwrap()) > 0);
}

#[tokio::test]
async fn f22_what_is_no_request_ends_its_connection_and_nothing_else() {
    let victim = Victim::start(&[]);
    let mut bystander = Client::connect(victim.address).await;
    no_frames(victim.address).await;
    asks_in_a_version_to_come(victim.address).await;
    bystander.ask(&MetadataRequest::default(), 1).await;
}

#[tokio::test]
async fn f22_every_key_and_version_survives_bodies_that_lie() {
    let victim = Victim::start(&[]);
    let mut bystander = Client::connect(victim.address).await;
    let before = victim.memory().anonymous_bytes;
    let longest = lying_bodies(victim.address).await;
    let grown = victim.memory().anonymous_bytes.saturating_sub(before);
    println!("the longest took {longest:?}; memory grew by {} KiB", grown >> 10);
    assert!(!is_timed() || longest <= INPUT_DEADLINE, "{longest:?} for one malformed request");
    assert!(grown < 32 << 20, "{grown} bytes for small frames");
    bystander.ask(&MetadataRequest::default(), 1).await;
}
