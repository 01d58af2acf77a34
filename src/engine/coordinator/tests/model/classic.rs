//! A client of the classic protocol: eager, which gives up all it has before it joins, or cooperative, which joins with
//! what it has and gives up what it is not told any more.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Client, HEARTBEAT, Model, Protocol, REBALANCE, SESSION, is_passing};
use crate::engine::api::group::*;
use crate::engine::group::GroupError;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, GroupError>> + Send>>;

pub(super) struct Classic {
    is_cooperative: bool,
    step: Step,
    /// The generation it is in, until it joins the next.
    generation: i32,
}

enum Step {
    /// It is to join.
    Out,
    Joining(Pending<Joined>),
    Syncing(Pending<Synced>),
    Reading,
}

const TOPIC: &[u8] = b"\0\x06orders";

/// Partitions in the bytes that consumers use for what they have and what they are assigned.
fn write(partitions: impl ExactSizeIterator<Item = i32>) -> Vec<u8> {
    let mut bytes = 1_i32.to_be_bytes().to_vec();
    bytes.extend(TOPIC);
    bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
    partitions.for_each(|partition| bytes.extend(partition.to_be_bytes()));
    bytes
}

/// The partitions in such bytes.
fn read(bytes: &[u8]) -> BTreeSet<i32> {
    if bytes.get(..4).is_none_or(|count| *count == [0; 4]) {
        return BTreeSet::new();
    }
    let count = i32::from_be_bytes(bytes[12..16].try_into().unwrap());
    let partitions = bytes[16..].chunks_exact(4).take(usize::try_from(count).unwrap());
    partitions.map(|partition| i32::from_be_bytes(partition.try_into().unwrap())).collect()
}

/// What a consumer tells its leader: that it reads `orders`, and what it has.
fn subscription(has: &BTreeMap<i32, i64>) -> Bytes {
    // Version 1; one topic; no data of the user's.
    let mut bytes = b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff".to_vec();
    bytes.extend(write(has.keys().copied()));
    bytes.into()
}

/// What a member said it has.
fn claimed(subscription: &[u8]) -> BTreeSet<i32> {
    read(&subscription[18..])
}

// === impl Classic ===

impl Classic {
    pub(super) fn new(is_cooperative: bool) -> Self {
        Self { is_cooperative, step: Step::Out, generation: -1 }
    }

    /// The generation in which it may commit.
    pub(super) fn generation(&self) -> Option<i32> {
        (self.generation >= 0).then_some(self.generation)
    }
}

fn poll<T>(pending: &mut Pending<T>) -> Option<Result<T, GroupError>> {
    match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

// === impl Model ===

impl Model {
    pub(super) fn classic_acts(&mut self, client: &mut Client) {
        let Protocol::Classic(classic) = &mut client.protocol else { unreachable!("the caller looked") };
        match std::mem::replace(&mut classic.step, Step::Out) {
            Step::Out => self.joins(client),
            Step::Joining(mut pending) => match poll(&mut pending) {
                None => classic.step = Step::Joining(pending),
                Some(Err(error)) => refused(client, &error),
                Some(Ok(joined)) => self.syncs(client, &joined),
            },
            Step::Syncing(mut pending) => match poll(&mut pending) {
                None => classic.step = Step::Syncing(pending),
                Some(Err(error)) => refused(client, &error),
                Some(Ok(synced)) => self.told(client, &synced.assignment),
            },
            Step::Reading => {
                classic.step = Step::Reading;
                let generation = classic.generation;
                if client.heartbeat_at <= self.now() {
                    client.heartbeat_at = self.now() + HEARTBEAT;
                    let name = MemberName { member: Arc::clone(&client.id), instance: None };
                    if let Err(error) = self.life().engine.heartbeat("readers", &name, generation) {
                        refused(client, &error);
                    }
                }
            }
        }
    }

    fn joins(&mut self, client: &mut Client) {
        let Protocol::Classic(classic) = &mut client.protocol else { unreachable!("the caller looked") };
        if !classic.is_cooperative {
            client.reads.clear();
        }
        let request = JoinRequest {
            name: MemberName { member: Arc::clone(&client.id), instance: None },
            session_timeout: SESSION,
            rebalance_timeout: REBALANCE,
            protocols: vec![("assignor".into(), subscription(&client.reads))],
            needs_known_member: true,
            can_skip_assignment: true,
            ..super::super::joining(&client.id)
        };
        classic.step = Step::Joining(Box::pin(self.life().engine.join_group(request)));
    }

    fn syncs(&mut self, client: &mut Client, joined: &Joined) {
        let Protocol::Classic(classic) = &mut client.protocol else { unreachable!("the caller looked") };
        client.id = Arc::clone(&joined.member);
        classic.generation = joined.generation;
        let leads = joined.leader == joined.member && !joined.skip_assignment;
        let assignments = if leads { self.assigned(&joined.members) } else { Vec::new() };
        let request = SyncRequest {
            group: "readers".into(),
            name: MemberName { member: Arc::clone(&client.id), instance: None },
            generation: joined.generation,
            protocol_type: Some("consumer".into()),
            protocol: joined.protocol.clone(),
            assignments,
        };
        classic.step = Step::Syncing(Box::pin(self.life().engine.sync_group(request)));
    }

    /// Shares out as a leader does: in turn; and what one member has another one gets only when the first has given it up.
    fn assigned(&self, members: &[JoinedMember]) -> Vec<(Arc<str>, Bytes)> {
        let claims: Vec<BTreeSet<i32>> = members.iter().map(|member| claimed(&member.metadata)).collect();
        let mut shares = vec![BTreeSet::new(); members.len()];
        for partition in 0..self.partitions {
            let index = usize::try_from(partition).unwrap() % members.len();
            let others = claims.iter().enumerate().filter(|(other, _)| *other != index);
            if !others.into_iter().any(|(_, claims)| claims.contains(&partition)) {
                shares[index].insert(partition);
            }
        }
        let shares = members.iter().zip(shares).map(|(member, share)| {
            let bytes = [&[0, 1][..], &write(share.into_iter()), &[0xff; 4]].concat();
            (Arc::clone(&member.name.member), bytes.into())
        });
        shares.collect()
    }

    fn told(&mut self, client: &mut Client, assignment: &[u8]) {
        let told = if assignment.is_empty() { BTreeSet::new() } else { read(&assignment[2..]) };
        let before = client.reads.len();
        client.reads.retain(|partition, _| told.contains(partition));
        let has_given_up = client.reads.len() < before;
        self.reads_from_now_on(client, &told);
        client.heartbeat_at = self.now() + HEARTBEAT;
        let Protocol::Classic(classic) = &mut client.protocol else { unreachable!("the caller looked") };
        // Somebody else gets it in the next generation.
        classic.step = if classic.is_cooperative && has_given_up { Step::Out } else { Step::Reading };
    }
}

/// What clients do when they are refused.
fn refused(client: &mut Client, error: &GroupError) {
    let Protocol::Classic(classic) = &mut client.protocol else { unreachable!("the caller looked") };
    classic.step = Step::Out;
    match error {
        GroupError::MemberIdRequired { member } => client.id = Arc::clone(member),
        GroupError::UnknownMember { .. } => {
            classic.generation = -1;
            client.id = "".into();
            client.loses_all();
        }
        GroupError::IllegalGeneration { .. } => {
            classic.generation = -1;
            client.loses_all();
        }
        GroupError::RebalanceInProgress => {}
        error if is_passing(error) => {}
        other => panic!("{other:?}"),
    }
}
