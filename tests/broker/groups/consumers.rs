//! Groups of the consumer protocol (KIP-848): static members that come back, members that are somebody else's, settings.

use millrace::types::TopicId;
use millrace::wire::Str;
use millrace::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use millrace::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, HeartbeatTopicPartitions,
};
use millrace::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::wire::messages::join_group::JoinGroupRequest;
use millrace::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::wire::messages::list_config_resources::ListConfigResourcesRequest;

use super::Script;
use super::requests::{join, sync, text};

const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A heartbeat that says nothing but that the member is alive.
fn alive(group: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: text(group),
        member_id: text(member),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// The first heartbeat of a member.
fn begin(group: &str, member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![text("feed")].into()),
        topic_partitions: Some(Vec::new().into()),
        ..alive(group, member, 0)
    }
}

fn as_instance(instance: &str, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest { instance_id: Some(text(instance)), ..request }
}

fn having(
    topic: TopicId,
    partitions: &[i32],
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatRequest {
    let owned = HeartbeatTopicPartitions { topic_id: topic, partitions: partitions.to_vec().into() };
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![owned].into()), ..request }
}

/// Sends a heartbeat, whose epoch counts from the first one that a group has.
async fn beat(script: &mut Script, what: &str, mut request: ConsumerGroupHeartbeatRequest) {
    if request.member_epoch > 0 {
        request.member_epoch += script.epochs_before;
    }
    script.ask(what, 1, &request).await;
}

/// Finds out with which epoch a broker's groups begin.
pub(super) async fn count_epochs(script: &mut Script) {
    let first = script.client.ask(&begin("first", "m"), 1).await;
    script.epochs_before = first.member_epoch - 1;
    script.client.ask(&alive("first", "m", -1), 1).await;
}

async fn describe(script: &mut Script, what: &str, group: &str) {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![text(group)].into(), ..Default::default() };
    script.ask(what, 1, &request).await;
}

pub(super) async fn statics(script: &mut Script, feed: TopicId) {
    let i = |request| as_instance("i", request);
    beat(script, "a static member", i(begin("cs", "m1"))).await;
    beat(script, "itself again, epoch 0", i(begin("cs", "m1"))).await;
    beat(script, "itself, alive", i(alive("cs", "m1", 1))).await;
    beat(script, "itself without its instance", alive("cs", "m1", 1)).await;
    beat(script, "itself without its instance, epoch 0", begin("cs", "m1")).await;
    beat(script, "itself as another instance", as_instance("j", alive("cs", "m1", 1))).await;
    beat(script, "another member while it lives, epoch 0", i(begin("cs", "m2"))).await;
    beat(script, "another member while it lives", i(alive("cs", "m2", 1))).await;
    beat(script, "another member leaves for it", i(alive("cs", "m2", -2))).await;
    beat(script, "another member leaves for it", i(alive("cs", "m2", -1))).await;
    describe(script, "while it lives", "cs").await;
    beat(script, "it leaves for a while", i(alive("cs", "m1", -2))).await;
    describe(script, "while it is away", "cs").await;
    beat(script, "it lives while it is away", i(alive("cs", "m1", 1))).await;
    beat(script, "it leaves once more", i(alive("cs", "m1", -2))).await;
    beat(script, "another member while it is away, not epoch 0", i(alive("cs", "m2", 1))).await;
    beat(script, "another member while it is away, epoch 0", i(begin("cs", "m2"))).await;
    describe(script, "another member has its place", "cs").await;
    beat(script, "it comes back too late", i(alive("cs", "m1", 1))).await;
    beat(script, "it comes back too late, epoch 0", i(begin("cs", "m1"))).await;
    beat(script, "it comes back too late, without its instance", alive("cs", "m1", 1)).await;
    beat(script, "the other one", i(having(feed, &[0, 1], alive("cs", "m2", 1)))).await;
    beat(script, "the other one leaves for a while", i(alive("cs", "m2", -2))).await;
    beat(script, "itself again after a while, epoch 0", i(begin("cs", "m2"))).await;
    beat(script, "the other one leaves for a while", i(alive("cs", "m2", -2))).await;
    beat(script, "one that is away goes for good", i(alive("cs", "m2", -1))).await;
    describe(script, "nobody is left", "cs").await;
    beat(script, "after all that, epoch 0", i(begin("cs", "m3"))).await;
    let named = |member: &str, instance| MemberIdentity {
        member_id: text(member),
        group_instance_id: Some(text(instance)),
        reason: None,
    };
    let leave = |member| LeaveGroupRequest {
        group_id: text("cs"),
        members: vec![named(member, "i"), named(member, "none")].into(),
        ..Default::default()
    };
    script.ask("an admin names another member", 5, &leave("m1")).await;
    script.ask("an admin names the instance", 5, &leave("")).await;
}

/// An instance that is a member of the one protocol, and then of the other.
pub(super) async fn statics_of_both_protocols(script: &mut Script) {
    let i = |request| as_instance("i", request);
    let own = |member: &str| JoinGroupRequest { group_instance_id: Some(text("i")), ..join("cm", member) };
    beat(script, "a dynamic member", begin("cm", "m0")).await;
    let joined = script.ask("a static member beside consumers", 9, &own("")).await;
    beat(script, "a consumer member takes its place, epoch 0", i(begin("cm", "m1"))).await;
    script.ask("the classic member", 5, &sync("cm", &joined)).await;
    script.ask("it takes the place of one that lives, beside consumers", 9, &own("")).await;
    beat(script, "the consumer member", i(alive("cm", "m1", 3))).await;
    beat(script, "the consumer member leaves for a while", i(alive("cm", "m1", -2))).await;
    script.ask("it takes the place of one that is away, beside consumers", 9, &own("")).await;
    beat(script, "the consumer member comes back", i(begin("cm", "m1"))).await;
}

fn change(group: &str, operation: i8, value: Option<&str>) -> IncrementalAlterConfigsRequest {
    let config = AlterableConfig {
        name: text("consumer.session.timeout.ms"),
        config_operation: operation,
        value: value.map(Str::from),
    };
    let resource = AlterConfigsResource {
        resource_type: GROUP,
        resource_name: text(group),
        configs: vec![config].into(),
    };
    IncrementalAlterConfigsRequest { resources: vec![resource].into(), ..Default::default() }
}

pub(super) async fn settings(script: &mut Script) {
    let list = ListConfigResourcesRequest { resource_types: vec![GROUP].into() };
    script.ask("groups that there are, without settings of their own", 1, &list).await;
    script.ask("of a group that there is", 1, &change("cs", SET, Some("50000"))).await;
    script.ask("of a group that there is not", 1, &change("nobody", SET, Some("50000"))).await;
    script.ask("groups with settings", 1, &list).await;
    script.ask("the only one taken away", 1, &change("cs", DELETE, None)).await;
    script.ask("groups with settings", 1, &list).await;
    script.ask("the only one taken away", 1, &change("nobody", DELETE, None)).await;
    script.ask("groups with settings", 1, &list).await;
}
