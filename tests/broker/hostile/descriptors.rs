//! Out of file descriptors: who is in goes on, who is out waits, nobody spins.

use std::time::Duration;

use millrace::wire::ErrorCode;
use millrace::wire::messages::metadata::MetadataRequest;
use tokio::time::Instant;

use super::attacker::{PATIENCE, connect_from};
use super::victim::Victim;
use crate::fixture::{Client, batch, only, produce};

/// So few that they are used up at once; half of them are for connections.
const DESCRIPTORS: u32 = 200;

#[tokio::test]
async fn f12_without_descriptors_the_open_connections_go_on_and_the_others_wait_without_a_busy_loop() {
    let victim = Victim::start_with_limit(&["log.segment.bytes=1048576"], Some(DESCRIPTORS));
    let mut inside = Client::connect(victim.address).await;
    inside.make_topic("feed").await;
    let mut attackers = Vec::new();
    for _ in 0..400 {
        // The kernel completes them; the broker accepts as many as it may.
        attackers.push(connect_from(6, victim.address).await);
    }
    // New segments are made while no connection can be.
    let value = vec![b'x'; 500_000];
    for _ in 0..8 {
        let response = inside.ask(&produce("feed", -1, batch(&[&value])), 9).await;
        assert_eq!(only(&response).error_code, ErrorCode::NONE);
    }
    let mut outside = Client::connect(victim.address).await;
    let correlation_id = outside.send(&MetadataRequest::default(), 1).await;

    let (ticks, begun) = (victim.cpu_ticks(), Instant::now());
    let early = tokio::time::timeout(Duration::from_secs(2), outside.next()).await;
    assert!(early.is_err(), "served beyond the limit of descriptors: {early:?}");
    let share = (victim.cpu_ticks() - ticks) as f64 / (begun.elapsed().as_secs_f64() * 100.0);
    println!("{:.1} % of a core while connections wait", share * 100.0);
    assert!(share < 0.05, "{:.1} % of a core: it spins", share * 100.0);

    drop(attackers);
    let served = outside.receive::<millrace::wire::messages::metadata::MetadataResponse>(1, correlation_id);
    tokio::time::timeout(PATIENCE, served).await.expect("room came back and was not used");
}
