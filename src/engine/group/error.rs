//! What can go wrong in a group, in Kafka's terms.

use std::sync::Arc;

/// Why a group did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group needs a name, or this kind of group does not take this one.
    #[error("{group:?} cannot be the name of a group here")]
    InvalidGroupId {
        /// The name.
        group: Arc<str>,
    },
    /// There is no such group, or it is of another type.
    #[error("there is no such group of this type: {group}")]
    GroupIdNotFound {
        /// Its name.
        group: Arc<str>,
    },
    /// The group has members.
    #[error("the group {group} has members")]
    NonEmptyGroup {
        /// Its name.
        group: Arc<str>,
    },
    /// The member is not in the group (any more).
    #[error("{member:?} is not a member of the group")]
    UnknownMember {
        /// The id it gave.
        member: Arc<str>,
    },
    /// The member is to join again with this id.
    #[error("join again as {member}")]
    MemberIdRequired {
        /// The id for it.
        member: Arc<str>,
    },
    /// The member speaks of a generation that is not the present one.
    #[error("generation {asked} is not the present one, {current}")]
    IllegalGeneration {
        /// What it spoke of.
        asked: i32,
        /// What is.
        current: i32,
    },
    /// The group is being rebalanced: the member has to join again.
    #[error("the group is being rebalanced")]
    RebalanceInProgress,
    /// The member has no protocol in common with the others, or is of another type.
    #[error("{why}")]
    InconsistentProtocol {
        /// What differs.
        why: &'static str,
    },
    /// The session timeout lies outside of what the broker allows.
    #[error("a session timeout is from {min_ms} to {max_ms} ms here")]
    InvalidSessionTimeout {
        /// `group.min.session.timeout.ms`.
        min_ms: u64,
        /// `group.max.session.timeout.ms`.
        max_ms: u64,
    },
    /// The group has as many members as it may.
    #[error("the group has its {members} members")]
    GroupFull {
        /// How many it may have.
        members: usize,
    },
    /// There is no room for what would have to be kept.
    #[error("there would be more than {bytes_max} bytes to be kept, which {setting} allows")]
    OutOfRoom {
        /// The setting that says so.
        setting: &'static str,
        /// Its value.
        bytes_max: usize,
    },
    /// Another member has taken over this instance id.
    #[error("another member is the instance {instance} now")]
    FencedInstance {
        /// The instance id.
        instance: Arc<str>,
    },
    /// Another member has this instance id and has not left.
    #[error("the instance {instance} is another member, which has not left")]
    UnreleasedInstance {
        /// The instance id.
        instance: Arc<str>,
    },
    /// The member's epoch is not the one the group knows: it has to join again.
    #[error("epoch {asked} is fenced, the member's is {current}")]
    FencedMemberEpoch {
        /// The epoch it gave.
        asked: i32,
        /// The epoch it has.
        current: i32,
    },
    /// The member's epoch is an old one: it has to see the newest first.
    #[error("epoch {asked} is stale, the member's is {current}")]
    StaleMemberEpoch {
        /// The epoch it gave.
        asked: i32,
        /// The epoch it has.
        current: i32,
    },
    /// The broker has no such assignor.
    #[error("there is no assignor {asked:?}; there are {known}")]
    UnsupportedAssignor {
        /// What was asked for.
        asked: Arc<str>,
        /// What there is.
        known: String,
    },
    /// The pattern of topics cannot be read.
    #[error("the pattern cannot be used: {why}")]
    InvalidPattern {
        /// What is wrong with it.
        why: String,
    },
    /// Members read the topic, so its offsets stay.
    #[error("members of the group read {topic}")]
    SubscribedToTopic {
        /// The topic.
        topic: Arc<str>,
    },
    /// The text to be kept with an offset is too long.
    #[error("the text kept with an offset has at most {bytes_max} bytes")]
    MetadataTooLarge {
        /// `offset.metadata.max.bytes`.
        bytes_max: usize,
    },
    /// There is no such topic or partition.
    #[error("there is no topic or partition {topic}")]
    UnknownTopicOrPartition {
        /// As it was named.
        topic: String,
    },
    /// There is no topic of that id.
    #[error("there is no topic with the id {id}")]
    UnknownTopicId {
        /// The id.
        id: String,
    },
    /// The request is in a version that does not know what this group needs.
    #[error("members of this group have epochs, which this version of the request does not know")]
    UnsupportedVersion,
    /// The request contradicts itself.
    #[error("{why}")]
    InvalidRequest {
        /// How.
        why: String,
    },
    /// The broker is still reading what it kept.
    #[error("the groups are still being loaded")]
    Loading,
    /// Another broker coordinates this group.
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// What the answer stands on could not be kept, or the broker is stopping: try again.
    #[error("the groups cannot be served now: {why}")]
    Unavailable {
        /// Why not.
        why: String,
    },
}
