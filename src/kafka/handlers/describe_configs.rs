//! DescribeConfigs: every setting of a topic or of the broker, with where its value comes from.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use super::configs::{resource, source_code, type_code};
use crate::engine::Error;
use crate::engine::api::{ConfigEntry, ConfigResource};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{Array, ErrorCode, Str};

/// What of the answer was asked for.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

/// Describes every resource asked for.
pub(in crate::kafka) fn handle(call: &Call, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let wanted = Wanted { synonyms: request.include_synonyms, documentation: request.include_documentation };
    // Kafka describes what is named twice twice; here the second is refused, so that a small request cannot ask for
    // an answer of any size.
    let mut seen = HashSet::new();
    let results = request.resources.iter().map(|asked| {
        let described = match resource(asked.resource_type, &asked.resource_name) {
            Ok(resource) if seen.insert(identity(&resource)) => {
                call.broker.engine.describe_configs(&resource)
            }
            Ok(_) => Err(Error::InvalidRequest { why: "the resource was described before".into() }),
            Err(error) => Err(error),
        };
        let (error_code, error_message, configs) = match described {
            // As Kafka: an empty message rather than none.
            Ok(entries) => (ErrorCode::NONE, Some(Str::default()), listed(entries, &asked, wanted)),
            Err(error) => (error_code(&error), Some(error.to_string().into()), Array::default()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
            configs,
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

/// What makes two resources the same: "1" and "01" are one broker.
fn identity(resource: &ConfigResource) -> (u8, Option<Arc<str>>, Option<i32>) {
    match resource {
        ConfigResource::Topic(name) => (0, Some(Arc::clone(name)), None),
        ConfigResource::Broker(name) => (1, None, name.parse().ok()),
        ConfigResource::Group(name) => (2, Some(Arc::clone(name)), None),
    }
}

/// The settings that the resource's list of names asks for. As in Kafka, null and no name at all both mean all.
fn listed(
    entries: Vec<ConfigEntry>,
    asked: &DescribeConfigsResource,
    wanted: Wanted,
) -> Array<DescribeConfigsResourceResult> {
    let names: Option<HashSet<Str>> = asked
        .configuration_keys
        .as_ref()
        .filter(|names| !names.is_empty())
        .map(|names| names.iter().collect());
    let is_asked =
        |entry: &ConfigEntry| names.as_ref().is_none_or(|names| names.contains(entry.name.as_str()));
    entries.into_iter().filter(is_asked).map(|entry| result(entry, wanted)).collect()
}

fn result(entry: ConfigEntry, wanted: Wanted) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Str::from),
        source: source_code(synonym.source),
    });
    DescribeConfigsResourceResult {
        synonyms: if wanted.synonyms { synonyms.collect() } else { Array::default() },
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        config_source: source_code(entry.source),
        is_sensitive: entry.sensitive,
        config_type: type_code(entry.shape),
        documentation: wanted.documentation.then(|| Str::from_static(entry.doc)),
    }
}
