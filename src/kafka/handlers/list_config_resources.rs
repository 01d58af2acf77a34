//! ListConfigResources: everything that has settings.

use super::super::dispatch::Call;
use super::configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::wire::{ErrorCode, Str};

/// The first version that asks by type; before it, client metrics alone are meant.
const TYPED_FROM: i16 = 1;

/// The types there are, in the order of the answer.
const TYPES: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

/// Answers with the resources of the types asked for, or of all.
pub(in crate::kafka) fn handle(
    call: &Call,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let asked: Vec<i8> = if call.version >= TYPED_FROM {
        request.resource_types.iter().collect()
    } else {
        vec![CLIENT_METRICS]
    };
    if asked.iter().any(|asked| !TYPES.contains(asked)) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            ..Default::default()
        };
    }
    let wanted = |resource_type: &i8| asked.is_empty() || asked.contains(resource_type);
    let resources = TYPES.into_iter().filter(wanted).flat_map(|resource_type| {
        let name = move |resource_name| ConfigResource { resource_name, resource_type };
        names(call, resource_type).into_iter().map(name)
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}

fn names(call: &Call, resource_type: i8) -> Vec<Str> {
    let image = call.broker.engine.image();
    match resource_type {
        BROKER => vec![Str::from(image.broker_id.0.to_string())],
        TOPIC => image.topics().map(|topic| Str::from(&*topic.name)).collect(),
        GROUP => image.groups_with_settings().map(|group| Str::from(&**group)).collect(),
        // Loggers and client metrics have no settings here.
        _ => Vec::new(),
    }
}
