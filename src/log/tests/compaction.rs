//! Compaction of whole logs.

mod crash;
mod keep;
mod keyed;
mod life;
mod replace;
