//! Appending and reading back.

use super::harness::*;
use crate::log::{AppendBatch, AppendError, LastStop, Log, LogConfig, ReadError, ReadRequest};
use crate::record::TimestampType;
use crate::types::LeaderEpoch;

#[test]
fn offsets_are_assigned_in_order_and_the_bytes_are_the_producers() {
    let place = Place::new();
    let log = place.create();
    let first = batch(&[b"a", b"b"]);
    assert_eq!(append(&log, first.clone()).unwrap().base_offset, 0);
    let appended = append(&log, batch(&[b"c", b"d", b"e"])).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset, appended.duplicate), (2, 4, false));
    assert_eq!(log.log_end_offset(), 5);
    assert_eq!(log.high_watermark(), 0);

    let outcome = read_from(&log, 0).unwrap();
    assert_eq!((outcome.first_offset, outcome.next_offset), (0, 5));
    let found = batches_of(&outcome);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].header().base_offset, 2);
    assert_eq!(found[1].header().leader_epoch, LeaderEpoch(1));
    // Everything but the base offset (0..8) and the leader epoch (12..16) is as it came.
    assert_eq!(found[0].bytes()[8..12], first.bytes()[8..12]);
    assert_eq!(found[0].bytes()[16..], first.bytes()[16..]);
}

#[test]
fn a_read_in_the_middle_of_a_batch_begins_with_that_batch() {
    let place = Place::new();
    let log = place.create();
    append(&log, batch(&[b"a", b"b", b"c"])).unwrap();
    append(&log, batch(&[b"d", b"e"])).unwrap();
    let outcome = read_from(&log, 2).unwrap();
    assert_eq!((outcome.first_offset, outcome.next_offset), (0, 5));
    let outcome = read_from(&log, 4).unwrap();
    assert_eq!((outcome.first_offset, outcome.next_offset), (3, 5));
}

#[test]
fn a_read_stops_at_its_limits() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 50);
    let size = read_from(&log, 0).unwrap().size_bytes / 50;
    let read = |upto, max_bytes, at_least_one| {
        let request = ReadRequest { from: 7, upto, max_bytes, at_least_one, verify_crc: false };
        let outcome = log.read(request).unwrap();
        assert_eq!(outcome.size_bytes, outcome.records.iter().map(bytes::Bytes::len).sum::<usize>());
        (outcome.first_offset, outcome.next_offset)
    };
    assert_eq!(read(50, size * 3, true), (7, 10));
    assert_eq!(read(50, size * 3 - 1, true), (7, 9));
    assert_eq!(read(50, 1, true), (7, 8));
    assert_eq!(read(50, 1, false), (7, 7));
    assert_eq!(read(9, usize::MAX, true), (7, 9));
    assert_eq!(read(7, usize::MAX, true), (7, 7));
    assert_eq!(read(1000, usize::MAX, true), (7, 50));
}

#[test]
fn a_read_without_room_looks_nothing_up() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 50);
    let without_room = |from, at_least_one| {
        log.read(ReadRequest { from, upto: 50, max_bytes: 0, at_least_one, verify_crc: false })
    };
    let outcome = without_room(7, false).unwrap();
    assert_eq!((outcome.size_bytes, outcome.next_offset, place.resources.maps_held()), (0, 7, 0));
    assert!(matches!(without_room(51, false), Err(ReadError::OffsetOutOfRange { .. })));
    assert_eq!(without_room(7, true).unwrap().next_offset, 8);
    assert!(place.resources.maps_held() > 0);
}

#[test]
fn an_offset_outside_the_log_is_refused_and_the_end_is_empty() {
    let place = Place::new();
    let log = place.create();
    fill(&log, 3);
    let out_of_range = |offset| matches!(read_from(&log, offset), Err(ReadError::OffsetOutOfRange { requested, .. }) if requested == offset);
    assert!(out_of_range(-1));
    assert!(out_of_range(4));
    assert_eq!(read_from(&log, 3).unwrap().size_bytes, 0);
}

#[test]
fn segments_are_rolled_at_their_size_and_read_as_one_log() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 200);
    assert!(log.segment_count() > 5);
    assert_filled(&log, 0..200);
    for name in place.names(".log") {
        assert!(std::fs::metadata(place.path.join(name)).unwrap().len() <= 2000);
    }
    for from in 0..200 {
        let outcome = read_from(&log, from).unwrap();
        assert_eq!((outcome.first_offset, outcome.next_offset), (from, 200));
    }
}

#[test]
fn several_batches_in_one_call_may_cross_a_roll() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    let batches = (0..100)
        .map(|offset| AppendBatch { batch: batch(&[value_of(offset).as_bytes()]), stamp_append_time: None })
        .collect();
    let outcomes = log.append(batches, NOW_MS);
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().base_offset, index as i64);
    }
    assert!(log.segment_count() > 3);
    assert_filled(&log, 0..100);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused_and_others_are_not() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    let large = vec![0; 3000];
    let batches = [batch(&[b"a"]), batch(&[&large]), batch(&[b"b"])];
    let batches = batches.map(|batch| AppendBatch { batch, stamp_append_time: None }).to_vec();
    let outcomes = log.append(batches, NOW_MS);
    assert_eq!(outcomes[0].as_ref().unwrap().base_offset, 0);
    assert!(matches!(outcomes[1], Err(AppendError::LargerThanSegment { segment_bytes: 2000, .. })));
    assert_eq!(outcomes[2].as_ref().unwrap().base_offset, 1);
}

