//! A disk that fails, fills up or does not answer.

use std::sync::Arc;
use std::time::Duration;

use super::simulation::{Life, produce};
use crate::engine::api::*;
use crate::engine::{Error, ErrorKind, OpenError};
use crate::record::{BatchBuilder, Compression};
use crate::testing::{Fault, Op, Rng, SimWorld};

fn topic(life: &Life, name: &str, partitions: i32) {
    let topic = NewTopic { name: Arc::from(name), partitions: Some(partitions), ..NewTopic::default() };
    life.drive(life.engine.create_topics(vec![topic], false)).unwrap().remove(0).unwrap();
}

fn values(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn append(life: &Life, name: &str, value: &str, acks: Acks) -> Result<Produced, Error> {
    let outcome =
        life.drive(life.engine.produce(produce(life, name, 0, &values(value), acks))).unwrap().remove(0);
    outcome.map_err(|refused| refused.error)
}

#[test]
fn a_failed_sync_acknowledges_nothing_is_told_as_fatal_and_leaves_what_the_medium_holds() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    topic(&life, "orders", 1);
    append(&life, "orders", "kept", Acks::All).unwrap();
    assert!(life.engine.fatal().borrow().is_none());

    world.disk.inject(Fault::once(Op::SyncData, ".log"));
    assert_eq!(append(&life, "orders", "lost", Acks::All).unwrap_err().kind(), ErrorKind::Storage);
    assert!(life.engine.fatal().borrow().is_some(), "the server has to learn of it");
    // The next sync would succeed and say nothing of what the last one lost: it is never asked.
    assert_eq!(append(&life, "orders", "too late", Acks::All).unwrap_err().kind(), ErrorKind::Storage);
    assert_eq!(life.visible("orders", 0).unwrap().into_values().collect::<Vec<_>>(), ["kept"]);

    drop(life);
    world.disk.power_cut();
    world.disk.restart(1);
    let life = Life::open(&world, 2).unwrap();
    assert_eq!(life.visible("orders", 0).unwrap().into_values().collect::<Vec<_>>(), ["kept"]);
    assert_eq!(append(&life, "orders", "after", Acks::All).unwrap().base_offset, 1);
}

#[test]
fn after_a_failed_sync_no_other_sync_vouches_for_anything() {
    let world = SimWorld::new(5);
    let life = Life::open(&world, 5).unwrap();
    topic(&life, "a", 1);
    topic(&life, "b", 1);
    world.disk.inject(Fault::once(Op::SyncData, ".log"));
    assert_eq!(append(&life, "a", "lost", Acks::All).unwrap_err().kind(), ErrorKind::Storage);
    // A sync of the whole file system may have been what failed: then pages of this one are lost too.
    assert_eq!(append(&life, "b", "lost", Acks::All).unwrap_err().kind(), ErrorKind::Storage);
    assert_eq!(life.visible("b", 0).unwrap().len(), 0);
}

#[test]
fn a_topic_whose_creation_failed_in_its_sync_may_be_there_after_the_next_start() {
    let world = SimWorld::new(6);
    let life = Life::open(&world, 6).unwrap();
    topic(&life, "before", 1);
    // The sync fails, and has brought everything to the disk all the same.
    world.disk.inject(Fault { effective: true, ..Fault::once(Op::SyncData, "catalog") });
    let new = NewTopic { name: Arc::from("maybe"), partitions: Some(1), ..NewTopic::default() };
    let refused = life.drive(life.engine.create_topics(vec![new], false)).unwrap().remove(0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Storage);
    assert!(life.engine.fatal().borrow().is_some(), "the server has to learn of it");

    drop(life);
    world.disk.power_cut();
    world.disk.restart(6);
    let life = Life::open(&world, 7).unwrap();
    assert_eq!(append(&life, "maybe", "value", Acks::All).unwrap().base_offset, 0);
}

#[test]
fn a_full_disk_refuses_produces_serves_everything_else_and_takes_them_again_when_there_is_space() {
    let world = SimWorld::new(2);
    let life = Life::open(&world, 2).unwrap();
    topic(&life, "orders", 1);
    topic(&life, "old", 1);
    append(&life, "orders", "before", Acks::All).unwrap();

    // Nothing more can be allocated; a few batches may still fit what was.
    world.disk.set_capacity(Some(0));
    let big = "x".repeat(100_000);
    let refused = (0..1000).find_map(|_| append(&life, "orders", &big, Acks::All).err());
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Full));
    assert!(life.engine.fatal().borrow().is_none(), "a full disk is no reason to end");
    assert_eq!(life.visible("orders", 0).unwrap()[&0], "before");

    world.disk.set_capacity(None);
    let next = append(&life, "orders", "again", Acks::All).unwrap().base_offset;
    let found = life.visible("orders", 0).unwrap();
    assert_eq!(found[&next], "again");
    assert_eq!(found.len() as i64, next + 1, "the refused batches left no gap");
}

