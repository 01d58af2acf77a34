//! What stays, what goes, and when.

use bytes::Bytes;

use super::keyed::*;
use crate::log::tests::harness::*;
use crate::log::{LastStop, LogConfig};
use crate::record::{Batch, BatchBuilder, Compression};
use crate::testing::SimWorld;
use crate::types::{Offset, ProducerEpoch, ProducerId};

#[test]
fn of_each_key_the_newest_record_stays_at_its_offset() {
    let place = Place::simulated(compacted());
    let log = place.create();
    rounds(&log);
    let before = table(&log, 0);
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let cleaned = clean(&log, NOW_MS).unwrap();
    assert_eq!(cleaned.upto, 30);
    assert!(cleaned.bytes_after < cleaned.bytes_before);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    let left: Vec<Offset> = keyed(&log, 0).iter().map(|record| record.0).collect();
    assert_eq!(left, (20..40).collect::<Vec<_>>(), "the newest of what is closed, and all that is not");
    for from in 0..=end {
        let seen = table(&log, from.min(30));
        assert_eq!(seen, before, "from offset {from}");
        let outcome = read_from(&log, from).unwrap();
        assert!(from == end || outcome.next_offset > from);
    }
    assert_eq!(clean(&log, NOW_MS), None, "nothing is dirty");
    assert_sound(&place, &log);
}

#[test]
fn a_tombstone_stays_for_its_time_and_then_goes_with_nothing_coming_back() {
    let place = Place::simulated(compacted());
    let log = place.create();
    put_all(&log, &[("a", Some("1")), ("b", Some("1"))]);
    roll(&log);
    put_all(&log, &[("a", None), ("c", Some("1"))]);
    roll(&log);
    clean(&log, NOW_MS);
    assert_eq!(offsets_of(&log, "a"), [2]);
    let header = *batches_of(&read_from(&log, 2).unwrap())[0].header();
    assert!(header.has_delete_horizon());
    assert_eq!(header.base_timestamp, NOW_MS + RETENTION_MS);
    // More dirt does not move the horizon, nor let the tombstone go early.
    put(&log, "d", "1");
    roll(&log);
    clean(&log, NOW_MS + RETENTION_MS - 1);
    assert_eq!(offsets_of(&log, "a"), [2]);
    assert_eq!(clean(&log, NOW_MS + RETENTION_MS - 1), None);
    // Its time has come, and that is reason enough to clean.
    assert!(log.due_for_cleaning(NOW_MS + RETENTION_MS).unwrap().unwrap().is_overdue);
    clean(&log, NOW_MS + RETENTION_MS);
    assert!(offsets_of(&log, "a").is_empty());
    assert_eq!(table(&log, 0).len(), 3);
    assert_eq!(clean(&log, NOW_MS + 10 * RETENTION_MS), None);
    assert_sound(&place, &log);
}

#[test]
fn what_is_active_uncommitted_or_young_is_not_touched() {
    let place = Place::simulated(LogConfig { min_compaction_lag_ms: 1000, ..compacted() });
    let log = place.create();
    put(&log, "a", "1");
    roll(&log);
    put(&log, "a", "2");
    assert_eq!(log.cleanable(NOW_MS + 999).unwrap(), None, "too young, and not committed");
    assert_eq!(log.cleanable(NOW_MS + 1000).unwrap(), None, "not committed");
    log.set_high_watermark(1);
    let cleanable = log.cleanable(NOW_MS + 1000).unwrap().unwrap();
    assert_eq!((cleanable.from, cleanable.upto, cleanable.dirty_ppm()), (0, 1, 1_000_000));
    clean(&log, NOW_MS + 1000);
    assert_eq!(offsets_of(&log, "a"), [0, 1], "the newer one is in the active segment");
}