#[test]
fn append_times_are_stamped_and_never_decrease() {
    let place = Place::new();
    let log = place.create();
    for (now, stamped) in [(500, 500), (400, 500), (600, 600)] {
        let append = AppendBatch { batch: batch_at(9, &[b"x"]), stamp_append_time: Some(now) };
        let appended = log.append(vec![append], now).remove(0).unwrap();
        assert_eq!(appended.log_append_time_ms, Some(stamped));
        let outcome = read_from(&log, appended.base_offset).unwrap();
        let header = *batches_of(&outcome)[0].header();
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, stamped);
    }
}

#[test]
fn f24_a_retried_batch_keeps_its_offsets_in_the_same_call_and_later() {
    let place = Place::new();
    let log = place.create();
    let twice = [sequenced(5, 0, 0, 3), sequenced(5, 0, 0, 3), sequenced(5, 0, 3, 1)];
    let outcomes =
        log.append(twice.map(|batch| AppendBatch { batch, stamp_append_time: None }).to_vec(), NOW_MS);
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap()).collect();
    assert_eq!(
        outcomes.iter().map(|o| (o.base_offset, o.duplicate)).collect::<Vec<_>>(),
        [(0, false), (0, true), (3, false)]
    );
    let again = append(&log, sequenced(5, 0, 0, 3)).unwrap();
    assert_eq!((again.base_offset, again.last_offset, again.duplicate), (0, 2, true));
    assert!(matches!(append(&log, sequenced(5, 0, 9, 1)), Err(AppendError::OutOfOrderSequence { .. })));
    assert_eq!(log.log_end_offset(), 4);
}

#[test]
fn the_high_watermark_rises_and_stays_below_the_end() {
    let place = Place::new();
    let log = place.create();
    fill(&log, 5);
    assert!(log.set_high_watermark(3));
    assert!(!log.set_high_watermark(2));
    assert!(log.set_high_watermark(99));
    assert_eq!((log.high_watermark(), log.last_stable_offset()), (5, 5));
}

#[test]
fn verbatim_batches_keep_offsets_epochs_and_gaps() {
    let origin = Place::new();
    let log = origin.create();
    fill(&log, 6);
    let taken = batches_of(&read_from(&log, 0).unwrap());
    let mirror = Place::with(small_segments(), LIMITS);
    let copy = mirror.create();
    for index in [0, 1, 4, 5] {
        let outcome = copy.append_verbatim(vec![taken[index].clone()], NOW_MS).remove(0).unwrap();
        assert_eq!(outcome.base_offset, index as i64);
    }
    assert!(matches!(
        copy.append_verbatim(vec![taken[2].clone()], NOW_MS).remove(0),
        Err(AppendError::NotNext { log_end_offset: 6, found: 2 })
    ));
    assert_filled(&copy, [0, 1, 4, 5]);
    assert_eq!(read_from(&copy, 2).unwrap().first_offset, 4);
    drop(copy);
    let (copy, report) = mirror.open(2, LastStop::default());
    assert_eq!(report.damaged, []);
    assert_filled(&copy, [0, 1, 4, 5]);
}

#[test]
fn a_log_that_is_there_is_not_made_again() {
    let place = Place::with(LogConfig::default(), LIMITS);
    drop(place.create());
    let again = Log::create(
        place.path.clone(),
        LogConfig::default(),
        place.resources.clone(),
        LeaderEpoch(1),
        NOW_MS,
    );
    assert!(matches!(again, Err(crate::log::LogError::Exists { .. })));
}

/// Found by killing a broker under producers that loaded old data: after a restart a producer's last activity was
/// taken from its records' timestamps, so it was forgotten at once and its retries were written a second time.
#[test]
fn f24_a_retry_after_a_crash_is_known_however_old_the_records_are() {
    let month_ms = 30 * 86_400_000;
    let place = Place::new();
    let log = place.create();
    append_at(&log, sequenced(7, 0, 0, 3), NOW_MS + month_ms).unwrap();
    drop(log);
    let reopen = || {
        let resources = std::sync::Arc::clone(&place.resources);
        let now_ms = NOW_MS + month_ms;
        let (path, config) = (place.path.clone(), place.config.clone());
        Log::open(path, config, resources, LeaderEpoch(2), LastStop::default(), now_ms).unwrap().0
    };
    let log = reopen();
    log.checkpoint(NOW_MS + month_ms).unwrap();
    let retried = append_at(&log, sequenced(7, 0, 0, 3), NOW_MS + month_ms).unwrap();
    assert_eq!((retried.base_offset, retried.duplicate), (0, true));
    // Idle for its time since then, it is forgotten.
    log.checkpoint(NOW_MS + 2 * month_ms).unwrap();
    assert!(log.producers().is_empty());
}
