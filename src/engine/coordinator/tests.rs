//! The coordinator on the whole engine and a simulated disk: what was answered survives, what was not was never seen.

mod budget;
mod expiry;
mod model;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::api::consumer_group::{ConsumerHeartbeat, ConsumerHeartbeatOutcome};
use crate::engine::api::group::*;
use crate::engine::api::{ConfigChange, ConfigOp, ConfigResource, NewTopic, TopicRef};
use crate::engine::group::GroupError;
use crate::engine::tests::seeds::each_seed;
use crate::engine::tests::simulation::Life;
use crate::testing::{Fault, Rng, SimWorld};

fn create(life: &Life, topic: &str) {
    let new = NewTopic { name: topic.into(), partitions: Some(4), ..NewTopic::default() };
    life.drive(life.engine.create_topics(vec![new], false)).unwrap().remove(0).unwrap();
}

fn nobody() -> Committer {
    Committer { name: MemberName { member: "".into(), instance: None }, generation: -1, knows_epochs: false }
}

fn commit_as(life: &Life, committer: Committer, partition: i32, offset: i64) -> Result<(), GroupError> {
    let request = CommitOffsetsRequest {
        group: "readers".into(),
        committer,
        offsets: vec![offset_to_commit(partition, offset)],
    };
    let outcome = life.drive(life.engine.commit_offsets(request));
    outcome.unwrap_or(Err(GroupError::NotCoordinator)).map(|mut outcomes| outcomes.remove(0))?
}

fn offset_to_commit(partition: i32, offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        topic: TopicRef::Name("orders".into()),
        partition,
        offset,
        leader_epoch: 3,
        metadata: "note".into(),
    }
}

fn commit(life: &Life, partition: i32, offset: i64) -> Result<(), GroupError> {
    commit_as(life, nobody(), partition, offset)
}

fn committed(life: &Life, partition: i32) -> Option<i64> {
    let topics = Some(vec![(TopicRef::Name("orders".into()), vec![partition])]);
    let request = FetchOffsetsRequest { group: "readers".into(), member: None, topics };
    let mut fetched = life.engine.fetch_offsets(&request).unwrap();
    let (_, found) = fetched.remove(0).partitions.remove(0);
    found.unwrap().map(|committed| {
        assert_eq!((committed.leader_epoch, &*committed.metadata), (3, "note"));
        committed.offset
    })
}

/// A request of a member that reads `orders`.
fn joining(member: &Arc<str>) -> JoinRequest {
    JoinRequest {
        group: "readers".into(),
        name: MemberName { member: Arc::clone(member), instance: None },
        client: Client { id: "client".into(), host: "/127.0.0.1".into() },
        session_timeout: Duration::from_secs(30),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![(
            "range".into(),
            Bytes::from_static(b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff\0\0\0\0"),
        )],
        needs_known_member: false,
        can_skip_assignment: false,
    }
}

/// A member joins, leads and assigns to itself; its name and generation.
fn join_alone(life: &Life) -> (MemberName, i32) {
    let joined = life.drive(life.engine.join_group(joining(&"".into()))).unwrap().unwrap();
    let name = MemberName { member: Arc::clone(&joined.member), instance: None };
    let request = SyncRequest {
        group: "readers".into(),
        name: name.clone(),
        generation: joined.generation,
        protocol_type: None,
        protocol: None,
        assignments: vec![(joined.member, Bytes::from_static(b"all"))],
    };
    let synced = life.drive(life.engine.sync_group(request)).unwrap().unwrap();
    assert_eq!(&synced.assignment[..], b"all");
    (name, joined.generation)
}

fn restarted(world: &SimWorld, life: Life, seed: u64) -> Life {
    drop(life);
    world.disk.power_cut();
    world.disk.restart(seed);
    Life::open(world, seed).unwrap()
}

#[test]
fn a_member_goes_on_after_a_power_cut_with_its_generation_and_its_offsets() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    create(&life, "orders");
    let (name, generation) = join_alone(&life);
    let member = Committer { name: name.clone(), generation, knows_epochs: false };
    commit_as(&life, member.clone(), 2, 17).unwrap();

    let life = restarted(&world, life, 2);
    assert_eq!(life.engine.heartbeat("readers", &name, generation), Ok(()));
    assert_eq!(committed(&life, 2), Some(17));
    assert_eq!(committed(&life, 1), None);
    commit_as(&life, member, 2, 18).unwrap();
    assert_eq!(committed(&life, 2), Some(18));
    let listed = life.engine.list_groups().unwrap();
    assert_eq!((listed.len(), listed[0].state, &*listed[0].protocol_type), (1, "Stable", "consumer"));
    assert_eq!(&life.engine.describe_group(&"readers".into()).unwrap().members[0].assignment[..], b"all");

    // Nobody answers for it any more.
    world.clock.advance(Duration::from_secs(31));
    life.engine.tick();
    let outcome = life.engine.heartbeat("readers", &name, generation);
    assert!(matches!(outcome, Err(GroupError::UnknownMember { .. })), "{outcome:?}");
    assert_eq!(committed(&life, 2), Some(18));
}

