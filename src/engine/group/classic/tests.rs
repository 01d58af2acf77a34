//! The classic protocol, request by request, on a clock that the test turns.

mod model;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use bytes::Bytes;

use super::{Answer, ClassicGroup, ClassicSettings, Join};
use crate::engine::api::group::{Client, Committer, JoinRequest, Joined, MemberName, SyncRequest, Synced};
use crate::engine::group::{ClassicRecord, Effects, GroupError, GroupRecord};

const SETTINGS: ClassicSettings = ClassicSettings {
    initial_rebalance_delay: Duration::from_secs(3),
    session_timeout_min: Duration::from_secs(6),
    session_timeout_max: Duration::from_secs(1800),
    members_max: 5,
};

/// What was asked and will be answered.
type Pending<T> = Receiver<Result<T, GroupError>>;

/// A group on a clock, whose records are always kept.
struct Fixture {
    group: ClassicGroup,
    now: Duration,
    next_id: u32,
    /// The last record that was left.
    kept: Option<ClassicRecord>,
}

impl Fixture {
    fn new() -> Self {
        Self { group: ClassicGroup::new("g".into()), now: Duration::ZERO, next_id: 0, kept: None }
    }

    fn settle(&mut self, effects: Effects) {
        for record in effects.records {
            let GroupRecord::Classic { state, .. } = record else { panic!("{record:?}") };
            self.kept = state;
        }
        effects.answers.into_iter().for_each(|answer| answer(Ok(())));
    }

    fn join(&mut self, request: JoinRequest) -> Pending<Joined> {
        let (answer, pending) = pending();
        let mut effects = Effects::default();
        let id: Arc<str> = format!("m{}", self.next_id).into();
        let mut used = false;
        let join = Join { request, settings: &SETTINGS, now: self.now, answer };
        self.group.join(
            join,
            || {
                used = true;
                id
            },
            &mut effects,
        );
        self.next_id += u32::from(used);
        self.settle(effects);
        pending
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &str)]) -> Pending<Synced> {
        let (answer, pending) = pending();
        let mut effects = Effects::default();
        let request = SyncRequest {
            group: "g".into(),
            name: name(member),
            generation,
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(member, part)| ((*member).into(), Bytes::copy_from_slice(part.as_bytes())))
                .collect(),
        };
        self.group.sync(request, self.now, answer, &mut effects);
        self.settle(effects);
        pending
    }

    fn leave(&mut self, leaving: &[MemberName]) -> Vec<Result<(), GroupError>> {
        let mut effects = Effects::default();
        let outcomes = self.group.leave(leaving, &SETTINGS, self.now, &mut effects);
        self.settle(effects);
        outcomes
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        self.group.heartbeat(&name(member), generation, self.now)
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        let mut effects = Effects::default();
        self.group.expire(&SETTINGS, self.now, &mut effects);
        self.settle(effects);
    }

    /// A stable group of members m0, m1, ...; m0 leads.
    fn stable(members: u32) -> (Self, i32) {
        let mut fixture = Self::new();
        let joining: Vec<_> = (0..members).map(|_| fixture.join(request(""))).collect();
        fixture.advance(SETTINGS.initial_rebalance_delay);
        fixture.advance(SETTINGS.initial_rebalance_delay);
        let joined: Vec<Joined> =
            joining.into_iter().map(|pending| pending.try_recv().unwrap().unwrap()).collect();
        let generation = joined[0].generation;
        let parts: Vec<(String, String)> = joined
            .iter()
            .map(|joined| (joined.member.to_string(), format!("of {}", joined.member)))
            .collect();
        let parts: Vec<(&str, &str)> = parts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        for joined in &joined {
            let brought = if joined.leader == joined.member { &parts[..] } else { &[] };
            fixture.sync(&joined.member, generation, brought);
        }
        assert_eq!(fixture.group.state_name(), "Stable");
        (fixture, generation)
    }
}

