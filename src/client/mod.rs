//! The bundled Kafka client: used by the command line, the tests and the benches, and by any Rust program that wants a
//! small async client.
//!
//! It works against any Kafka broker from 2.1 on, Millrace being one. Start with a [`Client`], which knows the cluster
//! and its connections, and make a [`Producer`], a [`Consumer`], a [`GroupConsumer`] or an [`Admin`] from it:
//!
//! ```no_run
//! use millrace::client::{Client, ClientConfig, Producer, ProducerConfig, ProducerRecord};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(ClientConfig::new("127.0.0.1:9092")?).await?;
//! let producer = Producer::new(&client, ProducerConfig::default())?;
//! let topic = producer.topic("greetings").await?;
//! topic.send(&ProducerRecord { value: Some(b"hello"), ..Default::default() }).await?.wait().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What always holds: every length and count from a broker is checked before it is believed; every wait has an end;
//! an [`Error`] says what to do. Batches of records are never copied between the socket and their use.
//! Deliberately absent, for now: transactions, share groups, TLS and SASL.

mod admin;
mod cluster;
mod config;
mod connection;
mod consumer;
mod error;
mod group;
mod metadata;
mod partitioner;
mod producer;
mod retry;
mod stale;
mod time;
mod versions;

pub use self::admin::{
    Admin, ClusterDescription, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, CreatedTopic,
    GroupDescription, GroupListing, ListedOffset, LogDir, LogDirPartition, MemberDescription, NewTopic,
    OffsetQuery, OffsetSpec, PartitionLag, TopicReader,
};
pub use self::cluster::Client;
pub use self::config::{BrokerAddress, ClientConfig, DEFAULT_PORT, ParseAddressError};
pub use self::connection::Connection;
pub use self::consumer::{
    ConsumedRecord, Consumer, ConsumerConfig, OutOfRange, StartAt, TopicPartition, Watermarks,
};
pub use self::error::{Error, ErrorKind};
pub use self::group::{Assignor, CommittedOffset, GroupConfig, GroupConsumer, GroupEvent, GroupProtocol};
pub use self::metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
pub use self::partitioner::{murmur2, partition_for_key};
pub use self::producer::{
    Acks, Delivered, Delivery, Producer, ProducerConfig, ProducerRecord, ProducerStats, ProducerTopic,
};
pub use self::retry::RetryPolicy;
pub use self::versions::ApiRanges;
pub use crate::record::{Compression, Header};
pub use crate::wire::{ApiKey, ErrorCode};
