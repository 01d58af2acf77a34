//! Cases by seed: running them all, and naming the one that fails so that it can be run alone.
//!
//! `MILLRACE_EFFORT=n` runs n times as many seeds, `MILLRACE_SEED=seed:detail` one case.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `run` for each of so many seeds and, with each, for the calls from `first` on until it says that the call was not
/// reached. How many were; `None` when one case ran alone.
pub(super) fn each_call(
    test: &str,
    seeds: u64,
    first: u64,
    mut run: impl FnMut(u64, u64) -> bool,
) -> Option<u64> {
    if let Some((seed, call)) = alone() {
        run(seed, call);
        return None;
    }
    let mut reached = 0;
    for seed in 0..seeds * effort() {
        for call in first.. {
            if !named(test, seed, call, || run(seed, call)) {
                break;
            }
            reached += 1;
        }
    }
    Some(reached)
}

/// Runs `run` for each of so many seeds; `None` when one ran alone.
pub(super) fn each_seed(test: &str, seeds: u64, mut run: impl FnMut(u64)) -> Option<()> {
    if let Some((seed, _)) = alone() {
        run(seed);
        return None;
    }
    (0..seeds * effort()).for_each(|seed| named(test, seed, 0, || run(seed)));
    Some(())
}

/// Runs one case; if it fails, says how to run it alone.
fn named<T>(test: &str, seed: u64, detail: u64, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        eprintln!(
            "failed at seed {seed}, {detail}; alone: MILLRACE_SEED={seed}:{detail} cargo test --lib log::tests::{test}"
        );
        resume_unwind(panic);
    })
}

fn alone() -> Option<(u64, u64)> {
    let text = std::env::var("MILLRACE_SEED").ok()?;
    let (seed, detail) = text.split_once(':')?;
    Some((seed.parse().ok()?, detail.parse().ok()?))
}

fn effort() -> u64 {
    std::env::var("MILLRACE_EFFORT").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
