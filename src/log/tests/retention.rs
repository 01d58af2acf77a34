//! Retention, deletion of records, leader epochs.

use std::path::Path;

use super::harness::*;
use crate::log::{LastStop, Log, LogConfig, LogError, ReadError, RecoveryReport};
use crate::testing::SimWorld;
use crate::types::LeaderEpoch;

const HOUR_MS: i64 = 3_600_000;

fn config() -> LogConfig {
    LogConfig { retention_ms: Some(10 * HOUR_MS as u64), ..small_segments() }
}

/// The log on the disk of that world after a stop that nothing is known of, or a new one.
fn open_on(world: &SimWorld, epoch: i32) -> (Log, RecoveryReport) {
    Place::on(world, small_segments()).open(epoch, LastStop::default())
}

#[test]
fn segments_older_than_the_retention_go_and_younger_ones_stay() {
    let place = Place::with(config(), LIMITS);
    let log = place.create();
    for hour in 0..30 {
        let value = vec![1; 700];
        append_at(&log, batch_at(NOW_MS + hour * HOUR_MS, &[&value]), NOW_MS + hour * HOUR_MS).unwrap();
    }
    let (segments, size_bytes) = (log.segment_count(), log.size_bytes());
    let now_ms = NOW_MS + 29 * HOUR_MS;
    // Nothing is committed yet, so nothing may go.
    assert_eq!(log.retain(now_ms).unwrap().segments, 0);
    log.set_high_watermark(30);
    let deleted = log.retain(now_ms).unwrap();
    assert!(deleted.segments > 3 && deleted.segments < segments - 1);
    assert_eq!(log.segment_count(), segments - deleted.segments);
    assert_eq!(log.size_bytes(), size_bytes - deleted.bytes);
    // The first record left is at most a segment older than the retention.
    assert!((17..=19).contains(&deleted.log_start_offset), "{deleted:?}");
    assert_eq!(log.log_start_offset(), deleted.log_start_offset);
    assert_eq!(place.names(".log").len(), log.segment_count());
    assert!(matches!(read_from(&log, 3), Err(ReadError::OffsetOutOfRange { .. })));
    assert_eq!(records(&log).len() as i64, 30 - deleted.log_start_offset);
    drop(log);
    let (log, report) = place.open(2, LastStop::default());
    assert_eq!((log.log_start_offset(), &report.damaged[..]), (deleted.log_start_offset, &[][..]));
}

#[test]
fn an_old_active_segment_is_rolled_and_deleted() {
    let place = Place::with(config(), LIMITS);
    let log = place.create();
    fill(&log, 2);
    log.set_high_watermark(2);
    let deleted = log.retain(NOW_MS + 11 * HOUR_MS).unwrap();
    assert_eq!((deleted.segments, deleted.log_start_offset), (1, 2));
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_bytes()), (2, 2, 0));
    assert_eq!(append(&log, batch(&[b"x"])).unwrap().base_offset, 2);
}

#[test]
fn f14_a_timestamp_in_the_future_does_not_keep_a_segment_for_ever() {
    let place = Place::with(config(), LIMITS);
    let log = place.create();
    append(&log, batch_at(NOW_MS + 10_000 * HOUR_MS, &[b"from the future"])).unwrap();
    log.set_high_watermark(1);
    assert_eq!(log.retain(NOW_MS + 9 * HOUR_MS).unwrap().segments, 0);
    assert_eq!(log.retain(NOW_MS + 11 * HOUR_MS).unwrap().segments, 1);
}

#[test]
fn f14_a_clock_set_back_deletes_nothing() {
    let place = Place::with(config(), LIMITS);
    let log = place.create();
    fill(&log, 2);
    log.set_high_watermark(2);
    assert_eq!(log.retain(NOW_MS - 5 * HOUR_MS).unwrap().segments, 0);
    assert!(!log.maybe_roll(NOW_MS - 5 * HOUR_MS).unwrap());
}

#[test]
fn the_oldest_segments_go_beyond_the_retention_size() {
    let config = LogConfig { retention_ms: None, retention_bytes: Some(6000), ..small_segments() };
    let place = Place::with(config, LIMITS);
    let log = place.create();
    fill(&log, 200);
    log.set_high_watermark(200);
    log.retain(NOW_MS + 100_000 * HOUR_MS).unwrap();
    assert!((6000..8000).contains(&log.size_bytes()), "{}", log.size_bytes());
    assert_filled(&log, log.log_start_offset()..200);
}

