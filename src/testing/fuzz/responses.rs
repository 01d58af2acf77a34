//! What a hostile or broken broker may answer to the bundled client: key, version, body.
//!
//! The client takes responses apart with the same tables and reads fetched records as batches that nobody has validated;
//! both are done here to the end.

use bytes::Bytes;

use super::byte;
use crate::record;
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::{APIS, versions, walk_response};
use crate::wire::{ApiKey, Message, Reader};

/// The most that records are decompressed to.
const LIMIT_BYTES: usize = 1 << 20;

/// The first byte chooses the API, the second the version; the rest is the body.
pub(super) fn run(input: &[u8]) {
    let mut body = input;
    let api = APIS[usize::from(byte(&mut body)) % APIS.len()];
    let known = versions(api).expect("a listed API has versions");
    let count = i16::from(byte(&mut body)) % (known.last - known.first + 1);
    let version = known.first + count;
    let body = Bytes::copy_from_slice(body);
    let walked = walk_response(api, version, &body);
    if api == ApiKey::Fetch && walked.is_ok() {
        let response = FetchResponse::decode(&mut Reader::new(&body), version).expect("it was read before");
        for topic in &response.responses {
            for partition in &topic.partitions {
                let records = partition.records.map(crate::wire::Records::into_bytes).unwrap_or_default();
                read(&records);
            }
        }
    }
}

/// Reads records as a consumer does.
fn read(records: &Bytes) {
    for batch in record::batches(records.clone()).map_while(Result::ok) {
        if let Ok(found) = batch.records(LIMIT_BYTES) {
            let _count = found.map_while(Result::ok).count();
        }
    }
}
