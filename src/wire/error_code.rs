//! The protocol's error codes.

use std::fmt;

/// An error code of the Kafka protocol.
///
/// All up to Kafka 4.3 have a name here; a code from a newer broker is kept as it is.
///
/// Source: <https://kafka.apache.org/protocol#protocol_error_codes>.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ErrorCode(i16);

macro_rules! error_codes {
    ($($code:literal $name:ident $retriable:ident $message:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("Code ", stringify!($code), ": ", $message, ".")] pub const $name: Self = Self($code);)*

            /// All codes that have a name, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name Kafka's documentation uses; `None` for a code that is not known here.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Whether the same request may succeed later, with fresh metadata if need be.
            #[must_use]
            pub fn is_retriable(self) -> bool {
                match self {
                    $(Self::$name => retriable!($retriable),)*
                    _ => false,
                }
            }

            /// What the code says, in a few words.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                    _ => "an error code that is not known here",
                }
            }
        }
    };
}

macro_rules! retriable {
    (retriable) => {
        true
    };
    (lasting) => {
        false
    };
}

error_codes! {
    -1 UNKNOWN_SERVER_ERROR lasting "the broker met an error that has no code of its own";
    0 NONE lasting "no error";
    1 OFFSET_OUT_OF_RANGE lasting "the offset lies outside of the partition's log";
    2 CORRUPT_MESSAGE retriable "the batch fails its checksum, has a bad size, or is otherwise damaged";
    3 UNKNOWN_TOPIC_OR_PARTITION retriable "this broker has no such topic or partition";
    4 INVALID_FETCH_SIZE lasting "the fetch size is invalid";
    5 LEADER_NOT_AVAILABLE retriable "the partition has no leader at the moment";
    6 NOT_LEADER_OR_FOLLOWER retriable "this broker is not the partition's leader, or not a replica of it";
    7 REQUEST_TIMED_OUT retriable "the request timed out";
    8 BROKER_NOT_AVAILABLE lasting "the broker is not available";
    9 REPLICA_NOT_AVAILABLE retriable "the replica is not available";
    10 MESSAGE_TOO_LARGE lasting "the batch is larger than the broker or the topic accepts";
    11 STALE_CONTROLLER_EPOCH lasting "the controller has changed";
    12 OFFSET_METADATA_TOO_LARGE lasting "the metadata stored with an offset is too long";
    13 NETWORK_EXCEPTION retriable "the connection broke before the response came";
    14 COORDINATOR_LOAD_IN_PROGRESS retriable "the coordinator is still loading its state";
    15 COORDINATOR_NOT_AVAILABLE retriable "the coordinator is not available";
    16 NOT_COORDINATOR retriable "this broker is not the coordinator";
    17 INVALID_TOPIC_EXCEPTION lasting "the topic name is not legal, or the topic may not be used so";
    18 RECORD_LIST_TOO_LARGE lasting "the batch is larger than a log segment";
    19 NOT_ENOUGH_REPLICAS retriable "too few replicas are in sync to accept the write";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND retriable "written, but to too few replicas in sync";
    21 INVALID_REQUIRED_ACKS lasting "acks must be -1, 0 or 1";
    22 ILLEGAL_GENERATION lasting "the group's generation has changed";
    23 INCONSISTENT_GROUP_PROTOCOL lasting "the member's protocols do not fit those of the group";
    24 INVALID_GROUP_ID lasting "the group id is invalid";
    25 UNKNOWN_MEMBER_ID lasting "the coordinator does not know this member";
    26 INVALID_SESSION_TIMEOUT lasting "the session timeout lies outside of the broker's range";
    27 REBALANCE_IN_PROGRESS lasting "the group is rebalancing: join again";
    28 INVALID_COMMIT_OFFSET_SIZE lasting "the offset commit is too large";
    29 TOPIC_AUTHORIZATION_FAILED lasting "not allowed to use this topic";
    30 GROUP_AUTHORIZATION_FAILED lasting "not allowed to use this group";
    31 CLUSTER_AUTHORIZATION_FAILED lasting "not allowed to act on the cluster";
    32 INVALID_TIMESTAMP lasting "the timestamp lies outside of the topic's range";
    33 UNSUPPORTED_SASL_MECHANISM lasting "the broker does not offer this SASL mechanism";
    34 ILLEGAL_SASL_STATE lasting "the request does not fit the state of the authentication";
    35 UNSUPPORTED_VERSION lasting "the broker does not serve this version of the API";
    36 TOPIC_ALREADY_EXISTS lasting "a topic of this name exists already";
    37 INVALID_PARTITIONS lasting "the number of partitions is invalid";
    38 INVALID_REPLICATION_FACTOR lasting "the replication factor is below 1 or above the number of brokers";
    39 INVALID_REPLICA_ASSIGNMENT lasting "the replica assignment is invalid";
    40 INVALID_CONFIG lasting "the configuration is invalid";
    41 NOT_CONTROLLER retriable "this broker is not the controller";
    42 INVALID_REQUEST lasting "the request contradicts itself or the protocol";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT lasting "the topic's message format does not support the request";
    44 POLICY_VIOLATION lasting "the request violates a policy of the broker";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER lasting "the producer skipped a sequence number";
    46 DUPLICATE_SEQUENCE_NUMBER lasting "the producer repeated a sequence number";
    47 INVALID_PRODUCER_EPOCH lasting "the producer's epoch is out of date";
    48 INVALID_TXN_STATE lasting "the transaction is not in a state that allows this";
    49 INVALID_PRODUCER_ID_MAPPING lasting "the producer id does not belong to this transactional id";
    50 INVALID_TRANSACTION_TIMEOUT lasting "the transaction timeout is larger than the broker allows";
    51 CONCURRENT_TRANSACTIONS retriable "another operation on this transaction is under way";
    52 TRANSACTION_COORDINATOR_FENCED lasting "the transaction coordinator has been replaced";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED lasting "not allowed to use this transactional id";
    54 SECURITY_DISABLED lasting "the broker has no authorizer";
    55 OPERATION_NOT_ATTEMPTED lasting "not attempted, because another part of the request failed";
    56 KAFKA_STORAGE_ERROR retriable "the disk failed under the partition's log";
    57 LOG_DIR_NOT_FOUND lasting "the broker has no such log directory";
    58 SASL_AUTHENTICATION_FAILED lasting "authentication failed";
    59 UNKNOWN_PRODUCER_ID lasting "the broker knows nothing of this producer id";
    60 REASSIGNMENT_IN_PROGRESS lasting "a reassignment of the partition is under way";
    61 DELEGATION_TOKEN_AUTH_DISABLED lasting "delegation tokens are not enabled";
    62 DELEGATION_TOKEN_NOT_FOUND lasting "the broker does not know this delegation token";
    63 DELEGATION_TOKEN_OWNER_MISMATCH lasting "the token belongs to another principal";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED lasting "delegation tokens cannot be requested on this connection";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED lasting "not allowed to use this delegation token";
    66 DELEGATION_TOKEN_EXPIRED lasting "the delegation token has expired";
    67 INVALID_PRINCIPAL_TYPE lasting "the principal type is not supported";
    68 NON_EMPTY_GROUP lasting "the group still has members";
    69 GROUP_ID_NOT_FOUND lasting "there is no such group";
    70 FETCH_SESSION_ID_NOT_FOUND retriable "the broker does not know this fetch session";
    71 INVALID_FETCH_SESSION_EPOCH retriable "the fetch session's epoch is out of step";
    72 LISTENER_NOT_FOUND retriable "the leader has no listener of the name this request came in on";
    73 TOPIC_DELETION_DISABLED lasting "topic deletion is switched off";
    74 FENCED_LEADER_EPOCH retriable "the client's leader epoch is older than the broker's";
    75 UNKNOWN_LEADER_EPOCH retriable "the client's leader epoch is newer than the broker's";
    76 UNSUPPORTED_COMPRESSION_TYPE lasting "the version of the request does not support the batch's compression";
    77 STALE_BROKER_EPOCH lasting "the broker's epoch has changed";
    78 OFFSET_NOT_AVAILABLE retriable "the new leader does not know the offset for certain yet";
    79 MEMBER_ID_REQUIRED lasting "join again with the member id of this response";
    80 PREFERRED_LEADER_NOT_AVAILABLE retriable "the preferred leader is not available";
    81 GROUP_MAX_SIZE_REACHED lasting "the group is full";
    82 FENCED_INSTANCE_ID lasting "another member took over this group instance id";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE retriable "no eligible leader is available";
    84 ELECTION_NOT_NEEDED retriable "the partition has its preferred leader already";
    85 NO_REASSIGNMENT_IN_PROGRESS lasting "no reassignment of the partition is under way";
    86 GROUP_SUBSCRIBED_TO_TOPIC lasting "the group is subscribed to the topic";
    87 INVALID_RECORD lasting "the broker refuses a record of the batch";
    88 UNSTABLE_OFFSET_COMMIT retriable "a transaction has yet to decide on the offsets";
    89 THROTTLING_QUOTA_EXCEEDED retriable "a quota is exceeded";
    90 PRODUCER_FENCED lasting "a newer producer uses this transactional id";
    91 RESOURCE_NOT_FOUND lasting "the request names a resource that does not exist";
    92 DUPLICATE_RESOURCE lasting "the request names a resource twice";
    93 UNACCEPTABLE_CREDENTIAL lasting "the credential does not meet the broker's rules";
    94 INCONSISTENT_VOTER_SET lasting "the set of voters does not match";
    95 INVALID_UPDATE_VERSION lasting "the update's version is invalid";
    96 FEATURE_UPDATE_FAILED lasting "the feature could not be updated";
    97 PRINCIPAL_DESERIALIZATION_FAILURE lasting "the forwarded principal could not be read";
    98 SNAPSHOT_NOT_FOUND lasting "there is no such snapshot";
    99 POSITION_OUT_OF_RANGE lasting "the position lies outside of the snapshot";
    100 UNKNOWN_TOPIC_ID retriable "this broker has no topic of this id";
    101 DUPLICATE_BROKER_REGISTRATION lasting "a broker of this id is registered already";
    102 BROKER_ID_NOT_REGISTERED lasting "no broker of this id is registered";
    103 INCONSISTENT_TOPIC_ID retriable "the topic id is not that of the log";
    104 INCONSISTENT_CLUSTER_ID lasting "the cluster id is another cluster's";
    105 TRANSACTIONAL_ID_NOT_FOUND lasting "there is no such transactional id";
    106 FETCH_SESSION_TOPIC_ID_ERROR retriable "the fetch session mixes topic names and topic ids";
    107 INELIGIBLE_REPLICA lasting "the new in-sync set holds an ineligible replica";
    108 NEW_LEADER_ELECTED lasting "another leader was elected";
    109 OFFSET_MOVED_TO_TIERED_STORAGE lasting "the offset has moved to tiered storage";
    110 FENCED_MEMBER_EPOCH lasting "the member's epoch is fenced: give up all partitions and join again";
    111 UNRELEASED_INSTANCE_ID lasting "the group instance id still belongs to another member";
    112 UNSUPPORTED_ASSIGNOR lasting "the group does not support this assignor";
    113 STALE_MEMBER_EPOCH lasting "the member's epoch is out of date: retry after the next heartbeat";
    114 MISMATCHED_ENDPOINT_TYPE lasting "the request went to the wrong kind of endpoint";
    115 UNSUPPORTED_ENDPOINT_TYPE lasting "this kind of endpoint is not supported";
    116 UNKNOWN_CONTROLLER_ID lasting "there is no controller of this id";
    117 UNKNOWN_SUBSCRIPTION_ID lasting "the telemetry subscription is unknown or out of date";
    118 TELEMETRY_TOO_LARGE lasting "the telemetry is larger than the broker accepts";
    119 INVALID_REGISTRATION lasting "the broker's registration is invalid";
    120 TRANSACTION_ABORTABLE lasting "the transaction failed and can be aborted";
    121 INVALID_RECORD_STATE lasting "the record is not in a state that allows this acknowledgement";
    122 SHARE_SESSION_NOT_FOUND retriable "the broker does not know this share session";
    123 INVALID_SHARE_SESSION_EPOCH retriable "the share session's epoch is out of step";
    124 FENCED_STATE_EPOCH lasting "the share group's state epoch is out of date";
    125 INVALID_VOTER_KEY lasting "the voter's key does not match";
    126 DUPLICATE_VOTER lasting "the voter is in the set already";
    127 VOTER_NOT_FOUND lasting "the voter is not in the set";
    128 INVALID_REGULAR_EXPRESSION lasting "the regular expression is invalid";
    129 REBOOTSTRAP_REQUIRED lasting "the client's view of the cluster is out of date: start from the bootstrap servers";
    130 STREAMS_INVALID_TOPOLOGY lasting "the topology is invalid";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH lasting "the topology's epoch is invalid";
    132 STREAMS_TOPOLOGY_FENCED lasting "the topology's epoch is out of date";
    133 SHARE_SESSION_LIMIT_REACHED retriable "the broker holds as many share sessions as it may";
}

