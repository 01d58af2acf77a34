//! Torn tails, damage, rot and missing side files.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::harness::*;
use crate::log::{
    LastStop, Log, LogConfig, LogResources, ReadError, ReadRequest, RecoveryReport, SyncedUpTo,
    UNSYNCED_BYTES_MAX,
};
use crate::testing::{Rng, SimWorld};
use crate::types::{LeaderEpoch, Offset};

const DIR: &str = "/data/topic-0";

fn open(world: &SimWorld, config: &LogConfig, last_stop: LastStop) -> (Log, RecoveryReport) {
    let resources = LogResources::new(world.env.clone(), LIMITS);
    Log::open(DIR.into(), config.clone(), resources, LeaderEpoch(3), last_stop, NOW_MS).unwrap()
}

fn after_crash(synced: SyncedUpTo) -> LastStop {
    LastStop { clean: false, synced: Some(synced), log_start_offset: 0 }
}

const CLEAN: LastStop = LastStop { clean: true, synced: None, log_start_offset: 0 };

fn first_log() -> PathBuf {
    Path::new(DIR).join("00000000000000000000.log")
}

/// The files of the log, with their content.
fn files(world: &SimWorld) -> Vec<(PathBuf, Vec<u8>)> {
    let files = world.disk.files();
    files.into_iter().map(|path| (path.clone(), world.disk.content(&path))).collect()
}

