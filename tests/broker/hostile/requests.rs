//! The broker of this process: bytes that are no requests end their own connection only.

use millrace::kafka::dispatch::APIS;

use crate::fixture::broker;

/// A request header of version 1 (`client_id` null).
fn header(api_key: i16, version: i16) -> Vec<u8> {
    let mut frame = api_key.to_be_bytes().to_vec();
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 7, 0xff, 0xff]);
    frame
}

#[tokio::test]
async fn f22_what_is_no_frame_ends_the_connection() {
    let broker = broker(&[]).await;
    for bytes in [
        &[0, 0, 0, 0][..],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        // One byte beyond 100 MiB.
        &[0x06, 0x40, 0, 1],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut client = broker.connect().await;
        client.send_bytes(bytes).await;
        client.is_closed().await;
    }
    broker.serves().await;
}

#[tokio::test]
async fn f22_what_is_not_served_ends_the_connection() {
    let broker = broker(&[]).await;
    let mut frames = vec![
        vec![0],
        vec![0, 3, 0, 1, 0, 0],
        header(999, 0),
        header(-1, 0),
        header(3, 14),
        header(3, -1),
        // FindCoordinator and JoinGroup: not served yet, and so not listed.
        header(10, 0),
        header(11, 0),
    ];
    // Produce is listed from 0 and served from 3, as in Kafka.
    frames.extend((0..3).map(|version| header(0, version)));
    for frame in frames {
        let mut client = broker.connect().await;
        client.send_frame(&frame).await;
        client.is_closed().await;
    }
    broker.serves().await;
}

#[tokio::test]
async fn f22_bodies_that_lie_about_their_lengths_end_the_connection() {
    let broker = broker(&[]).await;
    // ApiVersions and the first versions of ListGroups say nothing that could be a lie.
    for api in APIS.iter().filter(|api| api.key.code() != 18) {
        let first = if api.key.code() == 16 { 4 } else { api.served_from };
        for version in [first, api.last] {
            let mut frame = header(api.key.code(), version);
            if version >= api.flexible_from {
                frame.push(0);
            }
            frame.extend_from_slice(&[0x7f; 5]);
            let mut client = broker.connect().await;
            client.send_frame(&frame).await;
            client.is_closed().await;
        }
    }
    broker.serves().await;
}

#[tokio::test]
async fn f15_a_request_other_than_produce_is_small() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    let mut frame = header(3, 1);
    frame.resize((1 << 20) + 1, 0);
    client.send_frame(&frame).await;
    client.is_closed().await;
    broker.serves().await;
}
