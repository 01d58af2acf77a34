//! The consumer protocol (KIP-848): the broker says what the member is to own, and the member gets there at its own pace.
//!
//! There is one request. It tells the broker that the member is alive, what it subscribes to and what it owns; the answer
//! brings the member's epoch and, when it has changed, the target. To reconcile is to give up what the target lacks, then
//! to take what is new in it, and to say so with the next heartbeat. Nobody waits for anybody but the broker.
//!
//! What always holds: what a lost answer may have hidden is told again in full; a partition of a topic that was made anew
//! is another partition; the member id is the member's own and stays the same until it closes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::config::millis;
use super::member::{Interest, Member, Trouble};
use super::membership::Membership;
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::client::retry::random;
use crate::types::TopicId;
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatTopicPartitions,
};
use crate::wire::{Array, ErrorCode, Str};

/// The epoch with which a member joins.
const JOINING: i32 = 0;
/// The epoch with which a member leaves for good.
const LEAVING: i32 = -1;
/// The epoch with which a static member leaves for a while.
const LEAVING_FOR_NOW: i32 = -2;

pub(super) struct ReconcilingMember {
    member: Member,
    member_id: String,
    epoch: i32,
    /// The ids of the owned partitions' topics.
    ids: BTreeMap<TopicPartition, TopicId>,
    /// What the broker wants, until the member is there.
    target: Option<Vec<(TopicId, Vec<i32>)>>,
    /// What the broker was told to be owned; `None` when it is to be told everything.
    told: Option<BTreeSet<TopicPartition>>,
    /// When the broker began to say that the instance id is still taken.
    taken_since: Option<Instant>,
}

// === impl ReconcilingMember ===

impl ReconcilingMember {
    pub(super) fn new(member: Member) -> Self {
        Self {
            member,
            member_id: format!("{:016x}{:016x}", random(), random()),
            epoch: JOINING,
            ids: BTreeMap::new(),
            target: None,
            told: None,
            taken_since: None,
        }
    }

    /// Goes from what is owned to `target`. Topics whose names no broker knows yet are left for the next heartbeat.
    async fn reconcile(&mut self, target: Vec<(TopicId, Vec<i32>)>) -> Result<(), Trouble> {
        let names = self.names(&target).await;
        let mut wanted = BTreeMap::new();
        for (id, partitions) in &target {
            match names.get(id) {
                Some(name) => {
                    wanted.extend(partitions.iter().map(|&partition| ((Arc::clone(name), partition), *id)));
                }
                None => self.target = Some(target.clone()),
            }
        }
        let is_gone = |(key, id): &(&TopicPartition, &TopicId)| wanted.get(*key) != Some(*id);
        let gone: Vec<TopicPartition> = self.ids.iter().filter(is_gone).map(|(key, _)| key.clone()).collect();
        if !gone.is_empty() {
            let let_go = self.member.let_go(gone.clone());
            self.beside_heartbeats(let_go).await?;
            for key in &gone {
                self.ids.remove(key);
                self.member.owned.remove(key);
            }
            // Others wait for them.
            self.member.next_heartbeat = Instant::now();
        }
        let new: Vec<TopicPartition> =
            wanted.keys().filter(|key| !self.ids.contains_key(*key)).cloned().collect();
        if !new.is_empty() {
            let shared = Arc::clone(&self.member.shared);
            let starts = self.beside_heartbeats(async move { shared.start_positions(&new).await }).await?;
            let starts = starts.map_err(Trouble::Fatal)?;
            self.ids.extend(starts.iter().map(|start| (start.key.clone(), wanted[&start.key])));
            self.member.assign(starts);
            self.member.next_heartbeat = Instant::now();
        }
        Ok(())
    }

    /// The names of the target's topics, as far as they are known; asks a broker when they are not.
    async fn names(&self, target: &[(TopicId, Vec<i32>)]) -> HashMap<TopicId, Arc<str>> {
        let client = self.member.client();
        let named = |metadata: &crate::client::Metadata| -> HashMap<TopicId, Arc<str>> {
            metadata.topics.values().map(|topic| (topic.id, Arc::clone(&topic.name))).collect()
        };
        let names = named(&client.metadata());
        let unknown: Vec<TopicId> =
            target.iter().map(|(id, _)| *id).filter(|id| !names.contains_key(id)).collect();
        if unknown.is_empty() {
            return names;
        }
        match client.refresh_ids(&unknown).await {
            Ok(metadata) => named(&metadata),
            Err(error) => {
                tracing::debug!(%error, "cannot look up the names of assigned topics");
                names
            }
        }
    }

    /// Whether the instance id may become free by itself: its last holder was killed and its session still runs.
    fn may_be_released(&mut self, error: &Error) -> bool {
        if error.code() != Some(ErrorCode::UNRELEASED_INSTANCE_ID) {
            return false;
        }
        let since = *self.taken_since.get_or_insert_with(Instant::now);
        since.elapsed() < self.member.client().config().api_timeout
    }

