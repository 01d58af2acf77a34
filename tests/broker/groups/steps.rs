//! What is asked, step by step.

use millrace::types::TopicId;
use millrace::wire::Str;
use millrace::wire::messages::delete_groups::DeleteGroupsRequest;
use millrace::wire::messages::describe_groups::DescribeGroupsRequest;
use millrace::wire::messages::find_coordinator::FindCoordinatorRequest;
use millrace::wire::messages::heartbeat::HeartbeatRequest;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::wire::messages::list_groups::ListGroupsRequest;
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use millrace::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use millrace::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
};
use millrace::wire::messages::sync_group::SyncGroupRequest;

use super::super::fixture::Client;
use super::Script;
use super::requests::{commit, fetch, fetch_group, heartbeat, join, subscription, sync, text};

pub(super) async fn coordinators(script: &mut Script) {
    for version in [0, 1, 3] {
        let request = FindCoordinatorRequest { key: text("any"), ..Default::default() };
        script.ask("a group", version, &request).await;
    }
    let request =
        FindCoordinatorRequest { coordinator_keys: vec![text("a"), text("b")].into(), ..Default::default() };
    script.ask("two groups", 6, &request).await;
    let request = FindCoordinatorRequest { key: text("any"), key_type: 7, ..Default::default() };
    script.ask("a key of no known type", 3, &request).await;
}

pub(super) async fn refused_joins(script: &mut Script) {
    script.ask("a group without a name", 5, &join("", "")).await;
    let hasty = JoinGroupRequest { session_timeout_ms: 10, ..join("g", "") };
    script.ask("too short a session", 5, &hasty).await;
    let unable = JoinGroupRequest { protocols: Vec::new().into(), ..join("g", "") };
    script.ask("no protocols", 5, &unable).await;
    script.ask("no protocols", 9, &unable).await;
    let nothing = JoinGroupRequest { protocol_type: text(""), ..join("g", "") };
    script.ask("no protocol type", 7, &nothing).await;
    script.ask("a member of a group that there is not", 5, &join("g", "me")).await;
    let me = text("me");
    script.ask("a member of a group that there is not", 3, &heartbeat("g", &me, 1)).await;
    let joined = JoinGroupResponse { member_id: me, generation_id: 1, ..Default::default() };
    script.ask("a member of a group that there is not", 5, &sync("g", &joined)).await;
    let leave = LeaveGroupRequest { group_id: text("g"), member_id: text("me"), ..Default::default() };
    script.ask("a member of a group that there is not", 1, &leave).await;
}

pub(super) async fn membership(script: &mut Script) -> JoinGroupResponse {
    let asked = script.ask("a new member", 9, &join("g", "")).await;
    let joined = script.ask("with its id", 9, &join("g", asked.member_id.as_str())).await;
    let id = joined.member_id.as_str();
    let old = JoinGroupResponse { generation_id: 9, ..joined.clone() };
    script.ask("another generation", 5, &sync("g", &old)).await;
    let stranger = JoinGroupResponse { member_id: text("stranger"), ..joined.clone() };
    script.ask("a stranger", 5, &sync("g", &stranger)).await;
    let request = SyncGroupRequest { protocol_type: Some(text("connect")), ..sync("g", &joined) };
    script.ask("another protocol type", 5, &request).await;
    let request = SyncGroupRequest { protocol_name: Some(text("sticky")), ..sync("g", &joined) };
    script.ask("another protocol", 5, &request).await;
    let request = DescribeGroupsRequest { groups: vec![text("g")].into(), ..Default::default() };
    script.ask("before the assignment", 5, &request).await;
    script.ask("before the assignment", 9, &commit("g", id, joined.generation_id, "feed", 0)).await;
    script.ask("before the assignment", 4, &heartbeat("g", &joined.member_id, joined.generation_id)).await;
    script.ask("the leader", 5, &sync("g", &joined)).await;
    script.ask("the leader again", 3, &sync("g", &joined)).await;
    script.ask("a member", 4, &heartbeat("g", &joined.member_id, joined.generation_id)).await;
    script.ask("another generation", 4, &heartbeat("g", &joined.member_id, 9)).await;
    script.ask("a stranger", 4, &heartbeat("g", &text("stranger"), joined.generation_id)).await;
    let mut stranger = join("g", "");
    stranger.protocol_type = text("connect");
    script.ask("another protocol type", 5, &stranger).await;
    stranger.protocol_type = text("consumer");
    stranger.protocols =
        vec![JoinGroupRequestProtocol { name: text("sticky"), metadata: subscription() }].into();
    script.ask("no shared protocol", 5, &stranger).await;
    script.ask("a stranger", 5, &join("g", "stranger")).await;
    joined
}

