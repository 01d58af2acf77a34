//! How many bytes a group keeps, about: what the coordinator's budget counts (`coordinator/budget.rs`).
//!
//! Sizes of text and bytes are exact, everything else is a constant that is rather too large. What counts is the larger of
//! what is in memory and what the group is kept as: a snapshot tells each member's subscription, though in memory equal ones
//! are one.

use super::GroupRecord;
use super::consumer::ConsumerRecord;
use crate::engine::api::consumer_group::ConsumerHeartbeat;
use crate::engine::api::group::{Client, JoinRequest, MemberName, SyncRequest};

/// A group without anything, but for its name.
pub(crate) const GROUP: usize = 1024;
/// A member without anything it said of itself.
pub(crate) const MEMBER: usize = 768;
/// A partition that a member may read, is to read, or is known to be the owner of.
pub(crate) const PARTITION: usize = 48;
/// A topic with committed offsets, without those.
pub(crate) const TOPIC: usize = 640;
/// A committed offset, without its text.
pub(crate) const OFFSET: usize = 96;
/// A name, a list of names or a piece of bytes, beside what is in it.
const TEXT: usize = 16;

/// Text or bytes.
pub(crate) fn text(length: usize) -> usize {
    length + TEXT
}

/// A member's names. They are keys of several tables, and are kept.
pub(crate) fn names(id: &str, instance: Option<&str>, client: &Client) -> usize {
    3 * text(id.len())
        + 3 * instance.map_or(0, |instance| text(instance.len()))
        + text(client.id.len() + client.host.len())
}

/// What a member can do, with its bytes for each.
pub(crate) fn protocols<'a>(protocols: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> usize {
    protocols.into_iter().map(|(name, bytes)| text(name.len()) + text(bytes.len())).sum()
}

/// What a group keeps of a member that joins, at most.
pub(crate) fn of_join(request: &JoinRequest) -> usize {
    let MemberName { member, instance } = &request.name;
    // The id of a new member begins with one of its names.
    let prefix = instance.as_ref().unwrap_or(&request.client.id);
    let id = member.len().max(prefix.len() + 1 + UUID);
    let told = request.protocols.iter().map(|(name, bytes)| (&**name, &bytes[..]));
    // Once more for as long as it is waited for.
    MEMBER + 4 * text(id) + names("", instance.as_deref(), &request.client) + protocols(told)
}

/// What a group keeps of the assignments that a leader brings.
pub(crate) fn of_sync(request: &SyncRequest) -> usize {
    request.assignments.iter().map(|(_, assignment)| assignment.len()).sum()
}

/// What a group keeps of a member's heartbeat, at most.
pub(crate) fn of_heartbeat(request: &ConsumerHeartbeat) -> usize {
    let given = [&request.rack, &request.pattern, &request.assignor];
    let given: usize = given.into_iter().flatten().map(|given| text(given.len())).sum();
    let topics = request.topics.iter().flatten().map(|topic| text(topic.len()));
    let id = request.member.len().max(UUID);
    let names = 3 * text(id) + names("", request.instance.as_deref(), &request.client);
    MEMBER + names + given + topics.sum::<usize>()
}

/// Whether these records make the group one of another protocol.
pub(crate) fn changes_protocol(records: &[GroupRecord]) -> bool {
    records.iter().any(|record| {
        matches!(
            record,
            GroupRecord::Classic { state: None, .. }
                | GroupRecord::Consumer { record: ConsumerRecord::Group(None), .. }
        )
    })
}

/// What members were given to read by these records: the one thing of a group that grows by no request's bytes.
pub(crate) fn of_targets(records: &[GroupRecord]) -> usize {
    let counts = records.iter().map(|record| match record {
        GroupRecord::Consumer { record: ConsumerRecord::Target { partitions, .. }, .. } => {
            partitions.iter().map(|(_, indexes)| indexes.len()).sum()
        }
        _ => 0,
    });
    // As its target, as what it may read, and in the table of owners.
    counts.sum::<usize>() * 3 * PARTITION
}

/// The length of an id that the coordinator makes.
const UUID: usize = 36;
