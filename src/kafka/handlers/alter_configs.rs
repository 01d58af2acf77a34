//! AlterConfigs: replaces everything that was given for a resource. Deprecated by Kafka, and still used.

use super::super::dispatch::Call;
use super::configs::{Alteration, alter_all, has_twice};
use crate::engine::Error;
use crate::engine::api::ConfigChange;
use crate::wire::messages::alter_configs::{AlterConfigsRequest, AlterConfigsResource, AlterConfigsResponse};

/// Replaces the settings of each resource.
pub(in crate::kafka) async fn handle(call: Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = |asked: AlterConfigsResource| Alteration {
        resource_type: asked.resource_type,
        change: change(&asked),
        resource_name: asked.resource_name,
    };
    let asked = request.resources.iter().map(asked).collect();
    let responses = alter_all(&call, asked, request.validate_only).await;
    AlterConfigsResponse { responses, ..Default::default() }
}

fn change(asked: &AlterConfigsResource) -> Result<ConfigChange, Error> {
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
    Ok(ConfigChange::Replace(given))
}
