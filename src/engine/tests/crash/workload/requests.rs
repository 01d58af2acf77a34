//! The requests of a life, chosen by its seed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::oracle::{SETTING, Sequenced, Topic};
use super::{Done, Named, Workload};
use crate::engine::api::*;
use crate::engine::tests::simulation::{Life, fetch, records};
use crate::record::{BatchBuilder, Compression};
use crate::types::Offset;

const NAMES: u64 = 4;
/// Idempotent batches on their way at a time, as clients limit themselves.
const PIPELINE_MAX: usize = 3;

// === impl Workload ===

impl Workload<'_> {
    /// Begins a request of some kind.
    pub(super) fn begin(&mut self) {
        let Some(named) = self.some_topic() else { return self.create() };
        let partition = self.some_partition(&named);
        let topic = self.topic(&named).expect("just chosen");
        let busy = topic.busy || topic.deleting;
        match self.rng.below(40) {
            0 | 1 => self.create(),
            2 if !busy => self.delete(named),
            3 if !busy => self.grow(named),
            4 if !busy => self.alter(named),
            5 if !busy => self.trim(named, partition),
            6..12 => self.fetch(named, partition),
            12..24 => self.produce_sequenced(named, partition),
            _ => self.produce(named, partition),
        }
    }

    fn fly(&mut self, future: impl Future<Output = Done> + Send + 'static) {
        self.flights.push(Box::pin(future));
    }

    fn some_topic(&mut self) -> Option<Named> {
        let there: Vec<Named> = self
            .oracle
            .topics
            .iter()
            .filter(|(_, topic)| topic.created && !topic.deleted)
            .map(|(name, topic)| (name.clone(), topic.generation))
            .collect();
        let count = there.len() as u64;
        (count > 0).then(|| there[self.rng.below(count) as usize].clone())
    }

    fn some_partition(&mut self, named: &Named) -> i32 {
        let count = self.topic(named).expect("chosen just now").partitions;
        self.rng.below(count.unsigned_abs().into()) as i32
    }

    fn values(&mut self) -> Vec<String> {
        let count = 1 + self.rng.below(5);
        (0..count)
            .map(|_| format!("{}-{}", self.serial(), "x".repeat(self.rng.below(2500) as usize)))
            .collect()
    }

    fn create(&mut self) {
        let name = format!("topic-{}", self.rng.below(NAMES));
        if self.oracle.topics.get(&name).is_some_and(|topic| !topic.deleted) {
            return;
        }
        let generation = self.serial();
        let partitions = 1 + self.rng.below(3) as i32;
        let cached = self.rng.one_in(5);
        let mut configs = vec![(SETTING.to_owned(), Some("2000000".to_owned()))];
        if cached {
            configs.push(("write.caching".into(), Some("true".into())));
        }
        if self.rng.one_in(2) {
            // Many small segments.
            configs.push(("segment.index.bytes".into(), Some("30".into())));
            configs.push(("index.interval.bytes".into(), Some("0".into())));
        }
        let topic = Topic {
            generation,
            cached,
            partitions,
            partitions_asked: partitions,
            settings: vec!["2000000".into()],
            ..Topic::default()
        };
        self.oracle.topics.insert(name.clone(), topic);
        let new = NewTopic {
            name: Arc::from(name.as_str()),
            partitions: Some(partitions),
            configs,
            ..NewTopic::default()
        };
        let done = self.life.engine.create_topics(vec![new], false);
        self.fly(async move { Done::Created((name, generation), done.await.remove(0)) });
    }

    fn delete(&mut self, named: Named) {
        let topic = self.topic(&named).expect("just chosen");
        topic.deleting = true;
        // From here on its records may be gone.
        topic.logs.values_mut().for_each(|log| log.certain.clear());
        let done = self.life.engine.delete_topics(vec![TopicRef::Name(named.0.as_str().into())]);
        self.fly(async move { Done::Deleted(named, done.await.remove(0)) });
    }

    fn grow(&mut self, named: Named) {
        let topic = self.topic(&named).expect("just chosen");
        let count = topic.partitions + 1;
        (topic.busy, topic.partitions_asked) = (true, count);
        let done = self.life.engine.create_partitions(named.0.as_str().into(), count, None, false);
        self.fly(async move { Done::Grown(named, count, done.await) });
    }

    fn alter(&mut self, named: Named) {
        let value = (1_000_000 + self.serial()).to_string();
        let topic = self.topic(&named).expect("just chosen");
        topic.busy = true;
        topic.settings.push(value.clone());
        let resource = ConfigResource::Topic(named.0.as_str().into());
        let change = ConfigChange::Incremental(vec![(SETTING.into(), ConfigOp::Set(Some(value.clone())))]);
        let done = self.life.engine.alter_configs(resource, change, false);
        self.fly(async move { Done::Altered(named, value, done.await) });
    }

    /// Deletes up to some record that is known, or all that is committed.
    fn trim(&mut self, named: Named, partition: i32) {
        let chosen = self.rng.next_u64();
        let topic = self.topic(&named).expect("just chosen");
        let cached = topic.cached;
        let log = topic.logs.entry(partition).or_default();
        let known: Vec<Offset> = log.certain.keys().copied().collect();
        let before = match known.len() as u64 {
            0 if !cached => return,
            0 => None,
            _ if chosen.is_multiple_of(4) => None,
            count => Some(known[(chosen % count) as usize]),
        };
        // All may go that was ever there.
        log.start_asked = before.unwrap_or(Offset::MAX);
        topic.busy = true;
        let name = TopicRef::Name(named.0.as_str().into());
        let done = self.life.engine.delete_records(&name, partition, before);
        self.fly(async move { Done::Trimmed(named, partition, done.await) });
    }

    /// A read, which may wait.
    fn fetch(&mut self, named: Named, partition: i32) {
        let log = self.log(&named, partition).expect("just chosen");
        let start = log.start;
        let end = log.certain.keys().next_back().map_or(start, |last| last + 1);
        let from = if self.rng.one_in(2) { end } else { start };
        let max_wait = Duration::from_millis(self.rng.below(3) * 4000);
        let request = FetchRequest { max_wait, ..fetch(&named.0, partition, from) };
        let done = self.life.engine.fetch(request);
        self.fly(async move { Done::Fetched(named, partition, from, done.await) });
    }

    /// One batch for one partition, or for several at once.
    fn produce(&mut self, named: Named, partition: i32) {
        let mut parts = vec![(named, partition)];
        while self.rng.one_in(3) {
            let Some(other) = self.some_topic() else { break };
            let partition = self.some_partition(&other);
            parts.push((other, partition));
        }
        let acks = match self.rng.below(6) {
            0 => Acks::None,
            1 | 2 => Acks::Leader,
            _ => Acks::All,
        };
        let mut sent = Vec::new();
        let mut partitions = Vec::new();
        for (named, partition) in parts {
            let values = self.values();
            let topic = TopicRef::Name(named.0.as_str().into());
            partitions.push(ProducePartition { topic, partition, records: records(self.life, &values) });
            let log = self.log(&named, partition).expect("just chosen");
            log.sent.extend(values.iter().cloned());
            sent.push((named, partition, values));
        }
        let timeout = Duration::from_millis(500 + self.rng.below(30_000));
        let done = self.life.engine.produce(ProduceRequest { acks, timeout, zstd: true, partitions });
        self.fly(async move { Done::Produced(sent, acks, done.await) });
    }

    /// The next batch of the partition's idempotent producer, or one that it has to send again.
    fn produce_sequenced(&mut self, named: Named, partition: i32) {
        if self.topic(&named).expect("just chosen").cached {
            // It may lose what was acknowledged, and then no producer could go on.
            return;
        }
        let values = self.values();
        let again = self.rng.one_in(6);
        let again_after_trouble = self.rng.below(10).saturating_sub(5) as usize;
        let log = self.log(&named, partition).expect("just chosen");
        let Some(producer) = &mut log.producer else {
            let done = self.life.engine.init_producer_id();
            return self.fly(async move { Done::Identified(named, partition, done.await) });
        };
        if producer.in_flight == 0 {
            if producer.broken {
                let first = producer.batches.iter().position(|batch| batch.offset.is_none());
                let next = first.unwrap_or(producer.batches.len());
                // Some of the answers may have been lost on their way, of as many as a broker remembers.
                producer.next = next.saturating_sub(again_after_trouble);
                producer.broken = false;
            } else if again && producer.next > 0 {
                // As a client whose answer was lost.
                producer.next -= 1;
            }
        }
        if producer.broken || producer.in_flight >= PIPELINE_MAX {
            return;
        }
        let index = producer.next;
        if index == producer.batches.len() {
            let last = producer.batches.last();
            let base_sequence = last.map_or(0, |last| last.base_sequence + last.values.len() as i32);
            producer.batches.push(Sequenced { base_sequence, values, offset: None });
        }
        let (identity, batch) = (producer.identity, producer.batches[index].clone());
        producer.next += 1;
        producer.in_flight += 1;
        log.sent.extend(batch.values.iter().cloned());
        let records = sequenced(self.life, identity, &batch);
        let topic = TopicRef::Name(named.0.as_str().into());
        let done = self.life.engine.produce(ProduceRequest {
            acks: Acks::All,
            timeout: Duration::from_secs(30),
            zstd: true,
            partitions: vec![ProducePartition { topic, partition, records }],
        });
        self.fly(async move { Done::Sequenced(named, partition, index, done.await) });
    }
}

fn sequenced(life: &Life, identity: ProducerIdentity, batch: &Sequenced) -> Bytes {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(identity.id, identity.epoch, batch.base_sequence);
    let now_ms = life.world.env.clock.now_ms();
    for value in &batch.values {
        builder.append(now_ms, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build()
}
