//! Topics and partitions, and everything that happens to them: the broker without its protocols.
//!
//! Used by the Kafka adapter and by every door to come, through [`Engine`]'s methods and the plain types of [`api`].
//! What always holds:
//!
//! - An append moves a log's end, a commit its high watermark; consumers see up to the high watermark, and an
//!   `acks=all` is answered when it has passed the batch ([`commit`]).
//! - Callers' threads never wait for the disk: what may, runs on the [`Pool`]. Requests that wait for anything do so
//!   in the [purgatory](crate::purgatory), without a thread, task or timer of their own.
//! - Metadata is read from one immutable [`MetadataImage`]; a change is in the catalog, durably, before it is in the
//!   image.
//! - Time, disk and randomness come from [`Env`](crate::env::Env) alone, so that a simulation runs all of this.
//!
//! Deliberately absent: API keys, wire error codes, HTTP, JSON.

pub mod api;
mod catalog;
mod checkpoint;
mod commit;
mod compaction;
pub mod config;
mod configs;
mod coordinator;
mod core;
mod data_dir;
mod error;
mod fetch;
mod frame;
mod group;
mod image;
mod load;
mod maintenance;
mod offsets;
mod partition;
mod placement;
mod pool;
mod produce;
mod producer_ids;
mod records;
mod state_log;
mod steady;
mod topics;
pub mod verify;

#[cfg(test)]
mod tests;

pub use self::core::{Engine, EngineConfig, OpenError};
pub use commit::CommitSink;
pub use error::{Error, ErrorKind};
pub use group::GroupError;
pub use image::{MetadataImage, Owner, PartitionImage, TopicImage};
pub use pool::{Job, Pool, ThreadPool};
pub use topics::is_topic_name;

/// A partition as error messages name it.
fn topic_label(topic: &api::TopicRef, partition: i32) -> String {
    match topic {
        api::TopicRef::Name(name) => format!("{name}-{partition}"),
        api::TopicRef::Id(id) => format!("{id}-{partition}"),
    }
}
