//! One thing after another, by hand: what each heartbeat is answered.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Fixture, SESSION, alive, join};
use crate::engine::api::consumer_group::{
    ConsumerHeartbeat, ConsumerHeartbeatOutcome, LEAVES, LEAVES_FOR_A_WHILE, TopicPartitions,
};
use crate::engine::group::GroupError;
use crate::engine::group::consumer::{ConsumerGroup, Topics};

impl Fixture {
    fn parts(&self, topic: &str, indexes: &[i32]) -> TopicPartitions {
        vec![(self.topics.by_name(topic).unwrap().0, indexes.to_vec())]
    }

    #[track_caller]
    fn told(&mut self, request: &ConsumerHeartbeat, epoch: i32, assignment: Option<TopicPartitions>) {
        let outcome = self.heartbeat(request).unwrap();
        assert_eq!((outcome.epoch, outcome.assignment), (epoch, assignment));
    }

    /// Says what a member has.
    fn has(&self, member: &str, epoch: i32, topic: &str, indexes: &[i32]) -> ConsumerHeartbeat {
        let owned = if indexes.is_empty() { Vec::new() } else { self.parts(topic, indexes) };
        ConsumerHeartbeat { owned: Some(owned), ..alive(member, epoch) }
    }

    #[track_caller]
    fn refused(&mut self, request: &ConsumerHeartbeat) -> GroupError {
        self.heartbeat(request).unwrap_err()
    }
}

fn as_instance(instance: &str, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat { instance: Some(instance.into()), ..request }
}

#[test]
fn a_partition_moves_when_its_owner_no_longer_lists_it() {
    let mut group = Fixture::new(&[("a", 4)]);
    let (all, low, high) =
        (group.parts("a", &[0, 1, 2, 3]), group.parts("a", &[0, 1]), group.parts("a", &[2, 3]));
    group.told(&join("m1", &["a"]), 1, Some(all));
    group.told(&alive("m1", 1), 1, None);
    group.told(&join("m2", &["a"]), 2, Some(Vec::new()));
    group.told(&alive("m2", 2), 2, None);
    // Told to stop, and asked again until it has.
    group.told(&alive("m1", 1), 1, Some(low));
    group.told(&alive("m1", 1), 1, None);
    group.told(&group.has("m1", 1, "a", &[0, 1, 2]), 1, None);
    group.told(&alive("m2", 2), 2, None);
    assert_eq!(group.group.state_name(), "Reconciling");
    group.told(&group.has("m1", 1, "a", &[0, 1]), 2, None);
    group.told(&alive("m2", 2), 2, Some(high));
    assert_eq!(group.group.state_name(), "Stable");
}

#[test]
fn an_epoch_that_is_not_the_members_is_fenced_unless_the_answer_was_lost() {
    let mut group = Fixture::new(&[("a", 2)]);
    group.heartbeat(&join("m1", &["a"])).unwrap();
    group.heartbeat(&join("m2", &["a"])).unwrap();
    group.heartbeat(&group.has("m1", 1, "a", &[0])).unwrap();
    // The answer with epoch 2 was lost: it has what it was told then, and no more.
    for (owned, accepted) in
        [(None, false), (Some(group.parts("a", &[0, 1])), false), (Some(group.parts("a", &[0])), true)]
    {
        let outcome = group.heartbeat(&ConsumerHeartbeat { owned, ..alive("m1", 1) });
        assert_eq!(outcome.is_ok(), accepted, "{outcome:?}");
    }
    group.told(&alive("m1", 2), 2, None);
    // Once it has used the new epoch the old one is over.
    assert_eq!(
        group.refused(&group.has("m1", 1, "a", &[0])),
        GroupError::FencedMemberEpoch { asked: 1, current: 2 }
    );
    assert_eq!(group.refused(&alive("m1", 3)), GroupError::FencedMemberEpoch { asked: 3, current: 2 });
    assert_eq!(group.refused(&alive("m3", 1)), GroupError::UnknownMember { member: "m3".into() });
    // Joining anew is always possible: it has given up everything.
    group.told(&join("m1", &["a"]), 2, Some(group.parts("a", &[0])));
}

