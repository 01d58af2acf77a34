//! New segments in the place of old ones: for those who read, for openings, retention, a full and a failing disk.

use std::sync::Arc;

use bytes::Bytes;

use super::keyed::*;
use crate::log::tests::harness::*;
use crate::log::tests::model::check_indexes;
use crate::log::{LastStop, Log, LogConfig, LogLimits, LogResources};
use crate::testing::{Fault, Op, SimWorld};
use crate::types::{LeaderEpoch, Offset};

#[test]
fn closed_segments_become_one_and_an_opening_finds_it() {
    let place = Place::simulated(compacted());
    let log = place.create();
    rounds(&log);
    assert_eq!(log.segment_count(), 4);
    let before = keyed(&log, 20);
    clean(&log, NOW_MS);
    assert_eq!(log.segment_count(), 2);
    let epoch = log.latest_epoch();
    for clean_stop in [false, true] {
        let synced = if clean_stop { log.close_clean(NOW_MS) } else { log.checkpoint(NOW_MS) }.unwrap();
        let last_stop = LastStop { clean: clean_stop, synced: Some(synced), log_start_offset: 0 };
        let (again, report) = place.open(2, last_stop);
        assert_eq!((report.damaged, report.rebuilt_files), (vec![], 0));
        assert_eq!(keyed(&again, 0), before);
        assert_eq!(again.latest_epoch(), epoch);
        assert_eq!(again.cleanable(NOW_MS).unwrap(), None, "how far it is cleaned is remembered");
    }
}

#[test]
fn readers_keep_what_they_hold_and_go_on_with_what_they_have() {
    let limits = LogLimits { maps: 1, files: 1, index_bytes: 100 };
    let place = Place::with(compacted(), limits);
    let log = place.create();
    rounds(&log);
    let held = read_from(&log, 0).unwrap();
    let copy: Vec<Bytes> = held.records.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect();
    let old = log.segments.load_full();
    let old_offsets: Vec<Offset> = keyed(&log, 0).iter().map(|record| record.0).collect();
    clean(&log, NOW_MS);
    assert_eq!(held.records, copy);
    assert!(keyed(&log, 0).len() < old_offsets.len());
    // A reader that is in the middle of the old segments finds all of them, though their names are gone or another's.
    log.segments.store(old);
    assert_eq!(keyed(&log, 0).iter().map(|record| record.0).collect::<Vec<_>>(), old_offsets);
}

#[test]
fn retention_takes_cleaned_segments_too() {
    let place = Place::simulated(LogConfig { retention_ms: Some(1000), ..compacted() });
    let log = place.create();
    rounds(&log);
    clean(&log, NOW_MS);
    assert_eq!(log.retain(NOW_MS + 900).unwrap().segments, 0);
    let deleted = log.retain(NOW_MS + 1003).unwrap();
    assert_eq!((deleted.segments, deleted.log_start_offset), (1, 30));
    // With the log start in its middle, a segment is cleaned all the same.
    put(&log, "a", "1");
    roll(&log);
    log.set_high_watermark(log.log_end_offset());
    log.delete_records(35).unwrap();
    assert!(clean(&log, NOW_MS).is_some());
    assert_eq!(keyed(&log, 35).first().map(|record| record.0), Some(35));
    assert_sound(&place, &log);
}

#[test]
fn f31_on_a_full_disk_nothing_is_lost_and_cleaning_goes_on_when_space_returns() {
    let world = SimWorld::new(3);
    let place = Place::on(&world, compacted());
    let log = place.create();
    rounds(&log);
    log.sync().unwrap();
    log.set_high_watermark(log.log_end_offset());
    let before = keyed(&log, 0);
    world.disk.fill_up(100);
    let mut cleaning = log.begin_cleaning(1 << 20, [1, 2], NOW_MS).unwrap().unwrap();
    let refused = loop {
        match log.clean_step(&mut cleaning, 1000) {
            Ok(step) => assert!(!step.done, "there is no room for anything"),
            Err(error) => break error,
        }
    };
    assert!(refused.is_full(), "{refused}");
    log.abandon_cleaning(cleaning);
    assert_eq!(keyed(&log, 0), before);
    assert!(!world.disk.files().iter().any(|path| path.to_string_lossy().ends_with(".tmp")));
    world.disk.heal();
    assert!(clean(&log, NOW_MS).is_some());
    assert_eq!(keyed(&log, 0), before[20..]);
}