#[test]
fn an_acks_all_whose_sync_does_not_come_is_told_so_at_its_deadline_and_its_record_stays() {
    let world = SimWorld::new(3);
    let life = Life::open(&world, 3).unwrap();
    topic(&life, "orders", 1);
    let mut request = produce(&life, "orders", 0, &values("late"), Acks::All);
    request.timeout = Duration::from_secs(5);
    let waiting = life.engine.produce(request);
    // No job runs: as with a disk that hangs.
    world.clock.advance(Duration::from_secs(6));
    life.engine.tick();
    let outcome = life.drive(waiting).unwrap().remove(0);
    assert_eq!(outcome.unwrap_err().error, Error::RequestTimedOut);
    append(&life, "orders", "next", Acks::All).unwrap();
    assert_eq!(life.visible("orders", 0).unwrap().into_values().collect::<Vec<_>>(), ["late", "next"]);
    assert_eq!(life.engine.waiting_requests(), 0);
}

/// Found by the simulation: a batch that its log refuses is answered at once, yet its request stood in the purgatory,
/// and counted as one that waits, until its deadline, since no commit came that would have taken it out.
#[test]
fn a_produce_that_is_answered_by_its_append_waits_for_nothing_any_more() {
    let world = SimWorld::new(7);
    let life = Life::open(&world, 7).unwrap();
    topic(&life, "orders", 1);
    let identity = life.drive(life.engine.init_producer_id()).unwrap().unwrap();
    let mut builder = BatchBuilder::new(Compression::None).producer(identity.id, identity.epoch, 0);
    builder.append(1, None, Some(b"first"), &[]).unwrap();
    let first = builder.build();
    let mut builder = BatchBuilder::new(Compression::None).producer(identity.id, identity.epoch, 9);
    builder.append(1, None, Some(b"with a gap before it"), &[]).unwrap();
    let gap = builder.build();
    for (records, good) in [(first.clone(), true), (gap, false), (first, true)] {
        let mut request = produce(&life, "orders", 0, &values("replaced"), Acks::All);
        request.partitions[0].records = records;
        let outcome = life.drive(life.engine.produce(request)).unwrap().remove(0);
        assert_eq!(outcome.is_ok(), good);
        assert_eq!(life.engine.waiting_requests(), 0, "answered: {outcome:?}");
    }
}

#[test]
fn a_sync_that_fails_in_a_deletion_of_records_is_fatal_as_any_other() {
    let world = SimWorld::new(9);
    let life = Life::open(&world, 9).unwrap();
    let configs = vec![("write.caching".to_owned(), Some("true".to_owned()))];
    let new = NewTopic { name: Arc::from("cached"), partitions: Some(1), configs, ..NewTopic::default() };
    life.drive(life.engine.create_topics(vec![new], false)).unwrap().remove(0).unwrap();
    append(&life, "cached", "value", Acks::All).unwrap();
    world.disk.inject(Fault::once(Op::SyncData, ".log"));
    let deleted = life.drive(life.engine.delete_records(&TopicRef::Name("cached".into()), 0, None)).unwrap();
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Storage);
    assert!(life.engine.fatal().borrow().is_some());
}

/// The n-th call of the disk fails, for n = 1, 2, ... until none is left to fail; before it has an effect, or after.
#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    for effective in [false, true] {
        for calls in 0.. {
            if !life_with_a_failing_call(calls, effective) {
                assert!(calls > 180, "{calls} calls are no script");
                break;
            }
        }
    }
}

