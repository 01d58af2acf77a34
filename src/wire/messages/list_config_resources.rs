//! ListConfigResources: the resources that have settings; in version 0 client metrics only.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    ListConfigResources: versions 0..=1, flexible from 0;

    /// Asks for the resources.
    request ListConfigResourcesRequest => ListConfigResourcesResponse {
        /// As in [`describe_configs`](super::describe_configs); empty for all types.
        resource_types: Array<i8> [1..],
    }

    /// The resources.
    response ListConfigResourcesResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        config_resources: Array<ConfigResource>,
    }

    /// One resource.
    struct ConfigResource {
        resource_name: Str,
        /// 16, client metrics, in version 0.
        resource_type: i8 [1..] = 16,
    }
}
