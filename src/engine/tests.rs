//! The engine as a whole: on the real disk for the ordinary, on a simulated one for everything else.

mod basics;
mod compaction;
mod crash;
mod faults;
pub(super) mod seeds;
pub(super) mod simulation;