#[test]
fn a_segment_is_rolled_when_it_is_old() {
    let place = Place::with(LogConfig { segment_ms: HOUR_MS as u64, ..LogConfig::default() }, LIMITS);
    let log = place.create();
    assert!(!log.maybe_roll(NOW_MS + 5 * HOUR_MS).unwrap(), "an empty segment has no age");
    fill(&log, 1);
    assert!(!log.maybe_roll(NOW_MS + HOUR_MS - 1).unwrap());
    assert!(log.maybe_roll(NOW_MS + HOUR_MS).unwrap());
    assert!(!log.maybe_roll(NOW_MS + HOUR_MS).unwrap());
    assert_eq!(log.unsynced_bytes(), 0, "a sealed segment is synced");
    // An append finds its segment old too.
    append_at(&log, batch(&[b"a"]), NOW_MS + 2 * HOUR_MS).unwrap();
    append_at(&log, batch(&[b"b"]), NOW_MS + 3 * HOUR_MS).unwrap();
    assert_eq!(log.segment_count(), 3);
}

#[test]
fn deleting_records_moves_the_start_and_removes_whole_segments() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 100);
    log.set_high_watermark(80);
    assert!(matches!(log.delete_records(81), Err(LogError::OffsetOutOfRange { requested: 81, .. })));
    assert!(matches!(log.delete_records(-1), Err(LogError::OffsetOutOfRange { .. })));
    let held = read_from(&log, 0).unwrap();
    let deleted = log.delete_records(50).unwrap();
    assert!(deleted.segments > 0);
    assert_eq!(log.log_start_offset(), 50);
    assert!(matches!(read_from(&log, 49), Err(ReadError::OffsetOutOfRange { .. })));
    assert_filled(&log, 50..100);
    // A deletion below the start is none.
    assert_eq!(log.delete_records(10).unwrap().log_start_offset, 50);
    // Slices of deleted segments stay what they are.
    assert_eq!(batches_of(&held).len(), 100);
    drop(log);
    let (log, _) = place.open(2, LastStop::default());
    assert_filled(&log, 50..100);
    assert_eq!(log.lookup_timestamp(0, 100).unwrap().unwrap().offset, 50);
}

#[test]
fn a_start_inside_a_batch_hides_only_the_records_below() {
    let place = Place::new();
    let log = place.create();
    append(&log, batch_at(NOW_MS, &[b"a", b"b", b"c", b"d"])).unwrap();
    log.set_high_watermark(4);
    log.delete_records(2).unwrap();
    assert_eq!(read_from(&log, 2).unwrap().first_offset, 0, "batches are given whole");
    assert_eq!(log.lookup_timestamp(0, 4).unwrap().unwrap().offset, 2);
    assert_eq!(log.max_timestamp(4).unwrap().unwrap().offset, 3);
}

#[test]
fn each_start_of_the_broker_is_an_epoch_of_its_own() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 40);
    log.sync().unwrap();
    drop(log);
    let (log, _) = place.open(2, LastStop::default());
    fill(&log, 10);
    log.sync().unwrap();
    drop(log);
    // Nothing is written in epoch 3.
    let (log, _) = place.open(3, LastStop::default());
    assert_eq!(log.epoch_end(LeaderEpoch(3)), Some((LeaderEpoch(3), 50)));
    drop(log);
    let (log, _) = place.open(4, LastStop::default());
    fill(&log, 5);
    let end = |epoch| log.epoch_end(LeaderEpoch(epoch)).map(|(epoch, end)| (epoch.0, end));
    assert_eq!(end(0), Some((0, 0)));
    assert_eq!(end(1), Some((1, 40)));
    assert_eq!(end(2), Some((2, 50)));
    assert_eq!(end(3), Some((2, 50)));
    assert_eq!(end(4), Some((4, 55)));
    assert_eq!(end(5), None);
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(4)));
    assert_eq!([0, 39, 40, 50].map(|offset| log.epoch_at(offset).unwrap().0), [1, 1, 2, 4]);
    log.set_high_watermark(55);
    log.delete_records(45).unwrap();
    assert_eq!(log.epoch_at(0), None);
    assert_eq!(log.epoch_at(45), Some(LeaderEpoch(2)));
    assert_eq!(log.epoch_end(LeaderEpoch(1)), Some((LeaderEpoch(1), 45)));
}

