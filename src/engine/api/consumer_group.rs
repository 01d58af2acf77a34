//! What groups of the consumer protocol (KIP-848) are asked and what they answer.

use std::sync::Arc;
use std::time::Duration;

use super::group::Client;
use crate::types::TopicId;

/// Partitions by topic: each topic's in ascending order.
pub type TopicPartitions = Vec<(TopicId, Vec<i32>)>;

/// A member says that it is alive, what it wants and what it has; None means "as before".
#[derive(Debug, Clone)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: Arc<str>,
    /// The member; empty when the coordinator is to name it.
    pub member: Arc<str>,
    /// Its epoch: 0 to join, [`LEAVES`] to leave, [`LEAVES_FOR_A_WHILE`] for a static member to come back.
    pub epoch: i32,
    /// The instance that a static member is.
    pub instance: Option<Arc<str>>,
    /// The rack it is in.
    pub rack: Option<Arc<str>>,
    /// How long it may take to give up partitions.
    pub rebalance_timeout: Option<Duration>,
    /// The topics it subscribes to.
    pub topics: Option<Vec<Arc<str>>>,
    /// The pattern of topics it subscribes to; empty for none.
    pub pattern: Option<Arc<str>>,
    /// The assignor it asks for.
    pub assignor: Option<Arc<str>>,
    /// The partitions it has.
    pub owned: Option<TopicPartitions>,
    /// Its client.
    pub client: Client,
    /// Whether it has to name itself, as it does from version 1 on.
    pub names_itself: bool,
}

/// The epoch of a heartbeat with which a member leaves.
pub const LEAVES: i32 = -1;

/// The epoch of a heartbeat with which a static member leaves to come back.
pub const LEAVES_FOR_A_WHILE: i32 = -2;

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeatOutcome {
    /// Its id.
    pub member: Arc<str>,
    /// Its epoch from now on.
    pub epoch: i32,
    /// When to send the next heartbeat.
    pub heartbeat_interval: Duration,
    /// What it may read from now on, and nothing else; None when that is as it was.
    pub assignment: Option<TopicPartitions>,
}

// === impl ConsumerHeartbeatOutcome ===

impl ConsumerHeartbeatOutcome {
    /// Whether it tells a member of `epoch` nothing that it did not know.
    pub(crate) fn is_no_news(&self, epoch: i32) -> bool {
        self.epoch == epoch && self.assignment.is_none()
    }
}

/// A group of the consumer protocol in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupDescription {
    /// Its state, in Kafka's word.
    pub state: &'static str,
    /// Grows when members or topics change.
    pub epoch: i32,
    /// The epoch for which partitions were last shared out.
    pub assignment_epoch: i32,
    /// The assignor that does it.
    pub assignor: &'static str,
    /// Its members.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// Its id.
    pub member: Arc<str>,
    /// The instance that it is.
    pub instance: Option<Arc<str>>,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// Its epoch.
    pub epoch: i32,
    /// Its client.
    pub client: Client,
    /// The topics it subscribes to by name.
    pub topics: Vec<Arc<str>>,
    /// The pattern it subscribes with.
    pub pattern: Option<Arc<str>>,
    /// What it may read now.
    pub assignment: Vec<NamedPartitions>,
    /// What it is to read when all have caught up.
    pub target: Vec<NamedPartitions>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

/// Partitions of one topic that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPartitions {
    /// The topic's id.
    pub topic: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// The partitions' indexes, ascending.
    pub partitions: Vec<i32>,
}
