use std::sync::Arc;

use tokio::sync::Semaphore;

use super::*;
use crate::record::BatchHeader;
use crate::wire::ErrorCode;

const RULES: BatchRules = BatchRules {
    batch_bytes: 1000,
    linger: Duration::from_millis(5),
    compression: Compression::None,
    max_in_flight: MAX_IN_FLIGHT,
};

/// A queue, and a clock that only moves when told.
struct Bench {
    state: QueueState,
    memory: Arc<Semaphore>,
    now: Instant,
}

impl Bench {
    fn new(numbering: Option<Numbering>) -> Self {
        let state = QueueState { numbering, ..QueueState::default() };
        Self { state, memory: Arc::new(Semaphore::new(1 << 20)), now: Instant::now() }
    }

    fn idempotent() -> Self {
        Self::new(Some(Numbering::new(ProducerId(7), ProducerEpoch(0))))
    }

    /// Appends one record that fills a batch, so that it waits to be sent.
    fn batch(&mut self) -> Delivery {
        self.record(&[b'x'; 1000])
    }

    fn record(&mut self, value: &[u8]) -> Delivery {
        if !self.state.has_room(value.len() + 100, &RULES) {
            let memory = Arc::clone(&self.memory).try_acquire_many_owned(1000).unwrap();
            self.state.open(0, memory, &RULES, self.now);
        }
        let record = ProducerRecord { value: Some(value), ..ProducerRecord::default() };
        self.state.append(&record, 1, &RULES).0
    }

    fn take(&mut self) -> Taken {
        self.state.take(usize::MAX, true, &RULES, self.now)
    }

    fn take_batch(&mut self) -> Batch {
        match self.take() {
            Taken::Batch(batch, _) => batch,
            other => panic!("{other:?}"),
        }
    }

    fn ack(&mut self, batch: &Batch, base_offset: i64) {
        self.state.complete(batch, Ok(Acked { base_offset: Some(base_offset), append_time_ms: None }));
    }
}

fn numbers(batch: &Batch) -> (i64, i32) {
    let header = BatchHeader::parse(&batch.bytes).unwrap();
    assert!(crate::record::crc_matches(&batch.bytes));
    (header.producer_id, header.base_sequence)
}

fn refused() -> Failed {
    Error::broker("x", ErrorCode::INVALID_RECORD, None).into()
}

#[test]
fn a_full_batch_is_to_be_sent_and_a_lingering_one_is_not() {
    let mut bench = Bench::new(None);
    bench.record(b"small");
    assert!(matches!(bench.take(), Taken::Nothing));
    bench.record(&[0; 900]);
    assert_eq!(bench.take_batch().record_count, 1, "the small one had to leave room");
    assert!(matches!(bench.take(), Taken::Nothing));
}

#[test]
fn a_lingering_batch_leaves_when_it_is_hurried() {
    let mut bench = Bench::new(None);
    bench.record(b"one");
    bench.record(b"two");
    assert!(!bench.state.hurry(Some(99)), "another batch was meant");
    assert!(bench.state.hurry(Some(0)));
    assert!(!bench.state.hurry(Some(0)), "the sender knows");
    assert_eq!(bench.take_batch().record_count, 2);
}

#[test]
fn memory_returns_with_the_batch() {
    let mut bench = Bench::new(None);
    bench.batch();
    assert_eq!(bench.memory.available_permits(), (1 << 20) - 1000);
    let batch = bench.take_batch();
    bench.ack(&batch, 0);
    drop(batch);
    assert_eq!(bench.memory.available_permits(), 1 << 20);
}

#[test]
fn batches_are_numbered_in_their_order() {
    let mut bench = Bench::idempotent();
    for _ in 0..3 {
        bench.record(&[0; 300]);
        bench.record(&[0; 300]);
        bench.state.seal();
    }
    let taken: Vec<_> = (0..3).map(|_| numbers(&bench.take_batch())).collect();
    assert_eq!(taken, [(7, 0), (7, 2), (7, 4)]);
}

#[test]
fn at_most_five_batches_are_in_flight() {
    let mut bench = Bench::new(None);
    for _ in 0..7 {
        bench.batch();
    }
    let first = bench.take_batch();
    for _ in 1..MAX_IN_FLIGHT {
        bench.take_batch();
    }
    assert!(matches!(bench.take(), Taken::Nothing));
    bench.ack(&first, 0);
    bench.take_batch();
}