fn is_kind(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn restore(files: &[(PathBuf, Vec<u8>)]) -> SimWorld {
    let world = SimWorld::new(1);
    for (path, content) in files {
        world.disk.put(path, content);
    }
    world
}

#[test]
fn f03_a_batch_torn_at_any_byte_is_gone_and_the_next_append_takes_its_offset() {
    let config = LogConfig { index_interval_bytes: 100, ..LogConfig::default() };
    let world = SimWorld::new(1);
    let (log, _) = open(&world, &config, LastStop::default());
    let mut ends = vec![0];
    for _ in 0..6 {
        fill(&log, 1);
        ends.push(log.size_bytes());
    }
    log.sync().unwrap();
    drop(log);
    let whole = world.disk.content(&first_log());
    let others: Vec<_> = files(&world).into_iter().filter(|(path, _)| path != &first_log()).collect();
    for length in 0..=whole.len() {
        // Four batches are known to be synced, or nothing is known.
        for synced in [Some(SyncedUpTo { offset: 4, segment: 0, position: ends[4] }), None] {
            let world = restore(&others);
            world.disk.put(&first_log(), &whole[..length]);
            let last_stop = LastStop { clean: false, synced, log_start_offset: 0 };
            let (log, report) = open(&world, &config, last_stop);
            let kept = ends.iter().filter(|&&end| end > 0 && end <= length as u64).count() as Offset;
            let lost = synced.is_some() && kept < 4;
            assert_filled(&log, 0..kept);
            if lost {
                // What was synced and is gone is no torn tail: its offsets are not given to others.
                assert_eq!(report.damaged, [(kept, 4)]);
                assert_eq!(log.log_end_offset(), 4);
                assert!(
                    matches!(read_from(&log, kept), Err(ReadError::Corrupt { from, to: 4 }) if from == kept)
                );
            } else {
                let tail = &whole[ends[kept as usize] as usize..length];
                let torn = if tail.iter().all(|&byte| byte == 0) { 0 } else { tail.len() as u64 };
                assert_eq!((report.cut_bytes, &report.damaged[..]), (torn, &[][..]));
                assert_eq!(world.disk.files().iter().any(|path| is_kind(path, "cut")), torn > 0);
                if torn > 0 {
                    let cut = world.disk.content(&Path::new(DIR).join("00000000000000000000.0.cut"));
                    assert_eq!(cut, tail);
                }
            }
            let end = log.log_end_offset();
            fill(&log, 2);
            assert_filled(&log, (0..kept).chain(end..end + 2));
            log.sync().unwrap();
            drop(log);
            let (log, report) = open(&world, &config, LastStop::default());
            assert_eq!(report.cut_bytes, 0);
            assert_filled(&log, (0..kept).chain(end..end + 2));
        }
    }
}

#[test]
fn f27_a_torn_tail_is_moved_once_however_often_recovery_is_interrupted() {
    let world = SimWorld::new(1);
    let config = LogConfig::default();
    let (log, _) = open(&world, &config, LastStop::default());
    fill(&log, 5);
    let synced = log.checkpoint(NOW_MS).unwrap();
    drop(log);
    let mut torn = world.disk.content(&first_log());
    torn.extend_from_slice(b"a torn batch");
    world.disk.put(&first_log(), &torn);
    let torn = files(&world);
    for call in 1.. {
        let world = restore(&torn);
        world.disk.power_cut_at(call);
        let resources = LogResources::new(world.env.clone(), LIMITS);
        let last_stop = after_crash(synced);
        let opened = Log::open(DIR.into(), config.clone(), resources, LeaderEpoch(3), last_stop, NOW_MS);
        let finished = opened.is_ok() && !world.disk.is_off();
        drop(opened);
        world.disk.power_cut();
        world.disk.restart(call);
        let (log, report) = open(&world, &config, after_crash(synced));
        assert_eq!(report.damaged, []);
        assert_filled(&log, 0..5);
        let cuts: Vec<_> = world.disk.files().into_iter().filter(|path| is_kind(path, "cut")).collect();
        assert_eq!(cuts.len(), 1, "{cuts:?}");
        assert_eq!(world.disk.content(&cuts[0]), b"a torn batch");
        if finished {
            break;
        }
    }
}

#[test]
fn zeros_behind_the_last_batch_are_simply_the_end() {
    let world = SimWorld::new(1);
    let (log, _) = open(&world, &LogConfig::default(), LastStop::default());
    fill(&log, 5);
    log.sync().unwrap();
    drop(log);
    let mut longer = world.disk.content(&first_log());
    longer.resize(longer.len() + 100_000, 0);
    world.disk.put(&first_log(), &longer);
    let (log, report) = open(&world, &LogConfig::default(), LastStop::default());
    assert_eq!((report.cut_bytes, &report.damaged[..]), (0, &[][..]));
    assert!(!world.disk.files().iter().any(|path| is_kind(path, "cut")));
    fill(&log, 1);
    assert_filled(&log, 0..6);
}

#[test]
fn damage_below_the_checkpoint_deletes_nothing_and_is_refused_exactly() {
    let world = SimWorld::new(1);
    let config = LogConfig::default();
    let (log, _) = open(&world, &config, LastStop::default());
    let mut ends = vec![0];
    for _ in 0..10 {
        fill(&log, 1);
        ends.push(log.size_bytes() as usize);
    }
    let synced = log.checkpoint(NOW_MS).unwrap();
    fill(&log, 2);
    log.sync().unwrap();
    drop(log);
    // The third batch's header, so that even its length is lost.
    for position in ends[2]..ends[2] + 30 {
        world.disk.flip_bit(&first_log(), position, 3);
    }
    let before = world.disk.content(&first_log());
    let crashed = files(&world);
    let (log, report) = open(&world, &config, after_crash(synced));
    assert_eq!((report.cut_bytes, &report.damaged[..]), (0, &[(2, 3)][..]));
    assert!(matches!(read_from(&log, 2), Err(ReadError::Corrupt { from: 2, to: 3 })));
    assert_eq!(read_from(&log, 0).unwrap().next_offset, 2);
    assert_filled(&log, (0..2).chain(3..12));
    assert_eq!(log.damaged_ranges(), [(2, 3)]);
    assert_eq!(world.disk.content(&first_log()), before, "nothing is deleted");
    drop(log);
    // The next start finds the damage in what is a sealed segment now, by reading.
    let (log, _) = open(&world, &config, LastStop::default());
    assert_filled(&log, (0..2).chain(3..12));
    assert_eq!(log.damaged_ranges(), [(2, 3)]);
    // A bad last batch behind the checkpoint is a torn tail beside the damage.
    let world = restore(&crashed);
    world.disk.flip_bit(&first_log(), before.len() - 10, 0);
    let (log, report) = open(&world, &config, after_crash(synced));
    assert_eq!((report.cut_bytes > 0, &report.damaged[..]), (true, &[(2, 3)][..]));
    assert_filled(&log, (0..2).chain(3..11));
}

#[test]
fn a_bad_batch_with_good_ones_beyond_the_window_is_damage() {
    let world = SimWorld::new(1);
    let config = LogConfig { segment_bytes: 64 << 20, ..LogConfig::default() };
    let (log, _) = open(&world, &config, LastStop::default());
    let value = vec![7; 1 << 20];
    let mut ends = vec![0];
    for _ in 0..20 {
        append(&log, batch(&[&value])).unwrap();
        ends.push(log.size_bytes() as usize);
    }
    log.sync().unwrap();
    drop(log);
    world.disk.flip_bit(&first_log(), ends[2] + 1000, 5);
    let before = world.disk.content(&first_log());
    let (log, report) = open(&world, &config, LastStop::default());
    assert_eq!((report.cut_bytes, &report.damaged[..]), (0, &[(2, 3)][..]));
    assert_eq!(log.log_end_offset(), 20);
    assert_eq!(world.disk.content(&first_log()), before, "nothing is deleted");
    let unverified = ReadRequest { from: 2, upto: 20, max_bytes: 10, at_least_one: true, verify_crc: false };
    assert!(matches!(log.read(unverified), Err(ReadError::Corrupt { from: 2, to: 3 })));
    assert_eq!(log.segment_count(), 2, "new batches go to a new segment");
    append(&log, batch(&[b"next"])).unwrap();
    let offsets: Vec<Offset> = records(&log).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, (0..2).chain(3..21).collect::<Vec<_>>());
    drop(log);
    // The same bit, with nothing good beyond the window: the tail of a crash.
    let world =
        restore(&files(&world).into_iter().filter(|(path, _)| path != &first_log()).collect::<Vec<_>>());
    for file in world.disk.files().iter().filter(|path| path.to_string_lossy().contains("0020.")) {
        world.env.disk.remove_file(file).unwrap();
    }
    let within = ends.iter().rposition(|&end| end as u64 <= ends[2] as u64 + UNSYNCED_BYTES_MAX).unwrap();
    world.disk.put(&first_log(), &before[..ends[within]]);
    let (log, report) = open(&world, &config, LastStop::default());
    assert_eq!((log.log_end_offset(), report.cut_bytes), (2, (ends[within] - ends[2]) as u64));
}

