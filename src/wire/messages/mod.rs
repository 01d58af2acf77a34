//! The messages, one table per API. Names are those of Kafka's own schemas, in snake case.

use std::fmt::{self, Write};

use super::{ApiKey, DecodeError, DecodeFault, Message, Reader, RequestHeader};

/// The versions of an API that have a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub first: i16,
    /// The newest.
    pub last: i16,
    /// The first in the flexible encoding (KIP-482).
    pub flexible_from: i16,
}

impl Versions {
    /// Whether there is a table for `version`.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    /// Whether `version` is in the flexible encoding; also of versions to come.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

macro_rules! apis {
    ($($module:ident::$request:ident for $api:ident,)*) => {
        $(pub mod $module;)*

        /// The APIs that have messages here, by key.
        pub const APIS: &[ApiKey] = &[$(ApiKey::$api),*];

        /// The versions of an API that have a table; `None` for an API without messages here.
        #[must_use]
        pub fn versions(api: ApiKey) -> Option<Versions> {
            match api {
                $(ApiKey::$api => Some(versions_of::<$module::$request>()),)*
                _ => None,
            }
        }

        /// Reads a request of any API, without the size in front, and walks through all of it: the way in for fuzzing.
        ///
        /// # Errors
        /// See [`RequestHeader::read`] and [`Message::decode`].
        pub fn walk_request(frame: &bytes::Bytes) -> Result<(), DecodeError> {
            let mut reader = Reader::new(frame);
            let header = RequestHeader::read(&mut reader)?;
            match header.api_key {
                $(ApiKey::$api => walk::<$module::$request>(&mut reader, header.api_version),)*
                other => Err(DecodeFault::UnsupportedApi { api_key: other.code() }.into()),
            }
        }

        /// Reads the body of a response of any API and walks through all of it.
        ///
        /// # Errors
        /// See [`Message::decode`].
        pub fn walk_response(api: ApiKey, version: i16, body: &bytes::Bytes) -> Result<(), DecodeError> {
            let mut reader = Reader::new(body);
            match api {
                $(ApiKey::$api => {
                    walk::<<$module::$request as super::Request>::Response>(&mut reader, version)
                })*
                other => Err(DecodeFault::UnsupportedApi { api_key: other.code() }.into()),
            }
        }
    };
}

apis! {
    produce::ProduceRequest for Produce,
    fetch::FetchRequest for Fetch,
    list_offsets::ListOffsetsRequest for ListOffsets,
    metadata::MetadataRequest for Metadata,
    offset_commit::OffsetCommitRequest for OffsetCommit,
    offset_fetch::OffsetFetchRequest for OffsetFetch,
    find_coordinator::FindCoordinatorRequest for FindCoordinator,
    join_group::JoinGroupRequest for JoinGroup,
    heartbeat::HeartbeatRequest for Heartbeat,
    leave_group::LeaveGroupRequest for LeaveGroup,
    sync_group::SyncGroupRequest for SyncGroup,
    describe_groups::DescribeGroupsRequest for DescribeGroups,
    list_groups::ListGroupsRequest for ListGroups,
    api_versions::ApiVersionsRequest for ApiVersions,
    create_topics::CreateTopicsRequest for CreateTopics,
    delete_topics::DeleteTopicsRequest for DeleteTopics,
    delete_records::DeleteRecordsRequest for DeleteRecords,
    init_producer_id::InitProducerIdRequest for InitProducerId,
    offset_for_leader_epoch::OffsetForLeaderEpochRequest for OffsetForLeaderEpoch,
    describe_configs::DescribeConfigsRequest for DescribeConfigs,
    alter_configs::AlterConfigsRequest for AlterConfigs,
    alter_replica_log_dirs::AlterReplicaLogDirsRequest for AlterReplicaLogDirs,
    describe_log_dirs::DescribeLogDirsRequest for DescribeLogDirs,
    create_partitions::CreatePartitionsRequest for CreatePartitions,
    delete_groups::DeleteGroupsRequest for DeleteGroups,
    elect_leaders::ElectLeadersRequest for ElectLeaders,
    incremental_alter_configs::IncrementalAlterConfigsRequest for IncrementalAlterConfigs,
    alter_partition_reassignments::AlterPartitionReassignmentsRequest for AlterPartitionReassignments,
    list_partition_reassignments::ListPartitionReassignmentsRequest for ListPartitionReassignments,
    offset_delete::OffsetDeleteRequest for OffsetDelete,
    describe_quorum::DescribeQuorumRequest for DescribeQuorum,
    update_features::UpdateFeaturesRequest for UpdateFeatures,
    describe_cluster::DescribeClusterRequest for DescribeCluster,
    describe_producers::DescribeProducersRequest for DescribeProducers,
    consumer_group_heartbeat::ConsumerGroupHeartbeatRequest for ConsumerGroupHeartbeat,
    consumer_group_describe::ConsumerGroupDescribeRequest for ConsumerGroupDescribe,
    list_config_resources::ListConfigResourcesRequest for ListConfigResources,
    describe_topic_partitions::DescribeTopicPartitionsRequest for DescribeTopicPartitions,
}

fn versions_of<M: Message>() -> Versions {
    Versions { first: *M::VERSIONS.start(), last: *M::VERSIONS.end(), flexible_from: M::FLEXIBLE_FROM }
}

/// Decodes a message and every element of its arrays, which debugging output does.
fn walk<M: Message>(reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError> {
    struct Nowhere;

    impl Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }

    let message = M::decode(reader, version)?;
    write!(Nowhere, "{message:?}").expect("writing nowhere does not fail");
    Ok(())
}
