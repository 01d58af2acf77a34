//! What is kept of groups: records by key, of which the last one counts.

use serde::{Deserialize, Serialize};

use super::consumer::ConsumerRecord;
use super::offsets::Committed;

/// One thing kept. The order of the variants, and of the fields in them, is the format: new ones go last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GroupRecord {
    /// A committed offset of a group; None when it is gone. The key is all but `committed`.
    Offset { group: String, topic: [u8; 16], partition: i32, committed: Option<Committed> },
    /// A group of the classic protocol, whole; None when it is gone.
    Classic { group: String, state: Option<ClassicRecord> },
    /// A group is gone with all that was kept of it before.
    Gone { group: String },
    /// Something of a group of the consumer protocol.
    Consumer { group: String, record: ConsumerRecord },
}

// === impl GroupRecord ===

impl GroupRecord {
    /// Something of a group of the consumer protocol.
    pub(crate) fn of_consumers(group: &str, record: ConsumerRecord) -> Self {
        Self::Consumer { group: group.to_owned(), record }
    }
}

/// A classic group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassicRecord {
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Vec<ClassicMemberRecord>,
    /// Since when it has no members, by the wall clock.
    pub(crate) empty_since_ms: Option<i64>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassicMemberRecord {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    /// What it can do: assignors with its subscription for each, as it gave them.
    pub(crate) protocols: Vec<(String, Vec<u8>)>,
    /// What its leader assigned to it.
    pub(crate) assignment: Vec<u8>,
}
