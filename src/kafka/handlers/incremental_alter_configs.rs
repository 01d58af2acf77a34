//! IncrementalAlterConfigs: changes single settings of a resource.

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use super::configs::{has_twice, resource};
use crate::engine::Error;
use crate::engine::api::{ConfigChange, ConfigOp};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use crate::wire::{ErrorCode, Str};

/// Changes the settings of each resource.
pub(in crate::kafka) async fn handle(
    call: Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
    IncrementalAlterConfigsResponse { responses: responses.into(), ..Default::default() }
}

async fn alter(call: &Call, asked: &AlterConfigsResource, validate_only: bool) -> Result<(), Error> {
    let resource = resource(asked.resource_type, &asked.resource_name)?;
    if has_twice(asked.configs.iter().map(|config| config.name).collect()) {
        return Err(Error::InvalidRequest { why: "a setting is changed more than once".into() });
    }
    let changes: Result<Vec<_>, Error> = asked.configs.iter().map(change).collect();
    call.broker.engine.alter_configs(resource, ConfigChange::Incremental(changes?), validate_only).await
}

fn change(config: AlterableConfig) -> Result<(String, ConfigOp), Error> {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let name = String::from(config.name);
    let value = config.value.map(String::from);
    if value.is_none() && config.config_operation != DELETE {
        return Err(Error::InvalidRequest { why: format!("{name} has no value") });
    }
    let operation = match config.config_operation {
        SET => ConfigOp::Set(value),
        DELETE => ConfigOp::Delete,
        APPEND => ConfigOp::Append(value),
        SUBTRACT => ConfigOp::Subtract(value),
        other => {
            return Err(Error::InvalidRequest { why: format!("there is no operation {other} on a setting") });
        }
    };
    Ok((name, operation))
}
