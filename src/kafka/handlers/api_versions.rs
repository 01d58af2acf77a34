//! ApiVersions: what this broker serves, from the dispatch table.

use super::super::dispatch::{APIS, Api, Call};
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ApiKey, ErrorCode, Str};

/// The level of metadata that Kafka 4.3 has and, as clients see it, this broker too.
///
/// The one feature there is. `group.version`, `share.version` and `transaction.version` come with the APIs they
/// are about: a client that sees them finalized behaves otherwise, whatever keys are listed.
const METADATA_VERSION: &str = "metadata.version";
const METADATA_LEVEL_MIN: i16 = 7;
const METADATA_LEVEL: i16 = 30;

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
    let metadata = || Str::from_static(METADATA_VERSION);
    ApiVersionsResponse {
        api_keys: APIS.iter().map(listed).collect(),
        supported_features: vec![SupportedFeatureKey {
            name: metadata(),
            min_version: METADATA_LEVEL_MIN,
            max_version: METADATA_LEVEL,
        }]
        .into(),
        finalized_features_epoch: FEATURES_EPOCH,
        finalized_features: vec![FinalizedFeatureKey {
            name: metadata(),
            max_version_level: METADATA_LEVEL,
            min_version_level: METADATA_LEVEL,
        }]
        .into(),
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