/// A life through all that a broker does, and a second one that finds what the first acknowledged. Whether the call
/// that should fail was reached.
fn life_with_a_failing_call(calls: u64, effective: bool) -> bool {
    let at = format!("call {calls}, effective {effective}");
    let world = SimWorld::new(4);
    world.disk.inject(Fault { effective, ..Fault::after_calls(calls) });
    let mut acknowledged = Vec::new();
    let (mut start, mut partitions, mut deleted) = (0, 1, false);
    if let Ok(life) = Life::open(&world, calls) {
        let small = [("segment.index.bytes", "30"), ("index.interval.bytes", "0")];
        let configs = small.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).to_vec();
        let new = |name: &str| NewTopic {
            name: Arc::from(name),
            configs: configs.clone(),
            partitions: Some(1),
            ..NewTopic::default()
        };
        let created = life.drive(life.engine.create_topics(vec![new("orders"), new("gone")], false)).unwrap();
        for value in 0..if created[0].is_ok() { 12 } else { 0 } {
            if let Ok(produced) = append(&life, "orders", &value.to_string(), Acks::All) {
                acknowledged.push((produced.base_offset, value.to_string()));
            }
            if value % 5 == 4 {
                // The checkpoint and retention.
                world.clock.advance(Duration::from_secs(400));
                life.engine.tick();
                while life.pool.step() {}
            }
        }
        let orders = TopicRef::Name("orders".into());
        if let Ok(to) = life.drive(life.engine.delete_records(&orders, 0, Some(5))).unwrap() {
            start = to;
        }
        if life.drive(life.engine.create_partitions("orders".into(), 3, None, false)).unwrap().is_ok() {
            partitions = 3;
        }
        if created[1].is_ok() {
            let gone = life.engine.delete_topics(vec![TopicRef::Name("gone".into())]);
            deleted = life.drive(gone).unwrap()[0].is_ok();
        }
        let _ = life.engine.shutdown_clean();
    }
    let reached = world.disk.calls() > calls;
    world.disk.heal();
    world.disk.power_cut();
    world.disk.restart(Rng::new(calls).next_u64());
    let life = Life::open(&world, calls).expect("one failed call leaves nothing that cannot be opened");
    let image = life.engine.image();
    assert!(!deleted || image.topic_by_name("gone").is_none(), "{at}: a deleted topic is back");
    if !acknowledged.is_empty() {
        let there = image.topic_by_name("orders").expect("the topic is there").partition_count();
        assert!(there >= partitions, "{at}: {there} partitions, {partitions} were acknowledged");
        let found = life.visible("orders", 0).expect("it can be read");
        let first = found.keys().next().copied().unwrap_or(start);
        assert!(first >= start, "{at}: the log starts at {first} again, not at {start}");
        for (offset, value) in acknowledged.into_iter().filter(|(offset, _)| *offset >= 5.max(start)) {
            assert_eq!(found.get(&offset), Some(&value), "{at}");
        }
    }
    reached
}

/// Whatever bit of the catalog or of the file that says what the directory is goes wrong: the broker refuses to start,
/// or all topics are there with their records. It never takes a topic that it cannot read for one that is not there.
#[test]
fn a_damaged_catalog_is_refused_or_harmless_and_never_read_as_fewer_topics() {
    let mut refused = 0;
    for clean in [true, false] {
        for file in ["/data/meta", "/data/catalog/00000000000000000000.log"] {
            let path = std::path::Path::new(file);
            let made = || {
                let world = SimWorld::new(5);
                let life = Life::open(&world, 5).unwrap();
                for name in ["first", "second"] {
                    topic(&life, name, 1);
                    append(&life, name, name, Acks::All).unwrap();
                }
                if clean {
                    life.engine.shutdown_clean().unwrap();
                }
                drop(life);
                world.disk.power_cut();
                world.disk.restart(5);
                world
            };
            let length = made().disk.content(path).len();
            for position in (0..length).step_by(5) {
                let world = made();
                world.disk.flip_bit(path, position, u8::try_from(position % 8).unwrap());
                let Ok(life) = Life::open(&world, 5) else {
                    refused += 1;
                    continue;
                };
                for name in ["first", "second"] {
                    let found =
                        life.visible(name, 0).unwrap_or_else(|| panic!("{name} is gone: {file} {position}"));
                    assert_eq!(found[&0], name, "{file} {position}");
                }
            }
        }
    }
    assert!(refused > 50, "{refused} refusals");
}

#[test]
fn a_second_engine_on_the_directory_is_refused_by_name() {
    let world = SimWorld::new(6);
    let life = Life::open(&world, 6).unwrap();
    match Life::open(&world, 6).map(|_| ()) {
        Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, "a simulation"),
        other => panic!("{other:?}"),
    }
    topic(&life, "still-mine", 1);
}

#[test]
fn f28_what_was_answered_survives_a_power_cut_at_once() {
    for seed in 0..20 {
        let world = SimWorld::new(seed);
        let reopen = |life: Life, again: u64| {
            drop(life);
            world.disk.power_cut();
            world.disk.restart(seed + again);
            Life::open(&world, seed + again).unwrap()
        };
        let life = Life::open(&world, seed).unwrap();
        topic(&life, "orders", 2);
        let life = reopen(life, 1);
        assert_eq!(life.engine.image().topic_by_name("orders").map(|topic| topic.partition_count()), Some(2));

        append(&life, "orders", "kept", Acks::All).unwrap();
        let life = reopen(life, 2);
        assert_eq!(life.visible("orders", 0).unwrap().into_values().collect::<Vec<_>>(), ["kept"]);

        let name: Arc<str> = "orders".into();
        life.drive(life.engine.create_partitions(name, 5, None, false)).unwrap().unwrap();
        let life = reopen(life, 3);
        assert_eq!(life.engine.image().topic_by_name("orders").map(|topic| topic.partition_count()), Some(5));

        life.drive(life.engine.delete_topics(vec![TopicRef::Name("orders".into())]))
            .unwrap()
            .remove(0)
            .unwrap();
        let life = reopen(life, 4);
        assert!(life.engine.image().topic_by_name("orders").is_none());
    }
}
