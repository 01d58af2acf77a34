//! IncrementalAlterConfigs: changes single settings of resources.

use super::alter_configs::AlterConfigsResourceResponse;
use crate::wire::{Array, Str};

messages! {
    IncrementalAlterConfigs: versions 0..=1, flexible from 1;

    /// Asks for settings to be changed.
    request IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse {
        resources: Array<AlterConfigsResource>,
        /// Check everything and change nothing.
        validate_only: bool,
    }

    /// The changes of one resource; types as in [`describe_configs`](super::describe_configs).
    struct AlterConfigsResource {
        resource_type: i8,
        resource_name: Str,
        configs: Array<AlterableConfig>,
    }

    /// One change.
    struct AlterableConfig {
        name: Str,
        /// 0 set, 1 delete, 2 append, 3 subtract; the latter two on lists only.
        config_operation: i8,
        value: Option<Str>,
    }

    /// What became of each resource.
    response IncrementalAlterConfigsResponse {
        throttle_time_ms: i32,
        responses: Array<AlterConfigsResourceResponse>,
    }
}
