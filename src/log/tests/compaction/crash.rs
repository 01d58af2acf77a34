//! Power cuts and failing calls during cleanings, against the oracle of [`super::life`].
//!
//! A failing case prints how to run it alone, see [`seeds`](crate::log::tests::seeds).

use super::keyed::keyed;
use super::life::Run;
use crate::log::tests::seeds::{each_call, each_seed};
use crate::log::tests::stage::Lives;
use crate::testing::Fault;

/// A life that fills segments, then one that is cut at a call; whether it was, and how many cleanings there were.
fn crash_at(seed: u64, call: u64) -> (bool, u64) {
    let mut run = Run::new(seed);
    run.live(None, None, 30);
    let log = run.recover(0);
    let cut_at = run.stage.world.disk.calls() + call;
    run.live(Some(log), Some(cut_at), 25);
    let was_cut = run.stage.world.disk.is_off();
    run.live_on(seed, cut_at);
    (was_cut, run.cleanings)
}

#[test]
fn f31_a_power_cut_at_any_call_loses_no_keys_newest_record() {
    let mut cleanings = 0;
    let test = "compaction::crash::f31_a_power_cut_at_any_call_loses_no_keys_newest_record";
    let cuts = each_call(test, 4, 1, |seed, call| {
        let (was_cut, count) = crash_at(seed, call);
        cleanings += if was_cut { count } else { 0 };
        was_cut
    });
    let Some(cuts) = cuts else { return };
    println!("{cuts} power cuts, {cleanings} whole cleanings");
    assert!(cuts > 300 && cleanings > cuts, "{cuts} power cuts with {cleanings} cleanings are no test");
}

#[test]
fn f31_many_seeds_of_lives_with_cleanings_and_crashes() {
    let mut cleanings = 0;
    let test = "compaction::crash::f31_many_seeds_of_lives_with_cleanings_and_crashes";
    let ran = each_seed(test, 150, |seed| {
        let mut run = Run::new(seed ^ 0x00c0_ffee);
        run.long_life(500, 100);
        cleanings += run.cleanings;
    });
    assert!(ran.is_none() || cleanings > 500, "{cleanings} cleanings are no test");
}

fn failing_call(seed: u64, call: u64) -> bool {
    let mut run = Run::new(seed);
    run.live(None, None, 30);
    let log = run.recover(0);
    let effective = run.stage.rng.one_in(2);
    run.stage.world.disk.inject(Fault { effective, ..Fault::after_calls(call) });
    let before = run.stage.world.disk.calls();
    for _ in 0..20 {
        if !run.fails(&log) {
            break;
        }
    }
    let reached = run.stage.world.disk.calls() - before > call;
    run.stage.world.disk.heal();
    if !log.is_fenced() && !run.stage.world.disk.is_off() {
        // The cleaner goes on.
        run.stage.sync(&log);
        run.clean(&log);
        run.check_keys(&log, &keyed(&log, log.log_start_offset()), log.log_end_offset());
    }
    drop(log);
    let cuts = run.stage.rng.below(3);
    drop(run.recover(cuts));
    reached
}

#[test]
fn f31_a_failing_call_loses_nothing_and_the_cleaner_goes_on() {
    each_call(
        "compaction::crash::f31_a_failing_call_loses_nothing_and_the_cleaner_goes_on",
        4,
        0,
        failing_call,
    );
}
