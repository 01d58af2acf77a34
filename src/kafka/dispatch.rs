//! Which requests are served, in which versions, by whom: one table.
//!
//! The answer to ApiVersions, `docs/PROTOCOL.md` and the way of every request come from [`APIS`]. Adding an API is
//! a message table in [`crate::wire`], a handler in [`super::handlers`], and one line here.

use std::sync::Arc;

use bytes::Bytes;

use super::broker::Broker;
use super::connection::{Handling, Outcome, Service, Turn};
use super::handlers;
use crate::wire::{
    ApiKey, Message, Reader, Request, RequestHeader, RequestPrefix, Str, decode_request, encode_response,
    messages,
};

/// The largest request that carries no records: 10,000 partitions take a third of it. What a handler builds from a
/// request's arrays is larger than their bytes, so this bounds what one request can cost in memory and in time.
const SMALL_REQUEST_BYTES_MAX: usize = 1 << 20;

/// One API.
#[derive(Debug)]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// The first version that ApiVersions names.
    pub advertised_from: i16,
    /// The first version that is served; requests below close the connection, as Kafka does.
    pub served_from: i16,
    /// The last version.
    pub last: i16,
    /// The first version in the flexible encoding.
    pub flexible_from: i16,
    /// How its requests stand beside others of their connection.
    pub turn: Turn,
    start: fn(&Call, &mut Reader<'_>) -> Handling,
}

/// One request being served.
#[derive(Debug, Clone)]
pub struct Call {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The address that the client connected to.
    pub local: std::net::SocketAddr,
    /// The address that the client has.
    pub peer: std::net::IpAddr,
    /// The name that the client gives itself.
    pub client_id: Option<Str>,
    /// The request's version, one that is served.
    pub version: i16,
    correlation_id: i32,
}

/// An entry that advertises what it serves. Table, request and handler share the API's name: with `now` or `later`,
/// `handlers::fetch::handle` serves `messages::fetch::FetchRequest`.
macro_rules! api {
    ($module:ident::$request:ident, $turn:ident, $serve:ident) => {
        api!($module::$request, $turn, start: |call, body| $serve(call, body, handlers::$module::handle))
    };
    ($module:ident::$request:ident, $turn:ident, start: $start:expr) => {
        Api {
            key: <messages::$module::$request as Message>::API_KEY,
            advertised_from: *<messages::$module::$request as Message>::VERSIONS.start(),
            served_from: *<messages::$module::$request as Message>::VERSIONS.start(),
            last: *<messages::$module::$request as Message>::VERSIONS.end(),
            flexible_from: <messages::$module::$request as Message>::FLEXIBLE_FROM,
            turn: Turn::$turn,
            start: $start,
        }
    };
}

/// The APIs served, by key.
pub const APIS: &[Api] = &[
    Api {
        // Clients on librdkafka up to 2.8 do not compress unless version 0 is named (KAFKA-18659).
        advertised_from: 0,
        ..api!(produce::ProduceRequest, Pipelined, start: handlers::produce::start)
    },
    api!(fetch::FetchRequest, Parks, later),
    api!(list_offsets::ListOffsetsRequest, Alone, later),
    api!(metadata::MetadataRequest, Alone, later),
    api!(offset_commit::OffsetCommitRequest, Alone, later),
    api!(offset_fetch::OffsetFetchRequest, Alone, now),
    api!(find_coordinator::FindCoordinatorRequest, Alone, now),
    api!(join_group::JoinGroupRequest, Parks, later),
    api!(heartbeat::HeartbeatRequest, Alone, now),
    api!(leave_group::LeaveGroupRequest, Alone, now),
    api!(sync_group::SyncGroupRequest, Parks, later),
    api!(describe_groups::DescribeGroupsRequest, Alone, now),
    api!(list_groups::ListGroupsRequest, Alone, now),
    api!(api_versions::ApiVersionsRequest, Alone, now),
    api!(create_topics::CreateTopicsRequest, Alone, later),
    api!(delete_topics::DeleteTopicsRequest, Alone, later),
    api!(delete_records::DeleteRecordsRequest, Alone, later),
    api!(init_producer_id::InitProducerIdRequest, Alone, later),
    api!(offset_for_leader_epoch::OffsetForLeaderEpochRequest, Alone, now),
    api!(describe_configs::DescribeConfigsRequest, Alone, now),
    api!(alter_configs::AlterConfigsRequest, Alone, later),
    api!(alter_replica_log_dirs::AlterReplicaLogDirsRequest, Alone, now),
    api!(describe_log_dirs::DescribeLogDirsRequest, Alone, now),
    api!(create_partitions::CreatePartitionsRequest, Alone, later),
    api!(delete_groups::DeleteGroupsRequest, Alone, later),
    api!(elect_leaders::ElectLeadersRequest, Alone, now),
    api!(incremental_alter_configs::IncrementalAlterConfigsRequest, Alone, later),
    api!(alter_partition_reassignments::AlterPartitionReassignmentsRequest, Alone, now),
    api!(list_partition_reassignments::ListPartitionReassignmentsRequest, Alone, now),
    api!(offset_delete::OffsetDeleteRequest, Alone, later),
    api!(describe_quorum::DescribeQuorumRequest, Alone, later),
    api!(update_features::UpdateFeaturesRequest, Alone, now),
    api!(describe_cluster::DescribeClusterRequest, Alone, now),
    api!(describe_producers::DescribeProducersRequest, Alone, later),
    api!(consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, Alone, later),
    api!(consumer_group_describe::ConsumerGroupDescribeRequest, Alone, now),
    api!(list_config_resources::ListConfigResourcesRequest, Alone, now),
    api!(describe_topic_partitions::DescribeTopicPartitionsRequest, Alone, now),
];

