//! What the outside knows: what was asked, what was answered, what was seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::api::*;
use crate::engine::tests::simulation::Life;
use crate::types::{Isolation, LeaderEpoch, Offset, ProducerId};

/// The setting that the workload changes.
pub(super) const SETTING: &str = "max.message.bytes";

/// Everything known of the outside world.
#[derive(Default)]
pub(super) struct Oracle {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) producer_ids: BTreeSet<ProducerId>,
    pub(super) serial: u64,
    epoch: Option<LeaderEpoch>,
}

/// A topic that was asked for.
#[derive(Default)]
pub(super) struct Topic {
    /// Which of the topics of this name it is.
    pub(super) generation: u64,
    /// Acknowledged, or seen.
    pub(super) created: bool,
    pub(super) deleting: bool,
    pub(super) deleted: bool,
    /// On `write.caching`: its newest records may be lost, although they were acknowledged.
    pub(super) cached: bool,
    pub(super) partitions: i32,
    /// More than `partitions` while that was asked for and not answered.
    pub(super) partitions_asked: i32,
    /// The value of [`SETTING`]: the acknowledged one, then those asked for since.
    pub(super) settings: Vec<String>,
    /// Whether a change of it is under way.
    pub(super) busy: bool,
    pub(super) logs: BTreeMap<i32, LogModel>,
}

/// A partition's log.
#[derive(Default)]
pub(super) struct LogModel {
    /// Records that must be there.
    pub(super) certain: BTreeMap<Offset, String>,
    /// Everything ever sent.
    pub(super) sent: BTreeSet<String>,
    /// The log start that was answered, and the furthest that was asked for.
    pub(super) start: Offset,
    pub(super) start_asked: Offset,
    pub(super) producer: Option<Producer>,
}

/// An idempotent producer with one partition.
pub(super) struct Producer {
    pub(super) identity: ProducerIdentity,
    pub(super) batches: Vec<Sequenced>,
    /// The next batch to send, which may be one sent before.
    pub(super) next: usize,
    pub(super) in_flight: usize,
    /// A batch failed: once nothing is in flight, all is sent again from the first that is not acknowledged.
    pub(super) broken: bool,
}

/// A batch of an idempotent producer.
#[derive(Clone)]
pub(super) struct Sequenced {
    pub(super) base_sequence: i32,
    pub(super) values: Vec<String>,
    /// Where it is, once acknowledged.
    pub(super) offset: Option<Offset>,
}

// === impl Oracle ===

impl Oracle {
    /// An engine was opened.
    pub(super) fn note_start(&mut self, life: &Life) {
        let now = life.engine.image().leader_epoch;
        assert!(self.epoch.is_none_or(|before| now > before), "the leader epoch has to grow");
        self.epoch = Some(now);
    }

    /// After an end: what was asked and not answered is now there or not, whole, and stays so.
    pub(super) fn settle(&mut self, life: &Life) {
        let image = life.engine.image();
        let known: BTreeSet<&str> = image.topics().map(|topic| &*topic.name).collect();
        for name in &known {
            assert!(self.topics.contains_key(*name), "nobody asked for the topic {name}");
        }
        self.topics.retain(|name, topic| {
            let there = known.contains(name.as_str());
            assert!(there || !topic.created || topic.deleting, "the topic {name} is gone");
            assert!(!there || !topic.deleted, "the topic {name} was deleted and is back");
            there
        });
        for (name, topic) in &mut self.topics {
            let count = image.topic_by_name(name).expect("just looked at").partition_count();
            topic.settle(name, count, setting(life, name));
        }
    }

    /// Compares all that can be read with what must be there, and remembers it.
    pub(super) fn check(&mut self, life: &Life) {
        for (name, topic) in &mut self.topics {
            for partition in 0..topic.partitions {
                let at = format!("{name}-{partition}");
                let found = life.visible(name, partition).unwrap_or_else(|| panic!("{at} cannot be read"));
                let log = topic.logs.entry(partition).or_default();
                log.check(&at, ends(life, name, partition), found, topic.cached);
            }
        }
    }

