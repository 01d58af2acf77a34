//! Running a simulation over many seeds, on all cores, and one seed alone.
//!
//! `MILLRACE_EFFORT=n` runs n times as many seeds; `MILLRACE_FROM=n` begins at another one, so that a long run need not
//! repeat what was run before; `MILLRACE_SEED=n` runs one alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs `run` for `count` seeds, or as the environment says. A seed that fails is named with the command that runs it
/// alone; `test` is the path of the test.
pub(in crate::engine) fn each_seed(test: &str, count: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number("MILLRACE_SEED") {
        return run(seed);
    }
    let from = number("MILLRACE_FROM").unwrap_or(0);
    let to = from + count * number("MILLRACE_EFFORT").unwrap_or(1);
    println!("{test}: {} seeds from {from} on", to - from);
    let next = AtomicU64::new(from);
    let failed = AtomicU64::new(u64::MAX);
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            // As threads of the test, so that what a failing seed prints is shown with it.
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) == u64::MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        return;
                    }
                    if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(failed == u64::MAX, "failed; alone: MILLRACE_SEED={failed} cargo test --lib {test}");
}