fn pending<T: Send + 'static>() -> (Answer<T>, Pending<T>) {
    let (sender, receiver) = channel();
    (Box::new(move |outcome| drop(sender.send(outcome))), receiver)
}

fn name(member: &str) -> MemberName {
    MemberName { member: member.into(), instance: None }
}

fn instance(member: &str, instance: &str) -> MemberName {
    MemberName { member: member.into(), instance: Some(instance.into()) }
}

fn request(member: &str) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        name: name(member),
        client: Client { id: "client".into(), host: "/127.0.0.1".into() },
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"\0\0"))],
        needs_known_member: false,
        can_skip_assignment: true,
    }
}

fn done<T>(pending: &Pending<T>) -> Result<T, GroupError> {
    pending.try_recv().expect("it is answered")
}

fn waits<T>(pending: &Pending<T>) -> bool {
    matches!(pending.try_recv(), Err(TryRecvError::Empty))
}

#[test]
fn the_first_members_wait_for_one_another_and_the_leader_is_told_of_all() {
    let mut fixture = Fixture::new();
    let first = fixture.join(request(""));
    fixture.advance(Duration::from_secs(2));
    let second = fixture.join(request(""));
    fixture.advance(Duration::from_secs(1));
    assert!(waits(&first), "somebody came, so more are waited for");
    fixture.advance(Duration::from_secs(3));
    let (first, second) = (done(&first).unwrap(), done(&second).unwrap());
    assert_eq!((first.generation, &*first.leader, first.members.len()), (1, "m0", 2));
    assert_eq!((second.generation, &*second.leader, second.members.len()), (1, "m0", 0));

    let follower = fixture.sync("m1", 1, &[]);
    assert!(waits(&follower));
    let leader = fixture.sync("m0", 1, &[("m0", "a"), ("m1", "b")]);
    assert_eq!(&done(&leader).unwrap().assignment[..], b"a");
    assert_eq!(&done(&follower).unwrap().assignment[..], b"b");
    assert_eq!(fixture.kept.unwrap().members.len(), 2, "the generation is kept");
}

#[test]
fn a_new_member_has_to_come_back_with_its_id_where_it_knows_that() {
    let mut fixture = Fixture::new();
    let asked = fixture.join(JoinRequest { needs_known_member: true, ..request("") });
    assert_eq!(done(&asked), Err(GroupError::MemberIdRequired { member: "m0".into() }));
    assert!(!fixture.group.is_empty());
    let joining = fixture.join(JoinRequest { needs_known_member: true, ..request("m0") });
    fixture.advance(SETTINGS.initial_rebalance_delay);
    assert_eq!(&*done(&joining).unwrap().member, "m0");

    let mut fixture = Fixture::new();
    fixture.join(JoinRequest { needs_known_member: true, ..request("") });
    fixture.advance(Duration::from_secs(10));
    assert!(fixture.group.is_empty(), "who does not come back is forgotten");
    let late = fixture.join(JoinRequest { needs_known_member: true, ..request("m0") });
    assert_eq!(done(&late), Err(unknown("m0")));
}

#[test]
fn a_newcomer_has_all_join_anew_and_those_who_do_not_are_taken_out() {
    let (mut fixture, generation) = Fixture::stable(2);
    let newcomer = fixture.join(request(""));
    assert_eq!(fixture.heartbeat("m0", generation), Err(GroupError::RebalanceInProgress));
    let again = fixture.join(request("m0"));
    assert!(waits(&again) && waits(&newcomer));
    // m1 stays away, and its session ends.
    fixture.advance(Duration::from_secs(10));
    assert_eq!(done(&again).unwrap().members.len(), 2);
    assert_eq!(done(&newcomer).unwrap().generation, generation + 1);
    assert_eq!(fixture.heartbeat("m1", generation), Err(unknown("m1")));
}

