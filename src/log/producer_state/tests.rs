use super::*;
use crate::record::{BatchBuilder, BatchHeader, Compression};

/// The header of a batch of `count` records.
fn header(id: i64, epoch: i16, base_sequence: i32, count: usize, base_offset: Offset) -> BatchHeader {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), base_sequence);
    for _ in 0..count {
        builder.append(10, None, None, &[]).unwrap();
    }
    let header = BatchHeader::parse(&builder.build()).unwrap();
    BatchHeader { base_offset, ..header }
}

/// A log of batches that were accepted one after another.
struct Written {
    states: ProducerStates,
    next_offset: Offset,
}

impl Written {
    fn new() -> Self {
        Self { states: ProducerStates::default(), next_offset: 0 }
    }

    /// Ok(None) for a new batch, Ok(Some) with the original base offset for a duplicate.
    fn write(&mut self, epoch: i16, base_sequence: i32, count: usize) -> Result<Option<Offset>, AppendError> {
        let header = header(1, epoch, base_sequence, count, self.next_offset);
        match self.states.check(&header)? {
            Verdict::Duplicate(batch) => Ok(Some(batch.base_offset)),
            Verdict::New => {
                self.states.record(&header, 0);
                self.next_offset = header.next_offset();
                Ok(None)
            }
        }
    }
}

#[test]
fn each_of_the_last_five_batches_is_known_again() {
    let mut log = Written::new();
    for index in 0..7 {
        assert_eq!(log.write(0, index * 2, 2).unwrap(), None);
    }
    for index in 2..7 {
        assert_eq!(log.write(0, index * 2, 2).unwrap(), Some(Offset::from(index) * 2));
    }
    // Older ones are not known any more; they are out of order.
    assert!(matches!(
        log.write(0, 2, 2),
        Err(AppendError::OutOfOrderSequence { expected: 14, found: 2, .. })
    ));
    // A batch that begins like a known one but has another length is no duplicate.
    assert!(matches!(log.write(0, 12, 1), Err(AppendError::OutOfOrderSequence { expected: 14, .. })));
    assert_eq!(log.write(0, 14, 1).unwrap(), None);
}

#[test]
fn a_gap_is_out_of_order() {
    let mut log = Written::new();
    log.write(0, 0, 3).unwrap();
    assert!(matches!(
        log.write(0, 4, 1),
        Err(AppendError::OutOfOrderSequence {
            producer: ProducerId(1),
            epoch: ProducerEpoch(0),
            expected: 3,
            found: 4
        })
    ));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut log = Written::new();
    assert_eq!(log.write(3, 1234, 1).unwrap(), None);
    assert_eq!(log.write(3, 1235, 1).unwrap(), None);
}

#[test]
fn a_newer_epoch_begins_at_zero_and_fences_the_older() {
    let mut log = Written::new();
    log.write(0, 0, 2).unwrap();
    assert!(matches!(log.write(1, 2, 1), Err(AppendError::OutOfOrderSequence { expected: 0, found: 2, .. })));
    assert_eq!(log.write(1, 0, 2).unwrap(), None);
    // The same sequence numbers as in the older epoch, and yet no duplicate of its batch.
    assert_eq!(log.write(1, 0, 2).unwrap(), Some(2));
    assert!(matches!(
        log.write(0, 2, 1),
        Err(AppendError::StaleProducerEpoch { current: ProducerEpoch(1), .. })
    ));
}

#[test]
fn sequence_numbers_wrap_to_zero() {
    let mut log = Written::new();
    log.write(0, i32::MAX - 1, 1).unwrap();
    assert_eq!(log.write(0, i32::MAX, 2).unwrap(), None);
    assert_eq!(log.write(0, i32::MAX, 2).unwrap(), Some(1));
    assert_eq!(log.write(0, 1, 1).unwrap(), None);
    log = Written::new();
    log.write(0, i32::MAX, 1).unwrap();
    assert_eq!(log.write(0, 0, 1).unwrap(), None);
}

#[test]
fn a_batch_without_a_producer_leaves_no_trace() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(10, None, None, &[]).unwrap();
    let header = BatchHeader::parse(&builder.build()).unwrap();
    let mut states = ProducerStates::default();
    assert_eq!(states.check(&header).unwrap(), Verdict::New);
    states.record(&header, 0);
    assert_eq!(states, ProducerStates::default());
    assert!(states.save(&header).is_none());
}

#[test]
fn an_idle_producer_is_forgotten_and_a_clock_set_back_forgets_none() {
    let mut states = ProducerStates::default();
    states.record(&header(1, 0, 0, 1, 0), 1000);
    states.record(&header(2, 0, 0, 1, 1), 1500);
    assert!(!states.expire(1999, 1000));
    assert!(!states.expire(-5_000_000, 1000));
    assert!(states.expire(2000, 1000));
    assert_eq!(states.entries.keys().collect::<Vec<_>>(), [&ProducerId(2)]);
}

#[test]
fn a_saved_state_is_restored_as_it_was() {
    let mut states = ProducerStates::default();
    states.record(&header(1, 0, 0, 1, 0), 5);
    let before = states.clone();
    let saved_known = states.save(&header(1, 0, 1, 1, 1)).unwrap();
    states.record(&header(1, 0, 1, 1, 1), 6);
    let saved_new = states.save(&header(2, 0, 0, 1, 2)).unwrap();
    states.record(&header(2, 0, 0, 1, 2), 7);
    states.restore(saved_new);
    states.restore(saved_known);
    assert_eq!(states, before);
}
