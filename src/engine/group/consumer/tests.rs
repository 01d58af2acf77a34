//! The group without its glue: a life by hand, and lives at random ([`model`]).

mod fixture;
mod life;
mod model;