/// A log with several segments, idempotent producers, two epochs, a moved start, stopped in order.
fn stopped_log() -> (SimWorld, LogConfig, Vec<(Offset, Bytes)>) {
    let world = SimWorld::new(1);
    let config = small_segments();
    let (log, _) = open(&world, &config, LastStop::default());
    for index in 0..30 {
        append_at(
            &log,
            batch_at(NOW_MS + index * 7 % 50, &[value_of(log.log_end_offset()).as_bytes()]),
            NOW_MS,
        )
        .unwrap();
        append(&log, sequenced(9, 0, index as i32, 1)).unwrap();
    }
    log.sync().unwrap();
    log.set_high_watermark(60);
    log.delete_records(5).unwrap();
    log.close_clean(NOW_MS).unwrap();
    let found = records(&log);
    drop(log);
    (world, config, found)
}

/// Everything that a reader may ask, as one comparable value.
fn answers(log: &Log) -> Vec<String> {
    let mut answers = vec![format!("{:?}", records(log))];
    for from in log.log_start_offset()..=log.log_end_offset() {
        let outcome = read_from(log, from).unwrap();
        answers.push(format!("{from}: {:?} {:?}", outcome.first_offset, outcome.next_offset));
        answers.push(format!("{:?}", log.epoch_at(from)));
    }
    for timestamp_ms in NOW_MS - 1..NOW_MS + 60 {
        answers.push(format!("{:?}", log.lookup_timestamp(timestamp_ms, log.log_end_offset()).unwrap()));
    }
    answers.push(format!("{:?}", log.max_timestamp(log.log_end_offset()).unwrap()));
    let producers = log.producers();
    answers.push(format!("{producers:?}"));
    answers
}

