//! What a reset will do: the new offset of each partition, worked out before anything is changed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cli::exit;
use crate::cli::failure::{Failure, complain};
use crate::cli::position::Position;
use crate::client::{Admin, CommittedOffset, Error, OffsetQuery, OffsetSpec, TopicPartition};
use crate::types::{Isolation, Offset};

/// Where partitions are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// To one and the same place in each.
    To(Position),
    /// To where they are.
    Current,
    /// So many offsets on, or back.
    ShiftBy(i64),
    /// To an offset of its own for each.
    Listed(Vec<(TopicPartition, Offset)>),
}

/// One partition's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) partition: TopicPartition,
    /// The committed offset now, when there is one.
    pub(super) from: Option<Offset>,
    pub(super) to: Offset,
}

/// Works out where `partitions` go. An offset outside of the log becomes the nearest within, with a word on stderr.
pub(super) async fn plan(
    admin: &Admin,
    committed: &HashMap<TopicPartition, CommittedOffset>,
    partitions: &[TopicPartition],
    goal: &Goal,
) -> Result<Vec<Step>, Failure> {
    let starts = listed(admin, partitions, OffsetSpec::Earliest).await?;
    let ends = listed(admin, partitions, OffsetSpec::Latest).await?;
    let known = |offset: &Option<Offset>| offset.unwrap_or_default();
    let wanted: Vec<Option<Offset>> = match goal {
        Goal::To(Position::Beginning) => starts.clone(),
        Goal::To(Position::End) => ends.clone(),
        Goal::To(Position::At(offset)) => vec![Some(*offset); partitions.len()],
        Goal::To(Position::Last(count)) => {
            ends.iter().map(|end| Some(known(end).saturating_sub(*count))).collect()
        }
        Goal::To(Position::Since(timestamp_ms)) => {
            let found = listed(admin, partitions, OffsetSpec::Timestamp(*timestamp_ms)).await?;
            // Where no record is as young, only those to come are.
            found.into_iter().zip(&ends).map(|(found, end)| found.or(*end)).collect()
        }
        Goal::Current => partitions.iter().map(|key| committed.get(key).map(|found| found.offset)).collect(),
        Goal::ShiftBy(count) => {
            let shift = |key: &TopicPartition| match committed.get(key) {
                Some(found) => Ok(Some(found.offset.saturating_add(*count))),
                None => {
                    let (topic, partition) = key;
                    let why = format!("there is no committed offset of {topic}-{partition} to shift");
                    Err(Failure::new(exit::NOT_FOUND, why))
                }
            };
            partitions.iter().map(shift).collect::<Result<_, _>>()?
        }
        Goal::Listed(offsets) => {
            let by_key: HashMap<&TopicPartition, Offset> =
                offsets.iter().map(|(key, offset)| (key, *offset)).collect();
            partitions.iter().map(|key| by_key.get(key).copied()).collect()
        }
    };
    let mut steps = Vec::with_capacity(partitions.len());
    for (index, key) in partitions.iter().enumerate() {
        let Some(wanted) = wanted[index] else { continue };
        let (start, end) = (known(&starts[index]), known(&ends[index]));
        let to = wanted.min(end).max(start);
        if to != wanted {
            let (topic, partition) = key;
            complain(format_args!(
                "{topic}-{partition} has offsets {start} to {end}: {to} is taken for {wanted}"
            ));
        }
        steps.push(Step { partition: key.clone(), from: committed.get(key).map(|found| found.offset), to });
    }
    Ok(steps)
}

/// One kind of offset of each partition.
async fn listed(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<Vec<Option<Offset>>, Error> {
    let query =
        |(topic, partition): &TopicPartition| -> OffsetQuery { (Arc::clone(topic), *partition, spec) };
    let queries: Vec<OffsetQuery> = partitions.iter().map(query).collect();
    let answers = admin.list_offsets(&queries, Isolation::ReadUncommitted).await;
    answers.into_iter().map(|answer| Ok(answer?.offset)).collect()
}

/// Reads `topic,partition,offset` lines: what `reset --csv` prints, and Kafka's own tool exports.
pub(super) fn parse_csv(name: &str, text: &str) -> Result<Vec<(TopicPartition, Offset)>, Failure> {
    let mut offsets = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let parsed = match fields[..] {
            [topic, partition, offset] if !topic.is_empty() => partition
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(partition, offset)| (topic, partition, offset)),
            _ => None,
        };
        match parsed {
            Some((topic, partition, offset)) if partition >= 0 && offset >= 0 => {
                offsets.push(((Arc::from(topic), partition), offset));
            }
            _ => {
                let why = format!("{name}:{number}: {line:?} is not TOPIC,PARTITION,OFFSET");
                return Err(Failure::new(exit::DAMAGED, why));
            }
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_our_own_and_of_kafkas_tool_read() {
        let text = "orders,0,42\n\n# by hand\n\"pay ments\",3,0\n";
        let read = parse_csv("f", text).unwrap();
        assert_eq!(read, [(("orders".into(), 0), 42), (("pay ments".into(), 3), 0)]);
    }

    #[test]
    fn what_is_no_offset_is_refused_with_its_line() {
        for line in ["orders", "orders,0", "orders,0,1,2", ",0,1", "orders,x,1", "orders,-1,1", "orders,0,-1"]
        {
            let failure = parse_csv("file", &format!("a,0,0\n{line}\n")).unwrap_err();
            assert!(format!("{failure:?}").contains("file:2"), "{line}");
        }
    }
}
