//! A member of a classic group on one raw connection: hundreds of them cost little.

use std::net::SocketAddr;

use bytes::Bytes;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::{ErrorCode, Str};

use super::text;
use crate::fixture::Client;

/// A member; dropped, it is gone without a word.
pub(super) struct Member {
    pub(super) client: Client,
    group: String,
    id: Str,
    session_timeout_ms: i32,
}

/// What one generation gave to a member.
pub(super) struct Share {
    pub(super) generation: i32,
    /// The numbers of its partitions.
    pub(super) partitions: Vec<u16>,
}

impl Member {
    pub(super) async fn new(broker: SocketAddr, group: &str, session_timeout_ms: i32) -> Self {
        let client = Client::connect(broker).await;
        Self { client, group: group.to_owned(), id: text(""), session_timeout_ms }
    }

    /// Somebody known, on another connection.
    pub(super) async fn with_id(broker: SocketAddr, group: &str, id: &str) -> Self {
        Self { id: text(id), ..Self::new(broker, group, 0).await }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn join_request(&self) -> JoinGroupRequest {
        let protocol = JoinGroupRequestProtocol { name: text("cards"), metadata: Bytes::new() };
        JoinGroupRequest {
            group_id: text(&self.group),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.session_timeout_ms,
            member_id: self.id.clone(),
            protocol_type: text("crowd"),
            protocols: vec![protocol].into(),
            ..Default::default()
        }
    }

    /// Asks for an id, without which nobody is let in.
    pub(super) async fn introduce(&mut self) {
        let request = self.join_request();
        let mut answer = self.client.ask(&request, 5).await;
        while answer.error_code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
            answer = self.client.ask(&request, 5).await;
        }
        assert_eq!(answer.error_code, ErrorCode::MEMBER_ID_REQUIRED);
        self.id = answer.member_id;
    }

    /// Asks to be in the next generation and does not wait for the answer.
    pub(super) async fn send_join(&mut self) {
        let request = self.join_request();
        self.client.send(&request, 5).await;
    }

    /// Joins until it is in a generation.
    pub(super) async fn join(&mut self) -> JoinGroupResponse {
        loop {
            let request = self.join_request();
            let joined = self.client.ask(&request, 5).await;
            match joined.error_code {
                ErrorCode::NONE => {
                    self.id = joined.member_id.clone();
                    return joined;
                }
                ErrorCode::MEMBER_ID_REQUIRED => self.id = joined.member_id.clone(),
                ErrorCode::UNKNOWN_MEMBER_ID => self.id = text(""),
                // The coordinator has only begun, or the group begins another round.
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::REBALANCE_IN_PROGRESS => {}
                other => panic!("a join was answered with {other:?}"),
            }
        }
    }

    /// One round: its share of so many partitions, or nothing when the group has begun another round meanwhile.
    pub(super) async fn take_part(&mut self, partitions: u16) -> Option<Share> {
        let joined = self.join().await;
        let members = joined.members.iter().collect::<Vec<_>>();
        // The leader deals the partitions out like cards; what it says goes through the broker as it is.
        let assignments = members.iter().enumerate().map(|(place, member)| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: (0..partitions)
                .skip(place)
                .step_by(members.len())
                .flat_map(u16::to_be_bytes)
                .collect::<Bytes>(),
        });
        let request = SyncGroupRequest {
            group_id: text(&self.group),
            generation_id: joined.generation_id,
            member_id: self.id.clone(),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let synced = self.client.ask(&request, 3).await;
        match synced.error_code {
            ErrorCode::NONE => {
                let partitions = synced.assignment.chunks_exact(2);
                Some(Share {
                    generation: joined.generation_id,
                    partitions: partitions.map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
                })
            }
            ErrorCode::REBALANCE_IN_PROGRESS
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID => None,
            other => panic!("a sync was answered with {other:?}"),
        }
    }

    /// What the coordinator says to a heartbeat.
    pub(super) async fn beat(&mut self, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: text(&self.group),
            member_id: self.id.clone(),
            generation_id: generation,
            ..Default::default()
        };
        self.client.ask(&request, 3).await.error_code
    }

    /// Whether the generation still holds.
    pub(super) async fn is_alive(&mut self, generation: i32) -> bool {
        self.beat(generation).await.is_none()
    }

    pub(super) async fn leave(mut self) {
        let member = MemberIdentity { member_id: self.id.clone(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: text(&self.group),
            members: vec![member].into(),
            ..Default::default()
        };
        self.client.ask(&request, 3).await;
    }
}
