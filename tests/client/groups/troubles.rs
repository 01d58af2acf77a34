//! Every error code that a coordinator may answer with: the member comes back by itself, or says why it cannot.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace::client::{
    Client, ClientConfig, Error, ErrorCode, GroupConsumer, GroupEvent, GroupProtocol, RetryPolicy,
};
use millrace::types::TopicId;
use millrace::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use millrace::wire::messages::consumer_group_heartbeat::{self, ConsumerGroupHeartbeatResponse};
use millrace::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use millrace::wire::messages::heartbeat::HeartbeatResponse;
use millrace::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use millrace::wire::messages::leave_group::LeaveGroupResponse;
use millrace::wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use millrace::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use millrace::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use millrace::wire::messages::offset_fetch::{OffsetFetchResponse, OffsetFetchResponseGroup};
use millrace::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use millrace::wire::{self, ApiKey, Message, Reader, RequestHeader};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::fixture::PATIENCE;
use super::config;

const TOPIC: &str = "t";
const TOPIC_ID: TopicId = TopicId([7; 16]);
const MEMBER_ID: &str = "m";

/// A coordinator of one group with one member, which answers one request as it is told to.
#[derive(Debug)]
struct Script {
    port: u16,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What to answer the next requests of one API with.
    codes: VecDeque<(ApiKey, ErrorCode)>,
    /// Heartbeats that were answered well since the last code was used up.
    heartbeats: usize,
    epoch: i32,
}

// === impl Script ===