/// Commits, power cuts, full disks and failing calls: an offset that was acknowledged is there after any restart, and
/// what a reader was told never goes back.
#[test]
fn an_acknowledged_commit_survives_and_no_offset_goes_back_by_itself() {
    each_seed("engine::coordinator", 60, |seed| {
        let mut rng = Rng::new(seed);
        let world = SimWorld::new(seed);
        let mut life = Life::open(&world, seed).unwrap();
        create(&life, "orders");
        let mut tried = [0; 4];
        let mut seen = [None; 4];
        for step in 1..60 {
            let partition = rng.below(4) as usize;
            match rng.below(12) {
                0 => life = restarted(&world, life, rng.next_u64()),
                1 => {
                    world.disk.inject(Fault::after_calls(world.disk.calls() + rng.below(6)));
                }
                2 => drop(life.drive(async { life.engine.tick() })),
                _ => {
                    tried[partition] = step;
                    if commit(&life, partition as i32, step).is_ok() {
                        seen[partition] = seen[partition].max(Some(step));
                    }
                }
            }
            if life.engine.fatal().borrow().is_some() {
                world.disk.heal();
                life = restarted(&world, life, rng.next_u64());
            }
            let found = committed(&life, partition as i32);
            assert!(found >= seen[partition], "{found:?} after {:?}", seen[partition]);
            assert!(found.unwrap_or(0) <= tried[partition]);
            seen[partition] = found;
        }
        world.disk.heal();
        let life = restarted(&world, life, seed);
        for partition in 0..4 {
            let found = committed(&life, partition);
            assert!(found >= seen[partition as usize], "{found:?} after {:?}", seen[partition as usize]);
        }
    });
}

#[test]
fn a_full_disk_refuses_commits_until_there_is_space_and_shows_none_of_them() {
    let world = SimWorld::new(3);
    let life = Life::open(&world, 3).unwrap();
    create(&life, "orders");
    commit(&life, 0, 5).unwrap();
    world.disk.set_capacity(Some(0));
    // What is allocated ahead lasts for a while.
    let refused = (6..100_000).find(|&offset| commit(&life, 0, offset).is_err()).expect("it runs full");
    assert_eq!(committed(&life, 0), Some(refused - 1));
    world.disk.set_capacity(None);
    commit(&life, 0, 200_000).unwrap();
    let life = restarted(&world, life, 4);
    assert_eq!(committed(&life, 0), Some(200_000));
}

#[test]
fn a_snapshot_says_all_and_lets_go_of_what_lies_before() {
    let world = SimWorld::new(5);
    let life = Life::open(&world, 5).unwrap();
    create(&life, "orders");
    let (name, generation) = join_alone(&life);
    let member = Committer { name: name.clone(), generation, knows_epochs: false };
    for offset in 0..50 {
        commit_as(&life, member.clone(), 0, offset).unwrap();
    }
    let core = &life.engine.core;
    core.coordinator.log().snapshot(core).unwrap();
    let mut records = 0;
    core.coordinator.log().replay(|_| records += 1).unwrap();
    assert_eq!(records, 2, "the group and one offset");
    commit_as(&life, member, 1, 7).unwrap();
    let life = restarted(&world, life, 6);
    assert_eq!((committed(&life, 0), committed(&life, 1)), (Some(49), Some(7)));
    assert_eq!(life.engine.heartbeat("readers", &name, generation), Ok(()));
}

