//! What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs have in common: Kafka's numbers for resources,
//! sources and types.

use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use crate::engine::Error;
use crate::engine::api::{ConfigChange, ConfigResource, ConfigSource, Shape};
use crate::wire::messages::alter_configs::AlterConfigsResourceResponse;
use crate::wire::{Array, ErrorCode, Str};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// What is asked of one resource.
pub(super) struct Alteration {
    pub(super) resource_type: i8,
    pub(super) resource_name: Str,
    /// Or why that cannot be.
    pub(super) change: Result<ConfigChange, Error>,
}

/// Changes the settings of each resource, unless one of them is named twice.
pub(super) async fn alter_all(
    call: &Call,
    asked: Vec<Alteration>,
    validate_only: bool,
) -> Array<AlterConfigsResourceResponse> {
    let named = |asked: &Alteration| (asked.resource_type, asked.resource_name.clone());
    let twice = has_twice(asked.iter().map(named).collect());
    let mut responses = Vec::with_capacity(asked.len());
    for Alteration { resource_type, resource_name, change } in asked {
        let altered = if twice {
            Err(Error::InvalidRequest { why: "each resource must appear at most once".into() })
        } else {
            match resource(resource_type, &resource_name).and_then(|resource| Ok((resource, change?))) {
                Ok((resource, change)) => {
                    call.broker.engine.alter_configs(resource, change, validate_only).await
                }
                Err(error) => Err(error),
            }
        };
        let (error_code, error_message) = match altered {
            Ok(()) => (ErrorCode::NONE, None),
            Err(error) => (error_code(&error), Some(Str::from(error.to_string()))),
        };
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        });
    }
    responses.into()
}

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
