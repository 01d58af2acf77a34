//! Maps, descriptors and index memory within their budget; readers beside writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::*;
use crate::env::ProcessLimits;
use crate::log::{LastStop, LogConfig, LogLimits, ReadError, verify};

const TIGHT: LogLimits = LogLimits { maps: 4, files: 3, index_bytes: 2000 };

#[test]
fn f13_many_segments_are_served_with_few_maps_and_descriptors() {
    let place = Place::with(small_segments(), TIGHT);
    let log = place.create();
    fill(&log, 1000);
    assert!(log.segment_count() > 50);
    for round in 0..3 {
        for from in (0..1000).step_by(17) {
            let outcome = read_from(&log, (from * 7 + round) % 1000).unwrap();
            drop(outcome);
            assert!(place.resources.maps_held() <= TIGHT.maps);
            assert!(place.resources.files_held() <= TIGHT.files);
            assert!(place.resources.index_bytes_held() <= TIGHT.index_bytes * 2);
        }
    }
    assert_filled(&log, 0..1000);
}

#[test]
fn f13_slices_in_use_keep_their_maps_and_newcomers_read_without() {
    let place = Place::with(small_segments(), TIGHT);
    let log = place.create();
    fill(&log, 1000);
    // One answer over all segments holds slices of more maps than the budget has.
    let held = read_from(&log, 0).unwrap();
    assert!(held.records.len() > 50);
    assert_eq!(batches_of(&held).len(), 1000);
    assert!(place.resources.maps_held() <= TIGHT.maps);
    let copied = place.resources.counters().unmapped_reads.load(Ordering::Relaxed);
    assert!(copied > 0, "most of it had to be copied");
    drop(held);
    let before = place.resources.counters().unmapped_reads.load(Ordering::Relaxed);
    assert!(read_from(&log, 990).unwrap().size_bytes > 0);
    assert_eq!(
        place.resources.counters().unmapped_reads.load(Ordering::Relaxed),
        before,
        "maps are free again"
    );
}

#[test]
fn f13_the_logs_of_a_process_hold_half_of_its_maps_at_most() {
    for memory_maps in [0, 1, 8, 65_530, 1_000_000] {
        let limits = LogLimits::share_of(ProcessLimits { memory_maps, open_files: 1024 });
        assert!(limits.maps <= memory_maps / 2, "{} of {memory_maps}", limits.maps);
    }
    // A system that grants eight.
    let limits = LogLimits::share_of(ProcessLimits { memory_maps: 8, open_files: 1024 });
    let place = Place::with(small_segments(), limits);
    let log = place.create();
    fill(&log, 1000);
    assert!(log.segment_count() > 50);
    for from in 0..1000 {
        assert!(read_from(&log, from).unwrap().size_bytes > 0);
        assert!(place.resources.maps_held() <= 4);
    }
    let held: Vec<_> = (0..1000).step_by(20).map(|from| read_from(&log, from).unwrap()).collect();
    assert!(place.resources.maps_held() <= 4, "what is read without a map is held without one");
    assert_eq!(held.len(), 50);
    assert_filled(&log, 0..1000);
}

#[test]
fn many_logs_share_one_budget() {
    let place = Place::with(LogConfig::default(), TIGHT);
    let logs: Vec<_> = (0..40)
        .map(|index| {
            let dir = place.path.join(index.to_string());
            let resources = Arc::clone(&place.resources);
            let epoch = crate::types::LeaderEpoch(1);
            crate::log::Log::create(dir, LogConfig::default(), resources, epoch, NOW_MS).unwrap()
        })
        .collect();
    for round in 0..3 {
        for log in &logs {
            fill(log, 2);
            log.sync().unwrap();
            assert_filled(log, 0..(round + 1) * 2);
        }
        // Unsynced descriptors would be kept beyond the budget; these are synced.
        assert!(place.resources.files_held() <= TIGHT.files, "{}", place.resources.files_held());
        assert!(place.resources.maps_held() <= TIGHT.maps);
    }
    drop(logs);
    assert_eq!((place.resources.files_held(), place.resources.maps_held()), (0, 0));
}

