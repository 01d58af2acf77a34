//! FindCoordinator: which broker looks after a group.

use super::super::dispatch::Call;
use super::super::error_code::group_error_code;
use crate::engine::GroupError;
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Str};

/// What a key is the name of.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From here on a request has many keys.
const BATCHED_FROM: i16 = 4;

/// Answers with this broker, for groups.
pub(in crate::kafka) fn handle(call: &Call, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let find = |key: &Str| find(call, request.key_type, key);
    if call.version >= BATCHED_FROM {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let found = find(&key);
            // As Kafka does: no text rather than none.
            Coordinator { error_message: found.error_message.or_else(|| Some(Str::default())), ..found }
        });
        return FindCoordinatorResponse { coordinators: coordinators.collect(), ..Default::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = find(&request.key);
    let error_message = error_message.or_else(|| Some(Str::from_static("NONE")));
    FindCoordinatorResponse { node_id, host, port, error_code, error_message, ..Default::default() }
}

fn find(call: &Call, key_type: i8, key: &Str) -> Coordinator {
    let refused = |error_code, message: String| Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code,
        error_message: Some(message.into()),
        ..Default::default()
    };
    match key_type {
        GROUP => {}
        TRANSACTION => {
            let message = "transactions are not served".to_owned();
            return refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message);
        }
        _ => return refused(ErrorCode::INVALID_REQUEST, format!("keys of type {key_type} are not known")),
    }
    match call.broker.engine.find_coordinator(key.as_str()) {
        // Still loading: the group's own requests say so, and are tried again.
        Ok(()) | Err(GroupError::Loading) => {
            let endpoint = call.broker.endpoint(call.local);
            Coordinator {
                key: key.clone(),
                node_id: call.broker.engine.image().broker_id.0,
                host: endpoint.host,
                port: endpoint.port,
                ..Default::default()
            }
        }
        Err(error) => refused(group_error_code(&error), error.to_string()),
    }
}
