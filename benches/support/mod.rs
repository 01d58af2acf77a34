//! What the benches share: repeated rounds, medians, and a table that can be pasted into docs/BENCHMARKS.md.
//!
//! Absolute figures differ from machine to machine and from hour to hour; the ratios within one run are what the
//! project goes by. So every bench runs its contenders in turns, round by round, and prints medians.

#![expect(dead_code, reason = "each bench uses its part of this")]

use std::time::{Duration, Instant};

/// One contender's measurements.
pub(crate) struct Contender {
    name: String,
    seconds: Vec<f64>,
}

/// Runs the contenders in turns for `rounds` rounds after one round that does not count.
pub(crate) fn in_turns(
    rounds: usize,
    contenders: &mut [(&str, &mut dyn FnMut() -> Duration)],
) -> Vec<Contender> {
    let mut results: Vec<Contender> = contenders
        .iter()
        .map(|(name, _)| Contender { name: (*name).to_owned(), seconds: Vec::new() })
        .collect();
    for round in 0..=rounds {
        for (index, (_, run)) in contenders.iter_mut().enumerate() {
            let took = run().as_secs_f64();
            if round > 0 {
                results[index].seconds.push(took);
            }
        }
    }
    results
}

/// Times one call.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

impl Contender {
    /// The median of the rounds, in seconds.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// Prints a table: each contender's rate in `unit` (`amount` of it a round) and its ratio to the first.
pub(crate) fn print_rates(title: &str, amount: f64, unit: &str, contenders: &[Contender]) {
    println!("\n{title}\n");
    println!("| contender | {unit}/s | ratio to the first |\n|---|---:|---:|");
    let first = amount / contenders[0].median();
    for contender in contenders {
        let rate = amount / contender.median();
        println!("| {} | {rate:.3} | {:.2} |", contender.name, rate / first);
    }
}

/// Prints a table: each contender's time in milliseconds and its ratio to the first.
pub(crate) fn print_times(title: &str, contenders: &[Contender]) {
    println!("\n{title}\n");
    println!("| contender | ms | ratio to the first |\n|---|---:|---:|");
    let first = contenders[0].median();
    for contender in contenders {
        println!(
            "| {} | {:.3} | {:.2} |",
            contender.name,
            contender.median() * 1e3,
            contender.median() / first
        );
    }
}