    fn on_answer(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        self.member.on_success();
        self.taken_since = None;
        self.epoch = response.member_epoch;
        self.member.set_identity(&self.member_id, self.epoch);
        let interval = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0).max(1);
        self.member.next_heartbeat = Instant::now() + Duration::from_millis(interval);
        if let Some(assignment) = &response.assignment {
            let target = assignment.topic_partitions.iter();
            self.target =
                Some(target.map(|topic| (topic.topic_id, topic.partitions.iter().collect())).collect());
        }
    }

    /// What there is to tell: everything at first and after a lost answer, else what has changed.
    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let config = self.member.config();
        let request = ConsumerGroupHeartbeatRequest {
            group_id: config.group_id.as_str().into(),
            member_id: self.member_id.as_str().into(),
            member_epoch: self.epoch,
            instance_id: config.group_instance_id.as_deref().map(Str::from),
            rebalance_timeout_ms: -1,
            topic_partitions: (self.told.as_ref() != Some(&self.member.owned)).then(|| self.owned()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        if self.told.is_some() {
            return request;
        }
        let (names, pattern) = match &*self.member.interest.borrow() {
            Some(Interest::Topics(topics)) => (topics.clone(), String::new()),
            Some(Interest::Pattern(pattern)) => (Vec::new(), pattern.text().to_owned()),
            None => (Vec::new(), String::new()),
        };
        ConsumerGroupHeartbeatRequest {
            rack_id: config.rack.as_deref().map(Str::from),
            rebalance_timeout_ms: millis(config.max_poll_interval),
            subscribed_topic_names: Some(names.into_iter().map(Str::from).collect()),
            subscribed_topic_regex: Some(pattern.into()),
            server_assignor: config.server_assignor.as_deref().map(Str::from),
            ..request
        }
    }

    fn owned(&self) -> Array<HeartbeatTopicPartitions> {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for ((_, partition), id) in &self.ids {
            topics.entry(*id).or_default().push(*partition);
        }
        let topic = |(topic_id, partitions): (TopicId, Vec<i32>)| HeartbeatTopicPartitions {
            topic_id,
            partitions: partitions.into(),
        };
        topics.into_iter().map(topic).collect()
    }
}

impl Membership for ReconcilingMember {
    fn member(&mut self) -> &mut Member {
        &mut self.member
    }

    /// Joins, and follows the broker's targets.
    async fn go_on(&mut self) -> Result<(), Trouble> {
        self.member.interest().await;
        self.member.next_heartbeat = Instant::now();
        loop {
            let next_heartbeat = self.member.next_heartbeat;
            tokio::select! {
                () = tokio::time::sleep_until(next_heartbeat) => self.heartbeat().await?,
                () = self.member.interest_changed() => {
                    self.told = None;
                    self.member.next_heartbeat = Instant::now();
                }
            }
            if let Some(target) = self.target.take() {
                self.reconcile(target).await?;
            }
        }
    }

    /// Sends one heartbeat and takes note of the answer.
    async fn heartbeat(&mut self) -> Result<(), Trouble> {
        self.member.check_activity()?;
        let request = self.request();
        let owned = self.member.owned.clone();
        // Until the answer is there nobody knows what the broker has heard.
        self.told = None;
        let answer = self.member.coordinator.call(&request, i16::MAX, Duration::ZERO).await;
        let checked = answer.map_err(Trouble::of).and_then(|response| {
            let context = || format!("a heartbeat in group {}", self.member.config().group_id);
            let message = response.error_message.as_ref().map(ToString::to_string);
            self.member.coordinator.check(response.error_code, message, context).map_err(Trouble::of)?;
            Ok(response)
        });
        match checked {
            Ok(response) => {
                self.told = Some(owned);
                self.on_answer(&response);
                Ok(())
            }
            Err(Trouble::Retry(error)) => {
                self.member.on_missed_heartbeat(&error);
                Ok(())
            }
            Err(Trouble::Fatal(error)) if self.may_be_released(&error) => {
                self.member.on_missed_heartbeat(&error);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn leave(&mut self) {
        if self.epoch == JOINING {
            return;
        }
        let config = self.member.config();
        let is_static = config.group_instance_id.is_some();
        let request = ConsumerGroupHeartbeatRequest {
            group_id: config.group_id.as_str().into(),
            member_id: self.member_id.as_str().into(),
            member_epoch: if is_static { LEAVING_FOR_NOW } else { LEAVING },
            instance_id: config.group_instance_id.as_deref().map(Str::from),
            rebalance_timeout_ms: -1,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        self.member.leave(&self.member.coordinator, &request).await;
    }

    fn forget(&mut self, _why: Option<&Error>) {
        self.epoch = JOINING;
        self.ids.clear();
        self.target = None;
        self.told = None;
    }
}
