//! The real binary on the real kernel, through its listener.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot go on fails")]

#[path = "real/crash.rs"]
mod crash;
#[path = "real/groups.rs"]
mod groups;
#[path = "real/librdkafka/mod.rs"]
mod librdkafka;
#[path = "real/process.rs"]
mod process;
#[path = "real/stopped.rs"]
mod stopped;
