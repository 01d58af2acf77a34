//! How a member of a group works: what a [`GroupConsumer`](super::GroupConsumer) is told once.

use std::str::FromStr;
use std::time::Duration;

use crate::client::consumer::{ConsumerConfig, OutOfRange};

/// Which of Kafka's two protocols a member speaks. All members of a group speak the same, unless its broker migrates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// The members divide the partitions among themselves, in rounds that all of them take part in. Every broker has it.
    #[default]
    Classic,
    /// The broker divides the partitions, and each member follows at its own pace (KIP-848). Kafka 4.0 and later.
    Consumer,
}

/// How the members of a classic group divide the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignor {
    /// Consecutive partitions of each topic go to the same member.
    Range,
    /// Partitions go to the members in turns.
    RoundRobin,
    /// As even as can be, with as few partitions moving as can be; those that stay are read on during a rebalance.
    CooperativeSticky,
}

/// What a member of a group is told once.
///
/// ```
/// use millrace::client::{GroupConfig, GroupProtocol};
///
/// let mut config = GroupConfig::new("billing");
/// config.protocol = GroupProtocol::Consumer;
/// ```
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The group.
    pub group_id: String,
    /// The protocol.
    pub protocol: GroupProtocol,
    /// A name that this member keeps over restarts (static membership, KIP-345): when it comes back within the session
    /// timeout it gets its partitions back and nobody else is disturbed.
    pub group_instance_id: Option<String>,
    /// The rack this member is in, for assignors that look at it.
    pub rack: Option<String>,
    /// Classic protocol: how partitions may be divided, the best first. The group uses one that all its members have.
    pub assignors: Vec<Assignor>,
    /// Consumer protocol: the broker's assignor, by name; the broker's default when not given.
    pub server_assignor: Option<String>,
    /// Classic protocol: how long the broker waits for a heartbeat before it gives the member's partitions to others.
    /// In the consumer protocol that is a setting of the broker.
    pub session_timeout: Duration,
    /// Classic protocol: how often heartbeats are sent. In the consumer protocol the broker says how often.
    pub heartbeat_interval: Duration,
    /// A member whose application does not ask for more within this time leaves the group until it does. It is also how
    /// long the others wait for it in a rebalance.
    pub max_poll_interval: Duration,
    /// How often positions are committed on their own; `None` leaves it to the application. They are also committed
    /// before a partition goes to another member, and at the end.
    pub auto_commit: Option<Duration>,
    /// How records are fetched. `out_of_range` also says where to begin where the group has committed no offset.
    pub consumer: ConsumerConfig,
}

// === impl GroupConfig ===

impl GroupConfig {
    /// Kafka's defaults, except for two that lose less: a group begins at the beginning, and classic members divide
    /// their partitions with [`Assignor::CooperativeSticky`].
    #[must_use]
    pub fn new(group_id: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            protocol: GroupProtocol::default(),
            group_instance_id: None,
            rack: None,
            assignors: vec![Assignor::CooperativeSticky],
            server_assignor: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            auto_commit: Some(Duration::from_secs(5)),
            consumer: ConsumerConfig { out_of_range: OutOfRange::Beginning, ..ConsumerConfig::default() },
        }
    }

    /// Whether partitions that stay are kept during a classic rebalance: only when every assignor can do with it.
    pub(super) fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| *assignor == Assignor::CooperativeSticky)
    }
}

// === impl Assignor ===

impl Assignor {
    /// The name that the members of a group agree by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

impl FromStr for Assignor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Range, Self::RoundRobin, Self::CooperativeSticky]
            .into_iter()
            .find(|assignor| assignor.name() == text)
            .ok_or_else(|| {
                format!("{text:?} is no assignor: there are range, roundrobin and cooperative-sticky")
            })
    }
}

/// In milliseconds, as the wire has them.
pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