#[test]
fn what_comes_back_is_sent_again_in_the_old_order_with_the_old_numbers() {
    let mut bench = Bench::idempotent();
    for _ in 0..4 {
        bench.batch();
    }
    let [first, second, third] = [(); 3].map(|()| bench.take_batch());
    // The first reaches a broker that is no longer the leader; the others then miss it.
    bench.state.put_back(first, bench.now);
    assert!(matches!(bench.take(), Taken::Nothing), "two are still in flight");
    bench.state.put_back(third, bench.now);
    assert!(matches!(bench.take(), Taken::Nothing), "one is still in flight");
    bench.state.put_back(second, bench.now);
    let taken: Vec<_> = (0..4).map(|_| numbers(&bench.take_batch()).1).collect();
    assert_eq!(taken, [0, 1, 2, 3]);
}

#[test]
fn a_batch_that_came_back_rests_first() {
    let mut bench = Bench::new(None);
    bench.batch();
    let batch = bench.take_batch();
    let later = bench.now + Duration::from_millis(50);
    assert!(bench.state.put_back(batch, later));
    assert!(matches!(bench.take(), Taken::Later(at) if at == later));
    bench.now = later;
    bench.take_batch();
}

#[test]
fn only_the_oldest_batch_is_blamed_for_its_number() {
    let mut bench = Bench::idempotent();
    bench.batch();
    bench.batch();
    let (first, second) = (bench.take_batch(), bench.take_batch());
    assert!(bench.state.is_oldest(&first));
    assert!(!bench.state.is_oldest(&second));
    bench.state.put_back(first, bench.now);
    assert!(!bench.state.is_oldest(&second), "the first waits to be sent again");
}

#[test]
fn what_follows_a_batch_that_was_given_up_is_numbered_anew() {
    let mut bench = Bench::idempotent();
    let deliveries = [(); 3].map(|()| bench.batch());
    let (first, second) = (bench.take_batch(), bench.take_batch());
    bench.state.complete(&first, Err(refused()));
    assert!(matches!(bench.take(), Taken::Nothing), "the second is still in flight");
    bench.state.put_back(second, bench.now);
    assert!(matches!(bench.take(), Taken::Renumber));
    bench.state.renumber(Numbering::new(ProducerId(8), ProducerEpoch(0)));
    let (second, third) = (bench.take_batch(), bench.take_batch());
    assert_eq!((numbers(&second), numbers(&third)), ((8, 0), (8, 1)));
    bench.ack(&second, 10);
    bench.ack(&third, 11);
    let offsets = deliveries.map(|delivery| delivery.result().unwrap().ok().and_then(|at| at.offset));
    assert_eq!(offsets, [None, Some(10), Some(11)]);
    bench.batch();
    assert_eq!(numbers(&bench.take_batch()), (8, 2), "the new row goes on");
}

#[test]
fn what_waited_too_long_is_given_up_and_counted() {
    let mut bench = Bench::new(None);
    let old = bench.batch();
    bench.now += Duration::from_secs(10);
    let young = bench.record(b"young");
    let expired = bench.state.expire(bench.now - Duration::from_secs(5), || Error::Closed);
    assert_eq!(expired, [1]);
    assert!(matches!(old.result(), Some(Err(Error::Closed))));
    assert!(young.result().is_none());
    assert_eq!(bench.state.unsettled().len(), 1);
}

#[test]
fn a_request_without_room_takes_the_batch_later() {
    let mut bench = Bench::new(None);
    bench.batch();
    assert!(matches!(bench.state.take(10, false, &RULES, bench.now), Taken::NoRoom));
    assert!(matches!(bench.state.take(10, true, &RULES, bench.now), Taken::Batch(..)));
}

#[test]
fn numbers_begin_at_zero_again_after_the_last() {
    let mut numbering = Numbering::new(ProducerId(1), ProducerEpoch(0));
    numbering.next_sequence = i32::MAX - 1;
    assert_eq!(numbering.take(2), i32::MAX - 1);
    assert_eq!(numbering.take(5), 0);
    assert_eq!(numbering.take(1), 5);
}
