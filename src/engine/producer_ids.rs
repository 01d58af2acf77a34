//! Identities for idempotent producers.
//!
//! Ids are taken from the catalog in blocks, each made durable before its first id is handed out, so that no id is
//! handed out twice, whatever crashes.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Error;
use super::api::ProducerIdentity;
use super::catalog::CatalogRecord;
use super::core::{Core, Engine};
use crate::types::{ProducerEpoch, ProducerId};

/// The ids of the present block.
pub(super) struct ProducerIds {
    block: Mutex<Block>,
}

struct Block {
    next: i64,
    /// The first id that is not durable yet.
    end: i64,
}

const BLOCK: i64 = 1000;

// === impl Engine ===

impl Engine {
    /// A fresh identity. As in Kafka, a producer that is not transactional gets a new one each time it asks, whatever
    /// it had before.
    pub fn init_producer_id(&self) -> impl Future<Output = Result<ProducerIdentity, Error>> + Send + use<> {
        let core = Arc::clone(&self.core);
        async move {
            let id = match core.producer_ids.take() {
                Some(id) => id,
                None => core.on_pool(|core| core.next_producer_id()).await.unwrap_or(Err(Error::Stopping))?,
            };
            Ok(ProducerIdentity { id: ProducerId(id), epoch: ProducerEpoch(0) })
        }
    }
}

// === impl ProducerIds ===

impl ProducerIds {
    pub(super) fn new(next: i64) -> Self {
        Self { block: Mutex::new(Block { next, end: next }) }
    }

    fn take(&self) -> Option<i64> {
        let mut block = self.block.lock();
        (block.next < block.end).then(|| {
            block.next += 1;
            block.next - 1
        })
    }
}

// === impl Core ===

impl Core {
    fn next_producer_id(&self) -> Result<i64, Error> {
        let catalog = self.catalog.lock();
        // Another may have fetched a block while this one waited.
        if let Some(id) = self.producer_ids.take() {
            return Ok(id);
        }
        let end = self.producer_ids.block.lock().end + BLOCK;
        self.record_change(&catalog, CatalogRecord::ProducerIds { next: end })?;
        let mut block = self.producer_ids.block.lock();
        block.end = end;
        block.next += 1;
        Ok(block.next - 1)
    }
}
