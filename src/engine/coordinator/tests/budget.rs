//! What groups may keep is bounded, each and all together; what is there already is served on.

use std::sync::Arc;

use bytes::Bytes;

use super::{create, heartbeat, heartbeat_of, join_alone, joining, nobody, restarted};
use crate::engine::api::TopicRef;
use crate::engine::api::consumer_group::{ConsumerHeartbeat, LEAVES};
use crate::engine::api::group::*;
use crate::engine::config::Overrides;
use crate::engine::coordinator::Kind;
use crate::engine::group::GroupError;
use crate::engine::tests::simulation::Life;
use crate::testing::SimWorld;

const ALL_MAX: usize = 1 << 20;
const EACH_MAX: usize = 1 << 16;

fn tight() -> Overrides {
    let settings = [("group.coordinator.max.bytes", ALL_MAX), ("group.max.bytes", EACH_MAX)];
    settings.map(|(name, value)| (name.to_owned(), value.to_string())).into()
}

/// What is held is what all groups hold, and that is at least what they weigh.
#[track_caller]
fn check(life: &Life) -> usize {
    let coordinator = &life.engine.core.coordinator;
    let mut held = 0;
    for cell in coordinator.cells() {
        let group = cell.group.lock();
        let weight = group.kind.weight() + group.offsets.weight();
        assert!(group.share.held_bytes() >= weight, "{} < {weight}", group.share.held_bytes());
        held += group.share.held_bytes();
    }
    assert_eq!(coordinator.budget.held_bytes(), held);
    held
}

fn commit(life: &Life, group: &str, partition: i32, metadata: usize) -> Result<(), GroupError> {
    let request = CommitOffsetsRequest {
        group: group.into(),
        committer: nobody(),
        offsets: vec![OffsetToCommit {
            topic: TopicRef::Name("orders".into()),
            partition,
            offset: 1,
            leader_epoch: -1,
            metadata: "x".repeat(metadata).into(),
        }],
    };
    life.drive(life.engine.commit_offsets(request)).unwrap().map(drop)
}

#[test]
fn groups_of_commits_are_as_many_as_there_is_room_for() {
    for (metadata, expected) in [(100, 400..700), (4000, 150..200)] {
        let world = SimWorld::new(20);
        let life = Life::open_with(&world, 20, tight()).unwrap();
        create(&life, "orders");
        let made = (0..10_000).find(|index| commit(&life, &format!("group-{index}"), 0, metadata).is_err());
        let made = made.expect("there is no end to it");
        assert!(expected.contains(&made), "{made} groups of {metadata} bytes in {ALL_MAX}");
        assert!(check(&life) <= ALL_MAX);
        assert_eq!(life.engine.list_groups().unwrap().len(), made, "what was refused leaves nothing");
    }
}

#[test]
fn who_is_there_goes_on_when_there_is_no_room_and_a_restart_makes_none() {
    let world = SimWorld::new(21);
    let life = Life::open_with(&world, 21, tight()).unwrap();
    create(&life, "orders");
    assert!((0..10_000).any(|index| commit(&life, &format!("group-{index}"), 0, 100).is_err()));
    let full = GroupError::OutOfRoom { setting: "group.coordinator.max.bytes", bytes_max: ALL_MAX };
    assert_eq!(commit(&life, "one-more", 0, 0), Err(full.clone()));
    for _ in 0..3 {
        assert_eq!(commit(&life, "group-0", 0, 100), Ok(()));
    }
    assert_eq!(commit(&life, "group-0", 0, 4000), Err(full.clone()));
    assert_eq!(commit(&life, "group-0", 1, 4000), Err(full.clone()));

    drop(life);
    world.disk.power_cut();
    world.disk.restart(21);
    let life = Life::open_with(&world, 21, tight()).unwrap();
    check(&life);
    let again = (0..100).take_while(|index| commit(&life, &format!("again-{index}"), 0, 100).is_ok()).count();
    assert!(again < 20, "{again} more");
    let gone: Arc<str> = "group-1".into();
    life.drive(life.engine.delete_group(&gone)).unwrap().unwrap();
    assert_eq!(commit(&life, "one-more", 0, 0), Ok(()));
    check(&life);
}