#[test]
fn a_full_request_is_told_everything_and_another_one_only_what_has_changed() {
    let mut group = Fixture::new(&[("a", 1)]);
    let all = group.parts("a", &[0]);
    group.told(&join("m1", &["a"]), 1, Some(all.clone()));
    let full = ConsumerHeartbeat { epoch: 1, owned: Some(all.clone()), ..join("m1", &["a"]) };
    group.told(&full, 1, Some(all.clone()));
    for partial in [
        ConsumerHeartbeat { rebalance_timeout: None, ..full.clone() },
        ConsumerHeartbeat { topics: None, ..full.clone() },
        ConsumerHeartbeat { owned: None, ..full.clone() },
    ] {
        group.told(&partial, 1, None);
    }
    assert_eq!(
        group.kept.len(),
        group.group.to_records().len() + 2,
        "a steady heartbeat leaves nothing to be kept"
    );
}

#[test]
fn a_member_that_is_silent_or_does_not_give_up_what_it_has_to_is_taken_out() {
    let mut group = Fixture::new(&[("a", 2)]);
    let all = group.parts("a", &[0, 1]);
    group.heartbeat(&join("m1", &["a"])).unwrap();
    group.heartbeat(&join("m2", &["a"])).unwrap();
    // It lives, and keeps what it was told to give up.
    let short = Duration::from_secs(10);
    group.heartbeat(&ConsumerHeartbeat { rebalance_timeout: Some(short), ..alive("m1", 1) }).unwrap();
    for _ in 0..2 {
        group.advance(short / 2 - Duration::from_millis(1));
        group.heartbeat(&alive("m1", 1)).unwrap();
        group.heartbeat(&alive("m2", 2)).unwrap();
    }
    group.advance(Duration::from_millis(2));
    assert_eq!(group.refused(&alive("m1", 1)), GroupError::UnknownMember { member: "m1".into() });
    group.told(&alive("m2", 2), 3, Some(all));
    group.advance(SESSION - Duration::from_millis(1));
    assert!(!group.group.is_empty());
    group.advance(Duration::from_millis(1));
    assert!(group.group.is_empty());
    assert_eq!((group.group.state_name(), group.group.next_deadline()), ("Empty", None));
}

#[test]
fn a_static_member_that_leaves_for_a_while_finds_what_it_had() {
    let mut group = Fixture::new(&[("a", 2)]);
    let all = group.parts("a", &[0, 1]);
    group.told(&as_instance("i", join("s1", &["a"])), 1, Some(all.clone()));
    let taken = GroupError::UnreleasedInstance { instance: "i".into() };
    assert_eq!(group.refused(&as_instance("i", join("s2", &["a"]))), taken);
    let fenced = GroupError::FencedInstance { instance: "i".into() };
    assert_eq!(group.refused(&as_instance("i", alive("s2", 1))), fenced);
    assert_eq!(group.refused(&as_instance("i", alive("s2", LEAVES))), fenced);
    let unknown = GroupError::UnknownMember { member: "s1".into() };
    assert_eq!(group.refused(&as_instance("j", alive("s1", 1))), unknown);
    group.told(&as_instance("i", alive("s1", LEAVES_FOR_A_WHILE)), LEAVES_FOR_A_WHILE, None);
    // Nobody gets what it had, and the group's epoch does not grow when it is back.
    group.told(&as_instance("i", join("s2", &["a"])), 1, Some(all.clone()));
    assert_eq!(group.refused(&as_instance("i", alive("s1", 1))), fenced);
    group.told(&as_instance("i", alive("s2", LEAVES_FOR_A_WHILE)), LEAVES_FOR_A_WHILE, None);
    group.told(&as_instance("i", join("s2", &["a"])), 1, Some(all.clone()));
    // Away for longer than its session, it is gone.
    group.heartbeat(&as_instance("i", alive("s2", LEAVES_FOR_A_WHILE))).unwrap();
    group.advance(SESSION);
    assert!(group.group.is_empty());
    group.told(&as_instance("i", join("s3", &["a"])), 3, Some(all));
    group.told(&as_instance("i", alive("s3", LEAVES)), LEAVES, None);
    assert!(group.group.is_empty());
}