impl Script {
    async fn start() -> (Arc<Self>, ClientConfig) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Self { port: address.port(), state: Mutex::default() });
        let serving = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&serving);
                tokio::spawn(async move { script.serve(stream).await });
            }
        });
        let mut config = ClientConfig::new(&address.to_string()).unwrap();
        config.retry = RetryPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(10) };
        (script, config)
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Ok(size) = stream.read_u32().await {
            let mut frame = vec![0; size as usize];
            if stream.read_exact(&mut frame).await.is_err() {
                return;
            }
            let frame = Bytes::from(frame);
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::read(&mut reader).unwrap();
            if let Some(answer) = self.answer(&header, &mut reader)
                && stream.write_all(&answer).await.is_err()
            {
                return;
            }
        }
    }

    /// Answers the next request of an API with `code`.
    fn expect(&self, api: ApiKey, code: ErrorCode) {
        self.state.lock().codes.push_back((api, code));
    }

    fn has_settled(&self) -> bool {
        let state = self.state.lock();
        state.codes.is_empty() && state.heartbeats > 1
    }

    /// The code for a request of this API.
    fn code(&self, api: ApiKey) -> ErrorCode {
        let mut state = self.state.lock();
        match state.codes.front() {
            Some(&(wanted, code)) if wanted == api => {
                state.codes.pop_front();
                state.heartbeats = 0;
                code
            }
            _ => {
                state.heartbeats +=
                    usize::from(matches!(api, ApiKey::Heartbeat | ApiKey::ConsumerGroupHeartbeat));
                ErrorCode::NONE
            }
        }
    }

    /// The answer; none for a fetch, which waits for records that never come.
    fn answer(&self, header: &RequestHeader, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        let (api, version) = (header.api_key, header.api_version);
        let code = || self.code(api);
        Some(match api {
            ApiKey::ApiVersions => encode(header, &api_versions()),
            ApiKey::Metadata => encode(header, &self.metadata()),
            ApiKey::FindCoordinator => {
                let request = wire::decode_request::<FindCoordinatorRequest>(reader, version).unwrap();
                let coordinators = request.coordinator_keys.iter().map(|key| Coordinator {
                    key,
                    node_id: 1,
                    host: "127.0.0.1".into(),
                    port: i32::from(self.port),
                    error_code: code(),
                    ..Coordinator::default()
                });
                let coordinators = coordinators.collect();
                encode(
                    header,
                    &FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() },
                )
            }
            ApiKey::JoinGroup => {
                let request = wire::decode_request::<JoinGroupRequest>(reader, version).unwrap();
                encode(header, &self.joined(&request, code()))
            }
            ApiKey::SyncGroup => {
                let request = wire::decode_request::<SyncGroupRequest>(reader, version).unwrap();
                let assignment = request.assignments.iter().next().map(|of_leader| of_leader.assignment);
                let error_code = code();
                let assignment = assignment.filter(|_| error_code == ErrorCode::NONE).unwrap_or_default();
                encode(header, &SyncGroupResponse { error_code, assignment, ..SyncGroupResponse::default() })
            }
            ApiKey::Heartbeat => {
                encode(header, &HeartbeatResponse { error_code: code(), ..HeartbeatResponse::default() })
            }
            ApiKey::LeaveGroup => encode(header, &LeaveGroupResponse::default()),
            ApiKey::ConsumerGroupHeartbeat => encode(header, &self.target(code())),
            ApiKey::OffsetFetch => {
                let group =
                    OffsetFetchResponseGroup { error_code: code(), ..OffsetFetchResponseGroup::default() };
                encode(
                    header,
                    &OffsetFetchResponse { groups: vec![group].into(), ..OffsetFetchResponse::default() },
                )
            }
            ApiKey::OffsetCommit => {
                let request = wire::decode_request::<OffsetCommitRequest>(reader, version).unwrap();
                assert_eq!((&*request.member_id == MEMBER_ID, request.topics.len()), (true, 1));
                let partition = OffsetCommitResponsePartition { partition_index: 0, error_code: code() };
                let topic = OffsetCommitResponseTopic {
                    name: TOPIC.into(),
                    partitions: vec![partition].into(),
                    ..OffsetCommitResponseTopic::default()
                };
                let topics = vec![topic].into();
                encode(header, &OffsetCommitResponse { topics, ..OffsetCommitResponse::default() })
            }
            ApiKey::ListOffsets => encode(header, &beginning()),
            ApiKey::Fetch => return None,
            other => panic!("{other} is not asked for"),
        })
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = MetadataResponsePartition { leader_id: 1, ..MetadataResponsePartition::default() };
        let topic = MetadataResponseTopic {
            name: Some(TOPIC.into()),
            topic_id: TOPIC_ID,
            partitions: vec![partition].into(),
            ..MetadataResponseTopic::default()
        };
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port: i32::from(self.port),
            ..MetadataResponseBroker::default()
        };
        MetadataResponse {
            brokers: vec![broker].into(),
            topics: vec![topic].into(),
            ..MetadataResponse::default()
        }
    }

    fn joined(&self, request: &JoinGroupRequest, error_code: ErrorCode) -> JoinGroupResponse {
        let protocol = request.protocols.iter().next().unwrap();
        let member = JoinGroupResponseMember {
            member_id: MEMBER_ID.into(),
            metadata: protocol.metadata,
            ..JoinGroupResponseMember::default()
        };
        let mut state = self.state.lock();
        state.epoch += 1;
        JoinGroupResponse {
            error_code,
            generation_id: state.epoch,
            protocol_name: Some(protocol.name),
            leader: MEMBER_ID.into(),
            member_id: MEMBER_ID.into(),
            members: vec![member].into(),
            ..JoinGroupResponse::default()
        }
    }

    fn target(&self, error_code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
        let topic = consumer_group_heartbeat::HeartbeatTopicPartitions {
            topic_id: TOPIC_ID,
            partitions: vec![0].into(),
        };
        let assignment =
            consumer_group_heartbeat::HeartbeatAssignment { topic_partitions: vec![topic].into() };
        ConsumerGroupHeartbeatResponse {
            error_code,
            member_epoch: 1,
            heartbeat_interval_ms: 5,
            assignment: Some(assignment).filter(|_| error_code == ErrorCode::NONE),
            ..ConsumerGroupHeartbeatResponse::default()
        }
    }
}

fn encode<M: Message>(header: &RequestHeader, response: &M) -> Vec<u8> {
    let version = header.api_version;
    let frame = wire::encode_response(response, version, header.correlation_id).unwrap();
    frame.into_bytes().to_vec()
}