#[test]
fn groups_are_deleted_without_members_only_and_offsets_that_nobody_reads() {
    let world = SimWorld::new(8);
    let life = Life::open(&world, 8).unwrap();
    create(&life, "orders");
    create(&life, "other");
    let id: Arc<str> = "readers".into();
    let missing = life.drive(life.engine.delete_group(&id)).unwrap();
    assert_eq!(missing, Err(GroupError::GroupIdNotFound { group: Arc::clone(&id) }));
    let (name, generation) = join_alone(&life);
    commit_as(&life, Committer { name: name.clone(), generation, knows_epochs: false }, 0, 5).unwrap();
    let refused = life.drive(life.engine.delete_group(&id)).unwrap();
    assert_eq!(refused, Err(GroupError::NonEmptyGroup { group: Arc::clone(&id) }));
    let named = |name: &str| (TopicRef::Name(name.into()), 0);
    let deleted =
        life.drive(life.engine.delete_offsets(&id, vec![named("orders"), named("other"), named("none")]));
    assert_eq!(
        deleted.unwrap().unwrap(),
        [
            Err(GroupError::SubscribedToTopic { topic: "orders".into() }),
            Ok(()),
            Err(GroupError::UnknownTopicOrPartition { topic: "none-0".into() }),
        ]
    );
    life.engine.leave_group("readers", &[name]).unwrap();
    let deleted = life.drive(life.engine.delete_offsets(&id, vec![named("orders")]));
    assert_eq!(deleted.unwrap().unwrap(), [Ok(())]);
    assert_eq!(committed(&life, 0), None);
    commit(&life, 0, 6).unwrap();
    assert_eq!(life.drive(life.engine.delete_group(&id)).unwrap(), Ok(()));
    assert_eq!(committed(&life, 0), None);
    let life = restarted(&world, life, 9);
    assert_eq!(committed(&life, 0), None);
    assert!(life.engine.list_groups().unwrap().is_empty());
}

#[test]
fn refused_requests_leave_no_group_behind() {
    let world = SimWorld::new(10);
    let life = Life::open(&world, 10).unwrap();
    create(&life, "orders");
    let stranger = Committer { generation: 5, ..nobody() };
    let outcome = commit_as(&life, stranger, 0, 1);
    assert_eq!(outcome, Err(GroupError::IllegalGeneration { asked: 5, current: -1 }));
    let too_long = CommitOffsetsRequest {
        group: "readers".into(),
        committer: nobody(),
        offsets: vec![OffsetToCommit {
            topic: TopicRef::Name("orders".into()),
            partition: 0,
            offset: 1,
            leader_epoch: -1,
            metadata: "x".repeat(5000).into(),
        }],
    };
    let outcome = life.drive(life.engine.commit_offsets(too_long)).unwrap().unwrap();
    assert_eq!(outcome, [Err(GroupError::MetadataTooLarge { bytes_max: 4096 })]);
    assert!(life.engine.list_groups().unwrap().is_empty());
    assert!(life.engine.core.coordinator.cells().is_empty());
    let nameless = life.engine.find_coordinator("");
    assert_eq!(nameless, Ok(()), "as in Kafka, an empty name has a coordinator; joining it is refused");
}

/// What the future has come to without any job of the pool being run.
fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A heartbeat of a member that reads `orders`.
fn heartbeat(life: &Life, member: &str, epoch: i32) -> Result<ConsumerHeartbeatOutcome, GroupError> {
    let outcome = life.drive(life.engine.consumer_group_heartbeat(&heartbeat_of(member, epoch)));
    outcome.unwrap_or(Err(GroupError::NotCoordinator))
}

