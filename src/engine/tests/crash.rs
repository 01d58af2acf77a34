//! Power cuts at any call of the disk, against an oracle of what was acknowledged and of what a reader saw.
//!
//! A failing case prints the seed that runs it alone; `MILLRACE_EFFORT=n` runs n times as many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::simulation::{Life, produce};
use crate::engine::api::*;
use crate::testing::{Rng, SimWorld};
use crate::types::Offset;

const SEEDS: u64 = 200;
const PARTITIONS: i32 = 3;

/// What the outside knows.
#[derive(Default)]
struct Oracle {
    /// Topics whose creation was acknowledged, and whether a deletion was begun.
    topics: BTreeMap<String, bool>,
    /// Records that must be there: acknowledged with acks=all, or seen by a reader.
    certain: BTreeMap<(String, i32, Offset), String>,
    /// Every value ever sent, with where it went.
    sent: BTreeSet<(String, i32, String)>,
    sequence: u64,
}

impl Oracle {
    /// One life until the power goes or the script ends.
    fn live(&mut self, life: &Life, rng: &mut Rng, steps: u64) -> Option<()> {
        for _ in 0..steps {
            let names: Vec<String> =
                self.topics.iter().filter(|(_, gone)| !**gone).map(|(name, _)| name.clone()).collect();
            if names.is_empty() || rng.one_in(12) {
                self.create(life, rng)?;
                continue;
            }
            let name = names[rng.below(names.len() as u64) as usize].clone();
            let partition = rng.below(PARTITIONS as u64) as i32;
            match rng.below(20) {
                0 => {
                    self.topics.insert(name.clone(), true);
                    self.certain.retain(|(topic, ..), _| *topic != name);
                    life.drive(life.engine.delete_topics(vec![TopicRef::Name(name.as_str().into())]))?;
                }
                1..4 => {
                    for (offset, value) in life.visible(&name, partition)? {
                        self.certain.insert((name.clone(), partition, offset), value);
                    }
                }
                choice => self.produce(
                    life,
                    rng,
                    &name,
                    partition,
                    if choice < 9 { Acks::Leader } else { Acks::All },
                )?,
            }
        }
        Some(())
    }

    fn create(&mut self, life: &Life, rng: &mut Rng) -> Option<()> {
        let name = format!("topic-{}", self.sequence);
        self.sequence += 1;
        let configs = if rng.one_in(4) {
            vec![("write.caching".to_owned(), Some("true".to_owned()))]
        } else {
            Vec::new()
        };
        // What a write-cached topic acknowledges may be lost, so it only makes trouble for the others here.
        let cached = !configs.is_empty();
        let topic = NewTopic {
            name: Arc::from(name.as_str()),
            partitions: Some(PARTITIONS),
            configs,
            ..NewTopic::default()
        };
        let created = life.drive(life.engine.create_topics(vec![topic], false))?.remove(0);
        if created.is_ok() {
            if cached {
                for partition in 0..PARTITIONS {
                    let values = vec!["cached".to_owned(); 5];
                    life.drive(life.engine.produce(produce(life, &name, partition, &values, Acks::All)))?;
                }
            } else {
                self.topics.insert(name, false);
            }
        }
        Some(())
    }

    fn produce(&mut self, life: &Life, rng: &mut Rng, name: &str, partition: i32, acks: Acks) -> Option<()> {
        let values: Vec<String> = (0..=rng.below(4))
            .map(|_| {
                self.sequence += 1;
                format!("{}-{}", self.sequence, "x".repeat(rng.below(3000) as usize))
            })
            .collect();
        let to = |value: &String| (name.to_owned(), partition, value.clone());
        self.sent.extend(values.iter().map(to));
        let outcome =
            life.drive(life.engine.produce(produce(life, name, partition, &values, acks)))?.remove(0);
        if let (Ok(produced), Acks::All) = (outcome, acks) {
            for (offset, value) in (produced.base_offset..).zip(values) {
                let earlier = self.certain.insert((name.to_owned(), partition, offset), value);
                assert!(earlier.is_none(), "offset {offset} was given twice");
            }
        }
        Some(())
    }

    fn check(&self, life: &Life) {
        let image = life.engine.image();
        for (name, deleting) in &self.topics {
            let there = image.topic_by_name(name).is_some();
            assert!(there || *deleting, "the topic {name} is gone");
            if !there {
                continue;
            }
            for partition in 0..PARTITIONS {
                let found = life.visible(name, partition).expect("the disk is well again");
                let mut seen = BTreeSet::new();
                for value in found.values() {
                    let known = self.sent.contains(&(name.clone(), partition, value.clone()));
                    assert!(known, "{name}-{partition} holds what was never sent to it");
                    assert!(seen.insert(value), "{name}-{partition} holds a record twice");
                }
                for ((topic, index, offset), value) in &self.certain {
                    if topic == name && *index == partition {
                        assert_eq!(found.get(offset), Some(value), "{name}-{partition} at {offset}");
                    }
                }
            }
        }
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let world = SimWorld::new(seed);
    let mut oracle = Oracle::default();
    let mut epoch = None;
    for _ in 0..3 {
        let call = world.disk.calls() + 1 + rng.below(400);
        world.disk.power_cut_at(call);
        // The cut may come while the engine opens, which is a crash during recovery.
        if let Ok(life) = Life::open(&world, rng.next_u64()) {
            let now = life.engine.image().leader_epoch;
            assert!(epoch.is_none_or(|before| now > before), "the leader epoch has to grow");
            oracle.live(&life, &mut rng, 40);
        }
        world.disk.power_cut();
        world.disk.restart(rng.next_u64());
        let life = Life::open(&world, rng.next_u64()).expect("a crash leaves nothing that cannot be opened");
        epoch = Some(life.engine.image().leader_epoch);
        oracle.check(&life);
        drop(life);
        world.disk.power_cut();
        world.disk.restart(rng.next_u64());
    }
}

#[test]
fn what_was_acknowledged_or_seen_survives_power_cuts_at_any_call() {
    if let Some(seed) = std::env::var("MILLRACE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    let effort: u64 = std::env::var("MILLRACE_EFFORT").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..SEEDS * effort {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("failed; alone: MILLRACE_SEED={seed} cargo test --lib engine::tests::crash");
            std::panic::resume_unwind(panic);
        }
    }
}
