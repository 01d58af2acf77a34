//! Topics: creating, listing, growing and deleting them.

use std::time::Duration;

use tokio::time::Instant;

use super::{Admin, no_answer, timeout_ms};
use crate::client::cluster::AutoCreate;
use crate::client::error::Error;
use crate::client::metadata::{Metadata, TopicMetadata};
use crate::types::TopicId;
use crate::wire::Message;
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::metadata::MetadataRequest;

/// The first version of DeleteTopics that takes topics one by one, by name or id.
const FIRST_DELETE_VERSION_WITH_IDS: i16 = 6;

/// How long a topic just created may take to be known to all brokers.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// The name: 1 to 249 letters, digits, dots, underscores and hyphens.
    pub name: String,
    /// How many partitions; the broker's default when `None`.
    pub partitions: Option<i32>,
    /// How many replicas; the broker's default when `None`.
    pub replication_factor: Option<i16>,
    /// Configs that differ from the defaults.
    pub configs: Vec<(String, String)>,
}

/// A topic that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// Its id, when the broker tells.
    pub id: Option<TopicId>,
    /// How many partitions it has, when the broker tells.
    pub partitions: Option<i32>,
}

// === impl NewTopic ===

impl NewTopic {
    /// A topic with the broker's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication_factor: None, configs: Vec::new() }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn partitions(mut self, count: i32) -> Self {
        self.partitions = Some(count);
        self
    }

    /// Sets a config.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }

    fn to_wire(&self) -> CreatableTopic {
        let configs = self
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) });
        CreatableTopic {
            name: self.name.as_str().into(),
            num_partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            configs: configs.collect(),
            ..CreatableTopic::default()
        }
    }
}

// === impl Admin ===

impl Admin {
    /// Creates topics, or only checks whether they could be created. The answers are in the order of `topics`; a topic
    /// that was created is known to the broker that answers next.
    ///
    /// # Errors
    /// When no broker answers. What is wrong with a single topic is in its answer.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<Result<CreatedTopic, Error>>, Error> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(NewTopic::to_wire).collect(),
            timeout_ms: timeout_ms(&self.client),
            validate_only,
        };
        let what = || "creating topics".to_owned();
        let response = self.client.retrying(what, || self.client.call_controller(&request)).await?;
        let mut results = Vec::with_capacity(topics.len());
        for topic in topics {
            let context = || format!("creating topic {}", topic.name);
            let answer = response.topics.iter().find(|answer| answer.name == topic.name);
            let result = answer.ok_or_else(|| no_answer(context())).and_then(|answer| {
                Error::check(answer.error_code, answer.error_message.map(String::from), context)?;
                Ok(CreatedTopic {
                    name: topic.name.clone(),
                    id: Some(answer.topic_id).filter(|id| !id.is_zero()),
                    partitions: Some(answer.num_partitions).filter(|&count| count >= 0),
                })
            });
            if result.is_ok() && !validate_only {
                self.wait_until_visible(&topic.name).await;
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Waits until a broker knows the topic: on a cluster that takes a moment after the creation.
    async fn wait_until_visible(&self, name: &str) {
        let visible = async {
            while self.client.fetch_topic(name, AutoCreate::No, Instant::now()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(VISIBLE_WITHIN, visible).await.is_err() {
            tracing::debug!(topic = name, "created, but not known to the brokers yet");
        }
    }

    /// Deletes topics with all their records. The answers are in the order of `names`.
    ///
    /// # Errors
    /// When no broker answers. What is wrong with a single topic is in its answer.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Vec<Result<(), Error>>, Error> {
        let by_state = names
            .iter()
            .map(|&name| DeleteTopicState { name: Some(name.into()), ..DeleteTopicState::default() });
        let request = DeleteTopicsRequest {
            topics: by_state.collect(),
            topic_names: names.iter().map(|&name| name.into()).collect(),
            timeout_ms: timeout_ms(&self.client),
        };
        debug_assert!(DeleteTopicsRequest::VERSIONS.contains(&FIRST_DELETE_VERSION_WITH_IDS));
        let what = || "deleting topics".to_owned();
        let response = self.client.retrying(what, || self.client.call_controller(&request)).await?;
        let results = names.iter().map(|&name| {
            let context = || format!("deleting topic {name}");
            let answer = response
                .responses
                .iter()
                .find(|answer| answer.name.as_ref().is_some_and(|found| *found == name));
            let answer = answer.ok_or_else(|| no_answer(context()))?;
            Error::check(answer.error_code, answer.error_message.map(String::from), context)
        });
        Ok(results.collect())
    }

    /// Gives a topic more partitions: `total_count` from now on. Records stay where they are; those with keys may go to
    /// other partitions than before.
    ///
    /// # Errors
    /// When there is no such topic, or it has that many already.
    pub async fn create_partitions(&self, topic: &str, total_count: i32) -> Result<(), Error> {
        let wanted = CreatePartitionsTopic { name: topic.into(), count: total_count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![wanted].into(),
            timeout_ms: timeout_ms(&self.client),
            ..CreatePartitionsRequest::default()
        };
        let context = || format!("giving topic {topic} {total_count} partitions");
        let response = self.client.retrying(context, || self.client.call_controller(&request)).await?;
        let answer = response.results.iter().next().ok_or_else(|| no_answer(context()))?;
        Error::check(answer.error_code, answer.error_message.map(String::from), context)
    }

    /// All topics by name, as the brokers know them now.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicMetadata>, Error> {
        let request =
            MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
        let what = || "listing topics".to_owned();
        let response = self.client.retrying(what, || self.client.call_any(&request)).await?;
        let told = Metadata::default().updated(&response, Instant::now()).metadata;
        let mut topics: Vec<TopicMetadata> =
            told.topics.into_values().map(|topic| (*topic).clone()).collect();
        topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }
}
