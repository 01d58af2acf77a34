//! The command line from outside: what comes on stdout, what on stderr, and the exit codes.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot go on fails")]

#[path = "cli/client.rs"]
mod client;
#[path = "cli/data_dir.rs"]
mod data_dir;
#[path = "cli/group.rs"]
mod group;
#[path = "cli/run.rs"]
mod run;
