//! Power cuts, failing calls and full disks, against the oracle of [`super::life`].
//!
//! A failing case prints how to run it alone, see [`super::seeds`].

use std::path::Path;

use bytes::Bytes;

use super::harness::*;
use super::life::Run;
use super::seeds::{each_call, each_seed};
use super::stage::Lives;
use crate::log::{AppendError, LogError};
use crate::testing::{Fault, Op};
use crate::types::LeaderEpoch;

fn crash_at(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    run.live(None, Some(call), 25);
    let was_cut = run.stage.world.disk.is_off();
    run.live_on(seed, call);
    was_cut
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut_at_any_call() {
    let test = "crash::nothing_acknowledged_is_lost_by_a_power_cut_at_any_call";
    let Some(cuts) = each_call(test, 10, 1, crash_at) else { return };
    println!("{cuts} power cuts");
    assert!(cuts > 300, "{cuts} power cuts are no test");
}

#[test]
fn f27_several_hundred_seeds_of_crashes_and_crashed_recoveries() {
    let test = "crash::f27_several_hundred_seeds_of_crashes_and_crashed_recoveries";
    each_seed(test, 300, |seed| Run::new(seed ^ 0x00c0_ffee).long_life(300, 80));
}

fn failing_call(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    let Ok((log, _)) = run.stage.open() else { panic!("opening does not fail") };
    run.stage.world.disk.inject(Fault::after_calls(call));
    let before = run.stage.world.disk.calls();
    for _ in 0..25 {
        if !run.step(&log) {
            break;
        }
    }
    let reached = run.stage.world.disk.calls() - before > call;
    drop(log);
    drop(run.recover(0));
    reached
}

#[test]
fn a_failing_call_never_leads_to_a_false_acknowledgement() {
    each_call("crash::a_failing_call_never_leads_to_a_false_acknowledgement", 8, 0, failing_call);
}

#[test]
fn equal_seeds_make_equal_traces() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        run.live(None, Some(90), 40);
        drop(run.recover(2));
        run.stage.world.disk.trace()
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn f09_a_failed_sync_is_final_and_the_restart_trusts_only_the_medium() {
    let mut run = Run::new(1);
    let (log, _) = run.stage.open().unwrap();
    run.append_plain(&log);
    run.stage.sync(&log);
    let acked = log.high_watermark();
    run.append_plain(&log);
    run.stage.world.disk.inject(Fault::once(Op::SyncData, ".log"));
    assert!(matches!(log.sync(), Err(LogError::SyncFailed { .. })));
    // The next sync would succeed, though the pages are lost: it must not be tried.
    assert!(matches!(log.sync(), Err(LogError::Fenced)));
    assert!(matches!(log.checkpoint(NOW_MS), Err(LogError::Fenced)));
    assert!(matches!(append(&log, batch(&[b"x"])), Err(AppendError::Fenced)));
    assert!(log.is_fenced());
    assert_eq!(log.synced_up_to().offset, acked);
    assert!(read_from(&log, 0).unwrap().size_bytes > 0, "reading goes on");
    drop(log);
    // Only the process ends: the page cache still shows what the medium does not have.
    run.stage.world.disk.kill();
    let (log, report) = run.stage.open().unwrap();
    assert_eq!(log.log_end_offset(), acked);
    run.check(&log, &report);
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_when_space_returns() {
    let mut run = Run::new(2);
    run.stage.config.retention_bytes = Some(8000);
    let (log, _) = run.stage.open().unwrap();
    run.append_plain(&log);
    run.stage.sync(&log);
    run.stage.world.disk.put(Path::new("/data/filler"), &[0; 1000]);
    run.stage.world.disk.set_capacity(Some(20 * 4096));
    let end = loop {
        let end = log.log_end_offset();
        match append(&log, batch(&[&[1; 900]])) {
            Ok(appended) => {
                run.oracle
                    .appended
                    .insert(appended.base_offset, (Bytes::from(vec![1; 900]), LeaderEpoch(run.stage.epoch)));
            }
            Err(AppendError::Full { .. }) => break end,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(!log.is_fenced());
    assert_eq!(log.log_end_offset(), end);
    assert_eq!(records(&log).len() as i64, end, "reading goes on");
    run.stage.sync(&log);
    // Deletion works on the full disk, and makes the space.
    assert!(run.stage.world.disk.free() < 4096);
    let deleted = log.delete_records(log.high_watermark() - 1).unwrap();
    assert!(deleted.segments > 0);
    run.stage.start = deleted.log_start_offset;
    run.stage.start_max = deleted.log_start_offset;
    let appended = append(&log, batch(&[b"again"])).unwrap();
    assert_eq!(appended.base_offset, end);
    run.oracle.appended.insert(end, (Bytes::from_static(b"again"), LeaderEpoch(run.stage.epoch)));
    run.stage.sync(&log);
    drop(log);
    drop(run.recover(0));
}

/// Found by the simulation of compaction: the making of a new segment failed though the file was made, a smaller batch still
/// fitted into the old one and was acknowledged there, and after a crash the old segment ended where the new file began.
#[test]
fn a_roll_that_failed_after_it_had_made_the_file_hides_nothing_that_is_acknowledged_later() {
    let mut run = Run::new(4);
    run.stage.config = small_segments();
    let (log, _) = run.stage.open().unwrap();
    append(&log, batch(&[&[1; 1500]])).unwrap();
    run.stage.world.disk.inject(Fault { effective: true, ..Fault::once(Op::Open, ".log") });
    append(&log, batch(&[&[2; 1500]])).expect_err("no new segment");
    append(&log, batch(&[b"small"])).unwrap();
    log.sync().unwrap();
    drop(log);
    run.stage.world.disk.kill();
    let (log, report) = run.stage.open().unwrap();
    assert_eq!((report.damaged, log.log_end_offset()), (vec![], 2));
    assert_eq!(records(&log)[1].1, &b"small"[..]);
}
