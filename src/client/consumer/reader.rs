//! Records out of fetched batches: checked, decompressed, and without those that the reader is not to see.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::assignment::Key;
use super::fetch::AbortedTransaction;
use super::fetcher::Chunk;
use super::{ConsumedRecord, ConsumerConfig};
use crate::client::error::Error;
use crate::record::control::{ControlType, EndTransactionMarker};
use crate::record::{Batch, BatchHeader, RecordIter, TimestampType, crc_matches};
use crate::types::{Isolation, Offset};

/// Walks one chunk.
#[derive(Debug)]
pub(super) struct ChunkReader {
    chunk: Chunk,
    /// What of the chunk is not walked yet.
    rest: Bytes,
    batch: Option<OpenBatch>,
    position: Offset,
    /// Producers with an aborted transaction open at this place.
    aborting: HashSet<i64>,
    /// Aborted transactions that begin further on, the first one last.
    ahead: Vec<AbortedTransaction>,
}

#[derive(Debug)]
struct OpenBatch {
    header: BatchHeader,
    records: RecordIter,
}

// === impl ChunkReader ===

impl ChunkReader {
    pub(super) fn new(mut chunk: Chunk) -> Self {
        let mut ahead = std::mem::take(&mut chunk.aborted);
        ahead.sort_unstable_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self {
            rest: chunk.bytes.clone(),
            position: chunk.from,
            chunk,
            batch: None,
            aborting: HashSet::new(),
            ahead,
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.chunk.key
    }

    pub(super) fn generation(&self) -> u64 {
        self.chunk.generation
    }

    /// The offset of the next record.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// The size of the whole chunk.
    pub(super) fn size_bytes(&self) -> usize {
        self.chunk.bytes.len()
    }

    /// Whether nothing comes any more.
    pub(super) fn is_done(&self) -> bool {
        self.batch.is_none() && self.rest.is_empty()
    }

    /// The next record. After an error there are no more.
    pub(super) fn next(&mut self, config: &ConsumerConfig) -> Option<Result<ConsumedRecord, Error>> {
        loop {
            let Some(batch) = &mut self.batch else {
                match self.open_next(config) {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(reason) => return Some(Err(self.damaged(reason))),
                }
            };
            match batch.records.next() {
                Some(Ok(record)) if record.offset < self.position => {}
                Some(Ok(record)) => {
                    self.position = record.offset + 1;
                    let (topic, partition) = &self.chunk.key;
                    return Some(Ok(ConsumedRecord {
                        topic: Arc::clone(topic),
                        partition: *partition,
                        offset: record.offset,
                        timestamp_ms: record.timestamp_ms,
                        append_time: batch.header.timestamp_type() == TimestampType::LogAppendTime,
                        leader_epoch: Some(batch.header.leader_epoch.0).filter(|&epoch| epoch >= 0),
                        key: record.key,
                        value: record.value,
                        headers: record.headers,
                    }));
                }
                Some(Err(error)) => return Some(Err(self.damaged(error.to_string()))),
                None => {
                    // Compaction leaves gaps, also at a batch's end.
                    self.position = self.position.max(batch.header.next_offset());
                    self.batch = None;
                }
            }
        }
    }

    /// Goes to the next batch with records for the reader. False at the end of the chunk.
    fn open_next(&mut self, config: &ConsumerConfig) -> Result<bool, String> {
        while !self.rest.is_empty() {
            let Ok(header) = BatchHeader::parse(&self.rest) else {
                // The tail of a batch that did not fit; its beginning may even lack a header.
                self.rest = Bytes::new();
                break;
            };
            let size_bytes = header.size_bytes();
            if size_bytes > self.rest.len() {
                self.rest = Bytes::new();
                break;
            }
            if header.next_offset() <= self.position {
                let _behind = self.rest.split_to(size_bytes);
                continue;
            }
            if !crc_matches(&self.rest[..size_bytes]) {
                let (first, last) = (header.base_offset, header.last_offset());
                return Err(format!("the checksum of the batch of offsets {first} to {last} does not match"));
            }
            let batch = Batch::parse(self.rest.split_to(size_bytes)).map_err(|error| error.to_string())?;
            if header.is_control() {
                self.on_marker(&batch, config)?;
                self.position = header.next_offset();
                continue;
            }
            if config.isolation == Isolation::ReadCommitted && self.is_aborted(&header) {
                self.position = header.next_offset();
                continue;
            }
            let records = batch.records(config.max_batch_bytes).map_err(|error| error.to_string())?;
            self.batch = Some(OpenBatch { header, records });
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether the batch belongs to a transaction that was aborted.
    fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.begin_aborted(header.last_offset());
        header.is_transactional() && header.producer().is_some_and(|(id, _)| self.aborting.contains(&id.0))
    }

    fn begin_aborted(&mut self, up_to: Offset) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset <= up_to) {
            self.aborting.insert(next.producer_id);
        }
    }

    /// A marker ends its producer's transaction.
    fn on_marker(&mut self, batch: &Batch, config: &ConsumerConfig) -> Result<(), String> {
        let header = batch.header();
        self.begin_aborted(header.last_offset());
        let Some((producer, _)) = header.producer() else { return Ok(()) };
        for record in batch.records(config.max_batch_bytes).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            // A marker of a type that came later ends nothing that is known here.
            if let Ok(marker) = EndTransactionMarker::parse(&record)
                && marker.control_type == ControlType::Abort
            {
                self.aborting.remove(&producer.0);
            }
        }
        Ok(())
    }

    fn damaged(&mut self, reason: String) -> Error {
        self.rest = Bytes::new();
        self.batch = None;
        let (topic, partition) = &self.chunk.key;
        Error::Damaged { topic: topic.to_string(), partition: *partition, offset: self.position, reason }
    }
}

#[cfg(test)]
mod tests;
