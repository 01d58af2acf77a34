//! DescribeConfigs: the settings of topics, brokers and groups.
//!
//! Resource types: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group. Sources: 0 unknown, 1 topic,
//! 2 broker (dynamic), 3 all brokers (dynamic), 4 broker (static), 5 default, 6 broker logger, 7 client metrics,
//! 8 group. Types: 0 unknown, 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeConfigs: versions 1..=4, flexible from 4;

    /// Asks for settings.
    request DescribeConfigsRequest => DescribeConfigsResponse {
        resources: Array<DescribeConfigsResource>,
        include_synonyms: bool,
        include_documentation: bool [3..],
    }

    /// What is asked of one resource.
    struct DescribeConfigsResource {
        resource_type: i8,
        resource_name: Str,
        /// Null for all settings.
        configuration_keys: Option<Array<Str>>,
    }

    /// The settings.
    response DescribeConfigsResponse {
        throttle_time_ms: i32,
        results: Array<DescribeConfigsResult>,
    }

    /// The settings of one resource.
    struct DescribeConfigsResult {
        error_code: ErrorCode,
        error_message: Option<Str>,
        resource_type: i8,
        resource_name: Str,
        configs: Array<DescribeConfigsResourceResult>,
    }

    /// One setting.
    struct DescribeConfigsResourceResult {
        name: Str,
        value: Option<Str>,
        read_only: bool,
        config_source: i8 = -1,
        is_sensitive: bool,
        /// What the value would come from, in order of precedence, if it were asked for.
        synonyms: Array<DescribeConfigsSynonym>,
        config_type: i8 [3..],
        documentation: Option<Str> [3..],
    }

    /// One place that sets the value.
    struct DescribeConfigsSynonym {
        name: Str,
        value: Option<Str>,
        source: i8,
    }
}