    /// Once all jobs have run: no file with records is left of a topic that is not there. Of a creation that was never
    /// answered empty ones may be.
    pub(super) fn check_no_leftovers(&self, life: &Life) {
        let image = life.engine.image();
        let ids: BTreeSet<String> = image.topics().map(|topic| topic.id.to_string()).collect();
        for path in life.world.disk.files() {
            let Ok(below) = path.strip_prefix("/data/topics") else { continue };
            let id = below.iter().next().unwrap().to_string_lossy().into_owned();
            let is_segment = path.extension().is_some_and(|extension| extension == "log");
            let holds_records = is_segment && !life.world.disk.content(&path).is_empty();
            assert!(!holds_records || ids.contains(&id), "{} is of no topic", path.display());
        }
    }
}

/// Log start and high watermark.
fn ends(life: &Life, topic: &str, partition: i32) -> (Offset, Offset) {
    let name = TopicRef::Name(topic.into());
    let end = |spec| {
        let listed = life.engine.list_offsets(&name, partition, spec, Isolation::ReadUncommitted, None);
        life.drive(listed).unwrap().unwrap().offset.unwrap()
    };
    (end(OffsetSpec::Earliest), end(OffsetSpec::Latest))
}

fn setting(life: &Life, topic: &str) -> String {
    let entries = life.engine.describe_configs(&ConfigResource::Topic(topic.into())).unwrap();
    entries.into_iter().find(|entry| entry.name == SETTING).unwrap().value.unwrap()
}

// === impl Topic ===

impl Topic {
    /// It is there after a start, with so many partitions and this value of the setting. Nothing is under way.
    fn settle(&mut self, name: &str, count: i32, value: String) {
        (self.created, self.deleting, self.busy) = (true, false, false);
        assert!(
            count == self.partitions || count == self.partitions_asked,
            "{name} has {count} partitions, not {} or {}",
            self.partitions,
            self.partitions_asked
        );
        (self.partitions, self.partitions_asked) = (count, count);
        assert!(self.settings.contains(&value), "{SETTING} of {name} is {value}, not of {:?}", self.settings);
        self.settings = vec![value];
        for log in self.logs.values_mut() {
            if let Some(producer) = &mut log.producer {
                (producer.in_flight, producer.broken) = (0, true);
            }
        }
    }
}

// === impl LogModel ===

impl LogModel {
    fn check(
        &mut self,
        at: &str,
        (start, end): (Offset, Offset),
        found: BTreeMap<Offset, String>,
        cached: bool,
    ) {
        assert!(start >= self.start, "the log start of {at} went back from {} to {start}", self.start);
        assert!(
            start <= self.start_asked.max(self.start),
            "the log start of {at} is {start}, nobody asked for more than {}",
            self.start_asked
        );
        (self.start, self.start_asked) = (start, start);
        assert!(
            found.keys().copied().eq(start..end),
            "{at} has {:?}, not all of {start}..{end}",
            found.keys().collect::<Vec<_>>()
        );
        let mut seen = BTreeSet::new();
        for value in found.values() {
            assert!(self.sent.contains(value), "{at} holds what was never sent to it");
            assert!(seen.insert(value), "{at} holds a record twice: {}", &value[..value.len().min(20)]);
        }
        if cached {
            return;
        }
        for (offset, value) in self.certain.range(start..) {
            assert_eq!(found.get(offset), Some(value), "{at} at {offset}");
        }
        self.certain = found;
    }

    /// A record was acknowledged or seen.
    pub(super) fn is_certain(&mut self, at: &str, offset: Offset, value: &str) {
        let earlier = self.certain.insert(offset, value.to_owned());
        assert!(earlier.is_none_or(|earlier| earlier == value), "{at}: offset {offset} was given twice");
    }
}
