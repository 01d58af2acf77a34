//! The classic protocol: all members join, one of them divides the partitions, and heartbeats tell when to do it again.
//!
//! One round is join, sync, taking over what was assigned, and heartbeats until something changes. With eager assignors
//! everything is given up before a round; with the cooperative one only what goes to others, after it, which then takes
//! a second round for the others to get it (KIP-429). Source: KIP-62, KIP-345, KIP-394, KIP-429, KIP-814.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::assign::{self, Candidate, Counts};
use super::config::{Assignor, millis};
use super::embedded::{self, Subscription};
use super::member::{Change, Closing, Interest, Member, Trouble};
use crate::client::cluster::AutoCreate;
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use crate::wire::{ErrorCode, Str};

/// The protocol type of groups that share topics.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// How long a topic that does not exist yet is looked for again after.
const MISSING_TOPIC_CHECK: Duration = Duration::from_secs(2);

/// How long leaving the group may take; the session timeout does the same, later.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// The slack that the coordinator has beyond the rebalance timeout to answer a join.
const JOIN_SLACK: Duration = Duration::from_secs(5);

pub(super) struct ClassicMember {
    member: Member,
    /// Empty until the coordinator has given one.
    member_id: String,
    generation: i32,
    /// The topics that this round is about: the member's own, or the whole group's in the leader.
    watched: BTreeSet<Arc<str>>,
    /// What `watched` was made of, to see that it has changed.
    counts: Counts,
}

/// The outcome of a join.
struct Joined {
    protocol_name: String,
    /// The leader's assignment for each member, by member id.
    assignments: Vec<(Str, Vec<TopicPartition>)>,
}

// === impl ClassicMember ===

