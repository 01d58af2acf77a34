//! InitProducerId: an identity for an idempotent producer.

use super::super::dispatch::Call;
use super::super::error_code::error_code;
use crate::engine::api::ProducerIdentity;
use crate::types::{ProducerEpoch, ProducerId};
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

/// "I have none yet."
const NO_ID: i64 = -1;
const NO_EPOCH: i16 = -1;

/// Hands out a producer id. The id at hand, if the client names one (KIP-360), matters only for transactions.
pub(in crate::kafka) async fn handle(call: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match &request.transactional_id {
        Some(id) if id.is_empty() => return refused(ErrorCode::INVALID_REQUEST),
        Some(_) => return refused(ErrorCode::UNSUPPORTED_VERSION),
        None => {}
    }
    if (request.producer_id == NO_ID) != (request.producer_epoch == NO_EPOCH) {
        // Half an identity: the client has lost count of its own.
        return refused(ErrorCode::INVALID_REQUEST);
    }
    match call.broker.engine.init_producer_id().await {
        Ok(ProducerIdentity { id: ProducerId(producer_id), epoch: ProducerEpoch(producer_epoch) }) => {
            InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Err(error) => refused(error_code(&error)),
    }
}

fn refused(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..Default::default() }
}
