use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn candidate(member_id: &str, topics: &[&str]) -> Candidate {
    Candidate {
        member_id: member_id.into(),
        instance_id: None,
        subscription: Subscription {
            topics: topics.iter().map(|&topic| topic.into()).collect(),
            ..Subscription::default()
        },
    }
}

fn counts(of: &[(&str, i32)]) -> Counts {
    of.iter().map(|&(topic, count)| (Arc::from(topic), count)).collect()
}

/// As "a0 a1 b0".
fn shown(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> =
        partitions.iter().map(|(topic, partition)| format!("{topic}{partition}")).collect();
    names.join(" ")
}

fn check(assignor: Assignor, candidates: &[Candidate], topics: &[(&str, i32)], expected: &[&str]) {
    let assigned = assign(assignor, candidates, &counts(topics));
    let shown: Vec<String> = assigned.iter().map(|partitions| shown(partitions)).collect();
    assert_eq!(shown, expected, "{assignor:?}");
}

#[test]
fn range_gives_consecutive_partitions_of_each_topic() {
    let members = [candidate("m2", &["a", "b"]), candidate("m1", &["a", "b"])];
    check(Assignor::Range, &members, &[("a", 3), ("b", 3)], &["a2 b2", "a0 a1 b0 b1"]);
    let members = [candidate("m1", &["a"]), candidate("m2", &["b"]), candidate("m3", &["a", "b"])];
    check(Assignor::Range, &members, &[("a", 2), ("b", 1)], &["a0", "b0", "a1"]);
    check(Assignor::Range, &members, &[], &["", "", ""]);
}

#[test]
fn round_robin_goes_on_from_topic_to_topic_and_passes_over_who_does_not_want() {
    let members = [candidate("m1", &["a", "b"]), candidate("m2", &["a", "b"])];
    check(Assignor::RoundRobin, &members, &[("a", 3), ("b", 3)], &["a0 a2 b1", "a1 b0 b2"]);
    let members = [candidate("m1", &["a"]), candidate("m2", &["a", "b"]), candidate("m3", &["a", "b", "c"])];
    let topics = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
    check(Assignor::RoundRobin, &members, &topics, &["a0", "b0", "b1 c0 c1 c2"]);
}

#[test]
fn static_members_keep_their_place_whatever_member_id_they_get() {
    let mut members = vec![candidate("m1", &["a"]), candidate("m9", &["a"]), candidate("m0", &["a"])];
    members[1].instance_id = Some("one".into());
    members[2].instance_id = Some("two".into());
    check(Assignor::Range, &members, &[("a", 3)], &["a2", "a0", "a1"]);
}

/// Members take over what they were given, and give up what they were not, as they do between two rebalances.
fn settle(candidates: &mut [Candidate], counts: &Counts) -> (Assigned, usize) {
    for round in 1.. {
        let assigned = assign(Assignor::CooperativeSticky, candidates, counts);
        let mut is_settled = true;
        for (candidate, partitions) in candidates.iter_mut().zip(&assigned) {
            let owned = &mut candidate.subscription.owned;
            is_settled &= owned.iter().all(|partition| partitions.contains(partition));
            owned.clone_from(partitions);
            candidate.subscription.generation = round;
        }
        if is_settled {
            return (assigned, usize::try_from(round).unwrap());
        }
        assert!(round < 10, "it does not settle");
    }
    unreachable!("it settles or fails")
}

