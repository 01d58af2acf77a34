//! Everything at once, and the good client that must notice nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::good::GoodClient;
use super::victim::{Victim, Watch};
use super::yardstick::Yardstick;
use super::{bombs, frames, is_timed, memory, poison, slow, storm};

/// What the good client may wait for an acknowledgement or a record, 99 times of 100; on a machine that takes longer without
/// the broker, or when nobody attacks, twice what it takes then.
const P99: Duration = Duration::from_millis(50);
/// What it may wait for any acknowledgement, on such a machine: nobody keeps the others waiting with what he asks for.
const LONGEST: Duration = Duration::from_millis(500);
/// How long the good client is measured without attackers, to have something to compare with.
const ALONE: Duration = Duration::from_secs(2);
/// A machine that stands still for a moment does not always do so for everybody: memory that a host gives anew costs whoever
/// touches it first. What the attackers do to the good client shows in each of so many rounds.
const ROUNDS: usize = 3;
/// What the broker may grow by.
const GROWTH_BYTES: u64 = 256 << 20;

#[tokio::test]
async fn a_good_client_notices_nothing_of_hostile_ones() {
    millrace::server::process::raise_descriptor_limit();
    for number in 1..=ROUNDS {
        let (late, figures) = round().await;
        if !is_timed() || !late {
            return;
        }
        assert!(number < ROUNDS, "{figures}");
    }
}

/// Whether the good client was kept waiting too long beside all attackers, and the figures.
#[expect(clippy::print_stdout, reason = "what was measured, for whoever runs it with --nocapture")]
async fn round() -> (bool, String) {
    let victim = Victim::start(&[
        "connections.request.timeout.ms=3000",
        "connections.response.timeout.ms=3000",
        bombs::LARGE_BATCHES,
    ]);
    let broker = victim.address;
    slow::fill_feed(broker).await;
    let bombs: Vec<_> = bombs::CODECS.map(bombs::bomb).into();
    let alone = GoodClient::start(broker, "alone");
    tokio::time::sleep(ALONE).await;
    let alone = alone.stop();
    let good = GoodClient::start(broker, "good");
    let yardstick = Yardstick::start(victim.dir.path());
    let before = victim.memory().resident_bytes;
    let watch = Watch::start(victim.pid());
    let begun = Instant::now();

    // Those who hold something stay while the others come and go.
    let dribbling = tokio::spawn(slow::dribble(broker, 500));
    let half = memory::half_frames(broker, 200, 50_000).await;
    let greedy = slow::greedy(broker, 200).await;
    frames::no_frames(broker).await;
    let longest = frames::lying_bodies(broker).await;
    println!("{:?}: bodies that lie, {longest:?} at most", begun.elapsed());
    memory::pipelined(broker, 10_000).await;
    println!("{:?}: 10,000 pipelined requests", begun.elapsed());
    poison::give(broker).await;
    let longest = bombs::explode(broker, &bombs, 3).await;
    println!("{:?}: bombs, {longest:?} at most", begun.elapsed());
    let storm = storm::storm(broker, 2000, 2).await;
    println!("{:?}: {storm:?}", begun.elapsed());
    slow::are_cut(&greedy).await;
    let (first, last) = dribbling.await.unwrap();
    println!("{:?}: dribbling clients were cut after {first:?} to {last:?}", begun.elapsed());
    drop(half);

    let grown = watch.peak().resident_bytes.saturating_sub(before);
    let told = good.stop();
    let (machine, longest) = yardstick.stop();
    let (records, ack, read) = (told.records, told.ack_p99, told.read_p99);
    println!("the good client: {records} records, p99 {ack:?} to the ack and {read:?} to be read");
    for (at, took) in &told.slowest {
        println!("  {took:?} at {:?}", at.duration_since(begun));
    }
    println!("alone: {} records, p99 {:?} and {:?}", alone.records, alone.ack_p99, alone.read_p99);
    println!(
        "the machine without the broker: p99 {machine:?} and {longest:?} at most until a write is on disk"
    );
    println!("memory grew by {} MiB at most", grown >> 20);
    assert!(told.records > 100, "{told:?}");
    assert!(grown <= GROWTH_BYTES, "memory grew by {grown} bytes");
    let limit = |alone: Duration| P99.max(2 * machine).max(2 * alone);
    let (_, slowest) = told.slowest[0];
    let late = told.ack_p99 > limit(alone.ack_p99)
        || told.read_p99 > limit(alone.read_p99)
        || slowest > LONGEST.max(2 * longest);
    (late, format!("{told:?}, alone: {alone:?}, without the broker: {machine:?}, {longest:?} at most"))
}