fn heartbeat_of(member: &str, epoch: i32) -> ConsumerHeartbeat {
    let joins = epoch == 0;
    ConsumerHeartbeat {
        group: "readers".into(),
        member: member.into(),
        epoch,
        instance: None,
        rack: None,
        rebalance_timeout: joins.then_some(Duration::from_secs(60)),
        topics: joins.then(|| vec!["orders".into()]),
        pattern: None,
        assignor: None,
        owned: joins.then(Vec::new),
        client: Client { id: "client".into(), host: "/127.0.0.1".into() },
        names_itself: true,
    }
}

#[test]
fn a_heartbeat_waits_for_what_it_tells_and_not_for_the_offsets_of_others() {
    let world = SimWorld::new(12);
    let life = Life::open(&world, 12).unwrap();
    create(&life, "orders");
    heartbeat(&life, "m1", 0).unwrap();
    let mut committing = pin!(life.engine.commit_offsets(CommitOffsetsRequest {
        group: "readers".into(),
        committer: Committer {
            name: MemberName { member: "m1".into(), instance: None },
            generation: 1,
            knows_epochs: true
        },
        offsets: vec![offset_to_commit(0, 7)],
    }));
    assert!(poll(committing.as_mut()).is_none(), "its record is not on the disk");
    // Nothing of the pool has run since.
    let told = poll(pin!(life.engine.consumer_group_heartbeat(&heartbeat_of("m1", 1))));
    assert_eq!(told.unwrap().unwrap().epoch, 1);
    let mut joining = pin!(life.engine.consumer_group_heartbeat(&heartbeat_of("m2", 0)));
    assert!(poll(joining.as_mut()).is_none(), "nobody is a member whom a crash would forget");
    let mut told = pin!(life.engine.consumer_group_heartbeat(&heartbeat_of("m1", 1)));
    assert!(poll(told.as_mut()).is_none(), "it tells of partitions that another is to have");
    assert_eq!(life.drive(committing).unwrap().unwrap(), [Ok(())]);
    assert_eq!(life.drive(joining).unwrap().unwrap().epoch, 2);
    assert_eq!(life.drive(told).unwrap().unwrap().assignment.unwrap()[0].1.len(), 2);
}

#[test]
fn members_of_the_consumer_protocol_go_on_after_a_power_cut_in_their_epochs() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    create(&life, "orders");
    let group = ConfigResource::Group("readers".into());
    let interval = ("consumer.heartbeat.interval.ms".to_owned(), ConfigOp::Set(Some("7000".into())));
    life.drive(life.engine.alter_configs(group, ConfigChange::Incremental(vec![interval]), false))
        .unwrap()
        .unwrap();
    let told = heartbeat(&life, "m1", 0).unwrap();
    assert_eq!(told.assignment.unwrap()[0].1, [0, 1, 2, 3]);
    heartbeat(&life, "m2", 0).unwrap();
    let before = life.engine.describe_consumer_group(&"readers".into()).unwrap();

    let life = restarted(&world, life, 2);
    assert_eq!(life.engine.describe_consumer_group(&"readers".into()).unwrap(), before);
    let told = heartbeat(&life, "m1", 1).unwrap();
    assert_eq!((told.epoch, told.assignment.unwrap()[0].1.len()), (1, 2));
    assert_eq!(told.heartbeat_interval, Duration::from_secs(7), "the group's setting is kept too");
    assert_eq!(heartbeat(&life, "m2", 2).unwrap().assignment, None);

    // Sessions begin anew with the broker, and end.
    world.clock.advance(Duration::from_secs(46));
    life.engine.tick();
    while life.pool.step() {}
    let life = restarted(&world, life, 3);
    assert_eq!(life.engine.describe_consumer_group(&"readers".into()).unwrap().state, "Empty");
    let outcome = heartbeat(&life, "m1", 1);
    assert!(matches!(outcome, Err(GroupError::UnknownMember { .. })), "{outcome:?}");
    life.drive(life.engine.delete_group(&"readers".into())).unwrap().unwrap();
    let life = restarted(&world, life, 4);
    assert!(life.engine.list_groups().unwrap().is_empty());
}
