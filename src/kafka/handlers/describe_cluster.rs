//! DescribeCluster: the one broker there is.

use super::super::dispatch::Call;
use super::{CLUSTER_OPERATIONS, when_asked};
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use crate::wire::{ErrorCode, Str};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers from the metadata image.
pub(in crate::kafka) fn handle(call: &Call, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "this is an endpoint of brokers, not of controllers".to_owned();
            return refused(ErrorCode::MISMATCHED_ENDPOINT_TYPE, message);
        }
        other => {
            return refused(
                ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
                format!("there is no endpoint of type {other}"),
            );
        }
    }
    let image = call.broker.engine.image();
    let endpoint = call.broker.endpoint(call.local);
    DescribeClusterResponse {
        cluster_id: Str::from(&*image.cluster_id),
        controller_id: image.broker_id.0,
        brokers: vec![DescribeClusterBroker {
            broker_id: image.broker_id.0,
            host: endpoint.host,
            port: endpoint.port,
            ..Default::default()
        }]
        .into(),
        cluster_authorized_operations: when_asked(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ),
        ..Default::default()
    }
}

fn refused(error_code: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse { error_code, error_message: Some(message.into()), ..Default::default() }
}
