//! The whole engine on a simulated disk and clock: one thread, every order of jobs decided by a seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::api::*;
use crate::engine::{Engine, EngineConfig, OpenError, config};
use crate::record::{BatchBuilder, Compression, batches};
use crate::testing::{SimWorld, SteppedPool};
use crate::types::{BrokerId, Isolation, Offset};

/// One engine in a world, and the means to drive it.
pub(in crate::engine) struct Life {
    pub(in crate::engine) engine: Arc<Engine>,
    pub(in crate::engine) pool: Arc<SteppedPool>,
    pub(super) world: SimWorld,
}

impl Life {
    pub(in crate::engine) fn open(world: &SimWorld, seed: u64) -> Result<Self, OpenError> {
        Self::open_at(world, seed, Path::new("/data"))
    }

    pub(super) fn open_at(world: &SimWorld, seed: u64, data_dir: &Path) -> Result<Self, OpenError> {
        Self::start(world, seed, data_dir, config::Overrides::new())
    }

    pub(in crate::engine) fn open_with(
        world: &SimWorld,
        seed: u64,
        settings: config::Overrides,
    ) -> Result<Self, OpenError> {
        Self::start(world, seed, Path::new("/data"), settings)
    }

    fn start(
        world: &SimWorld,
        seed: u64,
        data_dir: &Path,
        settings: config::Overrides,
    ) -> Result<Self, OpenError> {
        let pool = Arc::new(SteppedPool::new(seed));
        let config = EngineConfig {
            data_dir: data_dir.to_owned(),
            broker_id: BrokerId(1),
            settings,
            holder: "a simulation".into(),
            shown_settings: Vec::new(),
            own_timer: false,
        };
        let engine = Engine::open(config, world.env.clone(), Arc::clone(&pool) as _)?;
        pool.queue_from_now_on();
        Ok(Self { engine, pool, world: world.clone() })
    }

    /// Runs jobs and the clock until the future is ready; None when the power went first.
    pub(in crate::engine) fn drive<T>(&self, future: impl Future<Output = T>) -> Option<T> {
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

    /// The logs that take no more writes since a sync of theirs failed.
    pub(super) fn fenced(&self) -> Vec<String> {
        let image = self.engine.image();
        let partitions = image.topics().flat_map(|topic| &topic.partitions);
        let fenced = partitions.filter(|partition| partition.log().is_fenced());
        let catalog = self.engine.core.catalog.lock().is_fenced().then(|| "the catalog".to_owned());
        fenced.map(|partition| partition.id().to_string()).chain(catalog).collect()
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

/// A batch of records with these values, written now.
pub(super) fn records(life: &Life, values: &[String]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let now_ms = life.world.env.clock.now_ms();
    for value in values {
        builder.append(now_ms, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}

pub(super) fn produce(
    life: &Life,
    topic: &str,
    partition: i32,
    values: &[String],
    acks: Acks,
) -> ProduceRequest {
    let records = records(life, values);
    ProduceRequest {
        acks,
        timeout: Duration::from_secs(30),
        zstd: true,
        partitions: vec![ProducePartition { topic: TopicRef::Name(topic.into()), partition, records }],
    }
}
