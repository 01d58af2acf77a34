//! The engine's errors as the protocol's codes: the one place that decides.
//!
//! The match names every error, so that a new one does not compile until somebody has decided about it. A code tells
//! a client what to do: retriable ones are sent again, the others reach the application.

use crate::engine::{Error, GroupError};
use crate::record::BatchErrorKind;
use crate::wire::ErrorCode;

/// The code for an error.
pub(super) fn error_code(error: &Error) -> ErrorCode {
    match error {
        Error::UnknownTopicOrPartition { .. } => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Error::UnknownTopicId { .. } => ErrorCode::UNKNOWN_TOPIC_ID,
        Error::InvalidTopicName { .. } => ErrorCode::INVALID_TOPIC_EXCEPTION,
        Error::TopicExists { .. } => ErrorCode::TOPIC_ALREADY_EXISTS,
        Error::InvalidPartitions { .. } => ErrorCode::INVALID_PARTITIONS,
        Error::InvalidReplicationFactor { .. } => ErrorCode::INVALID_REPLICATION_FACTOR,
        Error::InvalidReplicaAssignment { .. } => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        Error::ElectionNotNeeded { .. } => ErrorCode::ELECTION_NOT_NEEDED,
        Error::NoReassignment { .. } => ErrorCode::NO_REASSIGNMENT_IN_PROGRESS,
        Error::LogDirNotFound { .. } => ErrorCode::LOG_DIR_NOT_FOUND,
        Error::InvalidConfig { .. } => ErrorCode::INVALID_CONFIG,
        Error::InvalidRequest { .. } => ErrorCode::INVALID_REQUEST,
        Error::Unsupported { .. } => ErrorCode::UNSUPPORTED_VERSION,
        Error::Forbidden { .. } => ErrorCode::POLICY_VIOLATION,
        Error::Batch(error) => batch_code(error.kind()),
        Error::LargerThanSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        Error::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        Error::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
        Error::FencedLeaderEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        Error::UnknownLeaderEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
        // A client that is told so asks for metadata again and comes back, by then perhaps to a restarted broker.
        Error::NotLeader { .. } | Error::Stopping => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        Error::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        Error::NoTransactionalId => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        Error::StaleProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        Error::RequestTimedOut => ErrorCode::REQUEST_TIMED_OUT,
        // Of the codes that every client retries, the one that says "nothing was appended".
        Error::Overloaded { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        Error::DiskFull { .. } | Error::Storage { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// The code for an error about a topic that has to be there already. As in Kafka, a name that no topic can have is
/// then a topic that does not exist.
pub(super) fn error_code_of_existing(error: &Error) -> ErrorCode {
    match error {
        Error::InvalidTopicName { .. } => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        other => error_code(other),
    }
}

/// The code for an error of a group.
pub(super) fn group_error_code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId { .. } => ErrorCode::INVALID_GROUP_ID,
        GroupError::GroupIdNotFound { .. } => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::NonEmptyGroup { .. } => ErrorCode::NON_EMPTY_GROUP,
        GroupError::UnknownMember { .. } => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::MemberIdRequired { .. } => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::IllegalGeneration { .. } => ErrorCode::ILLEGAL_GENERATION,
        GroupError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::InconsistentProtocol { .. } => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::InvalidSessionTimeout { .. } => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::GroupFull { .. } | GroupError::OutOfRoom { .. } => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::FencedInstance { .. } => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::UnreleasedInstance { .. } => ErrorCode::UNRELEASED_INSTANCE_ID,
        GroupError::FencedMemberEpoch { .. } => ErrorCode::FENCED_MEMBER_EPOCH,
        GroupError::StaleMemberEpoch { .. } => ErrorCode::STALE_MEMBER_EPOCH,
        GroupError::UnsupportedAssignor { .. } => ErrorCode::UNSUPPORTED_ASSIGNOR,
        GroupError::InvalidPattern { .. } => ErrorCode::INVALID_REGULAR_EXPRESSION,
        GroupError::SubscribedToTopic { .. } => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        GroupError::MetadataTooLarge { .. } => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        GroupError::UnknownTopicOrPartition { .. } => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        GroupError::UnknownTopicId { .. } => ErrorCode::UNKNOWN_TOPIC_ID,
        GroupError::UnsupportedVersion => ErrorCode::UNSUPPORTED_VERSION,
        GroupError::InvalidRequest { .. } => ErrorCode::INVALID_REQUEST,
        GroupError::Loading => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        // What stands behind it could not be kept: every client asks for the coordinator again, and comes back.
        GroupError::Unavailable { .. } => ErrorCode::COORDINATOR_NOT_AVAILABLE,
    }
}

/// The code for an error of a commit, to which some codes mean nothing.
pub(super) fn commit_error_code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::OutOfRoom { .. } => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        other => group_error_code(other),
    }
}

fn batch_code(kind: BatchErrorKind) -> ErrorCode {
    match kind {
        BatchErrorKind::Corrupt => ErrorCode::CORRUPT_MESSAGE,
        BatchErrorKind::Invalid | BatchErrorKind::OldFormat => ErrorCode::INVALID_RECORD,
        BatchErrorKind::TooLarge => ErrorCode::MESSAGE_TOO_LARGE,
        BatchErrorKind::Timestamp => ErrorCode::INVALID_TIMESTAMP,
        BatchErrorKind::UnsupportedCompression => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
    }
}
