//! Producer snapshots: the producer state up to an offset, so that opening a log need not read all of it.
//!
//! A snapshot file `<offset>.snapshot` is written when a segment is sealed, from time to time by a checkpoint,
//! and at an orderly stop; only for offsets that are synced. The two newest are kept: should one be unreadable,
//! the older one and the batches since do; should both be, all batches.

use super::frame::{self, Fields, FrameError};
use super::producer_state::{BATCHES_REMEMBERED, ProducerState, ProducerStates, WrittenBatch};
use crate::types::{NO_SEQUENCE, Offset, ProducerEpoch, ProducerId};

const MAGIC: [u8; 4] = *b"MLps";
const VERSION: u16 = 1;
/// How many snapshots are kept.
pub(super) const SNAPSHOTS_KEPT: usize = 2;
/// Largest file read: half a million producers.
pub(super) const FILE_BYTES_MAX: u64 = 128 << 20;

/// The content of the snapshot file of `offset`.
pub(super) fn encode(states: &ProducerStates, offset: Offset) -> Vec<u8> {
    let mut payload = Vec::with_capacity(12 + states.entries.len() * 200);
    payload.extend_from_slice(&offset.to_be_bytes());
    let count = u32::try_from(states.entries.len()).expect("fewer producers than fit in memory");
    payload.extend_from_slice(&count.to_be_bytes());
    // In order of their ids, so that equal states are equal files.
    let mut producers: Vec<_> = states.entries.iter().collect();
    producers.sort_unstable_by_key(|(id, _)| **id);
    for (id, state) in producers {
        payload.extend_from_slice(&id.0.to_be_bytes());
        payload.extend_from_slice(&state.epoch.0.to_be_bytes());
        payload.extend_from_slice(&state.updated_ms.to_be_bytes());
        payload.push(u8::try_from(state.batches.len()).expect("five batches at most"));
        for batch in &state.batches {
            payload.extend_from_slice(&batch.base_sequence.to_be_bytes());
            payload.extend_from_slice(&batch.last_sequence.to_be_bytes());
            payload.extend_from_slice(&batch.base_offset.to_be_bytes());
            payload.extend_from_slice(&batch.last_offset.to_be_bytes());
            payload.extend_from_slice(&batch.timestamp_ms.to_be_bytes());
        }
    }
    frame::encode(MAGIC, VERSION, &payload)
}

/// The state in the snapshot file of `offset`.
pub(super) fn decode(bytes: &[u8], offset: Offset) -> Result<ProducerStates, FrameError> {
    let mut fields = frame::decode(MAGIC, VERSION, bytes)?;
    if fields.offset()? != offset {
        return Err(FrameError::Payload);
    }
    let count = fields.u32()?;
    let mut states = ProducerStates::default();
    for _ in 0..count {
        let id = ProducerId(fields.i64()?);
        let epoch = ProducerEpoch(fields.i16()?);
        let updated_ms = fields.i64()?;
        let batch_count = usize::from(fields.u8()?);
        if batch_count > BATCHES_REMEMBERED {
            return Err(FrameError::Payload);
        }
        let mut batches = Vec::with_capacity(BATCHES_REMEMBERED);
        for _ in 0..batch_count {
            batches.push(decode_batch(&mut fields, offset)?);
        }
        if states.entries.insert(id, ProducerState { epoch, updated_ms, batches }).is_some() {
            return Err(FrameError::Payload);
        }
    }
    fields.finish()?;
    Ok(states)
}

fn decode_batch(fields: &mut Fields<'_>, offset: Offset) -> Result<WrittenBatch, FrameError> {
    let batch = WrittenBatch {
        base_sequence: fields.i32()?,
        last_sequence: fields.i32()?,
        base_offset: fields.offset()?,
        last_offset: fields.offset()?,
        timestamp_ms: fields.i64()?,
    };
    let sane = batch.base_sequence > NO_SEQUENCE
        && batch.last_sequence > NO_SEQUENCE
        && batch.base_offset <= batch.last_offset
        && batch.last_offset < offset;
    if sane { Ok(batch) } else { Err(FrameError::Payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> ProducerStates {
        let batch = |base: i32| WrittenBatch {
            base_sequence: base,
            last_sequence: base + 2,
            base_offset: Offset::from(base) + 10,
            last_offset: Offset::from(base) + 12,
            timestamp_ms: 99,
        };
        let mut states = ProducerStates::default();
        for id in [7, 3] {
            let batches = (0..id as i32 % 5).map(|index| batch(index * 3)).collect();
            let state = ProducerState { epoch: ProducerEpoch(2), updated_ms: 5, batches };
            states.entries.insert(ProducerId(id), state);
        }
        states
    }

    #[test]
    fn a_snapshot_reads_back_for_its_own_offset_only() {
        let bytes = encode(&states(), 100);
        assert_eq!(decode(&bytes, 100), Ok(states()));
        assert_eq!(decode(&bytes, 101), Err(FrameError::Payload));
    }

    #[test]
    fn a_batch_at_or_above_the_snapshots_offset_is_refused() {
        assert_eq!(decode(&encode(&states(), 18), 18), Err(FrameError::Payload));
        assert!(decode(&encode(&states(), 19), 19).is_ok());
    }
}