#[test]
fn topics_that_come_grow_and_go_are_noticed() {
    let mut group = Fixture::new(&[("a-1", 1), ("b", 1)]);
    let pattern = ConsumerHeartbeat { topics: None, pattern: Some("a-.".into()), ..join("m1", &[]) };
    group.told(&pattern, 1, Some(group.parts("a-1", &[0])));
    group.topics.create("a-22", 1);
    assert!(group.group.is_behind(group.topics.version()));
    group.expire();
    assert!(!group.group.is_behind(group.topics.version()));
    assert_eq!(group.group.state_name(), "Stable", "it matches nothing new");
    group.topics.create("a-2", 1);
    group.expire();
    assert_eq!(group.group.state_name(), "Assigning");
    let mut both = [group.parts("a-1", &[0]), group.parts("a-2", &[0])].concat();
    both.sort();
    group.told(&alive("m1", 1), 2, Some(both));
    group.topics.delete("a-2");
    // A heartbeat notices by itself.
    group.told(&alive("m1", 2), 2, Some(group.parts("a-1", &[0])));
    group.told(&group.has("m1", 2, "a-1", &[0]), 3, None);
    group.topics.grow("a-1", 1);
    group.told(&alive("m1", 3), 4, Some(group.parts("a-1", &[0, 1])));
    assert!(group.group.subscribes_to("a-1") && !group.group.subscribes_to("b"));
    // An empty pattern is none.
    let nothing = ConsumerHeartbeat { pattern: Some("".into()), owned: Some(Vec::new()), ..alive("m1", 4) };
    group.told(&nothing, 5, Some(Vec::new()));
    assert!(!group.group.subscribes_to("a-1"));
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let mut group = Fixture::new(&[("a", 1)]);
    let good = join("m1", &["a"]);
    let empty = || Some(Arc::from(""));
    for bad in [
        ConsumerHeartbeat { member: "".into(), ..good.clone() },
        ConsumerHeartbeat { instance: empty(), ..good.clone() },
        ConsumerHeartbeat { rack: empty(), ..good.clone() },
        ConsumerHeartbeat { rebalance_timeout: None, ..good.clone() },
        ConsumerHeartbeat { owned: None, ..good.clone() },
        ConsumerHeartbeat { owned: Some(group.parts("a", &[0])), ..good.clone() },
        ConsumerHeartbeat { topics: None, ..good.clone() },
        ConsumerHeartbeat { member: "m".repeat(10_000).into(), ..good.clone() },
        alive("m1", LEAVES_FOR_A_WHILE),
        alive("m1", -3),
    ] {
        assert!(matches!(group.refused(&bad), GroupError::InvalidRequest { .. }), "{bad:?}");
    }
    let pattern = ConsumerHeartbeat { pattern: Some("(".into()), ..good.clone() };
    assert!(matches!(group.refused(&pattern), GroupError::InvalidPattern { .. }));
    let assignor = ConsumerHeartbeat { assignor: Some("sticky".into()), ..good.clone() };
    let unsupported =
        GroupError::UnsupportedAssignor { asked: "sticky".into(), known: "uniform, range".into() };
    assert_eq!(group.refused(&assignor), unsupported);
    let unnamed = ConsumerHeartbeat { member: "".into(), names_itself: false, ..good };
    assert_eq!(&*group.heartbeat(&unnamed).unwrap().member, "named-here");
}

#[test]
fn a_full_group_takes_nobody_but_those_it_has() {
    let mut group = Fixture::new(&[("a", 1)]);
    group.settings.members_max = 1;
    group.heartbeat(&as_instance("i", join("m1", &["a"]))).unwrap();
    assert_eq!(group.refused(&join("m2", &["a"])), GroupError::GroupFull { members: 1 });
    group.heartbeat(&as_instance("i", alive("m1", LEAVES_FOR_A_WHILE))).unwrap();
    group.heartbeat(&as_instance("i", join("m3", &["a"]))).unwrap();
}

