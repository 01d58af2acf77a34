//! UpdateFeatures: raises or lowers the levels of the cluster's features.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    UpdateFeatures: versions 0..=2, flexible from 0;

    /// Asks for levels to be changed, all or none.
    request UpdateFeaturesRequest => UpdateFeaturesResponse {
        timeout_ms: i32 = 60_000,
        feature_updates: Array<FeatureUpdateKey>,
        /// Check everything and change nothing.
        validate_only: bool [1..],
    }

    /// One level to change.
    struct FeatureUpdateKey {
        feature: Str,
        /// 0 to have the feature no more.
        max_version_level: i16,
        allow_downgrade: bool [0..=0],
        /// 1 to raise, 2 to lower where nothing is lost, 3 to lower all the same.
        upgrade_type: i8 [1..] = 1,
    }

    /// What became of the request.
    response UpdateFeaturesResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
        results: Array<UpdatableFeatureResult> [0..=1],
    }

    /// What became of one level.
    struct UpdatableFeatureResult {
        feature: Str,
        error_code: ErrorCode,
        error_message: Option<Str>,
    }
}
