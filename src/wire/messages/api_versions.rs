//! ApiVersions: which APIs, versions and features a broker serves.
//!
//! The one API that a client calls before it knows what the broker understands, hence its exceptions: the response
//! header is always version 0, and a version the broker does not know is answered with the error in a body of
//! version 0, which every client reads (KIP-511).

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ApiVersions: versions 0..=4, flexible from 3;

    /// Asks for the broker's abilities and, from version 3, introduces the client.
    request ApiVersionsRequest => ApiVersionsResponse {
        client_software_name: Str [3..],
        client_software_version: Str [3..],
    }

    /// The broker's abilities.
    response ApiVersionsResponse {
        error_code: ErrorCode,
        api_keys: Array<ApiVersion>,
        throttle_time_ms: i32 [1..],
        /// Before version 4 only features whose minimum is above 0 (KAFKA-17011).
        supported_features: Array<SupportedFeatureKey> [3.., tag 0],
        /// Grows with every change of the finalized features; -1 for none, which is never written.
        finalized_features_epoch: i64 [3.., tag 1] = -1,
        finalized_features: Array<FinalizedFeatureKey> [3.., tag 2],
        zk_migration_ready: bool [3.., tag 3],
    }

    /// The versions of one API.
    struct ApiVersion {
        api_key: i16,
        min_version: i16,
        max_version: i16,
    }

    /// The levels of one feature that the broker supports.
    struct SupportedFeatureKey {
        name: Str,
        min_version: i16,
        max_version: i16,
    }

    /// The level of one feature that the cluster uses.
    struct FinalizedFeatureKey {
        name: Str,
        max_version_level: i16,
        min_version_level: i16,
    }
}