#[test]
fn patterns_of_one_group_are_limited_in_number() {
    let mut group = Fixture::new(&[("a", 1)]);
    group.settings.members_max = 1000;
    let with = |index: usize, pattern: usize| ConsumerHeartbeat {
        pattern: Some(format!("a{pattern}").into()),
        ..join(&format!("m{index}"), &[])
    };
    for index in 0..100 {
        group.heartbeat(&with(index, index)).unwrap();
    }
    assert!(matches!(group.refused(&with(100, 100)), GroupError::InvalidPattern { .. }));
    group.heartbeat(&with(100, 7)).unwrap();
    group.heartbeat(&alive("m3", LEAVES)).unwrap();
    group.heartbeat(&with(101, 100)).unwrap();
}

#[test]
fn the_assignor_is_the_one_that_most_ask_for() {
    let mut group = Fixture::new(&[("a", 1)]);
    let asking = |member: &str, assignor: Option<&str>| ConsumerHeartbeat {
        assignor: assignor.map(Arc::from),
        ..join(member, &["a"])
    };
    let assignor = |group: &Fixture| group.group.describe(&group.settings, &group.topics).assignor;
    assert_eq!(assignor(&group), "uniform");
    group.heartbeat(&asking("m1", Some("range"))).unwrap();
    assert_eq!(assignor(&group), "range");
    group.heartbeat(&asking("m2", Some("uniform"))).unwrap();
    group.heartbeat(&asking("m3", None)).unwrap();
    assert_eq!(assignor(&group), "uniform", "the first of the settings among equals");
}

#[test]
fn offsets_are_committed_by_members_in_their_epoch() {
    let mut group = Fixture::new(&[("a", 1)]);
    let check = |group: &ConsumerGroup, member: &str, epoch: i32| group.check_member(&member.into(), epoch);
    group.heartbeat(&join("m1", &["a"])).unwrap();
    assert_eq!(check(&group.group, "m1", 1), Ok(()));
    assert_eq!(check(&group.group, "m1", 0), Err(GroupError::StaleMemberEpoch { asked: 0, current: 1 }));
    assert_eq!(check(&group.group, "m2", 1), Err(GroupError::UnknownMember { member: "m2".into() }));
}

#[test]
fn what_could_not_be_kept_is_told_anew() {
    let mut group = Fixture::new(&[("a", 2)]);
    group.heartbeat(&join("m1", &["a"])).unwrap();
    group.disk_is_full = true;
    assert!(matches!(group.refused(&join("m2", &["a"])), GroupError::Unavailable { .. }));
    assert_eq!(group.replayed().members.len(), 1);
    group.disk_is_full = false;
    // A heartbeat that changes nothing brings it all.
    group.heartbeat(&alive("m1", 1)).unwrap();
    assert_eq!(group.replayed().to_records(), group.group.to_records());
}

#[test]
fn a_log_that_a_crash_cut_within_a_change_comes_to_a_group_that_works() {
    let mut group = Fixture::new(&[("a", 2)]);
    group.heartbeat(&join("m1", &["a"])).unwrap();
    group.heartbeat(&join("m2", &["a"])).unwrap();
    let before = group.kept.clone();
    group.heartbeat(&alive("m1", 1)).unwrap();
    group.heartbeat(&group.has("m1", 1, "a", &[0])).unwrap();
    group.heartbeat(&alive("m2", 2)).unwrap();
    let after = group.group.to_records();
    // Any beginning of a snapshot behind an older state.
    for length in 0..=after.len() {
        group.kept = [&before[..], &after[..length]].concat();
        group.group = group.replayed();
        let both = ["m1", "m2"].map(|member| {
            let ConsumerHeartbeatOutcome { assignment, .. } = group.heartbeat(&join(member, &["a"])).unwrap();
            assignment.unwrap()
        });
        let told: usize = both.iter().flatten().map(|(_, indexes)| indexes.len()).sum();
        assert_eq!(told, 2, "{length}: {both:?}");
    }
}