#[test]
fn small_partitions_reserve_little() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let log = place.create();
    fill(&log, 1);
    let file = place.path.join(&place.names(".log")[0]);
    let blocks = || std::fs::metadata(&file).unwrap().blocks() * 512;
    assert!(blocks() <= 128 << 10, "{}", blocks());
    log.close_clean(NOW_MS).unwrap();
    assert!(blocks() <= 8 << 10, "a stopped broker keeps nothing ahead");
}

#[test]
fn readers_are_right_while_segments_are_rolled_and_deleted() {
    let place = Place::with(small_segments(), LogLimits { maps: 8, files: 8, index_bytes: 4000 });
    let log = Arc::new(place.create());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (log, done) = (Arc::clone(&log), Arc::clone(&done));
            std::thread::spawn(move || {
                let (mut from, mut found) = (0, 0);
                while !done.load(Ordering::Acquire) || from < log.log_end_offset() {
                    match read_from(&log, from) {
                        Ok(outcome) => {
                            for batch in batches_of(&outcome) {
                                for record in batch.records(1 << 20).unwrap() {
                                    let record = record.unwrap();
                                    assert_eq!(record.value.unwrap(), value_of(record.offset).as_bytes());
                                    found += 1;
                                }
                            }
                            from = outcome.next_offset;
                        }
                        Err(ReadError::OffsetOutOfRange { log_start_offset, .. }) => {
                            from = log_start_offset.max(from);
                        }
                        Err(error) => panic!("{error}"),
                    }
                    let _ = log.lookup_timestamp(NOW_MS, log.log_end_offset()).unwrap();
                }
                found
            })
        })
        .collect();
    for round in 0..60 {
        fill(&log, 50);
        log.sync().unwrap();
        log.set_high_watermark(log.log_end_offset());
        if round % 3 == 0 {
            log.delete_records(log.log_end_offset() - 40).unwrap();
        }
        log.checkpoint(NOW_MS).unwrap();
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    assert_eq!(log.damaged_ranges(), []);
}

#[test]
fn the_offline_check_is_quiet_about_a_good_log_and_names_what_is_wrong() {
    let place = Place::with(small_segments(), LIMITS);
    let log = place.create();
    fill(&log, 100);
    append(&log, sequenced(1, 0, 0, 1)).unwrap();
    log.close_clean(NOW_MS).unwrap();
    drop(log);
    let disk = &place.resources.env().disk;
    let report = verify(&**disk, &place.path).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.batches, report.records), (101, 101));
    assert_eq!(report.segments, place.names(".log").len());

    // One byte in each kind of file.
    let mut expected = Vec::new();
    for (suffix, at) in
        [(".log", 100), (".index", 5), (".timeindex", 5), (".snapshot", 20), ("-checkpoint", 30)]
    {
        for name in place.names(suffix).into_iter().filter(|name| name != "index-checkpoint").take(1) {
            let mut content = disk.read(&place.path.join(&name), 1 << 20).unwrap();
            content[at] ^= 1;
            disk.replace(&place.path.join(&name), &content).unwrap();
            expected.push(name);
        }
    }
    expected.sort();
    let report = verify(&**disk, &place.path).unwrap();
    let mut found: Vec<_> = report.findings.iter().map(|finding| finding.file.clone()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, expected);
    assert_eq!(report.worst(), Some(crate::log::Severity::Damage));
    let (log, _) = place.open(2, LastStop::default());
    assert!(log.log_end_offset() == 101, "a check changes nothing");
}

/// Found with 128 descriptors: connections and segments had half each, and nothing was left for the rest of the process.
#[test]
fn the_share_of_descriptors_leaves_some_beside_connections_and_segments() {
    for open_files in [128, 256, 1024, 20_000] {
        let files = LogLimits::share_of(ProcessLimits { open_files, memory_maps: 65_530 }).files;
        assert!(files >= 16 && files + open_files / 2 + 48 <= open_files, "{files} of {open_files}");
    }
}
