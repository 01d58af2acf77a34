//! Random messages through both codecs, in every version: what comes out is what went in.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use millrace::wire::messages::{self as ours, APIS, versions};
use millrace::wire::{Message, Reader, Writer};

use super::generate::{Fill, Random, generate};
use super::schema::{FieldSpec, Schema, Shape, schemas};

/// Random messages for each message and version.
const ROUNDS: u64 = 40;

/// What is checked of one message, for the two types that stand for it.
struct Checks {
    /// Returns how many versions the crate had a part in.
    round_trips: fn(&Schema) -> usize,
    names: fn(&Schema),
}

macro_rules! checks {
    ($schema:expr, $($module:ident: $request:ident => $response:ident;)*) => {
        match $schema.api {
            $(api if api == ours::$module::$request::API_KEY && $schema.is_request => Checks {
                round_trips: round_trips::<ours::$module::$request, theirs::$request>,
                names: check_names::<ours::$module::$request>,
            },
            api if api == ours::$module::$response::API_KEY => Checks {
                round_trips: round_trips::<ours::$module::$response, theirs::$response>,
                names: check_names::<ours::$module::$response>,
            },)*
            other => panic!("no messages for {other}"),
        }
    };
}

fn checks_of(schema: &Schema) -> Checks {
    checks! { schema,
        produce: ProduceRequest => ProduceResponse;
        fetch: FetchRequest => FetchResponse;
        list_offsets: ListOffsetsRequest => ListOffsetsResponse;
        metadata: MetadataRequest => MetadataResponse;
        offset_commit: OffsetCommitRequest => OffsetCommitResponse;
        offset_fetch: OffsetFetchRequest => OffsetFetchResponse;
        find_coordinator: FindCoordinatorRequest => FindCoordinatorResponse;
        join_group: JoinGroupRequest => JoinGroupResponse;
        heartbeat: HeartbeatRequest => HeartbeatResponse;
        leave_group: LeaveGroupRequest => LeaveGroupResponse;
        sync_group: SyncGroupRequest => SyncGroupResponse;
        describe_groups: DescribeGroupsRequest => DescribeGroupsResponse;
        list_groups: ListGroupsRequest => ListGroupsResponse;
        api_versions: ApiVersionsRequest => ApiVersionsResponse;
        create_topics: CreateTopicsRequest => CreateTopicsResponse;
        delete_topics: DeleteTopicsRequest => DeleteTopicsResponse;
        delete_records: DeleteRecordsRequest => DeleteRecordsResponse;
        init_producer_id: InitProducerIdRequest => InitProducerIdResponse;
        offset_for_leader_epoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
        describe_configs: DescribeConfigsRequest => DescribeConfigsResponse;
        alter_configs: AlterConfigsRequest => AlterConfigsResponse;
        alter_replica_log_dirs: AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse;
        describe_log_dirs: DescribeLogDirsRequest => DescribeLogDirsResponse;
        create_partitions: CreatePartitionsRequest => CreatePartitionsResponse;
        delete_groups: DeleteGroupsRequest => DeleteGroupsResponse;
        elect_leaders: ElectLeadersRequest => ElectLeadersResponse;
        incremental_alter_configs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
        alter_partition_reassignments: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
        list_partition_reassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
        offset_delete: OffsetDeleteRequest => OffsetDeleteResponse;
        describe_quorum: DescribeQuorumRequest => DescribeQuorumResponse;
        update_features: UpdateFeaturesRequest => UpdateFeaturesResponse;
        describe_cluster: DescribeClusterRequest => DescribeClusterResponse;
        describe_producers: DescribeProducersRequest => DescribeProducersResponse;
        list_config_resources: ListConfigResourcesRequest => ListConfigResourcesResponse;
        consumer_group_heartbeat: ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
        consumer_group_describe: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
        describe_topic_partitions: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
    }
}

#[test]
fn every_version_in_a_table_is_a_version_of_kafka_and_the_other_way_round() {
    let tables: BTreeSet<(bool, i16, i16)> = [true, false]
        .into_iter()
        .flat_map(|is_request| APIS.iter().map(move |&api| (is_request, api)))
        .flat_map(|(is_request, api)| {
            let versions = versions(api).unwrap();
            (versions.first..=versions.last).map(move |version| (is_request, api.code(), version))
        })
        .collect();
    let kafka: BTreeSet<(bool, i16, i16)> = schemas()
        .into_iter()
        .flat_map(|schema| {
            schema.versions.map(move |version| (schema.is_request, schema.api.code(), version))
        })
        .collect();
    assert_eq!(tables, kafka);
    for schema in schemas() {
        for version in schema.versions {
            assert_eq!(versions(schema.api).unwrap().is_flexible(version), schema.flexible, "{}", schema.api);
        }
    }
}

