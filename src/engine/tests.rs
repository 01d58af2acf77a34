//! The engine as a whole: on the real disk for the ordinary, on a simulated one for everything else.

mod basics;
mod crash;
mod faults;
mod seeds;
mod simulation;
