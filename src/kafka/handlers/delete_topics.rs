//! DeleteTopics: by name, from version 6 also by id.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code_of_existing;
use crate::engine::api::TopicRef;
use crate::types::TopicId;
use crate::wire::messages::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::wire::{ErrorCode, Str};

/// The first version that may name topics by id.
const TOPIC_IDS_FROM: i16 = 6;

/// Deletes the topics.
pub(in crate::kafka) async fn handle(call: Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked: Vec<(Option<Str>, TopicId)> = if call.version >= TOPIC_IDS_FROM {
        request.topics.iter().map(|topic| (topic.name, topic.topic_id)).collect()
    } else {
        request.topic_names.iter().map(|name| (Some(name), TopicId::ZERO)).collect()
    };
    let mut times: HashMap<(Option<Str>, TopicId), usize> = HashMap::new();
    for topic in &asked {
        *times.entry(topic.clone()).or_default() += 1;
    }
    let image = call.broker.engine.image();
    let mut results = Vec::new();
    let mut wanted = Vec::new();
    for (name, id) in asked {
        let Some(count) = times.remove(&(name.clone(), id)) else { continue };
        if count > 1 {
            results.push(refused(
                name,
                id,
                ErrorCode::INVALID_REQUEST,
                "the request names this topic more than once",
            ));
        } else if name.is_some() != id.is_zero() {
            results.push(refused(
                name,
                id,
                ErrorCode::INVALID_REQUEST,
                "a topic is named by its name or by its id",
            ));
        } else {
            wanted.push((name, id));
        }
    }
    let references = wanted.iter().map(|(name, id)| match name {
        Some(name) => TopicRef::Name(Arc::from(name.as_str())),
        None => TopicRef::Id(*id),
    });
    let deleted = call.broker.engine.delete_topics(references.collect()).await;
    for ((name, id), outcome) in wanted.into_iter().zip(deleted) {
        results.push(match outcome {
            // The image from before the deletion still knows what the client did not say.
            Ok(()) => {
                let topic = match &name {
                    Some(name) => image.topic_by_name(name),
                    None => image.topic_by_id(id),
                };
                DeletableTopicResult {
                    name: name.or_else(|| topic.map(|topic| Str::from(&*topic.name))),
                    topic_id: topic.map_or(id, |topic| topic.id),
                    ..Default::default()
                }
            }
            Err(error) => refused(name, id, error_code_of_existing(&error), &error.to_string()),
        });
    }
    DeleteTopicsResponse { responses: results.into(), ..Default::default() }
}

fn refused(
    name: Option<Str>,
    topic_id: TopicId,
    error_code: ErrorCode,
    message: &str,
) -> DeletableTopicResult {
    DeletableTopicResult { name, topic_id, error_code, error_message: Some(message.into()) }
}
