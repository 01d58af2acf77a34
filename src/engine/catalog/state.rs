//! What the catalog's records come to.

use std::collections::{BTreeMap, BTreeSet};

use super::record::CatalogRecord;
use crate::engine::config::{DynamicSettings, Overrides};
use crate::types::TopicId;

/// The state after some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CatalogState {
    pub(crate) topics: BTreeMap<TopicId, TopicState>,
    /// Deleted topics whose directories may still be there.
    pub(crate) deleted: BTreeSet<TopicId>,
    /// The first producer id that was surely never handed out.
    pub(crate) next_producer_id: i64,
    pub(crate) broker_settings: DynamicSettings,
    /// Of groups that have any.
    pub(crate) group_overrides: BTreeMap<String, Overrides>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicState {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) overrides: Overrides,
}

// === impl CatalogState ===

impl CatalogState {
    pub(super) fn apply(&mut self, record: CatalogRecord) {
        match record {
            CatalogRecord::Reset => *self = Self::default(),
            CatalogRecord::TopicCreated { id, name, partitions, overrides } => {
                let topic = TopicState { name, partitions, overrides: overrides.into_iter().collect() };
                self.topics.insert(TopicId(id), topic);
            }
            CatalogRecord::PartitionsAdded { id, partitions } => {
                if let Some(topic) = self.topics.get_mut(&TopicId(id)) {
                    topic.partitions = partitions;
                }
            }
            CatalogRecord::TopicSettings { id, overrides } => {
                if let Some(topic) = self.topics.get_mut(&TopicId(id)) {
                    topic.overrides = overrides.into_iter().collect();
                }
            }
            CatalogRecord::TopicDeleted { id } => {
                self.topics.remove(&TopicId(id));
                self.deleted.insert(TopicId(id));
            }
            CatalogRecord::TopicRemoved { id } => {
                self.deleted.remove(&TopicId(id));
            }
            CatalogRecord::ProducerIds { next } => self.next_producer_id = self.next_producer_id.max(next),
            CatalogRecord::BrokerSettings { overrides } => {
                self.broker_settings.own = overrides.into_iter().collect();
            }
            CatalogRecord::ClusterSettings { overrides } => {
                self.broker_settings.for_all = overrides.into_iter().collect();
            }
            CatalogRecord::GroupSettings { group, overrides } if overrides.is_empty() => {
                self.group_overrides.remove(&group);
            }
            CatalogRecord::GroupSettings { group, overrides } => {
                self.group_overrides.insert(group, overrides.into_iter().collect());
            }
        }
    }

    /// The records that come to this state on their own.
    pub(super) fn to_records(&self) -> Vec<CatalogRecord> {
        let pairs = |overrides: &Overrides| overrides.clone().into_iter().collect::<Vec<_>>();
        let mut records = vec![
            CatalogRecord::Reset,
            CatalogRecord::ProducerIds { next: self.next_producer_id },
            CatalogRecord::BrokerSettings { overrides: pairs(&self.broker_settings.own) },
            CatalogRecord::ClusterSettings { overrides: pairs(&self.broker_settings.for_all) },
        ];
        records.extend(self.topics.iter().map(|(id, topic)| CatalogRecord::TopicCreated {
            id: id.0,
            name: topic.name.clone(),
            partitions: topic.partitions,
            overrides: pairs(&topic.overrides),
        }));
        records.extend(self.group_overrides.iter().map(|(group, overrides)| CatalogRecord::GroupSettings {
            group: group.clone(),
            overrides: pairs(overrides),
        }));
        records.extend(self.deleted.iter().map(|id| CatalogRecord::TopicDeleted { id: id.0 }));
        records
    }

    pub(super) fn record_count(&self) -> usize {
        4 + self.topics.len() + self.deleted.len() + self.group_overrides.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_to_the_state_it_was_taken_of() {
        let mut state = CatalogState::default();
        for record in [
            CatalogRecord::TopicCreated {
                id: [1; 16],
                name: "a".into(),
                partitions: 1,
                overrides: Vec::new(),
            },
            CatalogRecord::TopicCreated {
                id: [2; 16],
                name: "b".into(),
                partitions: 2,
                overrides: Vec::new(),
            },
            CatalogRecord::PartitionsAdded { id: [1; 16], partitions: 4 },
            CatalogRecord::TopicSettings {
                id: [1; 16],
                overrides: vec![("retention.ms".into(), "5".into())],
            },
            CatalogRecord::TopicDeleted { id: [2; 16] },
            CatalogRecord::ProducerIds { next: 2000 },
            CatalogRecord::BrokerSettings { overrides: vec![("num.partitions".into(), "3".into())] },
            CatalogRecord::GroupSettings { group: "gone".into(), overrides: vec![("a".into(), "1".into())] },
            CatalogRecord::GroupSettings { group: "gone".into(), overrides: Vec::new() },
            CatalogRecord::GroupSettings { group: "kept".into(), overrides: vec![("a".into(), "1".into())] },
            CatalogRecord::ClusterSettings { overrides: vec![("num.partitions".into(), "4".into())] },
        ] {
            state.apply(record);
        }
        let mut again = CatalogState { next_producer_id: 9, ..CatalogState::default() };
        state.to_records().into_iter().for_each(|record| again.apply(record));
        assert_eq!(again, state);
        assert_eq!(state.topics[&TopicId([1; 16])].partitions, 4);
        assert_eq!(state.group_overrides.keys().collect::<Vec<_>>(), ["kept"]);
    }
}
