//! Control records: the markers that end transactions.
//!
//! A control batch ([`BatchHeader::is_control`](super::BatchHeader::is_control)) holds one record that the broker wrote:
//!
//! ```text
//! key    version i16 | type i16 (0 abort, 1 commit)
//! value  version i16 | coordinator epoch i32
//! ```
//!
//! It takes an offset like any record, and clients skip it. Higher versions may append fields, so that what follows is
//! ignored. Source: KIP-98.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BatchError, Record};

const VERSION: i16 = 0;

/// How a transaction ended, by its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// Its records are not to be seen by readers of committed data.
    Abort,
    /// Its records count.
    Commit,
}

/// A marker that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndTransactionMarker {
    /// How it ended.
    pub control_type: ControlType,
    /// Epoch of the coordinator that wrote the marker.
    pub coordinator_epoch: i32,
}

// === impl EndTransactionMarker ===

impl EndTransactionMarker {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Bytes {
        let mut key = BytesMut::with_capacity(4);
        key.put_i16(VERSION);
        key.put_i16(match self.control_type {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
        });
        key.freeze()
    }

    /// The record's value.
    #[must_use]
    pub fn value(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(6);
        value.put_i16(VERSION);
        value.put_i32(self.coordinator_epoch);
        value.freeze()
    }

    /// Reads the marker that `record`, of a control batch, holds.
    ///
    /// # Errors
    /// `UnknownControlRecord`, also for other kinds of control records.
    pub fn parse(record: &Record) -> Result<Self, BatchError> {
        let mut key = record.key.as_deref().unwrap_or_default();
        let mut value = record.value.as_deref().unwrap_or_default();
        let unknown = |_| BatchError::UnknownControlRecord;
        let key_version = key.try_get_i16().map_err(unknown)?;
        let control_type = match key.try_get_i16().map_err(unknown)? {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            _ => return Err(BatchError::UnknownControlRecord),
        };
        let value_version = value.try_get_i16().map_err(unknown)?;
        let coordinator_epoch = value.try_get_i32().map_err(unknown)?;
        if key_version < VERSION || value_version < VERSION {
            return Err(BatchError::UnknownControlRecord);
        }
        Ok(Self { control_type, coordinator_epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batch, BatchBuilder, Compression};
    use crate::types::{ProducerEpoch, ProducerId};

    #[test]
    fn a_marker_reads_back_out_of_a_control_batch() {
        for control_type in [ControlType::Abort, ControlType::Commit] {
            let marker = EndTransactionMarker { control_type, coordinator_epoch: 7 };
            let mut builder = BatchBuilder::new(Compression::None).transactional().control();
            builder.set_producer(ProducerId(4), ProducerEpoch(2), -1);
            builder.append(5, Some(&marker.key()), Some(&marker.value()), &[]).unwrap();
            let batch = Batch::parse(builder.build()).unwrap();
            assert!(batch.header().is_control() && batch.header().is_transactional());
            assert_eq!(batch.header().last_sequence(), -1);
            let record = batch.records(0).unwrap().next().unwrap().unwrap();
            assert_eq!(EndTransactionMarker::parse(&record), Ok(marker));
        }
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let marker = EndTransactionMarker { control_type: ControlType::Commit, coordinator_epoch: 7 };
        assert_eq!(&marker.key()[..], [0, 0, 0, 1]);
        assert_eq!(&marker.value()[..], [0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn other_bytes_are_no_marker() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"", b""),
            (&[0, 0, 0], &[0, 0, 0, 0, 0, 7]),
            (&[0, 0, 0, 2], &[0, 0, 0, 0, 0, 7]),
            (&[0, 0, 0, 1], &[0, 0, 0, 0, 0]),
            (&[255, 255, 0, 1], &[0, 0, 0, 0, 0, 7]),
        ];
        for (key, value) in cases {
            let record = Record {
                offset: 0,
                timestamp_ms: 0,
                sequence: -1,
                key: Some(Bytes::copy_from_slice(key)),
                value: Some(Bytes::copy_from_slice(value)),
                headers: Vec::new(),
            };
            assert_eq!(EndTransactionMarker::parse(&record), Err(BatchError::UnknownControlRecord));
        }
    }
}
