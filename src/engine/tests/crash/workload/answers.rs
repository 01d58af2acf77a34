//! What the answers of a life promise.

use super::super::oracle::Producer;
use super::{Done, Named, Workload};
use crate::engine::Error;
use crate::engine::api::*;
use crate::record::batches;
use crate::types::Offset;

// === impl Workload ===

impl Workload<'_> {
    pub(super) fn note(&mut self, done: Done) {
        match done {
            Done::Created(named, outcome) => {
                if let Some(topic) = self.topic(&named) {
                    match outcome {
                        Ok(_) => topic.created = true,
                        // Maybe there, maybe not: nothing is asked of it until the next start tells.
                        Err(_) => topic.deleting = true,
                    }
                }
            }
            Done::Deleted(named, outcome) => {
                if let Some(topic) = self.topic(&named) {
                    topic.deleted = outcome.is_ok();
                }
            }
            Done::Grown(named, count, outcome) => {
                if let Some(topic) = self.topic(&named) {
                    // Not answered well, it stays open until the next start; so do other changes.
                    topic.busy = outcome.is_err();
                    if outcome.is_ok() {
                        topic.partitions = count;
                    }
                }
            }
            Done::Altered(named, value, outcome) => {
                if let Some(topic) = self.topic(&named) {
                    topic.busy = outcome.is_err();
                    if outcome.is_ok() {
                        topic.settings = vec![value];
                    }
                }
            }
            Done::Trimmed(named, partition, outcome) => self.note_trimmed(&named, partition, &outcome),
            Done::Produced(sent, Acks::All, outcomes) => {
                for ((named, partition, values), outcome) in sent.into_iter().zip(outcomes) {
                    if let Ok(produced) = outcome {
                        self.certain(&named, partition, produced.base_offset, &values);
                    }
                }
            }
            Done::Produced(..) => {}
            Done::Sequenced(named, partition, index, outcomes) => {
                self.note_sequenced(&named, partition, index, &outcomes[0]);
            }
            Done::Fetched(named, partition, from, mut outcomes) => {
                if let Ok(fetched) = outcomes.remove(0) {
                    self.note_fetched(&named, partition, from, fetched);
                }
            }
            Done::Identified(named, partition, outcome) => {
                if let Ok(identity) = outcome {
                    assert!(self.oracle.producer_ids.insert(identity.id), "{identity:?} was given twice");
                    let producer =
                        Producer { identity, batches: Vec::new(), next: 0, in_flight: 0, broken: false };
                    if let Some(log) = self.log(&named, partition) {
                        log.producer.get_or_insert(producer);
                    }
                }
            }
        }
    }

    fn note_trimmed(&mut self, named: &Named, partition: i32, outcome: &Result<Offset, Error>) {
        let Some(topic) = self.topic(named) else { return };
        topic.busy = outcome.is_err();
        let log = topic.logs.entry(partition).or_default();
        if let &Ok(start) = outcome {
            assert!(start >= log.start, "the log start went back");
            (log.start, log.start_asked) = (start, start);
            log.certain.retain(|offset, _| *offset >= start);
        }
    }

    fn note_sequenced(&mut self, named: &Named, partition: i32, index: usize, outcome: &ProduceOutcome) {
        let Some(log) = self.log(named, partition) else { return };
        let producer = log.producer.as_mut().expect("it sent the batch");
        producer.in_flight -= 1;
        let Ok(produced) = outcome else {
            producer.broken = true;
            return;
        };
        let batch = &mut producer.batches[index];
        let before = batch.offset.replace(produced.base_offset);
        assert!(
            before.is_none_or(|before| before == produced.base_offset),
            "batch {index} was told {before:?} and then {}",
            produced.base_offset
        );
        let values = batch.values.clone();
        self.certain(named, partition, produced.base_offset, &values);
    }

    fn note_fetched(&mut self, named: &Named, partition: i32, from: Offset, fetched: Fetched) {
        let mut next = None;
        for batch in fetched.records.into_iter().flat_map(batches) {
            for record in batch.unwrap().records(1 << 20).unwrap() {
                let record = record.unwrap();
                assert!(next.is_none_or(|next| next == record.offset), "a gap at {next:?}");
                assert!(record.offset < fetched.high_watermark, "a record above the high watermark");
                next = Some(record.offset + 1);
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                if record.offset >= from {
                    self.certain(named, partition, record.offset, &[value]);
                }
            }
        }
    }

    /// Records were acknowledged or seen, and must stay.
    pub(super) fn certain(&mut self, named: &Named, partition: i32, base_offset: Offset, values: &[String]) {
        let at = format!("{}-{partition}", named.0);
        let Some(topic) = self.topic(named) else { return };
        if topic.cached || topic.deleting {
            return;
        }
        let log = topic.logs.entry(partition).or_default();
        for (offset, value) in (base_offset..).zip(values) {
            if offset >= log.start {
                log.is_certain(&at, offset, value);
            }
        }
    }
}
