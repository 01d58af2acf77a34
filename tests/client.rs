//! The bundled client against a broker in this process, and against peers that misbehave.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot go on fails")]

#[path = "client/admin.rs"]
mod admin;
#[path = "client/consumer.rs"]
mod consumer;
#[path = "client/fixture.rs"]
mod fixture;
#[path = "client/groups/mod.rs"]
mod groups;
#[path = "client/peers.rs"]
mod peers;
#[path = "client/producer.rs"]
mod producer;
