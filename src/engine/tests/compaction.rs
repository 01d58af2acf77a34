//! The log cleaner in the whole engine, on a simulated disk and clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::simulation::{Life, fetch};
use crate::engine::api::*;
use crate::record::{BatchBuilder, Compression, batches};
use crate::testing::{Fault, Op, SimWorld};
use crate::types::Offset;

const TOPIC: &str = "table";

fn make(life: &Life, configs: &[(&str, &str)]) {
    let configs =
        [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), ("segment.ms", "20000")]
            .iter()
            .chain(configs)
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
    let topic = NewTopic {
        name: TOPIC.into(),
        partitions: Some(1),
        replication_factor: None,
        assignments: Vec::new(),
        configs,
    };
    life.drive(life.engine.create_topics(vec![topic], false)).unwrap().remove(0).unwrap();
}

fn put(life: &Life, key: &str, value: Option<&str>) {
    let mut builder = BatchBuilder::new(Compression::None);
    let now_ms = life.world.env.clock.now_ms();
    builder.append(now_ms, Some(key.as_bytes()), value.map(str::as_bytes), &[]).unwrap();
    let request = ProduceRequest {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        zstd: true,
        partitions: vec![ProducePartition {
            topic: TopicRef::Name(TOPIC.into()),
            partition: 0,
            records: builder.build(),
        }],
    };
    life.drive(life.engine.produce(request)).unwrap().remove(0).unwrap();
}

fn set(life: &Life, name: &str, value: &str) {
    let change = ConfigChange::Incremental(vec![(name.to_owned(), ConfigOp::Set(Some(value.to_owned())))]);
    let changed = life.engine.alter_configs(ConfigResource::Broker(String::new()), change, false);
    life.drive(changed).unwrap().unwrap();
}

/// Lets so much time pass.
fn pass(life: &Life, seconds: u64) {
    for _ in 0..seconds * 10 {
        life.world.clock.advance(Duration::from_millis(100));
        life.engine.tick();
        while life.pool.step() {}
    }
}

/// What a consumer reads from offset 0 on.
fn read(life: &Life) -> BTreeMap<Offset, (Bytes, Option<Bytes>)> {
    let mut found = BTreeMap::new();
    let mut from = 0;
    loop {
        let fetched = life.drive(life.engine.fetch(fetch(TOPIC, 0, from))).unwrap().remove(0).unwrap();
        let before = from;
        for batch in fetched.records.into_iter().flat_map(batches).map(Result::unwrap) {
            for record in batch.records(1 << 20).unwrap().map(Result::unwrap) {
                found.insert(record.offset, (record.key.unwrap(), record.value));
            }
            from = batch.header().next_offset();
        }
        if from == before {
            return found;
        }
    }
}

fn segments(life: &Life) -> usize {
    let image = life.engine.image();
    image.topics().flat_map(|topic| &topic.partitions).map(|partition| partition.log().segment_count()).sum()
}

/// Three keys, written again and again into segments of their own.
fn rounds(life: &Life) {
    for round in 0..4 {
        for key in ["a", "b", "c"] {
            put(life, key, Some(&format!("{key} of round {round}")));
        }
        pass(life, 25);
    }
}

#[test]
fn a_compacted_topic_is_cleaned_by_itself_and_stays_so_over_a_restart() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    make(&life, &[]);
    rounds(&life);
    pass(&life, 60);
    let left = read(&life);
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), [9, 10, 11]);
    assert_eq!(left[&9].1.as_deref(), Some(&b"a of round 3"[..]));
    assert_eq!(segments(&life), 2, "a cleaned one and the active one");
    life.engine.shutdown_clean().unwrap();
    drop(life);
    let life = Life::open(&world, 2).unwrap();
    assert_eq!(read(&life), left);
    put(&life, "a", None);
    pass(&life, 60);
    assert_eq!(read(&life).keys().copied().collect::<Vec<_>>(), [10, 11, 12]);
}

#[test]
fn a_topic_that_is_not_compacted_or_a_cleaner_that_is_off_changes_nothing() {
    for (topic, broker) in [(("cleanup.policy", "delete"), "true"), (("cleanup.policy", "compact"), "false")]
    {
        let world = SimWorld::new(1);
        let life = Life::open(&world, 1).unwrap();
        set(&life, "log.cleaner.enable", broker);
        make(&life, &[topic]);
        rounds(&life);
        pass(&life, 60);
        assert_eq!(read(&life).len(), 12);
    }
}

#[test]
fn a_disk_error_stops_one_cleaning_and_not_the_cleaner() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    make(&life, &[]);
    world.disk.inject(Fault::always(Op::Write, ".cleaned"));
    rounds(&life);
    pass(&life, 60);
    assert_eq!(read(&life).len(), 12);
    assert!(life.engine.fatal().borrow().is_none());
    world.disk.heal();
    pass(&life, 130);
    assert_eq!(read(&life).len(), 3);
}

#[test]
fn a_failed_sync_of_a_cleaned_segment_ends_the_process_and_the_restart_has_everything() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    make(&life, &[]);
    set(&life, "log.cleaner.enable", "false");
    rounds(&life);
    world.disk.inject(Fault::once(Op::SyncData, ".cleaned"));
    set(&life, "log.cleaner.enable", "true");
    pass(&life, 60);
    assert!(life.engine.fatal().borrow().is_some());
    drop(life);
    world.disk.kill();
    let life = Life::open(&world, 2).unwrap();
    assert_eq!(read(&life).len(), 12, "what was not replaced is as it was");
}

#[test]
fn a_topic_that_is_deleted_while_it_is_cleaned_is_gone() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    make(&life, &[]);
    rounds(&life);
    for key in ["a", "b", "c"] {
        put(&life, key, Some("last"));
    }
    life.drive(life.engine.delete_topics(vec![TopicRef::Name(TOPIC.into())])).unwrap().remove(0).unwrap();
    pass(&life, 60);
    assert!(!world.disk.files().iter().any(|path| path.to_string_lossy().contains("/topics/")));
}

#[test]
fn the_cleaner_keeps_to_its_rate() {
    let world = SimWorld::new(1);
    let life = Life::open(&world, 1).unwrap();
    set(&life, "log.cleaner.io.max.bytes.per.second", "20000");
    set(&life, "log.cleaner.enable", "false");
    make(&life, &[("segment.bytes", "1048576")]);
    let value = "x".repeat(100_000);
    for _ in 0..30 {
        put(&life, "key", Some(&value));
    }
    pass(&life, 25);
    set(&life, "log.cleaner.enable", "true");
    // To read three MB for their keys takes 150 seconds, and as long again to read them for what stays.
    pass(&life, 140);
    assert_eq!(read(&life).len(), 30);
    pass(&life, 250);
    assert_eq!(read(&life).len(), 1);
}
