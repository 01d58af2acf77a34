//! What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs have in common: Kafka's numbers for resources,
//! sources and types.

use std::sync::Arc;

use crate::engine::Error;
use crate::engine::api::{ConfigResource, ConfigSource, Shape};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Whose settings are meant. Kafka's other resources (loggers, client metrics) come with what they are about.
///
/// # Errors
/// `InvalidRequest` for a type that has no settings here.
pub(super) fn resource(resource_type: i8, name: &str) -> Result<ConfigResource, Error> {
    match resource_type {
        TOPIC => Ok(ConfigResource::Topic(Arc::from(name))),
        BROKER => Ok(ConfigResource::Broker(name.to_owned())),
        GROUP => Ok(ConfigResource::Group(Arc::from(name))),
        other => {
            Err(Error::InvalidRequest { why: format!("resources of type {other} have no settings here") })
        }
    }
}

/// Where a value comes from.
pub(super) fn source_code(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefaultBroker => 3,
        ConfigSource::StaticBroker => 4,
        ConfigSource::Default => 5,
        ConfigSource::Group => 8,
    }
}

/// How a value reads.
pub(super) fn type_code(shape: Shape) -> i8 {
    match shape {
        Shape::Bool => 1,
        Shape::Text => 2,
        Shape::Int => 3,
        Shape::Long => 5,
        Shape::Double => 6,
        Shape::List => 7,
    }
}

/// Whether a list names something twice.
pub(super) fn has_twice<T: Ord>(mut names: Vec<T>) -> bool {
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}