fn api_versions() -> ApiVersionsResponse {
    let served = wire::messages::APIS.iter().map(|&api| {
        let versions = wire::messages::versions(api).unwrap();
        ApiVersion { api_key: api.code(), min_version: versions.first, max_version: versions.last }
    });
    ApiVersionsResponse { api_keys: served.collect(), ..ApiVersionsResponse::default() }
}

fn beginning() -> ListOffsetsResponse {
    let partition = ListOffsetsPartitionResponse { offset: 0, ..ListOffsetsPartitionResponse::default() };
    let topic = ListOffsetsTopicResponse { name: TOPIC.into(), partitions: vec![partition].into() };
    ListOffsetsResponse { topics: vec![topic].into(), ..ListOffsetsResponse::default() }
}

/// A member of the script's group.
fn member(protocol: GroupProtocol, client: ClientConfig) -> GroupConsumer {
    let mut config = config(protocol, "g");
    config.heartbeat_interval = Duration::from_millis(5);
    config.auto_commit = None;
    let mut consumer = GroupConsumer::new(&Client::new(client), config);
    consumer.subscribe(&[TOPIC]);
    consumer
}

/// Waits until all is well; says whether the member has lost its partition on the way.
async fn settle(script: &Script, consumer: &mut GroupConsumer) -> Result<bool, Error> {
    let mut has_lost = false;
    let settling = async {
        loop {
            match consumer.next(Duration::from_millis(10)).await? {
                Some(GroupEvent::Lost(keys)) => {
                    assert_eq!(keys.len(), 1);
                    has_lost = true;
                }
                _ if script.has_settled() && consumer.assignment().len() == 1 => return Ok(()),
                _ => {}
            }
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settling).await;
    settled.unwrap_or_else(|_| panic!("not overcome in time: {script:?}")).map(|()| has_lost)
}

/// What comes of an error code in the first answer of an API.
async fn outcome(protocol: GroupProtocol, api: ApiKey, code: ErrorCode) -> Result<bool, Error> {
    let (script, client) = Script::start().await;
    script.expect(api, code);
    let mut consumer = member(protocol, client);
    let settled = settle(&script, &mut consumer).await;
    assert_eq!(consumer.close().await.is_ok(), settled.is_ok());
    settled
}

async fn check(protocol: GroupProtocol, api: ApiKey, passing: &[ErrorCode], lasting: &[ErrorCode]) {
    for &code in passing {
        let outcome = outcome(protocol, api, code).await;
        assert!(outcome.is_ok(), "{protocol:?}: {code:?} of {api} is to pass: {outcome:?}");
    }
    for &code in lasting {
        let error = outcome(protocol, api, code).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{protocol:?}: {api}");
    }
}

const COORDINATOR_MOVES: [ErrorCode; 3] = [
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
];

#[tokio::test]
async fn a_coordinator_that_cannot_be_found_yet_is_looked_for_again() {
    for protocol in super::PROTOCOLS {
        let passing = [ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS];
        let lasting = [ErrorCode::GROUP_AUTHORIZATION_FAILED, ErrorCode::INVALID_GROUP_ID];
        check(protocol, ApiKey::FindCoordinator, &passing, &lasting).await;
    }
}

#[tokio::test]
async fn a_classic_member_joins_again_after_whatever_may_pass() {
    let classic = GroupProtocol::Classic;
    let passing = [
        ErrorCode::MEMBER_ID_REQUIRED,
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ];
    let lasting = [
        ErrorCode::FENCED_INSTANCE_ID,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ErrorCode::INVALID_GROUP_ID,
        ErrorCode::INVALID_SESSION_TIMEOUT,
    ];
    check(classic, ApiKey::JoinGroup, &[&passing[..], &COORDINATOR_MOVES].concat(), &lasting).await;
    let passing =
        [ErrorCode::REBALANCE_IN_PROGRESS, ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION];
    let passing = [&passing[..], &COORDINATOR_MOVES].concat();
    let fenced = [ErrorCode::FENCED_INSTANCE_ID, ErrorCode::GROUP_AUTHORIZATION_FAILED];
    check(classic, ApiKey::SyncGroup, &passing, &fenced).await;
    check(classic, ApiKey::Heartbeat, &passing, &fenced).await;
}

#[tokio::test]
async fn a_member_of_the_consumer_protocol_joins_again_after_whatever_may_pass() {
    let passing = [
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::FENCED_MEMBER_EPOCH,
        ErrorCode::UNRELEASED_INSTANCE_ID,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ];
    let lasting = [
        ErrorCode::FENCED_INSTANCE_ID,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        ErrorCode::INVALID_REGULAR_EXPRESSION,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::UNSUPPORTED_ASSIGNOR,
    ];
    let passing = [&passing[..], &COORDINATOR_MOVES].concat();
    check(GroupProtocol::Consumer, ApiKey::ConsumerGroupHeartbeat, &passing, &lasting).await;
}

#[tokio::test]
async fn offsets_that_cannot_be_fetched_yet_are_waited_for() {
    let passing = [&COORDINATOR_MOVES[..], &[ErrorCode::UNSTABLE_OFFSET_COMMIT]].concat();
    let lasting = [ErrorCode::GROUP_AUTHORIZATION_FAILED];
    check(GroupProtocol::Classic, ApiKey::OffsetFetch, &passing, &lasting).await;
    let passing = [&passing[..], &[ErrorCode::STALE_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID]].concat();
    check(GroupProtocol::Consumer, ApiKey::OffsetFetch, &passing, &lasting).await;
}

#[tokio::test]
async fn only_a_member_that_the_group_went_on_without_has_lost_its_partitions() {
    let cases = [
        (GroupProtocol::Classic, ErrorCode::UNKNOWN_MEMBER_ID, true),
        (GroupProtocol::Classic, ErrorCode::ILLEGAL_GENERATION, true),
        (GroupProtocol::Classic, ErrorCode::REBALANCE_IN_PROGRESS, false),
        (GroupProtocol::Classic, ErrorCode::NOT_COORDINATOR, false),
        (GroupProtocol::Consumer, ErrorCode::UNKNOWN_MEMBER_ID, true),
        (GroupProtocol::Consumer, ErrorCode::FENCED_MEMBER_EPOCH, true),
        (GroupProtocol::Consumer, ErrorCode::NOT_COORDINATOR, false),
    ];
    for (protocol, code, loses) in cases {
        let (script, client) = Script::start().await;
        let mut consumer = member(protocol, client);
        assert!(!settle(&script, &mut consumer).await.unwrap());
        let api = match protocol {
            GroupProtocol::Classic => ApiKey::Heartbeat,
            GroupProtocol::Consumer => ApiKey::ConsumerGroupHeartbeat,
        };
        script.expect(api, code);
        let has_lost = settle(&script, &mut consumer).await.unwrap();
        assert_eq!(has_lost, loses, "{protocol:?}: {code:?}");
        consumer.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_between_two_generations_is_tried_again_and_one_of_a_stranger_is_not() {
    let cases = [
        (ErrorCode::REBALANCE_IN_PROGRESS, true),
        (ErrorCode::ILLEGAL_GENERATION, true),
        (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, true),
        (ErrorCode::NOT_COORDINATOR, true),
        (ErrorCode::UNKNOWN_MEMBER_ID, false),
        (ErrorCode::FENCED_INSTANCE_ID, false),
        (ErrorCode::OFFSET_METADATA_TOO_LARGE, false),
    ];
    for (code, passes) in cases {
        let (script, client) = Script::start().await;
        let mut consumer = member(GroupProtocol::Classic, client);
        settle(&script, &mut consumer).await.unwrap();
        script.expect(ApiKey::OffsetCommit, code);
        let committed = consumer.commit().await;
        let expected = if passes { None } else { Some(code) };
        assert_eq!(committed.as_ref().err().and_then(Error::code), expected, "{committed:?}");
        assert!(script.state.lock().codes.is_empty());
        consumer.close().await.unwrap();
    }
}
