//! One file per API. A handler translates: the wire's request to the engine's, the engine's outcome to the wire's
//! answer. What it knows beyond that is the protocol: which versions mean what, and which code says what.
//!
//! Deliberately absent: any state, and any decision about topics, logs or offsets, which is the engine's.

pub(super) mod alter_configs;
pub(super) mod alter_partition_reassignments;
pub(super) mod alter_replica_log_dirs;
pub(super) mod api_versions;
mod configs;
pub(super) mod consumer_group_describe;
pub(super) mod consumer_group_heartbeat;
pub(super) mod create_partitions;
pub(super) mod create_topics;
pub(super) mod delete_groups;
pub(super) mod delete_records;
pub(super) mod delete_topics;
pub(super) mod describe_cluster;
pub(super) mod describe_configs;
pub(super) mod describe_groups;
pub(super) mod describe_log_dirs;
pub(super) mod describe_producers;
pub(super) mod describe_quorum;
pub(super) mod describe_topic_partitions;
pub(super) mod elect_leaders;
mod features;
pub(super) mod fetch;
pub(super) mod find_coordinator;
mod groups;
pub(super) mod heartbeat;
pub(super) mod incremental_alter_configs;
pub(super) mod init_producer_id;
pub(super) mod join_group;
pub(super) mod leave_group;
pub(super) mod list_config_resources;
pub(super) mod list_groups;
pub(super) mod list_offsets;
pub(super) mod list_partition_reassignments;
pub(super) mod metadata;
pub(super) mod offset_commit;
pub(super) mod offset_delete;
pub(super) mod offset_fetch;
pub(super) mod offset_for_leader_epoch;
pub(super) mod produce;
pub(super) mod sync_group;
pub(super) mod update_features;

/// "Nobody asked which operations are allowed."
const NOT_ASKED: i32 = i32::MIN;

/// What anybody may do with a topic while there is no authorizer: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE,
/// DESCRIBE_CONFIGS and ALTER_CONFIGS, by Kafka's numbers of operations.
const TOPIC_OPERATIONS: i32 = operations(&[3, 4, 5, 6, 7, 8, 10, 11]);

/// What anybody may do with the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS
/// and IDEMPOTENT_WRITE.
const CLUSTER_OPERATIONS: i32 = operations(&[5, 7, 8, 9, 10, 11, 12]);

/// What anybody may do with a group: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS.
const GROUP_OPERATIONS: i32 = operations(&[3, 6, 8, 10, 11]);

const fn operations(codes: &[u32]) -> i32 {
    let mut bits = 0;
    let mut index = 0;
    while index < codes.len() {
        bits |= 1 << codes[index];
        index += 1;
    }
    bits
}

/// The bits to answer with: those of `operations` when they were asked for.
const fn when_asked(asked: bool, operations: i32) -> i32 {
    if asked { operations } else { NOT_ASKED }
}

// As Kafka 4.3 answers without an authorizer.
const _: () = assert!(TOPIC_OPERATIONS == 0x0df8 && CLUSTER_OPERATIONS == 0x1fa0);