#[test]
fn a_swap_that_meets_an_error_is_finished_by_the_next_who_needs_it() {
    for (op, path) in
        [(Op::Rename, "cleaned.tmp"), (Op::Remove, ".log"), (Op::Rename, ".swap"), (Op::ReadDir, "log")]
    {
        for effective in [false, true] {
            let world = SimWorld::new(3);
            let place = Place::on(&world, compacted());
            let log = place.create();
            rounds(&log);
            log.set_high_watermark(log.log_end_offset());
            let before = keyed(&log, 0);
            let mut cleaning = log.begin_cleaning(1 << 20, [1, 2], NOW_MS).unwrap().unwrap();
            world.disk.inject(Fault { effective, ..Fault::once(op, path) });
            let outcome = loop {
                match log.clean_step(&mut cleaning, 1000) {
                    Ok(step) if step.done => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            let seen = keyed(&log, 0);
            assert!(seen == before || seen == before[20..], "{op:?} {effective}: {outcome:?}");
            world.disk.heal();
            // Retention needs the names in order.
            log.retain(NOW_MS).unwrap();
            clean(&log, NOW_MS);
            assert_eq!(keyed(&log, 0), before[20..], "{op:?} {effective}: {outcome:?}");
            assert_sound(&place, &log);
        }
    }
}

#[test]
fn the_index_of_a_cleaned_segment_is_the_one_that_a_scan_builds() {
    let place = Place::simulated(LogConfig { segment_bytes: 8000, ..compacted() });
    let log = place.create();
    for key in 0..150 {
        put(&log, &format!("key-{}", key % 90), "a value of some length, to have several index entries");
    }
    roll(&log);
    clean(&log, NOW_MS);
    check_indexes(&log);
    log.checkpoint(NOW_MS).unwrap();
    let (again, report) = place.open(2, LastStop::default());
    assert_eq!(report.rebuilt_files, 0);
    check_indexes(&again);
}

/// The one way to a name that is there and may not be after the next power cut: the sync of it failed, the process ended, and
/// the opening that goes on from there is cut off too.
#[test]
fn an_opening_trusts_no_name_before_it_is_durable() {
    for seed in 0..6 {
        for cut in 1.. {
            let world = SimWorld::new(seed);
            let place = Place::on(&world, compacted());
            let log = place.create();
            world.env.disk.sync_file_system(log.dir()).unwrap();
            rounds(&log);
            log.sync().unwrap();
            world.env.disk.sync_file_system(log.dir()).unwrap();
            log.set_high_watermark(log.log_end_offset());
            let before = keyed(&log, 0);
            let mut cleaning = log.begin_cleaning(1 << 20, [1, 2], NOW_MS).unwrap().unwrap();
            world.disk.inject(Fault::once(Op::SyncDir, "log"));
            while log.clean_step(&mut cleaning, 10_000).is_ok() {}
            assert!(log.is_fenced());
            drop(log);
            world.disk.kill();
            let calls = world.disk.calls();
            world.disk.power_cut_at(calls + cut);
            let resources = LogResources::new(world.env.clone(), LIMITS);
            let open = || {
                let (path, config, resources) =
                    (place.path.clone(), place.config.clone(), Arc::clone(&resources));
                Log::open(path, config, resources, LeaderEpoch(2), LastStop::default(), NOW_MS)
            };
            let finished = open().is_ok() && !world.disk.is_off();
            world.disk.power_cut();
            world.disk.restart(seed * 1000 + cut);
            let (log, report) = open().unwrap();
            assert_eq!(report.damaged, [], "cut at call {cut} of the opening");
            let found = keyed(&log, 0);
            assert!(found == before || found == before[20..], "cut at call {cut} of the opening");
            if finished {
                break;
            }
        }
    }
}