#[test]
fn a_log_is_due_when_enough_of_it_is_dirty_or_a_record_has_waited_too_long() {
    let config = LogConfig { min_cleanable_dirty_ppm: 500_000, ..compacted() };
    let place = Place::simulated(LogConfig { max_compaction_lag_ms: 60_000, ..config });
    let log = place.create();
    rounds(&log);
    clean(&log, NOW_MS);
    put(&log, "key-1", "new");
    roll(&log);
    log.set_high_watermark(log.log_end_offset());
    let cleanable = log.cleanable(NOW_MS + 59_000).unwrap().unwrap();
    assert!(cleanable.clean_bytes > 0 && cleanable.dirty_bytes > 0 && !cleanable.is_overdue);
    let much = log.due_for_cleaning(NOW_MS + 59_000).unwrap().is_some();
    assert_eq!(much, cleanable.dirty_ppm() > 500_000);
    assert!(log.due_for_cleaning(NOW_MS + 60_003).unwrap().unwrap().is_overdue);
    // The active segment is closed at that age too.
    put(&log, "key-2", "new");
    assert!(!log.maybe_roll(NOW_MS + 59_999).unwrap());
    assert!(log.maybe_roll(NOW_MS + 60_000).unwrap());
    log.set_config(LogConfig { compact: false, ..(*log.config()).clone() });
    assert_eq!(log.cleanable(NOW_MS + 60_003).unwrap(), None, "compaction was turned off");
}

#[test]
fn with_a_small_map_several_cleanings_do_it() {
    let place = Place::simulated(LogConfig { segment_bytes: 3000, ..compacted() });
    let log = place.create();
    // Two hundred keys, each three times; the smallest map takes 54.
    for round in 0..3 {
        for key in 0..200 {
            put(&log, &format!("key-{key}"), &format!("{round}"));
        }
    }
    roll(&log);
    log.set_high_watermark(log.log_end_offset());
    let mut turns = 0;
    while let Some(mut cleaning) = log.begin_cleaning(0, [5, 6], NOW_MS).unwrap() {
        while !log.clean_step(&mut cleaning, 10_000).unwrap().done {}
        turns += 1;
        assert_eq!(table(&log, 0).len(), 200);
        assert!(turns < 30, "each turn gets further");
    }
    assert!(turns > 3, "{turns} turns");
    assert_eq!(
        keyed(&log, 0).iter().map(|record| record.0).collect::<Vec<_>>(),
        (400..600).collect::<Vec<_>>()
    );
    assert_sound(&place, &log);
}

#[test]
fn a_batch_with_more_keys_than_the_map_takes_is_passed() {
    let place = Place::simulated(LogConfig { segment_bytes: 30_000, ..compacted() });
    let log = place.create();
    let names: Vec<String> = (0..300).map(|key| format!("key-{key}")).collect();
    for value in ["1", "2"] {
        let records: Vec<Keyed<'_>> = names.iter().map(|name| (&**name, Some(value))).collect();
        put_all(&log, &records);
    }
    roll(&log);
    log.set_high_watermark(log.log_end_offset());
    let mut turns = 0;
    while let Some(mut cleaning) = log.begin_cleaning(0, [5, 6], NOW_MS).unwrap() {
        while !log.clean_step(&mut cleaning, 10_000).unwrap().done {}
        turns += 1;
        assert!(turns < 5, "it ends");
    }
    let table = table(&log, 0);
    assert!(table.len() == 300 && table.values().all(|value| value == "2"));
    assert!(keyed(&log, 0).len() < 600, "some are gone");
}

#[test]
fn a_tombstone_that_no_cleaning_has_reached_has_no_time_to_pass() {
    let place = Place::simulated(LogConfig { segment_bytes: 30_000, ..compacted() });
    let log = place.create();
    for key in 0..200 {
        put(&log, &format!("key-{key}"), "1");
    }
    put_all(&log, &[("key-0", None)]);
    roll(&log);
    log.set_high_watermark(log.log_end_offset());
    for turn in 0..10 {
        let now_ms = NOW_MS + turn * RETENTION_MS;
        let Some(mut cleaning) = log.begin_cleaning(0, [5, 6], now_ms).unwrap() else { continue };
        while !log.clean_step(&mut cleaning, 10_000).unwrap().done {}
        assert!(!table(&log, 0).contains_key("key-0"), "it came back in turn {turn}");
    }
    assert!(offsets_of(&log, "key-0").is_empty());
}

