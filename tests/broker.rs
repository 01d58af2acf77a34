//! The broker through its sockets: raw bytes in, raw bytes out, and the process from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot go on fails")]

#[path = "broker/api_versions.rs"]
mod api_versions;
#[path = "broker/as_kafka.rs"]
mod as_kafka;
#[path = "broker/compaction.rs"]
mod compaction;
#[path = "broker/connections.rs"]
mod connections;
#[path = "broker/consumer_groups.rs"]
mod consumer_groups;
#[path = "broker/crowds/mod.rs"]
mod crowds;
#[path = "broker/fixture.rs"]
mod fixture;
#[path = "broker/groups/mod.rs"]
mod groups;
#[path = "broker/hostile/mod.rs"]
mod hostile;
#[path = "broker/metadata.rs"]
mod metadata;
#[path = "broker/placement.rs"]
mod placement;
#[path = "broker/process.rs"]
mod process;
#[path = "broker/produce_fetch.rs"]
mod produce_fetch;
#[path = "broker/settings.rs"]
mod settings;
#[path = "broker/topics.rs"]
mod topics;
