//! One round of the classic protocol as the coordinator sees it: a join, and a sync that brings what was assigned.

use std::time::Duration;

use tokio::time::Instant;

use super::{ClassicMember, PROTOCOL_TYPE};
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::client::group::assign::{self, Candidate};
use crate::client::group::config::{Assignor, millis};
use crate::client::group::embedded::{self, Subscription};
use crate::client::group::member::Trouble;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::{ErrorCode, Str};

/// The slack that the coordinator has beyond the rebalance timeout to answer a join.
const JOIN_SLACK: Duration = Duration::from_secs(5);

/// The outcome of a join.
pub(super) struct Joined {
    protocol_name: String,
    /// The leader's assignment for each member, by member id.
    assignments: Vec<(Str, Vec<TopicPartition>)>,
}

// === impl ClassicMember ===

impl ClassicMember {
    /// Joins under the topics that it is to read; in the leader the partitions are divided then.
    pub(super) async fn join(&mut self, topics: &[String]) -> Result<Joined, Trouble> {
        let config = self.member.config();
        let subscription = Subscription {
            topics: topics.to_vec(),
            owned: self.member.owned.iter().cloned().collect(),
            generation: self.generation,
            rack: config.rack.clone(),
        };
        let metadata = subscription.encode();
        let patience = config.max_poll_interval + JOIN_SLACK;
        let protocols: Vec<JoinGroupRequestProtocol> = config
            .assignors
            .iter()
            .map(|assignor| JoinGroupRequestProtocol {
                name: Str::from_static(assignor.name()),
                metadata: metadata.clone(),
            })
            .collect();
        let mut request = JoinGroupRequest {
            group_id: config.group_id.as_str().into(),
            session_timeout_ms: millis(config.session_timeout),
            rebalance_timeout_ms: millis(config.max_poll_interval),
            member_id: self.member_id.as_str().into(),
            group_instance_id: config.group_instance_id.as_deref().map(Str::from),
            protocol_type: Str::from_static(PROTOCOL_TYPE),
            protocols: protocols.into(),
            ..JoinGroupRequest::default()
        };
        loop {
            let call = self.member.coordinator.call(&request, i16::MAX, patience);
            let response = call.await.map_err(Trouble::of)?;
            if response.error_code == ErrorCode::MEMBER_ID_REQUIRED && request.member_id.is_empty() {
                // KIP-394: the coordinator remembers only members that can be told from one another.
                self.member_id = response.member_id.to_string();
                request.member_id = response.member_id;
                continue;
            }
            self.check(response.error_code, "joining")?;
            return self.on_joined(&response).await;
        }
    }

    /// Takes note of the new generation; the leader divides the partitions.
    async fn on_joined(&mut self, response: &JoinGroupResponse) -> Result<Joined, Trouble> {
        self.member_id = response.member_id.to_string();
        self.generation = response.generation_id;
        self.member.set_identity(&self.member_id, self.generation);
        let protocol_name = response.protocol_name.as_deref().unwrap_or_default().to_owned();
        let mut joined = Joined { protocol_name, assignments: Vec::new() };
        if response.leader != response.member_id {
            return Ok(joined);
        }
        let mut candidates = Vec::with_capacity(response.members.len());
        for member in &response.members {
            // A member with an unreadable subscription gets nothing, rather than stopping the whole group.
            let subscription = Subscription::decode(&member.metadata).unwrap_or_else(|error| {
                tracing::warn!(group = self.member.config().group_id, member = %member.member_id, %error);
                Subscription::default()
            });
            candidates.push(Candidate {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                subscription,
            });
        }
        // The leader looks after the topics of all, also when a static one comes back and nothing is to be divided.
        self.watched.extend(assign::topics_of(&candidates));
        self.counts = self.count().await.map_err(Trouble::of)?;
        if !response.skip_assignment {
            let assignor: Assignor = joined.protocol_name.parse().map_err(|why| {
                Trouble::Fatal(Error::Invalid(format!(
                    "the group chose an assignor that was not offered: {why}"
                )))
            })?;
            let assigned = assign::assign(assignor, &candidates, &self.counts);
            joined.assignments = candidates
                .into_iter()
                .zip(assigned)
                .map(|(candidate, partitions)| (candidate.member_id.into(), partitions))
                .collect();
        }
        Ok(joined)
    }

    /// Waits for what the leader has assigned to this member.
    pub(super) async fn sync(&mut self, joined: Joined) -> Result<Vec<TopicPartition>, Trouble> {
        let assignments =
            joined.assignments.iter().map(|(member_id, partitions)| SyncGroupRequestAssignment {
                member_id: member_id.clone(),
                assignment: embedded::encode_assignment(partitions),
            });
        let config = self.member.config();
        let request = SyncGroupRequest {
            group_id: config.group_id.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: config.group_instance_id.as_deref().map(Str::from),
            protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
            protocol_name: Some(joined.protocol_name.into()),
            assignments: assignments.collect(),
        };
        // The coordinator answers once the leader has spoken.
        let patience = config.max_poll_interval + JOIN_SLACK;
        let response =
            self.member.coordinator.call(&request, i16::MAX, patience).await.map_err(Trouble::of)?;
        self.check(response.error_code, "taking an assignment")?;
        self.member.next_heartbeat = Instant::now() + self.member.config().heartbeat_interval;
        embedded::decode_assignment(&response.assignment)
            .map_err(|error| Trouble::Fatal(Error::Invalid(error.to_string())))
    }
}