#[test]
fn who_has_the_session_of_a_member_keeps_it_by_heartbeats() {
    let (mut fixture, generation) = Fixture::stable(2);
    for _ in 0..10 {
        fixture.advance(Duration::from_secs(6));
        let _ = fixture.heartbeat("m0", generation);
    }
    assert_eq!(fixture.heartbeat("m1", generation), Err(unknown("m1")));
    assert_eq!(fixture.heartbeat("m0", generation), Err(GroupError::RebalanceInProgress));
    assert_eq!(
        fixture.heartbeat("m0", generation - 1).unwrap_err(),
        GroupError::IllegalGeneration { asked: generation - 1, current: generation }
    );
}

#[test]
fn a_member_that_leaves_is_gone_at_once_and_the_last_leaves_an_empty_group() {
    let (mut fixture, generation) = Fixture::stable(2);
    assert_eq!(fixture.leave(&[name("m1"), name("nobody")]), [Ok(()), Err(unknown("nobody"))]);
    let again = fixture.join(request("m0"));
    assert_eq!(done(&again).unwrap().generation, generation + 1);
    assert_eq!(fixture.leave(&[name("m0")]), [Ok(())]);
    assert_eq!(fixture.group.state_name(), "Empty");
    assert!(fixture.kept.unwrap().members.is_empty());
    assert!(fixture.group.note_empty(7) && !fixture.group.note_empty(8));
}

#[test]
fn a_static_member_comes_back_under_a_new_id_and_nobody_notices() {
    let mut fixture = Fixture::new();
    let own = |member: &str| JoinRequest { name: instance(member, "i"), ..request("") };
    let joining = fixture.join(own(""));
    let other = fixture.join(request(""));
    fixture.advance(SETTINGS.initial_rebalance_delay);
    fixture.advance(SETTINGS.initial_rebalance_delay);
    let (joined, _) = (done(&joining).unwrap(), done(&other).unwrap());
    fixture.sync("m1", joined.generation, &[]);
    fixture.group.heartbeat(&instance("m0", "i"), joined.generation, fixture.now).unwrap();
    let (answer, synced) = pending();
    let mut effects = Effects::default();
    let request = SyncRequest {
        group: "g".into(),
        name: instance("m0", "i"),
        generation: joined.generation,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: vec![("m0".into(), Bytes::from_static(b"mine"))],
    };
    fixture.group.sync(request, fixture.now, answer, &mut effects);
    fixture.settle(effects);
    assert_eq!(&done(&synced).unwrap().assignment[..], b"mine");

    let back = done(&fixture.join(own(""))).unwrap();
    assert_eq!((back.generation, &*back.member), (joined.generation, "m2"));
    assert!(back.skip_assignment && back.members.len() == 2, "it leads, and has nothing to assign");
    let part = fixture.sync("m2", back.generation, &[]);
    assert_eq!(&done(&part).unwrap().assignment[..], b"mine");
    let old = fixture.group.heartbeat(&instance("m0", "i"), joined.generation, fixture.now);
    assert_eq!(old, Err(GroupError::FencedInstance { instance: "i".into() }));
    assert_eq!(fixture.heartbeat("m1", joined.generation), Ok(()), "no rebalance");
    assert_eq!(fixture.leave(&[instance("", "i")]), [Ok(())], "an admin takes it out by its instance");
}

