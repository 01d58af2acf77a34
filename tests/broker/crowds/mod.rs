//! Groups and consumers by the hundreds, and members that are slow, silent or gone, in both protocols.
//!
//! Tests are named after the rows of `docs/RELIABILITY.md`. The broker is the real binary, as in [`crate::hostile`]: times
//! are held to their targets when `HOSTILE_BROKER` names a release build. `MILLRACE_EFFORT=n` makes crowds as large, and
//! storms as long, as the rows say.

mod churn;
mod fanout;
mod idle;
mod ledger;
mod member;
mod reader;
mod vanished;

use millrace::wire::Str;

/// How much effort `MILLRACE_EFFORT` asks for.
fn effort() -> u64 {
    std::env::var("MILLRACE_EFFORT").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn text(text: &str) -> Str {
    Str::from(text)
}
