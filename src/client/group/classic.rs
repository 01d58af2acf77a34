//! The classic protocol: all members join, one of them divides the partitions, and heartbeats tell when to do it again.
//!
//! One round is join, sync, taking over what was assigned, and heartbeats until something changes. With eager assignors
//! everything is given up before a round; with the cooperative one only what goes to others, after it, which then takes
//! a second round for the others to get it (KIP-429). Source: KIP-62, KIP-345, KIP-394, KIP-429, KIP-814.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::assign::Counts;
use super::member::{Interest, Member, Trouble};
use super::membership::Membership;
use crate::client::cluster::AutoCreate;
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::wire::{ErrorCode, Str};

/// The protocol type of groups that share topics.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// How long a topic that does not exist yet is looked for again after.
const MISSING_TOPIC_CHECK: Duration = Duration::from_secs(2);

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

    fn check(&self, code: ErrorCode, what: &str) -> Result<(), Trouble> {
        let context = || format!("{what} in group {}", self.member.config().group_id);
        self.member.coordinator.check(code, None, context).map_err(Trouble::of)
    }
}

impl Membership for ClassicMember {
    fn member(&mut self) -> &mut Member {
        &mut self.member
    }

    async fn go_on(&mut self) -> Result<(), Trouble> {
        self.round().await
    }

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

    /// A static member stays: it may be back soon.
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
        // Not behind a join that is held back.
        self.member.leave(&self.member.shared.coordinator, &request).await;
    }

    fn forget(&mut self, why: Option<&Error>) {
        if why.and_then(Error::code) != Some(ErrorCode::ILLEGAL_GENERATION) {
            self.member_id.clear();
        }
        self.generation = -1;
    }
}