pub(super) async fn commits(script: &mut Script, joined: &JoinGroupResponse) {
    let (id, generation) = (joined.member_id.as_str(), joined.generation_id);
    for version in [2, 5, 6, 8, 9] {
        script.ask("a member", version, &commit("g", id, generation, "feed", 0)).await;
    }
    for version in [8, 9] {
        script.ask("another generation", version, &commit("g", id, 9, "feed", 0)).await;
        script.ask("a stranger", version, &commit("g", "stranger", generation, "feed", 0)).await;
        script.ask("nobody, beside members", version, &commit("g", "", -1, "feed", 0)).await;
        script.ask("a group that there is not", version, &commit("other", "me", 1, "feed", 0)).await;
        script.ask("a group without a name", version, &commit("", "", -1, "feed", 0)).await;
    }
    script.ask("nobody, of a group of their own", 8, &commit("simple", "", -1, "feed", 1)).await;
    script.ask("no such partition", 8, &commit("simple", "", -1, "feed", 99)).await;
    script.ask("no such topic", 8, &commit("simple", "", -1, "none", 0)).await;
    let mut long = commit("simple", "", -1, "feed", 0);
    let mut topic = long.topics.iter().next().unwrap();
    let mut partition = topic.partitions.iter().next().unwrap();
    partition.committed_metadata = Some(text(&"x".repeat(4097)));
    topic.partitions = vec![partition].into();
    long.topics = vec![topic].into();
    script.ask("a note that is too long", 8, &long).await;
    let unknown = OffsetCommitRequestTopic {
        topic_id: TopicId([9; 16]),
        partitions: vec![OffsetCommitRequestPartition::default()].into(),
        ..Default::default()
    };
    let request = OffsetCommitRequest { topics: vec![unknown].into(), ..commit("simple", "", -1, "", 0) };
    script.ask("no topic of that id", 10, &request).await;
}

