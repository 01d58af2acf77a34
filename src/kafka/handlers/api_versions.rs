//! ApiVersions: what this broker serves, from the dispatch table.

use super::super::dispatch::{APIS, Api, Call};
use super::features::{FEATURES, Feature};
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ApiKey, ErrorCode, Str};

/// From here on a feature may be listed whose lowest level is 0; clients of older versions do not connect then
/// (KAFKA-17011).
const KNOWS_ZERO_FROM: i16 = 4;

/// Any number from 0 on says that the features are known; here they never change.
const FEATURES_EPOCH: i64 = 0;

/// The first version in which the client says what it is.
const INTRODUCES_FROM: i16 = 3;

/// Answers with the dispatch table.
pub(in crate::kafka) fn handle(call: &Call, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    if call.version >= INTRODUCES_FROM
        && !(is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version))
    {
        // As Kafka: the error alone, without keys and features.
        return ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
    }
    let shown = |feature: &&Feature| feature.min > 0 || call.version >= KNOWS_ZERO_FROM;
    ApiVersionsResponse {
        api_keys: APIS.iter().map(listed).collect(),
        supported_features: FEATURES.iter().filter(shown).map(supported).collect(),
        finalized_features_epoch: FEATURES_EPOCH,
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..Default::default()
    }
}

/// The answer to a version that is not served: in the shape of version 0, and naming only the versions of
/// ApiVersions itself, so that the client asks again in one of them (KIP-511).
pub(in crate::kafka) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: APIS.iter().filter(|api| api.key == ApiKey::ApiVersions).map(listed).collect(),
        ..Default::default()
    }
}

fn supported(feature: &Feature) -> SupportedFeatureKey {
    SupportedFeatureKey {
        name: Str::from_static(feature.name),
        min_version: feature.min,
        max_version: feature.max,
    }
}

fn finalized(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey {
        name: Str::from_static(feature.name),
        max_version_level: feature.level,
        min_version_level: feature.level,
    }
}

fn listed(api: &Api) -> ApiVersion {
    ApiVersion { api_key: api.key.code(), min_version: api.advertised_from, max_version: api.last }
}

/// Whether a client's name or version is letters and digits, with dots and dashes inside (KIP-511).
fn is_software_name(text: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    match text.as_bytes() {
        [] => false,
        [only] => only.is_ascii_alphanumeric(),
        [first, inner @ .., last] => {
            first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && inner.iter().all(is_inner)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn a_client_introduces_itself_in_letters_digits_dots_and_dashes() {
        for name in ["a", "7", "librdkafka", "confluent-kafka-python", "4.2.0-rc1", "a.-.b"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-", "-a", "a-", ".1", "1.", "a b", "a_b", "ä", "a/b"] {
            assert!(!is_software_name(name), "{name}");
        }
    }
}