/// The service behind one connection: decodes, finds the handler, encodes.
#[derive(Debug)]
pub struct Dispatch {
    broker: Arc<Broker>,
    local: std::net::SocketAddr,
    peer: std::net::IpAddr,
}

// === impl Dispatch ===

impl Dispatch {
    /// The service for a connection from `peer` that came in on `local`.
    #[must_use]
    pub fn new(broker: Arc<Broker>, local: std::net::SocketAddr, peer: std::net::IpAddr) -> Self {
        Self { broker, local, peer }
    }
}

impl Service for Dispatch {
    fn turn(&self, api_key: Option<i16>) -> Turn {
        api_key.and_then(find).map_or(Turn::Alone, |api| api.turn)
    }

    fn handle(&mut self, frame: Bytes) -> Handling {
        let prefix = match RequestPrefix::read(&mut Reader::new(&frame)) {
            Ok(prefix) => prefix,
            Err(error) => return close(format!("a request without a header: {error}")),
        };
        let Some(api) = find(prefix.api_key) else {
            return close(format!("API key {} is not served", prefix.api_key));
        };
        if !(api.served_from..=api.last).contains(&prefix.api_version) {
            if api.key == ApiKey::ApiVersions {
                // A client asks in the newest version it knows. It reads version 0 whatever it asked for (KIP-511),
                // so neither the rest of its header nor its body has to be understood.
                let response = handlers::api_versions::unsupported_version();
                return Handling::Done(encode(&response, 0, prefix.correlation_id));
            }
            let version = prefix.api_version;
            return close(format!("{} version {version} is not served", api.key.name()));
        }
        if api.key != ApiKey::Produce && frame.len() > SMALL_REQUEST_BYTES_MAX {
            return close(format!("{} of {} bytes", api.key.name(), frame.len()));
        }
        let mut reader = Reader::new(&frame);
        let header = match RequestHeader::read(&mut reader) {
            Ok(header) => header,
            Err(error) => return close(format!("{} with a bad header: {error}", api.key.name())),
        };
        let call = Call {
            broker: Arc::clone(&self.broker),
            local: self.local,
            peer: self.peer,
            client_id: header.client_id,
            version: prefix.api_version,
            correlation_id: prefix.correlation_id,
        };
        (api.start)(&call, &mut reader)
    }
}

/// The entry of an API that is served.
#[must_use]
pub fn find(api_key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key.code() == api_key)
}

/// Decodes a request's body. The error ends the connection: the protocol has no answer to bytes that are no request.
pub(super) fn decode<R: Request>(call: &Call, body: &mut Reader<'_>) -> Result<R, Handling> {
    decode_request(body, call.version)
        .map_err(|error| close(format!("{} version {}: {error}", R::API_KEY.name(), call.version)))
}

/// Encodes an answer.
pub(super) fn answer<M: Message>(call: &Call, response: &M) -> Outcome {
    encode(response, call.version, call.correlation_id)
}

pub(super) fn close(reason: String) -> Handling {
    Handling::Done(Outcome::Close(reason))
}

/// Serves a request whose answer is at hand.
fn now<R: Request>(
    call: &Call,
    body: &mut Reader<'_>,
    handler: impl FnOnce(&Call, &R) -> R::Response,
) -> Handling {
    match decode(call, body) {
        Ok(request) => {
            let response = handler(call, &request);
            Handling::Done(answer(call, &response))
        }
        Err(closed) => closed,
    }
}

/// Serves a request whose answer may take time.
fn later<R, F>(call: &Call, body: &mut Reader<'_>, handler: impl FnOnce(Call, R) -> F) -> Handling
where
    R: Request,
    R::Response: Send,
    F: Future<Output = R::Response> + Send + 'static,
{
    match decode(call, body) {
        Ok(request) => {
            let call = call.clone();
            let handled = handler(call.clone(), request);
            Handling::Later(Box::pin(async move {
                let response = handled.await;
                answer(&call, &response)
            }))
        }
        Err(closed) => closed,
    }
}

fn encode<M: Message>(response: &M, version: i16, correlation_id: i32) -> Outcome {
    match encode_response(response, version, correlation_id) {
        Ok(parts) => Outcome::Answer(parts),
        Err(error) => Outcome::Close(format!("the answer to {}: {error}", M::API_KEY.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_advertises_at_least_what_it_serves() {
        assert!(APIS.is_sorted_by_key(|api| api.key.code()));
        for api in APIS {
            assert!(api.advertised_from <= api.served_from && api.served_from <= api.last, "{api:?}");
        }
        assert!(APIS.windows(2).all(|pair| pair[0].key != pair[1].key));
    }

    #[test]
    fn apis_of_transactions_and_shares_are_not_listed_before_they_are_served() {
        // AddPartitionsToTxn to EndTxn, TxnOffsetCommit, heartbeats and fetches of share groups.
        for key in (24..=26).chain([28, 76, 78]) {
            assert!(find(key).is_none(), "{key}");
        }
    }
}
