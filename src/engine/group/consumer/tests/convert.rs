//! A classic group becomes one of the consumer protocol: what its members may still read stays theirs.

use super::fixture::{Fixture, join};
use crate::engine::group::consumer::{ConsumerGroup, Context};
use crate::engine::group::{ClassicMemberRecord, ClassicRecord};

/// Partitions of the topic `a` as consumers write them.
fn parts(partitions: &[i32]) -> Vec<u8> {
    let mut bytes = b"\0\0\0\x01\0\x01a".to_vec();
    bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
    partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
    bytes
}

/// A member that reads `a`, said to have `claimed` when it joined, and was then assigned other partitions.
fn member(id: &str, claimed: &[i32], assigned: &[i32]) -> ClassicMemberRecord {
    let subscription = [b"\0\x01\0\0\0\x01\0\x01a\xff\xff\xff\xff", &parts(claimed)[..]].concat();
    ClassicMemberRecord {
        id: id.into(),
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocols: vec![("cooperative".into(), subscription)],
        assignment: [b"\0\x01", &parts(assigned)[..], &[0xff; 4]].concat(),
    }
}

#[test]
fn what_a_member_may_not_have_given_up_yet_is_nobody_elses() {
    let mut fixture = Fixture::new(&[("a", 5)]);
    // The first was to give 3 up, and may not have heard of it; that it once had 1 it has forgotten itself since.
    let members = vec![member("c1", &[0, 1, 3], &[0]), member("c2", &[], &[1, 2])];
    let record = ClassicRecord {
        generation: 7,
        protocol_type: Some("consumer".into()),
        protocol: Some("cooperative".into()),
        leader: Some("c1".into()),
        members,
        empty_since_ms: None,
    };
    let context = Context { settings: &fixture.settings, topics: &fixture.topics, now: fixture.now };
    fixture.group = ConsumerGroup::from_classic(&record, context).unwrap();
    let told = fixture.heartbeat(&join("m", &["a"])).unwrap();
    let told: Vec<i32> = told.assignment.unwrap().into_iter().flat_map(|(_, indexes)| indexes).collect();
    assert_eq!((told, fixture.group.members["c1"].assigned.len()), (vec![4], 2));
    assert_eq!(fixture.group.members["c2"].assigned.len(), 2);
}