#[test]
fn a_clean_start_scans_nothing_and_answers_the_same() {
    let (world, config, found) = stopped_log();
    let (log, report) = open(&world, &config, CLEAN);
    assert_eq!(report, RecoveryReport::default());
    assert_eq!(records(&log), found);
    assert_eq!(log.log_start_offset(), 5);
    assert_eq!(log.producers()[0].last_sequence, Some(29));
    assert!(append(&log, sequenced(9, 0, 29, 1)).unwrap().duplicate);
}

#[test]
fn f06_any_side_file_may_be_missing_short_or_empty() {
    let (world, config, _) = stopped_log();
    let expected = answers(&open(&world, &config, CLEAN).0);
    let stopped = files(&world);
    for (path, content) in stopped.iter().filter(|(path, _)| !is_kind(path, "log")) {
        for length in
            [None, Some(0), Some(1), Some(content.len() / 2), Some(content.len().saturating_sub(12))]
        {
            for clean in [true, false] {
                let world = restore(&stopped);
                match length {
                    None => world.env.disk.remove_file(path).unwrap(),
                    Some(length) => world.disk.put(path, &content[..length.min(content.len())]),
                }
                let (log, report) =
                    open(&world, &config, LastStop { clean, log_start_offset: 5, ..LastStop::default() });
                assert_eq!(report.damaged, []);
                assert_eq!(answers(&log), expected, "{} {length:?}", path.display());
            }
        }
    }
}

#[test]
fn all_side_files_may_be_missing() {
    let (world, config, _) = stopped_log();
    let expected = answers(&open(&world, &config, CLEAN).0);
    let logs: Vec<_> = files(&world).into_iter().filter(|(path, _)| is_kind(path, "log")).collect();
    let world = restore(&logs);
    let last_stop = LastStop { clean: false, synced: None, log_start_offset: 5 };
    let (log, report) = open(&world, &config, last_stop);
    assert!(report.rebuilt_files > 0);
    assert_eq!(answers(&log), expected);
}

#[test]
fn f06_a_flipped_bit_in_any_side_file_changes_no_answer() {
    let (world, config, _) = stopped_log();
    let expected = answers(&open(&world, &config, CLEAN).0);
    let stopped = files(&world);
    let mut rng = Rng::new(7);
    let mut flips = 0;
    for (path, content) in stopped.iter().filter(|(path, _)| !is_kind(path, "log")) {
        for _ in 0..content.len().min(12) {
            let (position, bit) = (rng.below(content.len() as u64) as usize, rng.below(8) as u8);
            let world = restore(&stopped);
            world.disk.flip_bit(path, position, bit);
            let clean = rng.one_in(2);
            let (log, report) =
                open(&world, &config, LastStop { clean, log_start_offset: 5, ..LastStop::default() });
            assert_eq!(report.damaged, [], "{} byte {position} bit {bit}", path.display());
            assert_eq!(answers(&log), expected, "{} byte {position} bit {bit}", path.display());
            flips += 1;
        }
    }
    assert!(flips > 100, "{flips}");
}

