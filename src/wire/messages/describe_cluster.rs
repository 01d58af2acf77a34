//! DescribeCluster: the brokers and the controller.

use crate::wire::{Array, ErrorCode, Str};

messages! {
    DescribeCluster: versions 0..=2, flexible from 0;

    /// Asks for the cluster.
    request DescribeClusterRequest => DescribeClusterResponse {
        include_cluster_authorized_operations: bool,
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1..] = 1,
        include_fenced_brokers: bool [2..],
    }

    /// The cluster.
    response DescribeClusterResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<Str>,
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1..] = 1,
        cluster_id: Str,
        controller_id: i32 = -1,
        brokers: Array<DescribeClusterBroker>,
        /// One bit per operation; the minimum for "not asked".
        cluster_authorized_operations: i32 = i32::MIN,
    }

    /// One broker.
    struct DescribeClusterBroker {
        broker_id: i32,
        host: Str,
        port: i32,
        rack: Option<Str>,
        is_fenced: bool [2..],
    }
}
