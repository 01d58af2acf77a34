//! Configs of topics and brokers.

use super::{Admin, no_answer};
use crate::client::error::Error;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

/// What has configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by node id.
    Broker(i32),
}

/// Where a config's value comes from.
///
/// Source: the `ConfigSource` of KIP-226.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker at run time.
    DynamicBroker,
    /// Set for all brokers at run time.
    DynamicDefaultBroker,
    /// From the broker's configuration file, environment or command line.
    StaticBroker,
    /// Built in.
    Default,
    /// Something newer than this client, or from a broker too old to tell.
    Other(i8),
}

/// A config and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The name.
    pub name: String,
    /// The value; `None` when it is secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub is_read_only: bool,
    /// Whether the value is secret.
    pub is_sensitive: bool,
    /// What it means, when the broker tells.
    pub documentation: Option<String>,
}

/// A change of one config; the others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets the value.
    Set(String, String),
    /// Goes back to the default.
    Reset(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes away from a list.
    Subtract(String, String),
}

// === impl ConfigResource ===

impl ConfigResource {
    fn to_wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.clone()),
            Self::Broker(id) => (4, id.to_string()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Broker(id) => format!("broker {id}"),
        }
    }
}

// === impl ConfigSource ===

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }
}

// === impl ConfigEntry ===

impl ConfigEntry {
    /// Whether somebody set it for this very topic or broker.
    #[must_use]
    pub fn is_set_here(&self) -> bool {
        matches!(self.source, ConfigSource::Topic | ConfigSource::DynamicBroker)
    }

    fn from_wire(entry: DescribeConfigsResourceResult) -> Self {
        Self {
            name: entry.name.into(),
            value: entry.value.map(String::from),
            source: ConfigSource::from_wire(entry.config_source),
            is_read_only: entry.read_only,
            is_sensitive: entry.is_sensitive,
            documentation: entry.documentation.map(String::from),
        }
    }
}

// === impl ConfigChange ===

impl ConfigChange {
    fn to_wire(&self) -> AlterableConfig {
        // Source: KIP-339.
        let (name, config_operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value)),
            Self::Reset(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value)),
            Self::Subtract(name, value) => (name, 3, Some(value)),
        };
        let value = value.map(Into::into);
        AlterableConfig { name: name.into(), config_operation, value }
    }
}

// === impl Admin ===

impl Admin {
    /// The configs of a topic or broker, in the order of their names; only those named when `names` is not empty.
    ///
    /// # Errors
    /// When it does not exist, or no broker answers.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
        names: &[&str],
    ) -> Result<Vec<ConfigEntry>, Error> {
        let (resource_type, resource_name) = resource.to_wire();
        let wanted = DescribeConfigsResource {
            resource_type,
            resource_name: resource_name.into(),
            configuration_keys: (!names.is_empty()).then(|| names.iter().map(|&name| name.into()).collect()),
        };
        let request = DescribeConfigsRequest {
            resources: vec![wanted].into(),
            include_documentation: true,
            ..DescribeConfigsRequest::default()
        };
        let context = || format!("reading the configs of {}", resource.shown());
        self.client
            .retrying(context, || async {
                let response = match resource {
                    ConfigResource::Topic(_) => self.client.call_any(&request).await?,
                    ConfigResource::Broker(id) => self.client.call(*id, &request).await?,
                };
                let answer = response.results.iter().next().ok_or_else(|| no_answer(context()))?;
                Error::check(answer.error_code, answer.error_message.map(String::from), context)?;
                let mut entries: Vec<_> = answer.configs.iter().map(ConfigEntry::from_wire).collect();
                entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                Ok(entries)
            })
            .await
    }

    /// Changes some configs of a topic or broker, or only checks whether they could be changed.
    ///
    /// # Errors
    /// When it does not exist, or the broker refuses one of the changes; nothing is changed then.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), Error> {
        let (resource_type, resource_name) = resource.to_wire();
        let wanted = AlterConfigsResource {
            resource_type,
            resource_name: resource_name.into(),
            configs: changes.iter().map(ConfigChange::to_wire).collect(),
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![wanted].into(), validate_only };
        let context = || format!("changing the configs of {}", resource.shown());
        self.client
            .retrying(context, || async {
                let response = match resource {
                    ConfigResource::Topic(_) => self.client.call_controller(&request).await?,
                    ConfigResource::Broker(id) => self.client.call(*id, &request).await?,
                };
                let answer = response.responses.iter().next().ok_or_else(|| no_answer(context()))?;
                Error::check(answer.error_code, answer.error_message.map(String::from), context)
            })
            .await
    }
}