impl ErrorCode {
    /// The error with this code.
    #[must_use]
    pub const fn from_code(code: i16) -> Self {
        Self(code)
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self.0
    }

    /// Whether this is no error.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// `Ok` for no error, so that `?` passes on the others.
    ///
    /// # Errors
    /// The code itself, unless it is [`ErrorCode::NONE`].
    pub fn ok(self) -> Result<(), Self> {
        if self.is_none() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ErrorCode({})", self.0),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name().unwrap_or("UNKNOWN"), self.0, self.message())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_kafka_4_3_has_a_name() {
        let named = (i16::MIN..=i16::MAX).map(ErrorCode::from_code).filter(|error| error.name().is_some());
        assert_eq!(named.map(ErrorCode::code).collect::<Vec<_>>(), (-1..=133).collect::<Vec<_>>());
        assert_eq!(ErrorCode::ALL.len(), 135);
    }

    #[test]
    fn an_error_code_says_what_it_is() {
        let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(
            error.to_string(),
            "UNKNOWN_TOPIC_OR_PARTITION (3): this broker has no such topic or partition"
        );
        assert!(error.is_retriable());
        assert_eq!(error.ok(), Err(error));
        assert!(!ErrorCode::INVALID_RECORD.is_retriable());
        assert_eq!(ErrorCode::default().ok(), Ok(()));
        assert_eq!(
            ErrorCode::from_code(999).to_string(),
            "UNKNOWN (999): an error code that is not known here"
        );
    }
}
