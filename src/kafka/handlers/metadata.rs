//! Metadata: the broker, and the topics asked for, made on the way where that is wanted.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use super::{CLUSTER_OPERATIONS, TOPIC_OPERATIONS, when_asked};
use crate::engine::{MetadataImage, TopicImage, is_topic_name};
use crate::types::TopicId;
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{Array, ErrorCode, Str};

/// The first version that looks topics up by id.
const LOOKUP_BY_ID_FROM: i16 = 12;

/// What a request asks about.
enum Asked {
    All,
    Names(Vec<Str>),
    Ids(Vec<TopicId>),
    /// Something that makes no sense in this version; each topic is answered with an error.
    Nonsense,
}

/// Answers from the metadata image, after making the missing topics where the request and the broker allow it.
pub(in crate::kafka) async fn handle(call: Call, request: MetadataRequest) -> MetadataResponse {
    let engine = &call.broker.engine;
    let operations = when_asked(request.include_topic_authorized_operations, TOPIC_OPERATIONS);
    let topics: Vec<MetadataResponseTopic> = match asked(request.topics.as_ref(), call.version) {
        Asked::All => {
            let image = engine.image();
            image.topics().map(|topic| found(&image, topic, operations)).collect()
        }
        Asked::Names(names) => {
            let refused = if request.allow_auto_topic_creation {
                let image = engine.image();
                let missing: Vec<Arc<str>> = names
                    .iter()
                    .filter(|name| image.topic_by_name(name).is_none())
                    .map(|name| Arc::from(name.as_str()))
                    .collect();
                if missing.is_empty() { Vec::new() } else { engine.auto_create(missing).await }
            } else {
                Vec::new()
            };
            let image = engine.image();
            names
                .into_iter()
                .map(|name| match image.topic_by_name(&name) {
                    Some(topic) => found(&image, topic, operations),
                    None => {
                        let why = refused.iter().find(|(refused, _)| **refused == *name);
                        missing(name, why.map(|(_, error)| error_code(error)))
                    }
                })
                .collect()
        }
        Asked::Ids(ids) => {
            let image = engine.image();
            ids.into_iter()
                .map(|id| match image.topic_by_id(id) {
                    Some(topic) => found(&image, topic, operations),
                    None => MetadataResponseTopic {
                        error_code: ErrorCode::UNKNOWN_TOPIC_ID,
                        topic_id: id,
                        ..Default::default()
                    },
                })
                .collect()
        }
        Asked::Nonsense => return nonsense(request.topics.as_ref()),
    };
    let image = engine.image();
    let endpoint = call.broker.endpoint(call.local);
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: image.broker_id.0,
            host: endpoint.host,
            port: endpoint.port,
            rack: None,
        }]
        .into(),
        cluster_id: Some(Str::from(&*image.cluster_id)),
        controller_id: image.broker_id.0,
        topics: topics.into(),
        cluster_authorized_operations: when_asked(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ),
        ..Default::default()
    }
}

/// What the list of topics means in this version. A topic named twice is answered once.
fn asked(topics: Option<&Array<MetadataRequestTopic>>, version: i16) -> Asked {
    let Some(topics) = topics else { return Asked::All };
    if topics.is_empty() && version == 0 {
        return Asked::All;
    }
    let by_id = topics.iter().any(|topic| !topic.topic_id.is_zero());
    if by_id && version >= LOOKUP_BY_ID_FROM {
        // As Kafka: ids beat names, and a name beside them is not looked at.
        let mut seen = HashSet::new();
        let ids = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_zero() && seen.insert(*id));
        return Asked::Ids(ids.collect());
    }
    if by_id || topics.iter().any(|topic| topic.name.is_none()) {
        return Asked::Nonsense;
    }
    let mut seen = HashSet::new();
    let names = topics.iter().filter_map(|topic| topic.name).filter(|name| seen.insert(name.clone()));
    Asked::Names(names.collect())
}

fn found(image: &MetadataImage, topic: &TopicImage, operations: i32) -> MetadataResponseTopic {
    let broker = image.broker_id.0;
    let partitions = topic.partitions().map(|partition| MetadataResponsePartition {
        partition_index: partition.index,
        leader_id: broker,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: vec![broker].into(),
        isr_nodes: vec![broker].into(),
        ..Default::default()
    });
    MetadataResponseTopic {
        name: Some(Str::from(&*topic.name)),
        topic_id: topic.id,
        is_internal: topic.is_internal,
        partitions: partitions.collect(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

fn missing(name: Str, why: Option<ErrorCode>) -> MetadataResponseTopic {
    let unknown = if is_topic_name(&name) {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    } else {
        ErrorCode::INVALID_TOPIC_EXCEPTION
    };
    MetadataResponseTopic { error_code: why.unwrap_or(unknown), name: Some(name), ..Default::default() }
}

/// As Kafka answers a request that contradicts its version: nothing but the error, for every topic.
fn nonsense(topics: Option<&Array<MetadataRequestTopic>>) -> MetadataResponse {
    let refused = topics.into_iter().flatten().map(|topic| MetadataResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: topic.name,
        topic_id: topic.topic_id,
        ..Default::default()
    });
    MetadataResponse { topics: refused.collect(), ..Default::default() }
}
