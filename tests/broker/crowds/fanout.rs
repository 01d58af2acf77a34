//! Many groups read one log, while members of others never read what they asked for.

use std::net::SocketAddr;
use std::time::Duration;

use millrace::client::{Client, ClientConfig, GroupConfig, GroupConsumer, GroupProtocol};
use millrace::wire::messages::describe_groups::DescribeGroupsRequest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::member::Member;
use super::{effort, text};
use crate::fixture::PATIENCE;
use crate::hostile::is_timed;
use crate::hostile::slow::{FEED, FEED_RECORDS, are_cut, fill_feed, greedy_frame};
use crate::hostile::victim::{Victim, Watch};

const SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=100",
    "connections.response.timeout.ms=2000",
];
/// The session of those who never read.
const SESSION_MS: i32 = 5_000;
const GROWTH_BYTES: u64 = 64 << 20;

/// A group of one reads the whole feed, on connections of its own.
async fn read_all(broker: SocketAddr, group: String, protocol: GroupProtocol) {
    let client = Client::connect(ClientConfig::new(&broker.to_string()).unwrap()).await.unwrap();
    let mut config = GroupConfig::new(group);
    config.protocol = protocol;
    let mut consumer = GroupConsumer::new(&client, config);
    consumer.subscribe(&[FEED]);
    let mut next = 0;
    while next < FEED_RECORDS {
        for record in consumer.poll(PATIENCE).await.unwrap() {
            assert_eq!((record.offset, record.value.unwrap().len()), (next, 1_000_000));
            next += 1;
        }
    }
    consumer.close().await.unwrap();
}

/// So many groups at once, half of them of either protocol; how long all of them took.
async fn fan_out(broker: SocketAddr, groups: usize, name: &str) -> Duration {
    let begun = Instant::now();
    let mut readers = tokio::task::JoinSet::new();
    for number in 0..groups {
        let protocol = if number % 2 == 0 { GroupProtocol::Classic } else { GroupProtocol::Consumer };
        readers.spawn(read_all(broker, format!("{name}-{number}"), protocol));
    }
    readers.join_all().await;
    begun.elapsed()
}

/// Members of groups of their own that ask for the feed twice, on the connection on which they would send heartbeats, and
/// take nothing of the answers.
async fn never_reading(broker: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for number in 0..count {
        let mut member = Member::new(broker, &format!("never-{number}"), SESSION_MS).await;
        assert_eq!(member.take_part(1).await.unwrap().partitions, [0]);
        let mut stream = member.client.stream;
        for _ in 0..2 {
            stream.write_all(&greedy_frame()).await.unwrap();
        }
        streams.push(stream);
    }
    streams
}

/// How many of the groups of [`never_reading`] have members.
async fn with_members(broker: SocketAddr, count: usize) -> usize {
    let groups = (0..count).map(|number| text(&format!("never-{number}"))).collect();
    let request = DescribeGroupsRequest { groups, ..Default::default() };
    let answer = crate::fixture::Client::connect(broker).await.ask(&request, 5).await;
    answer.groups.iter().filter(|group| group.members.iter().next().is_some()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f19_many_groups_read_one_log_and_members_that_never_read_are_cut_and_out() {
    let (groups, silent) = if effort() > 1 { (20, 200) } else { (6, 50) };
    let victim = Victim::start(SETTINGS);
    let broker = victim.address;
    fill_feed(broker).await;
    let alone = fan_out(broker, groups, "alone").await;
    let before = victim.memory().anonymous_bytes;
    let watch = Watch::start(victim.pid());
    let never = never_reading(broker, silent).await;
    assert_eq!(with_members(broker, silent).await, silent);
    let beside = fan_out(broker, groups, "beside").await;
    are_cut(&never).await;
    let begun = Instant::now();
    while with_members(broker, silent).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "who is cut is still in its group");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let grown = watch.peak().anonymous_bytes.saturating_sub(before);
    println!(
        "{groups} groups read {} MB each in {alone:?}, beside {silent} that never read in {beside:?}; memory grew by {} MiB",
        FEED_RECORDS,
        grown >> 20
    );
    assert!(grown <= GROWTH_BYTES, "memory grew by {grown} bytes");
    assert!(!is_timed() || beside <= 2 * alone + Duration::from_secs(1), "{beside:?}, alone {alone:?}");
}
