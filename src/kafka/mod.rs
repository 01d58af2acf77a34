//! The Kafka adapter: the wire protocol on one side, the engine on the other.
//!
//! A [`connection`] cuts [`frames`] out of a socket's bytes, read into [`buffers`] that are used again, and hands each to [`dispatch`], the one table of what is
//! served; a handler translates it for the engine, and the answer leaves through the [`outbox`] as vectored writes.
//!
//! What always holds: answers leave in the order of requests; a hostile client harms only its own connection; memory
//! is bounded per connection and, by the [`budget`], for all of them together. `error_code` is the one place that
//! turns the engine's errors into codes, and has to decide about every one of them.
//!
//! Deliberately absent: topics, logs and offsets, which are the engine's; sockets that listen, which are the
//! server's; authentication, which will stand between connection and dispatch.

pub mod broker;
pub mod budget;
pub mod buffers;
pub mod connection;
pub mod dispatch;
pub mod document;
mod error_code;
pub mod frames;
mod handlers;
pub mod outbox;
