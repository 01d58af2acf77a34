//! What groups are asked and what they answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::TopicRef;
use crate::engine::group::GroupError;
use crate::types::Offset;

/// Who a member's client is, for those who look at a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The name it gave itself.
    pub id: Arc<str>,
    /// Where it is.
    pub host: Arc<str>,
}

/// A member of a classic group as it names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberName {
    /// The id that the coordinator gave it; empty before.
    pub member: Arc<str>,
    /// The instance that a static member is.
    pub instance: Option<Arc<str>>,
}

/// A member wants to be in the next generation.
#[derive(Debug)]
pub struct JoinRequest {
    /// The group.
    pub group: Arc<str>,
    /// The member.
    pub name: MemberName,
    /// Its client.
    pub client: Client,
    /// After how long without a heartbeat it is taken out.
    pub session_timeout: Duration,
    /// How long others wait for it in a rebalance.
    pub rebalance_timeout: Duration,
    /// What kind of group it believes this to be: `consumer`, say.
    pub protocol_type: Arc<str>,
    /// What it can do, most wanted first, each with bytes for the leader.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// Whether a new member has to come back with the id it is given, so that one whose answer was lost leaves nothing.
    pub needs_known_member: bool,
    /// Whether a leader can be told not to assign anything.
    pub can_skip_assignment: bool,
}

/// A member of a new generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub member: Arc<str>,
    /// The generation.
    pub generation: i32,
    /// The kind of group.
    pub protocol_type: Option<Arc<str>>,
    /// What all of them can do.
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: Arc<str>,
    /// Whether the leader is to leave the assignment as it is.
    pub skip_assignment: bool,
    /// For the leader: all members with their bytes.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its name.
    pub name: MemberName,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
}

/// A member asks for its assignment; the leader brings everybody's.
#[derive(Debug)]
pub struct SyncRequest {
    /// The group.
    pub group: Arc<str>,
    /// The member.
    pub name: MemberName,
    /// Its generation.
    pub generation: i32,
    /// The kind of group, where the member says it.
    pub protocol_type: Option<Arc<str>>,
    /// The chosen protocol, where the member says it.
    pub protocol: Option<Arc<str>>,
    /// The leader's assignments, by member id.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The kind of group.
    pub protocol_type: Option<Arc<str>>,
    /// What all of them can do.
    pub protocol: Option<Arc<str>>,
    /// What the leader assigned.
    pub assignment: Bytes,
}

/// A group as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub group: Arc<str>,
    /// The kind of group; empty for one that only keeps offsets.
    pub protocol_type: Arc<str>,
    /// Its state, in Kafka's word.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub group_type: &'static str,
}

/// A classic group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its state, in Kafka's word.
    pub state: &'static str,
    /// The kind of group.
    pub protocol_type: Arc<str>,
    /// The chosen protocol, in a stable group.
    pub protocol: Arc<str>,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its name.
    pub name: MemberName,
    /// Its client.
    pub client: Client,
    /// Its bytes for the chosen protocol, in a stable group.
    pub metadata: Bytes,
    /// What the leader assigned, in a stable group.
    pub assignment: Bytes,
}

/// Who commits or asks for offsets: a member, or whoever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committer {
    /// The member; an empty id for one that is in no group.
    pub name: MemberName,
    /// The generation of a classic member, the epoch of another; below 0 for one that is in no group.
    pub generation: i32,
    /// Whether it speaks the versions that know the newer protocol, and its errors.
    pub knows_epochs: bool,
}

/// Offsets to be committed.
#[derive(Debug)]
pub struct CommitOffsetsRequest {
    /// The group.
    pub group: Arc<str>,
    /// Who commits.
    pub committer: Committer,
    /// The offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// One offset to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The topic.
    pub topic: TopicRef,
    /// The partition's index.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: Offset,
    /// The leader epoch of the last record that was read; -1 when not known.
    pub leader_epoch: i32,
    /// What to keep with it.
    pub metadata: Box<str>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: Offset,
    /// The leader epoch of the last record that was read; -1 when not known.
    pub leader_epoch: i32,
    /// What is kept with it.
    pub metadata: Box<str>,
}

/// What offsets are asked for.
#[derive(Debug)]
pub struct FetchOffsetsRequest {
    /// The group.
    pub group: Arc<str>,
    /// Who asks, where it says so.
    pub member: Option<Committer>,
    /// The topics with the partitions' indexes; None for all that the group has.
    pub topics: Option<Vec<(TopicRef, Vec<i32>)>>,
}

/// The offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffsets {
    /// The topic as it was asked for; by name when all were.
    pub topic: TopicRef,
    /// Its partitions; None for one without a committed offset.
    pub partitions: Vec<(i32, Result<Option<CommittedOffset>, GroupError>)>,
}
