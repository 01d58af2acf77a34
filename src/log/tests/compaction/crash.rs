//! Power cuts and failing calls during cleanings, against the oracle of [`super::life`].
//!
//! A failing case prints the seeds that run it alone. `MILLRACE_EFFORT=n` runs n times as many.

use super::keyed::keyed;
use super::life::Run;
use crate::testing::{Fault, Rng};

/// Runs `f`, naming how to run a failing case alone.
fn case(name: &str, seed: u64, detail: u64, f: impl FnOnce() + std::panic::UnwindSafe) {
    if let Err(panic) = std::panic::catch_unwind(f) {
        eprintln!(
            "failed at seed {seed}, {detail}; alone: MILLRACE_SEED={seed}:{detail} cargo test --lib log::tests::compaction::crash::{name}"
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

fn effort() -> u64 {
    std::env::var("MILLRACE_EFFORT").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A life that fills segments, then one that is cut at a call.
fn crash_at(seed: u64, call: u64) -> (bool, u64) {
    let mut run = Run::new(seed);
    run.live(None, None, 30);
    let log = run.recover(0);
    let call = run.world.disk.calls() + call;
    run.live(Some(log), Some(call), 25);
    let was_cut = run.world.disk.is_off();
    // What the seed decides after the crash must differ from call to call.
    run.rng = Rng::new(seed ^ call.wrapping_mul(0x9e37_79b9));
    let cuts = run.rng.below(4);
    let log = run.recover(cuts);
    let call = run.world.disk.calls() + 1 + run.rng.below(60);
    run.live(Some(log), Some(call), 25);
    drop(run.recover(0));
    (was_cut, run.cleanings)
}

#[test]
fn f31_a_power_cut_at_any_call_loses_no_keys_newest_record() {
    if let Some((seed, call)) = only() {
        crash_at(seed, call);
        return;
    }
    let (mut cuts, mut cleanings) = (0, 0);
    for seed in 0..4 * effort() {
        for call in 1.. {
            let mut outcome = (false, 0);
            let out = std::panic::AssertUnwindSafe(&mut outcome);
            case("f31_a_power_cut_at_any_call_loses_no_keys_newest_record", seed, call, move || {
                let out = out;
                *out.0 = crash_at(seed, call);
            });
            if !outcome.0 {
                break;
            }
            cuts += 1;
            cleanings += outcome.1;
        }
    }
    println!("{cuts} power cuts, {cleanings} whole cleanings");
    assert!(cuts > 300 && cleanings > cuts, "{cuts} power cuts with {cleanings} cleanings are no test");
}

fn long_life(seed: u64) -> u64 {
    let mut run = Run::new(seed ^ 0x00c0_ffee);
    let call = run.rng.below(500);
    run.live(None, Some(call + 1), 100);
    for _ in 0..4 {
        let cuts = run.rng.below(3);
        let log = run.recover(cuts);
        let call = run.world.disk.calls() + 1 + run.rng.below(500);
        run.live(Some(log), Some(call), 100);
    }
    drop(run.recover(0));
    run.cleanings
}

#[test]
fn f31_many_seeds_of_lives_with_cleanings_and_crashes() {
    if let Some((seed, _)) = only() {
        long_life(seed);
        return;
    }
    let mut cleanings = 0;
    for seed in 0..150 * effort() {
        let out = std::panic::AssertUnwindSafe(&mut cleanings);
        case("f31_many_seeds_of_lives_with_cleanings_and_crashes", seed, 0, move || {
            let out = out;
            *out.0 += long_life(seed);
        });
    }
    assert!(cleanings > 500, "{cleanings} cleanings are no test");
}

fn failing_call(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    run.live(None, None, 30);
    let log = run.recover(0);
    let effective = run.rng.one_in(2);
    run.world.disk.inject(Fault { effective, ..Fault::after_calls(call) });
    let before = run.world.disk.calls();
    for _ in 0..20 {
        if !run.fails(&log) {
            break;
        }
    }
    let reached = run.world.disk.calls() - before > call;
    run.world.disk.heal();
    if !log.is_fenced() && !run.world.disk.is_off() {
        // The cleaner goes on.
        run.sync(&log);
        run.clean(&log);
        run.check_keys(&log, &keyed(&log, log.log_start_offset()), log.log_end_offset());
    }
    drop(log);
    let cuts = run.rng.below(3);
    drop(run.recover(cuts));
    reached
}

#[test]
fn f31_a_failing_call_loses_nothing_and_the_cleaner_goes_on() {
    if let Some((seed, call)) = only() {
        failing_call(seed, call);
        return;
    }
    for seed in 0..4 * effort() {
        for call in 0.. {
            let mut reached = false;
            let out = std::panic::AssertUnwindSafe(&mut reached);
            case("f31_a_failing_call_loses_nothing_and_the_cleaner_goes_on", seed, call, move || {
                let out = out;
                *out.0 = failing_call(seed, call);
            });
            if !reached {
                break;
            }
        }
    }
}
