//! Two thousand connections within a second.

use std::net::SocketAddr;
use std::time::Duration;

use millrace::wire::messages::metadata::MetadataRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::attacker::{PATIENCE, header, sized, try_connect_from};
use super::is_timed;
use super::victim::Victim;
use crate::fixture::Client;

/// What became of a storm.
#[derive(Debug, Default)]
pub(super) struct Storm {
    /// Connections whose request was answered.
    pub(super) served: usize,
    /// Connections that the broker closed: more than their address may have.
    pub(super) refused: usize,
    pub(super) took: Duration,
}

/// Opens `count` connections at once from `addresses` addresses; each asks one thing and stays until all have.
pub(super) async fn storm(broker: SocketAddr, count: usize, addresses: u8) -> Storm {
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for index in 0..count {
        let address = 10 + (index % usize::from(addresses)) as u8;
        clients.spawn(async move {
            let mut client = try_connect_from(address, broker).await?;
            let ask = async {
                client.write_all(&sized(&header(18, 0, false))).await?;
                client.read_i32().await
            };
            let answer = tokio::time::timeout(PATIENCE, ask).await.expect("neither an answer nor an end");
            answer.map(|_| client)
        });
    }
    let outcomes = clients.join_all().await;
    let served = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    Storm { served, refused: count - served, took: begun.elapsed() }
}

#[tokio::test]
async fn f12_two_thousand_connections_at_once_are_served_or_refused_each() {
    millrace::server::process::raise_descriptor_limit();
    let victim = Victim::start(&[]);
    let mut bystander = Client::connect(victim.address).await;
    // From two addresses all are within the limit of each; from one, half of them are beyond it.
    let spread = storm(victim.address, 2000, 2).await;
    println!("from two addresses: {spread:?}");
    assert!(!is_timed() || spread.took < Duration::from_secs(3), "{spread:?}");
    assert_eq!((spread.served, spread.refused), (2000, 0));
    let single = storm(victim.address, 2000, 1).await;
    println!("from one address: {single:?}");
    assert!(single.served >= 1000, "{single:?}");
    bystander.ask(&MetadataRequest::default(), 1).await;
    Client::connect(victim.address).await.ask(&MetadataRequest::default(), 1).await;
}
