//! InitProducerId: a producer id and epoch for an idempotent or transactional producer.

use crate::wire::{ErrorCode, Str};

messages! {
    InitProducerId: versions 0..=5, flexible from 2;

    /// Asks for a producer id, or for a higher epoch of the one at hand.
    request InitProducerIdRequest => InitProducerIdResponse {
        /// Null for a producer that is idempotent only.
        transactional_id: Option<Str>,
        transaction_timeout_ms: i32,
        /// The producer id at hand, or -1 (KIP-360).
        producer_id: i64 [3..] = -1,
        /// Its epoch, or -1.
        producer_epoch: i16 [3..] = -1,
    }

    /// The producer id.
    response InitProducerIdResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        producer_id: i64 = -1,
        producer_epoch: i16,
    }
}