#[test]
fn the_protocol_is_one_that_all_have_and_most_want() {
    let mut fixture = Fixture::new();
    let able = |protocols: &[&'static str]| JoinRequest {
        protocols: protocols
            .iter()
            .map(|name| ((*name).into(), Bytes::from_static(name.as_bytes())))
            .collect(),
        ..request("")
    };
    let members =
        [able(&["sticky", "range"]), able(&["range", "sticky"]), able(&["range", "mine", "sticky"])];
    let joining = members.map(|member| fixture.join(member));
    fixture.advance(SETTINGS.initial_rebalance_delay);
    fixture.advance(SETTINGS.initial_rebalance_delay);
    let joined = joining.map(|pending| done(&pending).unwrap());
    assert!(joined.iter().all(|joined| joined.protocol.as_deref() == Some("range")));
    assert!(joined[0].members.iter().all(|member| &member.metadata[..] == b"range"));
    let stranger = fixture.join(able(&["mine"]));
    assert!(matches!(done(&stranger), Err(GroupError::InconsistentProtocol { .. })));
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let mut fixture = Fixture::new();
    let hasty = fixture.join(JoinRequest { session_timeout: Duration::from_secs(1), ..request("") });
    assert_eq!(done(&hasty), Err(GroupError::InvalidSessionTimeout { min_ms: 6000, max_ms: 1_800_000 }));
    let unable = fixture.join(JoinRequest { protocols: Vec::new(), ..request("") });
    assert!(matches!(done(&unable), Err(GroupError::InconsistentProtocol { .. })));
    assert!(fixture.group.is_empty() && fixture.group.is_simple());
    for _ in 0..5 {
        fixture.join(request(""));
    }
    assert_eq!(done(&fixture.join(request(""))), Err(GroupError::GroupFull { members: 5 }));
}

#[test]
fn members_that_never_ask_for_their_assignment_are_taken_out() {
    let mut fixture = Fixture::new();
    let joining: Vec<_> = (0..2).map(|_| fixture.join(request(""))).collect();
    fixture.advance(SETTINGS.initial_rebalance_delay);
    fixture.advance(SETTINGS.initial_rebalance_delay);
    joining.iter().for_each(|pending| drop(done(pending).unwrap()));
    let leader = fixture.sync("m0", 1, &[("m0", "all")]);
    assert!(done(&leader).is_ok());
    for _ in 0..12 {
        fixture.advance(Duration::from_secs(5));
        let _ = fixture.heartbeat("m0", 1);
        let _ = fixture.heartbeat("m1", 1);
    }
    assert_eq!(fixture.heartbeat("m1", 1), Err(unknown("m1")), "its heartbeats do not help it");
}

#[test]
fn commits_are_for_members_of_the_generation_or_for_anybody_while_there_are_none() {
    let by = |member: &str, generation| Committer { name: name(member), generation, knows_epochs: false };
    let mut empty = Fixture::new();
    assert_eq!(empty.group.check_commit(&by("", -1), empty.now), Ok(()));
    let (mut fixture, generation) = Fixture::stable(1);
    let now = fixture.now;
    assert_eq!(fixture.group.check_commit(&by("m0", generation), now), Ok(()));
    assert_eq!(fixture.group.check_commit(&by("", -1), now), Err(unknown("")));
    assert_eq!(fixture.group.check_commit(&by("m9", generation), now), Err(unknown("m9")));
    let old = fixture.group.check_commit(&by("m0", generation - 1), now);
    assert_eq!(old, Err(GroupError::IllegalGeneration { asked: generation - 1, current: generation }));
}

#[test]
fn a_kept_group_comes_back_as_it_was_with_sessions_that_begin_anew() {
    let (fixture, generation) = Fixture::stable(3);
    let now = Duration::from_secs(1_000_000);
    let mut back = ClassicGroup::from_record("g".into(), fixture.kept.clone().unwrap(), now);
    assert_eq!(back.describe(), fixture.group.describe());
    assert_eq!(back.heartbeat(&name("m2"), generation, now + Duration::from_secs(9)), Ok(()));
    let mut effects = Effects::default();
    back.expire(&SETTINGS, now + Duration::from_secs(10), &mut effects);
    assert_eq!(back.describe().members.len(), 1);
}

#[test]
fn a_generation_that_could_not_be_kept_never_was() {
    let (mut fixture, generation) = Fixture::stable(2);
    let mut effects = Effects::default();
    fixture.group.not_kept(&SETTINGS, fixture.now, &mut effects);
    fixture.settle(effects);
    assert_eq!(fixture.heartbeat("m0", generation), Err(GroupError::RebalanceInProgress));
}

fn unknown(member: &str) -> GroupError {
    GroupError::UnknownMember { member: member.into() }
}