#[test]
fn f05_a_flipped_bit_in_a_sealed_segment_costs_that_batch_at_most() {
    let (world, config, found) = stopped_log();
    let stopped = files(&world);
    let mut rng = Rng::new(3);
    let sealed: Vec<_> = stopped.iter().filter(|(path, _)| is_kind(path, "log")).rev().skip(1).collect();
    let (mut seen, mut hidden) = (0, 0);
    for _ in 0..800 {
        let (path, content) = sealed[rng.below(sealed.len() as u64) as usize];
        let (position, bit) = (rng.below(content.len() as u64) as usize, rng.below(8) as u8);
        let world = restore(&stopped);
        world.disk.flip_bit(path, position, bit);
        let (log, _) = open(&world, &config, CLEAN);
        let kept = records(&log);
        let lost = found.iter().filter(|record| !kept.contains(record)).count();
        assert!(kept.iter().all(|record| found.contains(record)), "wrong bytes: byte {position} bit {bit}");
        // Every batch here has one record.
        assert!(lost <= 1, "{lost} records lost by bit {bit} of byte {position} of {}", path.display());
        // The log start lies within the first segment; what is damaged below it is nobody's loss.
        let ranges: Vec<_> = log.damaged_ranges().into_iter().filter(|&(from, _)| from >= 5).collect();
        assert_eq!(ranges.iter().map(|(from, to)| to - from).sum::<i64>(), lost as i64, "{ranges:?}");
        if lost == 0 {
            hidden += 1;
        } else {
            seen += 1;
        }
        assert_eq!(world.disk.content(path).len(), content.len(), "nothing is deleted");
    }
    // The leader epoch alone (4 of some 110 bytes) is neither checksummed nor otherwise implied.
    // And the first five offsets lie below the log start.
    assert!(seen > 600 && hidden < 160, "{seen} seen, {hidden} hidden");
}

#[test]
fn a_lost_segment_file_is_a_refused_range_and_its_offsets_are_not_given_again() {
    let (world, config, found) = stopped_log();
    let stopped = files(&world);
    let logs: Vec<_> = stopped.iter().filter(|(path, _)| is_kind(path, "log")).collect();
    let base = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<Offset>().unwrap();
    for (index, (path, _)) in logs.iter().enumerate() {
        let world = restore(&stopped);
        world.env.disk.remove_file(path).unwrap();
        let synced = SyncedUpTo { offset: 60, segment: base(&logs.last().unwrap().0), position: 1 };
        let last_stop = LastStop { clean: false, synced: Some(synced), log_start_offset: 5 };
        let (log, _) = open(&world, &config, last_stop);
        assert_eq!(log.log_end_offset(), 60);
        let lost = base(path).max(5)..logs.get(index + 1).map_or(60, |(next, _)| base(next));
        let kept: Vec<_> = found.iter().filter(|(offset, _)| !lost.contains(offset)).cloned().collect();
        assert_eq!(records(&log), kept, "{}", path.display());
        let outcome = read_from(&log, lost.start).map(|outcome| outcome.next_offset);
        assert!(
            matches!(outcome, Err(ReadError::Corrupt { from, to }) if from == lost.start && to == lost.end),
            "{lost:?} {outcome:?}"
        );
        assert_eq!(append(&log, batch(&[b"new"])).unwrap().base_offset, 60);
    }
}

#[test]
fn a_lost_directory_does_not_begin_again_at_offsets_that_were_given() {
    let world = SimWorld::new(1);
    world.disk.put(Path::new("/data/x"), b"");
    let synced = SyncedUpTo { offset: 77, segment: 50, position: 1000 };
    let (log, report) = open(&world, &LogConfig::default(), after_crash(synced));
    assert_eq!(report.damaged, [(0, 77)]);
    assert_eq!(log.log_end_offset(), 77);
    assert!(matches!(read_from(&log, 3), Err(ReadError::Corrupt { from: 0, to: 77 })));
    assert_eq!(append(&log, batch(&[b"x"])).unwrap().base_offset, 77);
}
