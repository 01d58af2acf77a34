//! Power cuts, failing calls and full disks, against the oracle of [`super::life`].
//!
//! A failing case prints the seeds that run it alone. `MILLRACE_EFFORT=n` runs n times as many.

use std::path::Path;

use bytes::Bytes;

use super::harness::*;
use super::life::Run;
use crate::log::{AppendError, LogError};
use crate::testing::{Fault, Op, Rng};
use crate::types::LeaderEpoch;

/// Runs `f`, naming how to run a failing case alone.
fn case(name: &str, seed: u64, detail: u64, f: impl FnOnce() + std::panic::UnwindSafe) {
    if let Err(panic) = std::panic::catch_unwind(f) {
        eprintln!(
            "failed at seed {seed}, {detail}; alone: MILLRACE_SEED={seed}:{detail} cargo test --lib log::tests::crash::{name}"
        );
        std::panic::resume_unwind(panic);
    }
}

/// The one case named by `MILLRACE_SEED=seed:detail`, if it is set.
fn only() -> Option<(u64, u64)> {
    let text = std::env::var("MILLRACE_SEED").ok()?;
    let (seed, detail) = text.split_once(':')?;
    Some((seed.parse().ok()?, detail.parse().ok()?))
}

/// `MILLRACE_EFFORT=n` runs n times as many seeds.
fn effort() -> u64 {
    std::env::var("MILLRACE_EFFORT").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn crash_at(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    run.live(None, Some(call), 25);
    let was_cut = run.world.disk.is_off();
    let mut run_on = run;
    // What the seed decides after the crash must differ from call to call.
    run_on.rng = Rng::new(seed ^ call.wrapping_mul(0x9e37_79b9));
    let cuts = run_on.rng.below(4);
    let log = run_on.recover(cuts);
    // A second life on what was recovered, and a second crash.
    let call = run_on.world.disk.calls() + 1 + run_on.rng.below(60);
    run_on.live(Some(log), Some(call), 25);
    drop(run_on.recover(0));
    was_cut
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut_at_any_call() {
    if let Some((seed, call)) = only() {
        crash_at(seed, call);
        return;
    }
    let mut cuts = 0;
    for seed in 0..10 * effort() {
        for call in 1.. {
            let mut was_cut = false;
            let cut = std::panic::AssertUnwindSafe(&mut was_cut);
            case("nothing_acknowledged_is_lost_by_a_power_cut_at_any_call", seed, call, move || {
                let cut = cut;
                *cut.0 = crash_at(seed, call);
            });
            if !was_cut {
                break;
            }
            cuts += 1;
        }
    }
    println!("{cuts} power cuts");
    assert!(cuts > 300, "{cuts} power cuts are no test");
}

fn long_life(seed: u64) {
    let mut run = Run::new(seed ^ 0x00c0_ffee);
    let call = run.rng.below(300);
    run.live(None, Some(call + 1), 80);
    for _ in 0..4 {
        let cuts = run.rng.below(3);
        let log = run.recover(cuts);
        let call = run.world.disk.calls() + 1 + run.rng.below(300);
        run.live(Some(log), Some(call), 80);
    }
    drop(run.recover(0));
}

#[test]
fn f27_several_hundred_seeds_of_crashes_and_crashed_recoveries() {
    if let Some((seed, _)) = only() {
        long_life(seed);
        return;
    }
    for seed in 0..300 * effort() {
        case("several_hundred_seeds_of_crashes_and_crashed_recoveries", seed, 0, move || long_life(seed));
    }
}

fn failing_call(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    let Ok((log, _)) = run.open() else { panic!("opening does not fail") };
    run.world.disk.inject(Fault::after_calls(call));
    let before = run.world.disk.calls();
    for _ in 0..25 {
        if !run.step(&log) {
            break;
        }
    }
    let reached = run.world.disk.calls() - before > call;
    drop(log);
    drop(run.recover(0));
    reached
}

#[test]
fn a_failing_call_never_leads_to_a_false_acknowledgement() {
    if let Some((seed, call)) = only() {
        failing_call(seed, call);
        return;
    }
    for seed in 0..8 * effort() {
        for call in 0.. {
            let mut reached = false;
            let out = std::panic::AssertUnwindSafe(&mut reached);
            case("a_failing_call_never_leads_to_a_false_acknowledgement", seed, call, move || {
                let out = out;
                *out.0 = failing_call(seed, call);
            });
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn equal_seeds_make_equal_traces() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        run.live(None, Some(90), 40);
        drop(run.recover(2));
        run.world.disk.trace()
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

#[test]
fn f09_a_failed_sync_is_final_and_the_restart_trusts_only_the_medium() {
    let mut run = Run::new(1);
    let (log, _) = run.open().unwrap();
    run.append_plain(&log);
    run.sync(&log);
    let acked = log.high_watermark();
    run.append_plain(&log);
    run.world.disk.inject(Fault::once(Op::SyncData, ".log"));
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
    run.world.disk.kill();
    let (log, report) = run.open().unwrap();
    assert_eq!(log.log_end_offset(), acked);
    run.check(&log, &report);
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again_when_space_returns() {
    let mut run = Run::new(2);
    run.config.retention_bytes = Some(8000);
    let (log, _) = run.open().unwrap();
    run.append_plain(&log);
    run.sync(&log);
    run.world.disk.put(Path::new("/data/filler"), &[0; 1000]);
    run.world.disk.set_capacity(Some(20 * 4096));
    let end = loop {
        let end = log.log_end_offset();
        match append(&log, batch(&[&[1; 900]])) {
            Ok(appended) => {
                run.oracle
                    .appended
                    .insert(appended.base_offset, (Bytes::from(vec![1; 900]), LeaderEpoch(run.epoch)));
            }
            Err(AppendError::Full { .. }) => break end,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(!log.is_fenced());
    assert_eq!(log.log_end_offset(), end);
    assert_eq!(records(&log).len() as i64, end, "reading goes on");
    run.sync(&log);
    // Deletion works on the full disk, and makes the space.
    assert!(run.world.disk.free() < 4096);
    let deleted = log.delete_records(log.high_watermark() - 1).unwrap();
    assert!(deleted.segments > 0);
    run.oracle.start = deleted.log_start_offset;
    run.oracle.start_max = deleted.log_start_offset;
    let appended = append(&log, batch(&[b"again"])).unwrap();
    assert_eq!(appended.base_offset, end);
    run.oracle.appended.insert(end, (Bytes::from_static(b"again"), LeaderEpoch(run.epoch)));
    run.sync(&log);
    drop(log);
    drop(run.recover(0));
}

/// Found by the simulation of compaction: the making of a new segment failed though the file was made, a smaller batch still
/// fitted into the old one and was acknowledged there, and after a crash the old segment ended where the new file began.
#[test]
fn a_roll_that_failed_after_it_had_made_the_file_hides_nothing_that_is_acknowledged_later() {
    let mut run = Run::new(4);
    run.config = small_segments();
    let (log, _) = run.open().unwrap();
    append(&log, batch(&[&[1; 1500]])).unwrap();
    run.world.disk.inject(Fault { effective: true, ..Fault::once(Op::Open, ".log") });
    append(&log, batch(&[&[2; 1500]])).expect_err("no new segment");
    append(&log, batch(&[b"small"])).unwrap();
    log.sync().unwrap();
    drop(log);
    run.world.disk.kill();
    let (log, report) = run.open().unwrap();
    assert_eq!((report.damaged, log.log_end_offset()), (vec![], 2));
    assert_eq!(records(&log)[1].1, &b"small"[..]);
}