#[test]
fn random_messages_pass_unchanged_through_both_codecs() {
    let compared: usize = schemas().iter().map(|schema| (checks_of(schema).round_trips)(schema)).sum();
    // Newer than the crate: ListOffsets 11 and DescribeLogDirs 5 in both directions, requests of OffsetCommit 10 and
    // OffsetFetch 10.
    let known_to_kafka: usize = schemas().iter().map(|schema| schema.versions.clone().count()).sum();
    assert_eq!(compared, known_to_kafka - 6);
}

#[test]
fn every_field_of_kafka_has_its_name_here() {
    for schema in schemas() {
        (checks_of(&schema).names)(&schema);
    }
}

/// Returns how many versions the crate had a part in.
fn round_trips<Ours, Theirs>(schema: &Schema) -> usize
where
    Ours: Message,
    Theirs: TheirMessage + Decodable + Encodable,
{
    let mut compared = 0;
    for version in schema.versions.clone() {
        let they_know = (Theirs::VERSIONS.min..=Theirs::VERSIONS.max).contains(&version);
        compared += usize::from(they_know);
        for seed in 0..ROUNDS {
            let context =
                format!("{} {:?} v{version} seed {seed}", schema.api, std::any::type_name::<Ours>());
            let made = Bytes::from(generate(schema, Fill::Random, &mut Random(seed)).bytes);
            let from_us = through_ours::<Ours>(&made, version, &context);
            assert_eq!(from_us, made, "{context}");
            if they_know {
                let from_both = through_theirs::<Theirs>(from_us, version, &context);
                assert_eq!(from_both, made, "{context}");
                let from_both = through_theirs::<Theirs>(made.clone(), version, &context);
                assert_eq!(through_ours::<Ours>(&from_both, version, &context), made, "{context}");
            }
        }
    }
    compared
}

fn through_ours<M: Message>(bytes: &Bytes, version: i16, context: &str) -> Bytes {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(reader.remaining(), 0, "{context}");
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    let size_bytes = writer.size_bytes();
    let parts = writer.finish();
    assert_eq!(parts.size_bytes(), size_bytes, "{context}");
    let written = parts.into_bytes();
    assert_eq!(written.len(), size_bytes, "{context}");
    written
}

fn through_theirs<M: Decodable + Encodable>(mut bytes: Bytes, version: i16, context: &str) -> Bytes {
    let message = M::decode(&mut bytes, version).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(bytes.is_empty(), "{context}");
    let mut written = BytesMut::new();
    message.encode(&mut written, version).unwrap_or_else(|error| panic!("{context}: {error}"));
    written.freeze()
}

/// The round trips compare types and order; this compares the names. Debugging output has all fields in their order, so
/// those of a version must appear in it one after another.
fn check_names<Ours: Message>(schema: &Schema) {
    let version = *schema.versions.end();
    let made = Bytes::from(generate(schema, Fill::Full, &mut Random(0)).bytes);
    let message = Ours::decode(&mut Reader::new(&made), version).unwrap();
    let shown = format!("{message:?}");
    let mut names =
        shown.split(['{', ',']).filter_map(|piece| piece.split_once(':')).map(|(name, _)| name.trim());
    let (mut expected, mut tagged) = (Vec::new(), Vec::new());
    collect_names(&schema.fields, &mut expected, &mut tagged);
    for name in expected {
        assert!(names.any(|found| found == name), "{} v{version}: {name} in {shown}", schema.api);
    }
    for name in tagged {
        assert!(shown.contains(&format!("{name}: ")), "{} v{version}: {name} in {shown}", schema.api);
    }
}

fn collect_names<'a>(fields: &'a [FieldSpec], expected: &mut Vec<&'a str>, tagged: &mut Vec<&'a str>) {
    for field in fields {
        let names = if field.tag.is_some() { &mut *tagged } else { &mut *expected };
        names.push(&field.name);
        let element = if let Shape::Array(element) = &field.shape { element } else { &field.shape };
        match element {
            Shape::Struct(inner) if field.tag.is_none() => collect_names(inner, expected, tagged),
            // Inside of a tagged field, whose place in the order is free.
            Shape::Struct(inner) => tagged.extend(inner.iter().map(|field| field.name.as_str())),
            _ => {}
        }
    }
}
