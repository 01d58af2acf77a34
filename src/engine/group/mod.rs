//! Consumer groups: who is a member, who reads which partition, how far everybody has come.
//!
//! Plain state machines for the glue in [`coordinator`](super::coordinator), which gives each group a lock, keeps what
//! they leave to be kept, and answers. What always holds:
//!
//! - Nothing here is async, reads a clock or touches a log: time is an argument (`now`, monotonic), and what has to
//!   survive is left in [`Effects`] as records, each the whole value of a key.
//! - An answer stands behind the records left with it: it is given when they are kept, and is an error when they
//!   could not be.
//! - No partition of a topic has two owners in one generation or epoch; a committed offset changes only by a commit,
//!   a deletion or its expiry.
//!
//! Deliberately absent: the bytes of assignments of the classic protocol, which only members read.

pub(crate) mod classic;
pub(crate) mod consumer;
mod effects;
mod embedded;
mod error;
pub(crate) mod offsets;
mod record;
pub(crate) mod weight;

pub(crate) use effects::{Answer, Effects};
pub use error::GroupError;
pub(crate) use record::{ClassicMemberRecord, ClassicRecord, GroupRecord};
