//! The whole engine on a simulated disk and clock: one thread, every order of jobs decided by a seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::api::*;
use crate::engine::{Engine, EngineConfig, Job, OpenError, Pool, config};
use crate::record::{BatchBuilder, Compression, batches};
use crate::testing::{Rng, SimWorld};
use crate::types::{BrokerId, Isolation, Offset};

/// Runs jobs when the test says so, in an order that the seed decides; at once while the engine opens.
struct SteppedPool {
    jobs: Mutex<Vec<Job>>,
    rng: Mutex<Rng>,
    inline: AtomicBool,
}

impl Pool for SteppedPool {
    fn spawn(&self, job: Job) {
        if self.inline.load(Ordering::Relaxed) {
            job();
        } else {
            self.jobs.lock().push(job);
        }
    }

    fn has_waiting(&self) -> bool {
        !self.jobs.lock().is_empty()
    }
}

impl SteppedPool {
    fn step(&self) -> bool {
        let job = {
            let mut jobs = self.jobs.lock();
            let count = jobs.len() as u64;
            (count > 0).then(|| jobs.swap_remove(self.rng.lock().below(count) as usize))
        };
        job.map(|job| job()).is_some()
    }
}

/// One engine in a world, and the means to drive it.
pub(super) struct Life {
    pub(super) engine: Arc<Engine>,
    pool: Arc<SteppedPool>,
    world: SimWorld,
}

impl Life {
    pub(super) fn open(world: &SimWorld, seed: u64) -> Result<Self, OpenError> {
        let pool = Arc::new(SteppedPool {
            jobs: Mutex::default(),
            rng: Mutex::new(Rng::new(seed)),
            inline: AtomicBool::new(true),
        });
        let config = EngineConfig {
            data_dir: Path::new("/data").to_owned(),
            broker_id: BrokerId(1),
            settings: config::Overrides::new(),
            holder: "a simulation".into(),
            shown_settings: Vec::new(),
            own_timer: false,
        };
        let engine = Engine::open(config, world.env.clone(), Arc::clone(&pool) as _)?;
        pool.inline.store(false, Ordering::Relaxed);
        Ok(Self { engine, pool, world: world.clone() })
    }

    /// Runs jobs and the clock until the future is ready; None when the power went first.
    pub(super) fn drive<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if self.world.disk.is_off() {
                return None;
            }
            if !self.pool.step() {
                self.world.clock.advance(Duration::from_millis(100));
                self.engine.tick();
            }
        }
    }

    /// Everything a consumer sees of a partition, by offset.
    pub(super) fn visible(&self, topic: &str, partition: i32) -> Option<BTreeMap<Offset, String>> {
        let mut found = BTreeMap::new();
        let name = TopicRef::Name(topic.into());
        let earliest = OffsetSpec::Earliest;
        let start = self.engine.list_offsets(&name, partition, earliest, Isolation::ReadUncommitted, None);
        let mut from = self.drive(start)?.ok()?.offset?;
        loop {
            let fetched = self.drive(self.engine.fetch(fetch(topic, partition, from)))?.remove(0).ok()?;
            let before = from;
            for batch in fetched.records.into_iter().flat_map(batches) {
                for record in batch.unwrap().records(1 << 20).unwrap() {
                    let record = record.unwrap();
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    if record.offset >= from {
                        found.insert(record.offset, value);
                    }
                    from = from.max(record.offset + 1);
                }
            }
            if from == before {
                return Some(found);
            }
        }
    }
}

pub(super) fn fetch(topic: &str, partition: i32, offset: Offset) -> FetchRequest {
    FetchRequest {
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(topic.into()),
            partition,
            fetch_offset: offset,
            max_bytes: 1 << 20,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }],
    }
}

pub(super) fn produce(topic: &str, partition: i32, values: &[String], acks: Acks) -> ProduceRequest {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.append(1, None, Some(value.as_bytes()), &[]).unwrap();
    }
    ProduceRequest {
        acks,
        timeout: Duration::from_secs(30),
        zstd: true,
        partitions: vec![ProducePartition {
            topic: TopicRef::Name(topic.into()),
            partition,
            records: builder.build(),
        }],
    }
}
