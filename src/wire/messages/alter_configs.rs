//! AlterConfigs: replaces all settings of resources.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    AlterConfigs: versions 0..=2, flexible from 2;

    /// Asks for settings to be replaced.
    request AlterConfigsRequest => AlterConfigsResponse {
        resources: Array<AlterConfigsResource>,
        /// Check everything and change nothing.
        validate_only: bool,
    }

    /// All settings of one resource; types as in [`describe_configs`](super::describe_configs).
    struct AlterConfigsResource {
        resource_type: i8,
        resource_name: Str,
        configs: Array<AlterableConfig>,
    }

    /// One setting.
    struct AlterableConfig {
        name: Str,
        value: Option<Str>,
    }

    /// What became of each resource.
    response AlterConfigsResponse {
        throttle_time_ms: i32,
        responses: Array<AlterConfigsResourceResponse>,
    }

    /// What became of one resource.
    struct AlterConfigsResourceResponse {
        error_code: ErrorCode,
        error_message: Option<Str>,
        resource_type: i8,
        resource_name: Str,
    }
}
