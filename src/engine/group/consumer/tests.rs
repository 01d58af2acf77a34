//! The group without its glue: a life by hand, a change of its protocol, and lives at random ([`model`]).

mod convert;
mod fixture;
mod life;
mod model;
