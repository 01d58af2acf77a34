//! AlterConfigs: replaces everything that was given for a resource. Deprecated by Kafka, and still used.

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use super::configs::{has_twice, resource};
use crate::engine::Error;
use crate::engine::api::ConfigChange;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use crate::wire::{ErrorCode, Str};

/// Replaces the settings of each resource.
pub(in crate::kafka) async fn handle(call: Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let named = |asked: AlterConfigsResource| (asked.resource_type, asked.resource_name);
    let twice = has_twice(request.resources.iter().map(named).collect());
    let mut responses = Vec::new();
    for asked in &request.resources {
        let altered = if twice {
            Err(Error::InvalidRequest { why: "each resource must appear at most once".into() })
        } else {
            alter(&call, &asked, request.validate_only).await
        };
        let (error_code, error_message) = match altered {
            Ok(()) => (ErrorCode::NONE, None),
            Err(error) => (error_code(&error), Some(Str::from(error.to_string()))),
        };
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
        });
    }
    AlterConfigsResponse { responses: responses.into(), ..Default::default() }
}

async fn alter(call: &Call, asked: &AlterConfigsResource, validate_only: bool) -> Result<(), Error> {
    let resource = resource(asked.resource_type, &asked.resource_name)?;
    if has_twice(asked.configs.iter().map(|config| config.name).collect()) {
        return Err(Error::InvalidRequest { why: "a setting is given more than once".into() });
    }
    let mut given = Vec::new();
    for config in &asked.configs {
        if config.value.is_none() {
            return Err(Error::InvalidRequest { why: format!("{} has no value", config.name) });
        }
        given.push((config.name.into(), config.value.map(String::from)));
    }
    call.broker.engine.alter_configs(resource, ConfigChange::Replace(given), validate_only).await
}
