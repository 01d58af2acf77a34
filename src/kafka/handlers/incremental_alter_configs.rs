//! IncrementalAlterConfigs: changes single settings of a resource.

use super::super::dispatch::Call;
use super::configs::{Alteration, alter_all, has_twice};
use crate::engine::Error;
use crate::engine::api::{ConfigChange, ConfigOp};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

/// Changes the settings of each resource.
pub(in crate::kafka) async fn handle(
    call: Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let asked = |asked: AlterConfigsResource| Alteration {
        resource_type: asked.resource_type,
        change: changes(&asked),
        resource_name: asked.resource_name,
    };
    let asked = request.resources.iter().map(asked).collect();
    let responses = alter_all(&call, asked, request.validate_only).await;
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

fn changes(asked: &AlterConfigsResource) -> Result<ConfigChange, Error> {
    if has_twice(asked.configs.iter().map(|config| config.name).collect()) {
        return Err(Error::InvalidRequest { why: "a setting is changed more than once".into() });
    }
    asked.configs.iter().map(change).collect::<Result<_, _>>().map(ConfigChange::Incremental)
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