/// Found by the engine's simulation. With write caching the high watermark lies above what is synced; a deletion up to
/// it was durable before the records below it, so that after a power cut the start lay above the end, went back, and
/// offsets that had been deleted were given again.
#[test]
fn a_start_above_what_was_synced_does_not_go_back_when_the_power_goes() {
    for seed in 0..20 {
        let world = SimWorld::new(seed);
        world.disk.put(Path::new("/data/log/elsewhere"), b"");
        let (log, _) = open_on(&world, 1);
        fill(&log, 5);
        // What a commit does that is the append itself.
        log.set_high_watermark(5);
        log.delete_records(5).unwrap();
        drop(log);
        world.disk.power_cut();
        world.disk.restart(seed);
        let (log, _) = open_on(&world, 2);
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (5, 5), "seed {seed}");
    }
}

/// Found by the engine's simulation. A deletion on a full disk unlinks segments before it can replace the file that
/// holds the log start; a crash in between looked like the loss of those segments, and the offsets that were to be
/// deleted were refused as damaged for good.
#[test]
fn a_deletion_on_a_full_disk_that_is_interrupted_is_no_damage() {
    let mut interrupted = 0;
    for call in 1.. {
        let world = SimWorld::new(call);
        world.disk.put(Path::new("/data/log/elsewhere"), b"");
        let (log, _) = open_on(&world, 1);
        fill(&log, 100);
        log.sync().unwrap();
        log.set_high_watermark(100);
        log.delete_records(3).unwrap();
        world.disk.fill_up(0);
        world.disk.power_cut_at(world.disk.calls() + call);
        let deleted = log.delete_records(70);
        let was_cut = world.disk.is_off();
        drop(log);
        world.disk.heal();
        world.disk.power_cut();
        world.disk.restart(call);
        for epoch in [2, 3] {
            let (log, report) = open_on(&world, epoch);
            assert_eq!(report.damaged, [], "call {call}");
            let start = log.log_start_offset();
            assert!(start == 70 || (deleted.is_err() && start == 3), "{start} at call {call}");
            assert_filled(&log, start..100);
            log.checkpoint(NOW_MS).unwrap();
        }
        if !was_cut {
            assert_eq!(deleted.unwrap().log_start_offset, 70);
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 10, "{interrupted} calls are no deletion");
}

/// Found by the engine's simulation: a batch was written twice. Whatever call the power goes at while a producer's batches are
/// deleted, in whole segments or up to the end of the active one and before that is rolled, the producer stays known.
#[test]
fn a_producer_whose_batches_are_deleted_is_known_whenever_the_power_goes() {
    for whole_segments in [false, true] {
        let mut interrupted = 0;
        for call in 1.. {
            let world = SimWorld::new(call);
            world.disk.put(Path::new("/data/log/elsewhere"), b"");
            let (log, _) = open_on(&world, 1);
            append(&log, sequenced(7, 0, 0, 1)).unwrap();
            fill(&log, if whole_segments { 60 } else { 5 });
            log.sync().unwrap();
            let to = if whole_segments { 40 } else { log.log_end_offset() };
            log.set_high_watermark(log.log_end_offset());
            world.disk.power_cut_at(world.disk.calls() + call);
            let _ = log.delete_records(to);
            // Too large for what is left of the active segment.
            for _ in 0..if whole_segments { 0 } else { 3 } {
                let _ = append(&log, batch(&[&[1; 1800]]));
            }
            let was_cut = world.disk.is_off();
            drop(log);
            world.disk.power_cut();
            world.disk.restart(call);
            let (log, _) = open_on(&world, 2);
            let again = append(&log, sequenced(7, 0, 0, 1)).unwrap();
            assert!(again.duplicate, "whole segments {whole_segments}, call {call}: {again:?}");
            if !was_cut {
                assert_eq!(log.log_start_offset(), to);
                break;
            }
            interrupted += 1;
        }
        assert!(interrupted > 10, "{interrupted} calls are no deletion");
    }
}
