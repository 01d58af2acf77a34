//! Those who mean no good, on raw sockets, and the good client beside them that must notice nothing.
//!
//! Tests are named after the rows of `docs/RELIABILITY.md`. The broker is the real binary, built as the tests are; with
//! `HOSTILE_BROKER` naming another one, a release build say, times are held to their targets too, which a debug build on
//! a busy machine cannot promise. Attackers come from addresses of their own (127.0.0.2 and on), since the limit of
//! connections is per address.

mod attacker;
mod beside;
mod bombs;
mod descriptors;
mod frames;
pub(crate) mod good;
mod groups;
mod memory;
mod names;
mod poison;
mod requests;
pub(crate) mod slow;
mod storm;
pub(crate) mod victim;
mod yardstick;

/// Whether times count: the broker under attack is a build made for speed.
pub(crate) fn is_timed() -> bool {
    std::env::var_os("HOSTILE_BROKER").is_some()
}
