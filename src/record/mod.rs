//! Record batches of Kafka's message format v2: parsed in place, checked, built, compressed.
//!
//! A [`Batch`] is what a producer sends, what the log stores and what a consumer gets, byte for byte the same; only the
//! base offset and the leader epoch are written over by [`stamp`]. The broker validates a batch once, at the edge, with
//! [`validate_produced`]; from then on its header is all that is read of it, until a lookup by time or a client asks for
//! its [`Record`]s. The client and the engine's internal logs make batches with [`BatchBuilder`].
//!
//! What always holds:
//! - Every length and count in a batch is hostile until checked; no input panics, and none costs more memory than the
//!   bytes it has plus the cap the caller gives. Decompression is streamed and stops at that cap.
//! - Keys and values are slices of the batch, or of one decompressed buffer; records are never copied one by one.
//! - The checksum (CRC-32C) is checked where bytes enter, not again on each look.
//!
//! Deliberately absent: the formats 0 and 1 (refused), and any knowledge of topics, sequence state or the disk.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod batch;
mod builder;
mod compact;
mod compression;
pub mod control;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod header;
mod validate;
pub mod varint;
mod walk;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Header, Record, RecordIter, TimestampedOffset, batches};
pub use builder::BatchBuilder;
pub use compact::{KeyedRecord, Remains};
pub use compression::{Compression, ParseCompressionError};
pub use error::{BatchError, BatchErrorKind, RecordFault, RecordProblem};
pub use header::{
    BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC, TimestampType, advance_sequence, crc_matches,
    stamp, stamp_log_append_time, stamp_producer,
};
pub use validate::{MAX_RECORD_FAULTS, ProduceRules, validate_produced};