#[test]
fn members_of_a_classic_group_bring_as_much_as_there_is_room_for() {
    let world = SimWorld::new(22);
    let life = Life::open_with(&world, 22, tight()).unwrap();
    let large = |member: &Arc<str>, bytes: usize| JoinRequest {
        protocols: vec![("range".into(), Bytes::from(vec![7; bytes]))],
        ..joining(member)
    };
    let full = GroupError::OutOfRoom { setting: "group.max.bytes", bytes_max: EACH_MAX };
    let outcome = life.drive(life.engine.join_group(large(&"".into(), EACH_MAX))).unwrap();
    assert_eq!(outcome, Err(full.clone()));
    assert!(life.engine.list_groups().unwrap().is_empty());
    // As often as it likes, since it takes the place of what it brought before.
    let joined = life.drive(life.engine.join_group(large(&"".into(), 30_000))).unwrap().unwrap();
    for _ in 0..5 {
        let again = life.drive(life.engine.join_group(large(&joined.member, 30_001))).unwrap();
        assert!(again.is_ok(), "{again:?}");
        let again = life.drive(life.engine.join_group(large(&joined.member, 30_000))).unwrap();
        assert!(again.is_ok(), "{again:?}");
        check(&life);
    }
    let generation =
        life.drive(life.engine.join_group(large(&joined.member, 30_000))).unwrap().unwrap().generation;
    let sync = |bytes: usize| SyncRequest {
        group: "readers".into(),
        name: MemberName { member: Arc::clone(&joined.member), instance: None },
        generation,
        protocol_type: None,
        protocol: None,
        assignments: vec![(Arc::clone(&joined.member), Bytes::from(vec![7; bytes]))],
    };
    assert_eq!(life.drive(life.engine.sync_group(sync(40_000))).unwrap(), Err(full.clone()));
    assert_eq!(life.drive(life.engine.sync_group(sync(20_000))).unwrap().unwrap().assignment.len(), 20_000);
    check(&life);
    let second = life.drive(life.engine.join_group(large(&"".into(), 20_000))).unwrap();
    assert_eq!(second, Err(full));
    life.engine.leave_group("readers", &[sync(0).name]).unwrap();
    let mut other = large(&"".into(), 60_000);
    other.group = "others".into();
    assert!(life.drive(life.engine.join_group(other)).unwrap().is_ok());
    check(&life);
}

#[test]
fn members_of_a_consumer_group_bring_as_much_as_there_is_room_for() {
    let world = SimWorld::new(23);
    let life = Life::open_with(&world, 23, tight()).unwrap();
    create(&life, "orders");
    let many = |member: &str, epoch: i32, topics: usize| {
        let names = (0..topics).map(|index| Arc::from(format!("topic-{index:04}"))).collect();
        let request = ConsumerHeartbeat { topics: Some(names), ..heartbeat_of(member, epoch) };
        life.drive(life.engine.consumer_group_heartbeat(&request)).unwrap().map(|outcome| outcome.epoch)
    };
    let full = GroupError::OutOfRoom { setting: "group.max.bytes", bytes_max: EACH_MAX };
    let joined = (0..1000).find(|index| many(&format!("m{index}"), 0, 100).is_err()).expect("no end to it");
    assert!((10..25).contains(&joined), "{joined} members in {EACH_MAX} bytes");
    check(&life);
    assert_eq!(many("one-more", 0, 100), Err(full.clone()));
    assert_eq!(many("m0", 0, 300), Err(full.clone()));
    // Joining again, and heartbeats, bring nothing.
    for _ in 0..5 {
        let epoch = many("m0", 0, 100).unwrap();
        heartbeat(&life, "m0", epoch).unwrap();
        assert!(many("m0", epoch, 100).is_ok());
    }
    heartbeat(&life, "m1", LEAVES).unwrap();
    assert!(many("one-more", 0, 100).is_ok());
    check(&life);
    let life = restarted(&world, life, 24);
    check(&life);
}

#[test]
fn a_group_that_changes_its_protocol_holds_what_it_then_weighs() {
    let world = SimWorld::new(25);
    let life = Life::open(&world, 25).unwrap();
    create(&life, "orders");
    join_alone(&life);
    let before = check(&life);
    let epoch = heartbeat(&life, "m1", 0).unwrap().epoch;
    let is_consumer =
        |life: &Life| matches!(life.engine.core.coordinator.cells()[0].group.lock().kind, Kind::Consumer(_));
    assert!(is_consumer(&life));
    assert!(check(&life) > before);
    assert!(life.drive(life.engine.join_group(joining(&"".into()))).unwrap().is_ok());
    check(&life);
    heartbeat(&life, "m1", epoch).unwrap();
    heartbeat(&life, "m1", LEAVES).unwrap();
    assert!(!is_consumer(&life));
    check(&life);
}

#[test]
fn a_group_has_a_name_of_a_kilobyte_at_most() {
    let world = SimWorld::new(26);
    let life = Life::open(&world, 26).unwrap();
    create(&life, "orders");
    let refused = |group: &str| Err(GroupError::InvalidGroupId { group: group.into() });
    let long = "g".repeat(1025);
    assert_eq!(commit(&life, &long, 0, 0), refused(&long));
    assert_eq!(commit(&life, &long[1..], 0, 0), Ok(()));
    let join = JoinRequest { group: long.as_str().into(), ..joining(&"".into()) };
    assert_eq!(life.drive(life.engine.join_group(join)).unwrap().map(drop), refused(&long));
    let request = ConsumerHeartbeat { group: long.as_str().into(), ..heartbeat_of("m1", 0) };
    let outcome = life.drive(life.engine.consumer_group_heartbeat(&request)).unwrap();
    assert_eq!(outcome.map(drop), refused(&long));
}
