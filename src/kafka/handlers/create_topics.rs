//! CreateTopics: new topics, or only a check whether they could be made.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use super::configs::source_code;
use crate::engine::api::{NewTopic, TopicInfo};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::{Array, ErrorCode, Str};

/// "As the broker does by default", in every version, or "as the assignments say".
const DEFAULT: i16 = -1;

/// Makes the topics.
pub(in crate::kafka) async fn handle(call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times: HashMap<Str, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name).or_default() += 1;
    }
    let (once, twice): (Vec<_>, Vec<_>) = request.topics.iter().partition(|topic| times[&topic.name] == 1);
    let wanted: Vec<NewTopic> = once.iter().map(new_topic).collect();
    let made = call.broker.engine.create_topics(wanted, request.validate_only).await;
    let mut results: Vec<CreatableTopicResult> = once
        .into_iter()
        .zip(made)
        .map(|(topic, made)| match made {
            Ok(info) => created(topic.name, info),
            Err(error) => refused(topic.name, error_code(&error), error.to_string()),
        })
        .collect();
    for topic in twice {
        if times.remove(&topic.name).is_some() {
            let message = "the request names this topic more than once".to_owned();
            results.push(refused(topic.name, ErrorCode::INVALID_REQUEST, message));
        }
    }
    CreateTopicsResponse { topics: results.into(), ..Default::default() }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    NewTopic {
        name: Arc::from(topic.name.as_str()),
        partitions: (topic.num_partitions != i32::from(DEFAULT)).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != DEFAULT).then_some(topic.replication_factor),
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| (assignment.partition_index, assignment.broker_ids.iter().collect()))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.into(), config.value.map(String::from)))
            .collect(),
    }
}

fn created(name: Str, info: TopicInfo) -> CreatableTopicResult {
    let configs = info.configs.into_iter().map(|entry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.sensitive,
    });
    CreatableTopicResult {
        name,
        topic_id: info.id,
        num_partitions: info.partitions,
        replication_factor: 1,
        configs: Some(configs.collect()),
        ..Default::default()
    }
}

fn refused(name: Str, error_code: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code,
        error_message: Some(message.into()),
        // As Kafka: empty rather than null.
        configs: Some(Array::default()),
        ..Default::default()
    }
}
