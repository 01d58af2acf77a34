//! Committed offsets that nobody needs any more go, and no others.

use std::sync::Arc;
use std::time::Duration;

use super::{commit, commit_as, committed, create, heartbeat, join_alone};
use crate::engine::api::TopicRef;
use crate::engine::api::consumer_group::ConsumerHeartbeat;
use crate::engine::api::group::*;
use crate::engine::config::Overrides;
use crate::engine::tests::simulation::Life;
use crate::testing::SimWorld;

#[test]
fn offsets_go_seven_days_after_the_group_has_emptied_and_with_their_topic() {
    let world = SimWorld::new(7);
    let life = Life::open(&world, 7).unwrap();
    create(&life, "orders");
    let (name, generation) = join_alone(&life);
    commit_as(&life, Committer { name: name.clone(), generation, knows_epochs: false }, 0, 5).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let days = |count: u32| {
        // Steadily, as time goes, and not in a jump.
        for _ in 0..count * 48 {
            world.clock.advance(day / 48);
            let _ = life.engine.heartbeat("readers", &name, generation);
            life.engine.tick();
            while life.pool.step() {}
        }
    };
    let leave = || {
        let outcomes = life.engine.leave_group("readers", std::slice::from_ref(&name)).unwrap();
        assert_eq!(outcomes, [Ok(())]);
        while life.pool.step() {}
    };
    leave();
    days(6);
    assert_eq!(committed(&life, 0), Some(5));
    days(2);
    assert_eq!(committed(&life, 0), None);
    assert!(life.engine.list_groups().unwrap().is_empty(), "nothing is left of the group");

    commit(&life, 1, 9).unwrap();
    life.drive(life.engine.delete_topics(vec![TopicRef::Name("orders".into())])).unwrap();
    create(&life, "orders");
    assert_eq!(committed(&life, 1), None, "it is another topic");
}

/// Offsets are kept for a minute, and looked through each second.
fn short_lived() -> Overrides {
    let settings = [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Commits 7 for partition 0 of the topic.
fn commit_to(life: &Life, committer: &Committer, topic: &str) {
    let request = CommitOffsetsRequest {
        group: "readers".into(),
        committer: committer.clone(),
        offsets: vec![OffsetToCommit {
            topic: TopicRef::Name(topic.into()),
            partition: 0,
            offset: 7,
            leader_epoch: 3,
            metadata: "note".into(),
        }],
    };
    assert_eq!(life.drive(life.engine.commit_offsets(request)).unwrap(), Ok(vec![Ok(())]));
}

/// The topics that the group has offsets of.
fn kept(life: &Life) -> Vec<String> {
    let request = FetchOffsetsRequest { group: "readers".into(), member: None, topics: None };
    let fetched = life.engine.fetch_offsets(&request).unwrap();
    let mut topics: Vec<String> = fetched
        .into_iter()
        .map(|fetched| match fetched.topic {
            TopicRef::Name(name) => name.to_string(),
            TopicRef::Id(id) => panic!("{id} has no name"),
        })
        .collect();
    topics.sort();
    topics
}

/// Time passes while `lives` keeps the members alive.
fn pass(world: &SimWorld, life: &Life, seconds: u64, mut lives: impl FnMut(&Life)) {
    for _ in 0..seconds / 10 {
        world.clock.advance(Duration::from_secs(10));
        lives(life);
        life.engine.tick();
        while life.pool.step() {}
    }
}

#[test]
fn offsets_of_topics_that_a_stable_classic_group_no_longer_reads_go() {
    let world = SimWorld::new(11);
    let life = Life::open_with(&world, 11, short_lived()).unwrap();
    ["orders", "other"].iter().for_each(|topic| create(&life, topic));
    let (name, generation) = join_alone(&life);
    let member = Committer { name: name.clone(), generation, knows_epochs: false };
    let lives = |life: &Life| life.engine.heartbeat("readers", &name, generation).unwrap();
    commit_to(&life, &member, "orders");
    commit_to(&life, &member, "other");
    pass(&world, &life, 40, lives);
    assert_eq!(kept(&life), ["orders", "other"]);
    // What is committed again is not old, though nobody reads its topic.
    commit_to(&life, &member, "other");
    pass(&world, &life, 40, lives);
    assert_eq!(kept(&life), ["orders", "other"]);
    pass(&world, &life, 30, lives);
    assert_eq!(kept(&life), ["orders"], "a member reads it, however long ago it was committed");
}

#[test]
fn nothing_goes_while_nobody_knows_what_the_members_read() {
    let world = SimWorld::new(12);
    let life = Life::open_with(&world, 12, short_lived()).unwrap();
    ["orders", "other"].iter().for_each(|topic| create(&life, topic));
    let (name, generation) = join_alone(&life);
    let member = Committer { name: name.clone(), generation, knows_epochs: false };
    commit_to(&life, &member, "other");
    // Somebody else comes, and the member does not join again: a rebalance that lasts.
    let newcomer = JoinRequest {
        rebalance_timeout: Duration::from_secs(600),
        session_timeout: Duration::from_secs(600),
        ..super::joining(&"".into())
    };
    let joining = life.engine.join_group(newcomer);
    pass(&world, &life, 55, |life| assert!(life.engine.heartbeat("readers", &name, generation).is_err()));
    assert_eq!(life.engine.describe_group(&"readers".into()).unwrap().state, "PreparingRebalance");
    assert_eq!(kept(&life), ["other"]);
    drop(joining);
}

#[test]
fn offsets_of_topics_that_a_consumer_group_no_longer_reads_go() {
    let world = SimWorld::new(13);
    let mut life = Life::open_with(&world, 13, short_lived()).unwrap();
    ["orders", "other"].iter().for_each(|topic| create(&life, topic));
    heartbeat(&life, "m1", 0).unwrap();
    let member = Committer {
        name: MemberName { member: "m1".into(), instance: None },
        generation: 1,
        knows_epochs: true,
    };
    commit_to(&life, &member, "orders");
    commit_to(&life, &member, "other");
    // A pattern reads as well as a name does, also after a restart, when it was not tried yet.
    let subscribe = |life: &Life, epoch, pattern: Option<&str>| {
        let request = ConsumerHeartbeat {
            topics: Some(Vec::new()),
            pattern: pattern.map(Arc::from),
            ..super::heartbeat_of("m1", epoch)
        };
        life.drive(life.engine.consumer_group_heartbeat(&request)).unwrap().unwrap().epoch
    };
    let epoch = subscribe(&life, 1, Some("o.*"));
    pass(&world, &life, 70, |life| drop(heartbeat(life, "m1", epoch)));
    assert_eq!(kept(&life), ["orders", "other"]);
    drop(life);
    world.disk.power_cut();
    world.disk.restart(13);
    life = Life::open_with(&world, 13, short_lived()).unwrap();
    let now_ms = world.env.clock.now_ms();
    life.engine.core.tidy_groups(now_ms + 120_000);
    while life.pool.step() {}
    assert_eq!(kept(&life), ["orders", "other"]);

    let epoch = subscribe(&life, epoch, Some("ord.*"));
    pass(&world, &life, 20, |life| drop(heartbeat(life, "m1", epoch)));
    assert_eq!(kept(&life), ["orders"]);
}
