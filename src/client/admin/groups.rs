//! Groups: listing, describing and deleting them.

use std::sync::Arc;
use std::time::Duration;

use super::{Admin, no_answer};
use crate::client::consumer::TopicPartition;
use crate::client::error::Error;
use crate::client::group::coordinator::Coordinator;
use crate::client::group::embedded::{self, Subscription};
use crate::wire::ErrorCode;
use crate::wire::messages::consumer_group_describe::{
    ConsumerGroupAssignment, ConsumerGroupDescribeRequest, DescribedConsumerGroup,
};
use crate::wire::messages::delete_groups::DeleteGroupsRequest;
use crate::wire::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use crate::wire::messages::list_groups::ListGroupsRequest;

/// A group, as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group.
    pub group_id: String,
    /// What its members are: `consumer` for those that share topics, nothing while it has only committed offsets.
    pub protocol_type: String,
    /// The state, when the broker tells: `Stable`, `Empty` and so on.
    pub state: Option<String>,
    /// The type, when the broker tells: `Classic`, `Consumer` and so on.
    pub group_type: Option<String>,
}

/// A group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group.
    pub group_id: String,
    /// `classic` or `consumer`, by its protocol.
    pub group_type: &'static str,
    /// What its members are: `consumer` for those that share topics, nothing while it has only committed offsets.
    pub protocol_type: String,
    /// The state, by Kafka's name.
    pub state: String,
    /// How partitions are divided, by the assignor's name.
    pub assignor: String,
    /// The node id of its coordinator.
    pub coordinator: i32,
    /// Consumer protocol: the epoch of the group.
    pub epoch: Option<i32>,
    /// The members, sorted by their client and member ids.
    pub members: Vec<MemberDescription>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// The member's id.
    pub member_id: String,
    /// The name that it keeps over restarts, when it has one.
    pub instance_id: Option<String>,
    /// The name of its client.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// The topics it subscribes to by name.
    pub topics: Vec<String>,
    /// The pattern it subscribes to, when it does.
    pub pattern: Option<String>,
    /// Its partitions, sorted.
    pub assigned: Vec<TopicPartition>,
    /// Consumer protocol: the partitions it is to have once all have followed, sorted.
    pub target: Option<Vec<TopicPartition>>,
    /// Consumer protocol: how far it has followed the group's epoch.
    pub epoch: Option<i32>,
}

// === impl Admin ===

impl Admin {
    /// All groups of the cluster, sorted by their ids; of the given states only, where any are given.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn list_groups(&self, states: &[&str]) -> Result<Vec<GroupListing>, Error> {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|&state| state.into()).collect(),
            ..ListGroupsRequest::default()
        };
        let mut groups = Vec::new();
        let what = || "listing groups".to_owned();
        for node_id in self.describe_cluster().await?.brokers.into_iter().map(|(node_id, _)| node_id) {
            let response = self.client.retrying(what, || async {
                let response = self.client.call(node_id, &request).await?;
                Error::check(response.error_code, None, what)?;
                Ok(response)
            });
            groups.extend(response.await?.groups.iter().map(|group| GroupListing {
                group_id: group.group_id.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: Some(group.group_state.to_string()).filter(|state| !state.is_empty()),
                group_type: Some(group.group_type.to_string()).filter(|kind| !kind.is_empty()),
            }));
        }
        // Brokers that know no filter send all.
        groups.retain(|group| {
            let state = group.state.as_deref();
            states.is_empty()
                || states.iter().any(|wanted| state.is_some_and(|state| state.eq_ignore_ascii_case(wanted)))
        });
        groups.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
        Ok(groups)
    }

    /// A group with its members, of either protocol.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is none, or when its coordinator does not answer.
    pub async fn describe_group(&self, group_id: &str) -> Result<GroupDescription, Error> {
        let described = self
            .with_coordinator(
                group_id,
                || format!("describing group {group_id}"),
                async |coordinator| match describe_consumer(coordinator).await {
                    Err(error)
                        if matches!(error, Error::Unsupported { .. })
                            || error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) =>
                    {
                        describe_classic(coordinator).await
                    }
                    other => other,
                },
            )
            .await;
        described.map(|mut group| {
            group.members.sort_unstable_by(|one, other| {
                (&one.client_id, &one.member_id).cmp(&(&other.client_id, &other.member_id))
            });
            group
        })
    }

    /// Deletes groups with all their committed offsets. The answers are in the order of `group_ids`.
    pub async fn delete_groups(&self, group_ids: &[&str]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(group_ids.len());
        for &group_id in group_ids {
            let context = || format!("deleting group {group_id}");
            let request = DeleteGroupsRequest { groups_names: vec![group_id.into()].into() };
            let deleted = self.with_coordinator(group_id, context, async |coordinator| {
                let response = coordinator.call(&request, i16::MAX, Duration::ZERO).await?;
                let answer = response.results.iter().next().ok_or_else(|| no_answer(context()))?;
                coordinator.check(answer.error_code, None, context)
            });
            results.push(deleted.await);
        }
        results
    }

    /// Does something with a group's coordinator, again while its failure may pass.
    pub(super) async fn with_coordinator<T>(
        &self,
        group_id: &str,
        what: impl Fn() -> String,
        work: impl AsyncFn(&Coordinator) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let coordinator = Coordinator::new(&self.client, group_id);
        self.client.retrying(what, || work(&coordinator)).await
    }
}

