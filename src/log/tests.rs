//! Tests of the whole log, by theme, on the real disk where the disk does not matter.

mod append;
mod budget;
mod compaction;
mod crash;
mod formats;
mod harness;
mod index;
mod life;
mod model;
mod reads;
mod recovery;
mod retention;
mod seeds;
mod stage;
