//! What a life is made of: requests begun at any time, jobs run in any order, answers noted as they come.

mod answers;
mod requests;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::oracle::{LogModel, Oracle, Topic};
use crate::engine::Error;
use crate::engine::api::*;
use crate::engine::tests::simulation::{Life, produce};
use crate::testing::Rng;
use crate::types::Offset;

/// Requests on their way at a time.
const IN_FLIGHT_MAX: usize = 10;
/// What passes between the disk's failure and the end of the process.
const STEPS_AFTER_FATAL: u64 = 30;

/// A topic as it was when a request was begun: its name and generation.
type Named = (String, u64);

/// An answered request.
enum Done {
    Created(Named, Result<TopicInfo, Error>),
    Deleted(Named, Result<(), Error>),
    Grown(Named, i32, Result<(), Error>),
    Altered(Named, String, Result<(), Error>),
    Trimmed(Named, i32, Result<Offset, Error>),
    Produced(Vec<(Named, i32, Vec<String>)>, Acks, Vec<ProduceOutcome>),
    /// With the batch's index.
    Sequenced(Named, i32, usize, Vec<ProduceOutcome>),
    /// With the offset asked for.
    Fetched(Named, i32, Offset, Vec<FetchOutcome>),
    Identified(Named, i32, Result<ProducerIdentity, Error>),
}

/// What befalls the disk or the pool for a part of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// Between two steps the disk has only so many bytes left.
    FullDisk {
        from: u64,
        to: u64,
        free: u64,
    },
    /// Between two steps a job that was begun is not done, as when its disk hangs. Others go on.
    HangingJob {
        from: u64,
        to: u64,
    },
}

type Flight = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One life of an engine.
pub(super) struct Workload<'a> {
    life: &'a Life,
    oracle: &'a mut Oracle,
    rng: &'a mut Rng,
    flights: Vec<Flight>,
}

// === impl Trouble ===

impl Trouble {
    /// For a life of so many steps.
    pub(super) fn choose(steps: u64, rng: &mut Rng) -> Self {
        let from = rng.below(steps);
        let to = from + rng.below(steps);
        match rng.below(6) {
            0 | 1 => Self::FullDisk { from, to, free: rng.below(200_000) },
            2 => Self::HangingJob { from, to },
            _ => Self::None,
        }
    }
}

// === impl Workload ===

impl<'a> Workload<'a> {
    pub(super) fn new(life: &'a Life, oracle: &'a mut Oracle, rng: &'a mut Rng) -> Self {
        Self { life, oracle, rng, flights: Vec::new() }
    }

    /// Lives until the power goes, the disk fails for good or the script ends.
    pub(super) fn live(&mut self, steps: u64, trouble: Trouble) {
        let mut left = steps;
        let mut doomed = false;
        let mut hanging = Vec::new();
        while left > 0 && !self.life.world.disk.is_off() {
            let step = steps - left;
            left -= 1;
            match trouble {
                Trouble::FullDisk { from, free, .. } if from == step => self.life.world.disk.fill_up(free),
                Trouble::FullDisk { to, .. } if to == step => self.life.world.disk.set_capacity(None),
                Trouble::HangingJob { from, .. } if from == step => hanging = self.life.pool.take(),
                Trouble::HangingJob { to, .. } if to == step => self.life.pool.put_back(&mut hanging),
                _ => {}
            }
            if !doomed && self.life.engine.fatal().borrow().is_some() {
                doomed = true;
                left = left.min(STEPS_AFTER_FATAL);
            }
            match self.rng.below(10) {
                0..4 if self.flights.len() < IN_FLIGHT_MAX => self.begin(),
                9 => {
                    self.life.world.clock.advance(Duration::from_millis(self.rng.below(1500)));
                    self.life.engine.tick();
                }
                _ => {
                    self.life.pool.step();
                }
            }
            self.poll();
        }
        self.life.world.disk.set_capacity(None);
        self.life.pool.put_back(&mut hanging);
    }

    /// Every partition that nothing is wrong with takes a record and commits it.
    pub(super) fn takes_records_everywhere(&mut self) {
        let there: Vec<(Named, i32)> = self
            .oracle
            .topics
            .iter()
            .filter(|(_, topic)| topic.created && !topic.deleting && !topic.busy)
            .flat_map(|(name, topic)| {
                (0..topic.partitions).map(|partition| ((name.clone(), topic.generation), partition))
            })
            .collect();
        for (named, partition) in there {
            let values = vec![format!("{}-at-rest", self.serial())];
            self.log(&named, partition).expect("just listed").sent.extend(values.iter().cloned());
            let request = produce(self.life, &named.0, partition, &values, Acks::All);
            let Some(outcomes) = self.life.drive(self.life.engine.produce(request)) else { return };
            match &outcomes[0] {
                _ if self.life.world.disk.is_off() => return,
                Ok(produced) => self.certain(&named, partition, produced.base_offset, &values),
                Err(refused) => panic!("{}-{partition} takes no records: {}", named.0, refused.error),
            }
        }
    }

    /// Runs until every request is answered and nothing is left to do.
    pub(super) fn come_to_rest(&mut self) {
        // The longest wait of any request is well below this.
        for _ in 0..10_000 {
            if self.life.world.disk.is_off() {
                return;
            }
            self.poll();
            if !self.life.pool.step() {
                if self.flights.is_empty() {
                    break;
                }
                self.life.world.clock.advance(Duration::from_millis(500));
                self.life.engine.tick();
            }
        }
        assert!(self.flights.is_empty(), "{} requests are never answered", self.flights.len());
        assert_eq!(self.life.engine.waiting_requests(), 0, "what is answered waits for nothing");
        let fenced = self.life.fenced();
        let told = self.life.engine.fatal().borrow().is_some();
        assert!(told || fenced.is_empty(), "a sync of {fenced:?} failed, and nobody was told");
    }

    /// The orderly stop, amid whatever is under way.
    pub(super) fn stop_in_order(&mut self) {
        let stopped = self.life.engine.shutdown_clean();
        assert!(self.life.world.disk.is_off() || stopped.is_ok(), "{stopped:?}");
    }

    /// Lets some of the jobs that are left run, as they may while a process ends, and takes the last answers.
    pub(super) fn die(&mut self) {
        for _ in 0..self.rng.below(40) {
            self.life.pool.step();
            self.poll();
        }
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut index = 0;
        while index < self.flights.len() {
            match self.flights[index].as_mut().poll(&mut context) {
                Poll::Ready(done) => {
                    drop(self.flights.swap_remove(index));
                    self.note(done);
                }
                Poll::Pending => index += 1,
            }
        }
    }

    /// The topic that a request was about, unless another one has its name by now.
    fn topic(&mut self, (name, generation): &Named) -> Option<&mut Topic> {
        self.oracle.topics.get_mut(name).filter(|topic| topic.generation == *generation)
    }

    fn log(&mut self, named: &Named, partition: i32) -> Option<&mut LogModel> {
        Some(self.topic(named)?.logs.entry(partition).or_default())
    }

    fn serial(&mut self) -> u64 {
        self.oracle.serial += 1;
        self.oracle.serial
    }
}