pub(super) async fn offsets(script: &mut Script) {
    for version in [1, 2, 5, 7] {
        let request = fetch("g", Some(&[("feed", &[0, 1, 99]), ("none", &[0])]));
        script.ask("some are committed", version, &request).await;
    }
    script.ask("all that is committed", 7, &fetch("g", None)).await;
    script.ask("a group that there is not", 7, &fetch("nobody", Some(&[("feed", &[0])]))).await;
    script.ask("a group that there is not, all", 7, &fetch("nobody", None)).await;
    script.ask("a group without a name", 7, &fetch("", None)).await;
    for version in [8, 9] {
        let groups = vec![
            fetch_group("g", None),
            fetch_group("simple", Some(&[("feed", &[0, 1]), ("none", &[0])])),
            fetch_group("nobody", Some(&[("feed", &[0])])),
        ];
        let request = OffsetFetchRequest { groups: groups.into(), ..Default::default() };
        script.ask("three groups", version, &request).await;
    }
    for (member, epoch) in [("stranger", 1), ("", 0), ("", -1)] {
        let group = OffsetFetchRequestGroup {
            member_id: Some(text(member)),
            member_epoch: epoch,
            ..fetch_group("g", Some(&[("feed", &[0])]))
        };
        let request = OffsetFetchRequest { groups: vec![group].into(), ..Default::default() };
        script.ask(&format!("as {member:?} of epoch {epoch}"), 9, &request).await;
    }
    let unknown = OffsetFetchRequestTopic {
        topic_id: TopicId([9; 16]),
        partition_indexes: vec![0].into(),
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup { topics: Some(vec![unknown].into()), ..fetch_group("g", None) };
    let request = OffsetFetchRequest { groups: vec![group].into(), ..Default::default() };
    script.ask("no topic of that id", 10, &request).await;
}

pub(super) async fn admin(script: &mut Script, joined: &JoinGroupResponse) {
    let groups: Vec<Str> = vec![text("g"), text("simple"), text("nobody"), text("")];
    for version in [0, 3, 5, 6] {
        for group in &groups {
            let request = DescribeGroupsRequest {
                groups: vec![group.clone()].into(),
                include_authorized_operations: version == 3,
            };
            script.ask(&format!("{group:?}"), version, &request).await;
        }
    }
    for (states, types) in [
        (&[][..], &[][..]),
        (&["stable"], &[]),
        (&["Empty"], &["Classic"]),
        (&["odd"], &[]),
        (&[], &["odd"]),
        (&[], &["consumer"]),
    ] {
        let all = |words: &[&str]| words.iter().map(|word| text(word)).collect();
        let request = ListGroupsRequest { states_filter: all(states), types_filter: all(types) };
        let what = format!("states {states:?}, types {types:?}");
        let versions: &[i16] = if states.is_empty() && types.is_empty() { &[5, 0, 4] } else { &[5] };
        for &version in versions {
            let mut response = script.client.ask(&request, version).await;
            // Kafka's order is none.
            let mut groups: Vec<_> = response.groups.iter().collect();
            groups.sort_by(|a, b| a.group_id.as_str().cmp(b.group_id.as_str()));
            response.groups = groups.into();
            script.tell::<ListGroupsRequest>(&what, version, &response);
        }
    }
    let request = DeleteGroupsRequest { groups_names: groups[..1].to_vec().into() };
    script.ask("a group with members", 2, &request).await;
    let partition = OffsetDeleteRequestPartition { partition_index: 0 };
    let topic = |name: &str| OffsetDeleteRequestTopic {
        name: text(name),
        partitions: vec![partition.clone()].into(),
    };
    for group in ["g", "simple", "nobody", ""] {
        for name in ["feed", "none", "other"] {
            let topics = vec![topic(name)];
            let request = OffsetDeleteRequest { group_id: text(group), topics: topics.into() };
            script.ask(&format!("{name} of {group:?}"), 0, &request).await;
        }
    }
    let identity = |member: &str, instance: Option<&str>| MemberIdentity {
        member_id: text(member),
        group_instance_id: instance.map(text),
        ..Default::default()
    };
    let leaving = vec![
        identity("stranger", None),
        identity("", Some("nobody")),
        identity(joined.member_id.as_str(), None),
    ];
    let request = LeaveGroupRequest { group_id: text("g"), members: leaving.into(), ..Default::default() };
    script.ask("three members", 5, &request).await;
    let request = DescribeGroupsRequest { groups: groups[..1].to_vec().into(), ..Default::default() };
    script.ask("after everybody has left", 5, &request).await;
    script.ask("nobody, after everybody has left", 8, &commit("g", "", -1, "feed", 1)).await;
    for group in groups {
        let request = DeleteGroupsRequest { groups_names: vec![group.clone()].into() };
        script.ask(&format!("{group:?}"), 2, &request).await;
    }
    script.ask("after its deletion", 7, &fetch("g", None)).await;
}

pub(super) async fn statics(script: &mut Script) {
    let own = |member: &str| JoinGroupRequest { group_instance_id: Some(text("i")), ..join("s", member) };
    let joined = script.ask("a static member", 9, &own("")).await;
    let request = SyncGroupRequest { group_instance_id: Some(text("i")), ..sync("s", &joined) };
    script.ask("a static member", 5, &request).await;
    let again = script.ask("a static member that comes back", 9, &own("")).await;
    let beat = |member: &Str| HeartbeatRequest {
        group_instance_id: Some(text("i")),
        ..heartbeat("s", member, again.generation_id)
    };
    script.ask("under its old id", 4, &beat(&joined.member_id)).await;
    script.ask("under its new id", 4, &beat(&again.member_id)).await;
    script
        .ask(
            "under its old id, without its instance",
            4,
            &heartbeat("s", &joined.member_id, again.generation_id),
        )
        .await;
    script.ask("under its old id", 9, &own(joined.member_id.as_str())).await;
    let request = SyncGroupRequest { group_instance_id: Some(text("i")), ..sync("s", &again) };
    script.ask("a static member that came back", 5, &request).await;
    let fenced = OffsetCommitRequest {
        group_instance_id: Some(text("i")),
        ..commit("s", joined.member_id.as_str(), again.generation_id, "feed", 0)
    };
    script.ask("under its old id", 8, &fenced).await;
    let older = script.ask("as one that cannot be told to leave the assignment alone", 7, &own("")).await;
    let leaving = MemberIdentity {
        member_id: again.member_id.clone(),
        group_instance_id: Some(text("i")),
        ..Default::default()
    };
    let request =
        LeaveGroupRequest { group_id: text("s"), members: vec![leaving].into(), ..Default::default() };
    script.ask("under its old id", 4, &request).await;
    script.ask("under its new id", 4, &beat(&older.member_id)).await;
    let leaving = MemberIdentity { group_instance_id: Some(text("i")), ..Default::default() };
    let request =
        LeaveGroupRequest { group_id: text("s"), members: vec![leaving].into(), ..Default::default() };
    script.ask("by its instance", 4, &request).await;
}

/// Joins as the leader; members are told in any order.
async fn join_and_sort(script: &mut Script, what: &str, leader: &JoinGroupResponse) -> JoinGroupResponse {
    let mut joined = script.client.ask(&join("r", leader.member_id.as_str()), 3).await;
    let mut members: Vec<_> = joined.members.iter().collect();
    members.sort_by_key(|member| member.member_id.as_str() != leader.member_id.as_str());
    joined.members = members.into();
    script.tell::<JoinGroupRequest>(what, 3, &joined);
    joined
}

/// Two members, each on a connection of its own.
pub(super) async fn rebalance(script: &mut Script) {
    let first = script.ask("the first member", 3, &join("r", "")).await;
    script.ask("the first member", 2, &sync("r", &first)).await;
    let mut other = Client::connect(script.address).await;
    let joining = other.send(&join("r", ""), 3).await;
    // Until the second one is waited for.
    loop {
        let answer = script.client.ask(&heartbeat("r", &first.member_id, first.generation_id), 3).await;
        if !answer.error_code.is_none() {
            script.tell::<HeartbeatRequest>("when another has come", 3, &answer);
            break;
        }
    }
    script.ask("when another has come", 2, &sync("r", &first)).await;
    script
        .ask(
            "when another has come",
            8,
            &commit("r", first.member_id.as_str(), first.generation_id, "feed", 0),
        )
        .await;
    let again = join_and_sort(script, "the first member joins again", &first).await;
    let second: JoinGroupResponse = other.receive(3, joining).await;
    script.tell::<JoinGroupRequest>("the second member", 3, &second);
    let lost = join_and_sort(script, "the first member, whose answer was lost", &first).await;
    assert_eq!(lost.generation_id, again.generation_id);
    script.ask("the leader", 2, &sync("r", &again)).await;
    let answer = other.ask(&sync("r", &second), 2).await;
    script.tell::<SyncGroupRequest>("the follower, whom the leader gave nothing", 2, &answer);
    let answer = other.ask(&join("r", second.member_id.as_str()), 3).await;
    script.tell::<JoinGroupRequest>("the follower joins again, with nothing new", 3, &answer);
    let request = DescribeGroupsRequest { groups: vec![text("r")].into(), ..Default::default() };
    let described = script.client.ask(&request, 5).await;
    assert_eq!(described.groups.iter().next().unwrap().members.len(), 2);
    let leave = LeaveGroupRequest { group_id: text("r"), member_id: second.member_id, ..Default::default() };
    script.ask("the follower", 1, &leave).await;
    script.ask("when one has left", 3, &heartbeat("r", &again.member_id, again.generation_id)).await;
}