#[test]
fn a_member_that_comes_gets_its_share_only_after_the_others_gave_it_up() {
    let counts = counts(&[("a", 6)]);
    let mut members = vec![candidate("m1", &["a"]), candidate("m2", &["a"])];
    let (before, _) = settle(&mut members, &counts);
    members.push(candidate("m3", &["a"]));
    let first = assign(Assignor::CooperativeSticky, &members, &counts);
    assert!(first[2].is_empty(), "the others own all of them: {first:?}");
    assert_eq!((first[0].len(), first[1].len()), (2, 2));
    let (after, _) = settle(&mut members, &counts);
    assert_eq!(after.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    for (before, after) in before.iter().zip(&after) {
        assert!(after.iter().all(|partition| before.contains(partition)), "only what had to move has moved");
    }
}

#[test]
fn when_a_member_goes_only_its_partitions_move() {
    let counts = counts(&[("a", 7)]);
    let mut members: Vec<_> = ["m1", "m2", "m3"].map(|id| candidate(id, &["a"])).into();
    let (before, _) = settle(&mut members, &counts);
    members.remove(1);
    let (after, rounds) = settle(&mut members, &counts);
    assert_eq!(rounds, 1, "nobody has to give up anything");
    assert!(before[0].iter().all(|partition| after[0].contains(partition)));
    assert!(before[2].iter().all(|partition| after[1].contains(partition)));
    assert_eq!(after[0].len() + after[1].len(), 7);
}

#[test]
fn of_two_that_claim_a_partition_the_later_generation_has_it() {
    let counts = counts(&[("a", 1)]);
    let mut members = vec![candidate("m1", &["a"]), candidate("m2", &["a"])];
    for (generations, first, settled) in [([4, 5], ["", "a0"], [0, 1]), ([5, 5], ["", ""], [1, 0])] {
        for (member, generation) in members.iter_mut().zip(generations) {
            member.subscription.owned = vec![("a".into(), 0)];
            member.subscription.generation = generation;
        }
        check(Assignor::CooperativeSticky, &members, &[("a", 1)], &first);
        let (after, _) = settle(&mut members, &counts);
        assert_eq!([after[0].len(), after[1].len()], settled);
    }
}

#[test]
fn a_thousand_members_are_served_in_a_moment() {
    let members: Vec<_> = (0..1000).map(|number| candidate(&format!("m{number:04}"), &["a"])).collect();
    let assigned = assign(Assignor::CooperativeSticky, &members, &counts(&[("a", 5000)]));
    assert!(assigned.iter().all(|partitions| partitions.len() == 5));
}

proptest! {
    /// Whatever members with whatever subscriptions and claims: every wanted partition ends with one member that wants it.
    #[test]
    fn every_partition_has_one_owner_once_things_settle(
        wants in prop::collection::vec(prop::collection::vec(0_usize..4, 0..4), 1..7),
        partitions in prop::collection::vec(0_i32..7, 4),
        claims in prop::collection::vec((0_usize..7, 0_usize..4, 0_i32..9, -1_i32..3), 0..20),
    ) {
        let names = ["a", "b", "c", "d"];
        let counts: Counts = names.iter().zip(&partitions).map(|(&name, &count)| (name.into(), count)).collect();
        let mut members: Vec<Candidate> = wants
            .iter()
            .enumerate()
            .map(|(index, wants)| {
                let topics: Vec<&str> = wants.iter().map(|&topic| names[topic]).collect();
                candidate(&format!("m{index}"), &topics)
            })
            .collect();
        for (member, topic, partition, generation) in claims {
            if let Some(member) = members.get_mut(member) {
                member.subscription.owned.push((names[topic].into(), partition));
                member.subscription.generation = generation;
            }
        }
        let wanted = |topic: &str| members.iter().any(|member| member.wants(topic));
        let expected: usize =
            counts.iter().filter(|(topic, _)| wanted(topic)).map(|(_, &count)| count as usize).sum();
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::CooperativeSticky] {
            let assigned = match assignor {
                Assignor::CooperativeSticky => settle(&mut members.clone(), &counts).0,
                other => assign(other, &members, &counts),
            };
            let mut owners: HashMap<TopicPartition, usize> = HashMap::new();
            for (index, partitions) in assigned.iter().enumerate() {
                for partition in partitions {
                    prop_assert!(members[index].wants(&partition.0));
                    prop_assert!(owners.insert(partition.clone(), index).is_none(), "two owners: {assignor:?}");
                }
            }
            prop_assert_eq!(owners.len(), expected, "{:?}", assignor);
        }
    }

    /// Members that all want the same come out with the same number of partitions, give or take one.
    #[test]
    fn equal_members_get_equal_shares(count in 0_i32..40, members in 1_usize..9, gone in 0_usize..9) {
        let counts = counts(&[("a", count)]);
        let mut members: Vec<_> = (0..members).map(|number| candidate(&format!("m{number}"), &["a"])).collect();
        settle(&mut members, &counts);
        if gone < members.len() && members.len() > 1 {
            members.remove(gone);
        }
        members.push(candidate("late", &["a"]));
        let (assigned, _) = settle(&mut members, &counts);
        let sizes: Vec<usize> = assigned.iter().map(Vec::len).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    }
}
