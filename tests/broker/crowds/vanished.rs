//! Members that are gone without a word, their connections still open, as those of a machine that has lost its power; and
//! groups that hang, beside others that must not notice. What the kernel does about such connections is shown by
//! `tests/faults`.

use std::time::Duration;

use millrace::wire::ErrorCode;
use tokio::time::Instant;

use super::member::Member;
use super::reader::{self, Beat, Reader};
use crate::fixture::{PATIENCE, broker};

const SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=100",
    "group.consumer.min.session.timeout.ms=100",
    "group.consumer.session.timeout.ms=1000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=100",
];
const SESSION: Duration = Duration::from_secs(1);
const SESSION_MS: i32 = 1_000;
const PARTITIONS: u16 = 10;
const PACE: Duration = Duration::from_millis(20);

/// Takes part until the share is so large, with heartbeats in between; the generation in which it is.
async fn until_it_has(member: &mut Member, partitions: u16) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(share) = member.take_part(PARTITIONS).await {
            if share.partitions.len() == usize::from(partitions) {
                return share.generation;
            }
            while member.is_alive(share.generation).await {
                tokio::time::sleep(PACE).await;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "it never had {partitions} partitions");
    }
}

/// Heartbeats until the member has to join again; how long that took.
async fn until_rebalance(member: &mut Member, generation: i32) -> Duration {
    let begun = Instant::now();
    while member.is_alive(generation).await {
        tokio::time::sleep(PACE).await;
        assert!(begun.elapsed() < PATIENCE, "nobody has left the group");
    }
    begun.elapsed()
}

#[tokio::test]
async fn f17_a_classic_member_that_vanished_is_out_of_its_group_after_its_session() {
    let broker = broker(SETTINGS).await;
    let mut gone = Member::new(broker.address, "half-open", SESSION_MS).await;
    let mut stays = Member::new(broker.address, "half-open", SESSION_MS).await;
    let generations = tokio::join!(until_it_has(&mut gone, 5), until_it_has(&mut stays, 5));
    assert_eq!(generations.0, generations.1);
    assert_eq!(gone.beat(generations.0).await, ErrorCode::NONE);
    // From here on it keeps its connection and says nothing.
    let took = until_rebalance(&mut stays, generations.1).await;
    assert!(took > SESSION * 9 / 10, "its session was {SESSION:?}, and it was out after {took:?}");
    until_it_has(&mut stays, PARTITIONS).await;
    // What it says after that counts for nothing, on the connection that it had all along.
    assert_eq!(gone.beat(generations.0).await, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[tokio::test]
async fn f17_a_consumer_member_that_vanished_is_out_of_its_group_after_its_session() {
    let broker = broker(SETTINGS).await;
    let topic = reader::make_topic(&mut broker.connect().await, PARTITIONS).await;
    let mut gone = Reader::new(broker.address, "half-open", "gone".into(), topic).await;
    let mut stays = Reader::new(broker.address, "half-open", "stays".into(), topic).await;
    assert!(matches!(gone.beat().await, Beat::Member { gained, .. } if gained.len() == 10));
    let silent = Instant::now();
    let mut owned = 0;
    while owned < 10 {
        let Beat::Member { lost, gained } = stays.beat().await else { panic!("it was never silent") };
        owned = owned + gained.len() - lost.len();
        assert!(owned == 0 || silent.elapsed() > SESSION * 9 / 10, "{owned} after {:?}", silent.elapsed());
        assert!(silent.elapsed() < PATIENCE, "the vanished member still has its partitions");
        tokio::time::sleep(PACE).await;
    }
    assert!(matches!(gone.beat().await, Beat::Fenced), "what it says after that counts for nothing");
}

#[tokio::test]
async fn f17_a_member_that_vanishes_while_it_waits_in_a_rebalance_holds_it_up_for_its_session_at_most() {
    let broker = broker(SETTINGS).await;
    let mut stays = Member::new(broker.address, "parked", SESSION_MS).await;
    let generation = until_it_has(&mut stays, PARTITIONS).await;
    let mut gone = Member::new(broker.address, "parked", SESSION_MS).await;
    // It waits in its join for an answer that it will never read.
    gone.introduce().await;
    gone.send_join().await;
    until_rebalance(&mut stays, generation).await;
    let shared = until_it_has(&mut stays, 5).await;
    let took = until_rebalance(&mut stays, shared).await;
    assert!(took > SESSION / 2, "it was let in and out again within {took:?}");
    until_it_has(&mut stays, PARTITIONS).await;
}

#[tokio::test]
async fn f19_a_group_that_hangs_in_its_rebalance_delays_no_other() {
    let broker = broker(SETTINGS).await;
    let mut leader = Member::new(broker.address, "hangs", 30_000).await;
    let joined = leader.join().await;
    assert_eq!(joined.leader, joined.member_id);
    // The leader owes its group an assignment, and a hundred members wait for it.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut member = Member::new(broker.address, "hangs", 30_000).await;
        member.introduce().await;
        member.send_join().await;
        waiting.push(member);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        let mut other = Member::new(broker.address, "quick", SESSION_MS).await;
        until_it_has(&mut other, PARTITIONS).await;
        other.leave().await;
    }
    let each = begun.elapsed() / 20;
    println!("a round of another group takes {each:?}");
    assert!(each < SESSION / 2, "{each:?}");
    assert_eq!(leader.beat(joined.generation_id).await, ErrorCode::REBALANCE_IN_PROGRESS);
}