impl ClassicMember {
    pub(super) fn new(member: Member) -> Self {
        Self {
            member,
            member_id: String::new(),
            generation: -1,
            watched: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Is a member until it is to close.
    pub(super) async fn run(mut self, mut closing: oneshot::Receiver<Closing>) {
        let closing = tokio::select! {
            biased;
            closing = &mut closing => closing,
            error = self.serve() => {
                self.leave().await;
                self.member.lose_all();
                self.member.send(Change::Failed(error.clone()));
                if let Ok(Closing { done, .. }) = closing.await {
                    let _nobody_waits_if_this_fails = done.send(Err(error));
                }
                return;
            }
        };
        // Without a word the application has gone: no commit, since nobody knows what it has done with its records.
        let Ok(Closing { positions, done }) = closing else { return };
        let committed = self.member.shared.commit_in_time(&positions).await;
        self.leave().await;
        let _nobody_waits_if_this_fails = done.send(committed);
    }

    /// Goes from round to round; returns when none can help any more.
    async fn serve(&mut self) -> Error {
        loop {
            match self.round().await {
                Ok(()) | Err(Trouble::Rejoin) => {}
                Err(Trouble::Lost(error)) => {
                    tracing::info!(group = self.member.config().group_id, %error, "out of the group; joining anew");
                    if error.code() != Some(ErrorCode::ILLEGAL_GENERATION) {
                        self.member_id.clear();
                    }
                    self.generation = -1;
                    self.member.lose_all();
                }
                Err(Trouble::Overdue) => {
                    self.leave().await;
                    self.member_id.clear();
                    self.generation = -1;
                    self.member.lose_all();
                    self.member.wait_for_application().await;
                }
                Err(Trouble::Retry(error)) => self.member.rest(&error).await,
                Err(Trouble::Fatal(error)) => return error,
            }
        }
    }

    async fn round(&mut self) -> Result<(), Trouble> {
        let topics = self.topics().await?;
        if !self.member.config().is_cooperative() && !self.member.owned.is_empty() {
            let keys: Vec<TopicPartition> = self.member.owned.iter().cloned().collect();
            self.give_up(keys).await?;
        }
        let joined = self.join(&topics).await?;
        let assigned = self.sync(joined).await?;
        self.member.on_success();
        let assigned: BTreeSet<TopicPartition> = assigned.into_iter().collect();
        let gone: Vec<TopicPartition> = self.member.owned.difference(&assigned).cloned().collect();
        let has_given_up = !gone.is_empty();
        if has_given_up {
            self.give_up(gone).await?;
        }
        let new: Vec<TopicPartition> = assigned.difference(&self.member.owned).cloned().collect();
        let shared = Arc::clone(&self.member.shared);
        let starts = self.beside_heartbeats(async move { shared.start_positions(&new).await }).await?;
        self.member.assign(starts.map_err(Trouble::Fatal)?);
        // What was given up is waited for by whoever gets it in the next round.
        if has_given_up { Ok(()) } else { self.stay().await }
    }

    /// The topics to subscribe to, those of a pattern looked up.
    async fn topics(&mut self) -> Result<Vec<String>, Trouble> {
        let topics: Vec<String> = match self.member.interest().await {
            Interest::Topics(topics) => topics,
            Interest::Pattern(pattern) => {
                let asked_at = Instant::now();
                let metadata = self.member.client().refresh_all().await.map_err(Trouble::of)?;
                let fits = |name: &str| pattern.matches(name);
                let found = metadata.topics.values().filter(|topic| topic.fetched_at >= asked_at);
                let mut names: Vec<String> = found
                    .filter(|topic| !topic.is_internal && fits(&topic.name))
                    .map(|topic| topic.name.to_string())
                    .collect();
                names.sort_unstable();
                names
            }
        };
        self.watched = topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        Ok(topics)
    }

    /// Waits until the application has let go of `keys`.
    async fn give_up(&mut self, keys: Vec<TopicPartition>) -> Result<(), Trouble> {
        let let_go = self.member.let_go(keys.clone());
        self.beside_heartbeats(let_go).await?;
        keys.iter().for_each(|key| {
            self.member.owned.remove(key);
        });
        Ok(())
    }

    async fn join(&mut self, topics: &[String]) -> Result<Joined, Trouble> {
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

    async fn sync(&mut self, joined: Joined) -> Result<Vec<TopicPartition>, Trouble> {
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

    /// Sends heartbeats until a new round is due.
    async fn stay(&mut self) -> Result<(), Trouble> {
        self.counts = self.count().await.map_err(Trouble::of)?;
        let max_age = self.member.client().config().metadata_max_age;
        let mut looked_at = Instant::now();
        loop {
            let is_complete = self.watched.iter().all(|topic| self.counts.contains_key(topic));
            let look_at = looked_at + if is_complete { max_age } else { max_age.min(MISSING_TOPIC_CHECK) };
            let next_heartbeat = self.member.next_heartbeat;
            tokio::select! {
                () = tokio::time::sleep_until(next_heartbeat) => self.heartbeat().await?,
                () = self.member.interest_changed() => return Ok(()),
                () = tokio::time::sleep_until(look_at) => {
                    looked_at = Instant::now();
                    if self.has_changed().await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether the topics of the group are others than at the last join, or have other partitions.
    async fn has_changed(&mut self) -> bool {
        let is_pattern = matches!(*self.member.interest.borrow(), Some(Interest::Pattern(_)));
        if is_pattern {
            let before = self.watched.clone();
            if let Err(error) = self.topics().await {
                tracing::debug!(?error, "cannot look for topics that fit the pattern");
                return false;
            }
            let is_new = self.watched.difference(&before).next().is_some();
            let is_gone =
                before.iter().any(|topic| self.counts.contains_key(topic) && !self.watched.contains(topic));
            self.watched.extend(before);
            if is_new || is_gone {
                return true;
            }
        }
        match self.count().await {
            Ok(counts) => std::mem::replace(&mut self.counts, counts) != self.counts,
            Err(error) => {
                tracing::debug!(%error, "cannot look whether topics have changed");
                false
            }
        }
    }

    /// The partitions of the watched topics now.
    async fn count(&self) -> Result<Counts, Error> {
        if self.watched.is_empty() {
            return Ok(Counts::new());
        }
        let names: Vec<Arc<str>> = self.watched.iter().cloned().collect();
        let (metadata, _) = self.member.client().refresh(&names, AutoCreate::No, Instant::now()).await?;
        let count = |name: Arc<str>| {
            let count = metadata.topic(&name)?.partitions.len();
            Some((name, i32::try_from(count).unwrap_or(i32::MAX)))
        };
        Ok(names.into_iter().filter_map(count).collect())
    }

    /// Does `work` while heartbeats go on. A rebalance waits until the work is done.
    async fn beside_heartbeats<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(self.member.next_heartbeat) => match self.heartbeat().await {
                    // Asked again with the next heartbeat, when there is time for it.
                    Ok(()) | Err(Trouble::Rejoin) => {}
                    Err(trouble) => return Err(trouble),
                },
            }
        }
    }

    /// Sends one heartbeat. One that does not come through is tried again soon; the coordinator decides how many it misses.
    async fn heartbeat(&mut self) -> Result<(), Trouble> {
        self.member.check_activity()?;
        self.member.next_heartbeat = Instant::now() + self.member.config().heartbeat_interval;
        if self.generation < 0 {
            return Ok(());
        }
        let config = self.member.config();
        let request = HeartbeatRequest {
            group_id: config.group_id.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: config.group_instance_id.as_deref().map(Str::from),
        };
        let answer = self.member.coordinator.call(&request, i16::MAX, Duration::ZERO).await;
        let checked = match answer {
            Ok(response) => self.check(response.error_code, "a heartbeat"),
            Err(error) => Err(Trouble::of(error)),
        };
        match checked {
            Err(Trouble::Retry(error)) => {
                self.member.on_missed_heartbeat(&error);
                Ok(())
            }
            other => other,
        }
    }

    fn check(&self, code: ErrorCode, what: &str) -> Result<(), Trouble> {
        let context = || format!("{what} in group {}", self.member.config().group_id);
        self.member.coordinator.check(code, None, context).map_err(Trouble::of)
    }

    /// Leaves the group, so that its partitions need not wait for the session timeout. A static member stays: it may be
    /// back soon.
    async fn leave(&mut self) {
        let config = self.member.config();
        if self.member_id.is_empty() || config.group_instance_id.is_some() {
            return;
        }
        let identity =
            MemberIdentity { member_id: self.member_id.as_str().into(), ..MemberIdentity::default() };
        let request = LeaveGroupRequest {
            group_id: config.group_id.as_str().into(),
            member_id: self.member_id.as_str().into(),
            members: vec![identity].into(),
        };
        let coordinator = &self.member.shared.coordinator;
        let leaving = async {
            while let Err(error) = coordinator.call(&request, i16::MAX, Duration::ZERO).await {
                tracing::debug!(group = config.group_id, %error, "cannot leave the group");
                if !error.is_retriable() {
                    return;
                }
                tokio::time::sleep(self.member.client().config().retry.initial).await;
            }
        };
        if tokio::time::timeout(LEAVE_WITHIN, leaving).await.is_err() {
            tracing::debug!(group = config.group_id, "the session timeout will end the membership");
        }
    }
}