#[test]
fn a_producers_retries_are_known_although_its_records_are_gone() {
    let place = Place::simulated(compacted());
    let log = place.create();
    let mut builder = BatchBuilder::new(Compression::Gzip).producer(ProducerId(9), ProducerEpoch(0), 0);
    let batches: Vec<Batch> =
        (0..8).map(|_| keyed_batch(&mut builder, NOW_MS, &[("k", Some("v")), ("l", Some("v"))])).collect();
    for batch in &batches {
        append(&log, batch.clone()).unwrap();
    }
    put_all(&log, &[("k", Some("other")), ("l", Some("other"))]);
    roll(&log);
    put(&log, "m", "1");
    clean(&log, NOW_MS);
    assert_eq!(keyed(&log, 0).len(), 3);
    log.checkpoint(NOW_MS).unwrap();
    // Also when nothing but the batches tells of it.
    let world = place.resources.env().clone();
    for name in world.disk.read_dir(log.dir()).unwrap() {
        if name.ends_with(".snapshot") {
            world.disk.remove_file(&log.dir().join(name)).unwrap();
        }
    }
    let (again, _) = place.open(2, LastStop::default());
    for log in [&log, &again] {
        for (index, batch) in batches.iter().enumerate().skip(3) {
            let appended = append(log, batch.clone()).unwrap();
            assert!(appended.duplicate, "batch {index}");
            assert_eq!(appended.base_offset, index as i64 * 2);
        }
    }
}

#[test]
fn records_without_a_key_go_and_are_counted() {
    let place = Place::simulated(compacted());
    let log = place.create();
    append(&log, batch(&[b"from before", b"the topic was compacted"])).unwrap();
    put(&log, "a", "1");
    roll(&log);
    let cleaned = clean(&log, NOW_MS).unwrap();
    assert_eq!(cleaned.keyless_records, 2);
    assert_eq!(keyed(&log, 0), [(2, "a".into(), Some(Bytes::from_static(b"1")))]);
}

#[test]
fn a_damaged_segment_stays_as_it_is_and_tombstones_above_it_too() {
    let world = SimWorld::new(3);
    let place = Place::on(&world, compacted());
    let log = place.create();
    put(&log, "a", "1");
    put(&log, "b", "1");
    roll(&log);
    put_all(&log, &[("a", None), ("b", Some("2"))]);
    roll(&log);
    put(&log, "b", "3");
    roll(&log);
    let path = log.dir().join("00000000000000000000.log");
    world.disk.flip_bit(&path, 20, 0);
    let bytes = world.disk.content(&path);
    clean(&log, NOW_MS);
    assert_eq!(world.disk.content(&path), bytes);
    for turn in 1..3 {
        put(&log, "c", "again");
        roll(&log);
        assert!(clean(&log, NOW_MS + turn * RETENTION_MS).is_some());
    }
    let left: Vec<_> = keyed(&log, 1).into_iter().map(|(offset, key, _)| (offset, key)).collect();
    assert_eq!(left, [(1, "b".into()), (2, "a".into()), (4, "b".into()), (6, "c".into())]);
    assert_eq!(log.damaged_ranges(), [(0, 1)]);
}

#[test]
fn lookups_by_time_find_what_is_left() {
    let place = Place::simulated(compacted());
    let log = place.create();
    for (index, key) in ["a", "b", "c", "a", "b", "d"].into_iter().enumerate() {
        let time_ms = NOW_MS + index as i64 * 10;
        let batch = keyed_batch(&mut BatchBuilder::new(Compression::None), time_ms, &[(key, Some("x"))]);
        append(&log, batch).unwrap();
        if index < 5 {
            roll(&log);
        }
    }
    clean(&log, NOW_MS);
    let at = |time_ms| log.lookup_timestamp(time_ms, 6).unwrap().map(|hit| (hit.offset, hit.timestamp_ms));
    assert_eq!(at(NOW_MS), Some((2, NOW_MS + 20)), "offsets 0 and 1 are gone");
    assert_eq!(at(NOW_MS + 21), Some((3, NOW_MS + 30)));
    assert_eq!(at(NOW_MS + 51), None);
    let largest = log.max_timestamp(5).unwrap().map(|hit| hit.offset);
    assert_eq!(largest, Some(4));
    assert_sound(&place, &log);
}