async fn describe_consumer(coordinator: &Coordinator) -> Result<GroupDescription, Error> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![coordinator.group_id().into()].into(),
        ..ConsumerGroupDescribeRequest::default()
    };
    let context = || format!("describing group {}", coordinator.group_id());
    let response = coordinator.call(&request, i16::MAX, Duration::ZERO).await?;
    let group: DescribedConsumerGroup = response.groups.iter().next().ok_or_else(|| no_answer(context()))?;
    let message = group.error_message.as_ref().map(ToString::to_string);
    coordinator.check(group.error_code, message, context)?;
    let members = group.members.iter().map(|member| MemberDescription {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        topics: member.subscribed_topic_names.iter().map(|name| name.to_string()).collect(),
        pattern: member
            .subscribed_topic_regex
            .as_ref()
            .map(ToString::to_string)
            .filter(|text| !text.is_empty()),
        assigned: partitions_of(&member.assignment),
        target: Some(partitions_of(&member.target_assignment)),
        epoch: Some(member.member_epoch),
    });
    Ok(GroupDescription {
        group_id: group.group_id.to_string(),
        group_type: "consumer",
        protocol_type: "consumer".to_owned(),
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        coordinator: coordinator.find().await?.0,
        epoch: Some(group.group_epoch),
        members: members.collect(),
    })
}

fn partitions_of(assignment: &ConsumerGroupAssignment) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for topic in &assignment.topic_partitions {
        let name: Arc<str> = Arc::from(&*topic.topic_name);
        partitions.extend(topic.partitions.iter().map(|partition| (Arc::clone(&name), partition)));
    }
    partitions.sort_unstable();
    partitions
}

async fn describe_classic(coordinator: &Coordinator) -> Result<GroupDescription, Error> {
    let request = DescribeGroupsRequest {
        groups: vec![coordinator.group_id().into()].into(),
        ..DescribeGroupsRequest::default()
    };
    let context = || format!("describing group {}", coordinator.group_id());
    let response = coordinator.call(&request, i16::MAX, Duration::ZERO).await?;
    let group: DescribedGroup = response.groups.iter().next().ok_or_else(|| no_answer(context()))?;
    coordinator.check(group.error_code, None, context)?;
    // Before version 6 a group that does not exist is a dead one.
    if &*group.group_state == "Dead" {
        return Err(Error::broker(context(), ErrorCode::GROUP_ID_NOT_FOUND, None));
    }
    let members = group.members.iter().map(|member| {
        // What members of other kinds than consumers tell one another cannot be read here.
        let subscription = Subscription::decode(&member.member_metadata).unwrap_or_default();
        let mut assigned = embedded::decode_assignment(&member.member_assignment).unwrap_or_default();
        assigned.sort_unstable();
        MemberDescription {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            topics: subscription.topics,
            pattern: None,
            assigned,
            target: None,
            epoch: None,
        }
    });
    Ok(GroupDescription {
        group_id: group.group_id.to_string(),
        group_type: "classic",
        protocol_type: group.protocol_type.to_string(),
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        coordinator: coordinator.find().await?.0,
        epoch: None,
        members: members.collect(),
    })
}
