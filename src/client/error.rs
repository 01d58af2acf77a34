//! What can go wrong, in words that say what to do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::config::BrokerAddress;
use crate::types::Offset;
use crate::wire::{ApiKey, ErrorCode};

/// Why a call of the client failed. Cheap to clone: all records of a batch share one.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No TCP connection to a broker.
    #[error("cannot connect to {address}: {source}; is a broker listening there?")]
    Connect {
        /// The broker asked.
        address: BrokerAddress,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The connection ended before the response came; the request may or may not have been served.
    #[error("the connection to {address} ended: {reason}")]
    Disconnected {
        /// The broker at the other end.
        address: BrokerAddress,
        /// What happened.
        reason: String,
    },
    /// The broker did not answer one request in time; it may have served it.
    #[error("{address} did not answer {api} within {after:?}; is the broker overloaded?")]
    RequestTimeout {
        /// The broker asked.
        address: BrokerAddress,
        /// The API.
        api: ApiKey,
        /// How long it had.
        after: Duration,
    },
    /// An operation did not succeed in time, all its attempts taken together.
    #[error("{what} did not succeed within {after:?}{}", because(.last))]
    Timeout {
        /// The operation.
        what: String,
        /// How long it had.
        after: Duration,
        /// Why its last attempt failed, when one did.
        last: Option<Box<Self>>,
    },
    /// What came back is not a response of the Kafka protocol.
    #[error("{address} does not speak the protocol as expected: {what}")]
    Malformed {
        /// The broker at the other end.
        address: BrokerAddress,
        /// What was wrong.
        what: String,
    },
    /// The broker serves no version of an API that this client knows.
    #[error("{address} does not serve {api} in a version that this client knows ({ours_min} to {ours_max}){}", theirs(*.served))]
    Unsupported {
        /// The broker asked.
        address: BrokerAddress,
        /// The API.
        api: ApiKey,
        /// The lowest version known here.
        ours_min: i16,
        /// The highest version known here.
        ours_max: i16,
        /// The versions served, when there are any.
        served: Option<(i16, i16)>,
    },
    /// The broker answered with an error code.
    #[error("{context}: {}{}{}", name(*.code), text(*.code, .message), advice(*.code))]
    Broker {
        /// What was asked.
        context: String,
        /// The code.
        code: ErrorCode,
        /// What the broker says beside the code.
        message: Option<String>,
    },
    /// A record that no batch can hold.
    #[error(
        "a record of {size_bytes} bytes is larger than the limit of {limit_bytes}: raise the producer's max_record_bytes \
         and the topic's max.message.bytes, or send less"
    )]
    RecordTooLarge {
        /// The record's size in a batch of its own.
        size_bytes: usize,
        /// The producer's limit.
        limit_bytes: usize,
    },
    /// The producer's buffer is full and the caller did not want to wait.
    #[error("the producer's buffer is full: wait for deliveries, or raise buffer_bytes")]
    BufferFull,
    /// The producer, consumer or client was closed.
    #[error("it was closed")]
    Closed,
    /// A fetched batch is damaged.
    #[error(
        "the records of {topic}-{partition} from offset {offset} are damaged: {reason}; seek past them to read on, and \
         check the broker's disk"
    )]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the damage begins.
        offset: Offset,
        /// What is wrong with them.
        reason: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count}, counted from 0")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many the topic has.
        count: usize,
    },
    /// The position to read from lies outside the log, and the consumer is told not to choose another.
    #[error(
        "offset {offset} of {topic}-{partition} is not in the log (records expire, and offsets above the end do not exist \
         yet): read from the beginning or the end instead"
    )]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The position.
        offset: Offset,
    },
    /// A group begins a partition without a committed offset, and is told not to choose one.
    #[error(
        "group {group} has committed no offset of {topic}-{partition}: commit one first, or begin at the beginning or the end"
    )]
    NoCommittedOffset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The broker's log lost records since they were read (a crash before they were committed), and others may have
    /// taken their offsets.
    #[error(
        "the log of {topic}-{partition} was cut back below offset {offset}, which was read already: what was read and the \
         log agree up to {end_offset}; seek there to read on"
    )]
    LogTruncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The position.
        offset: Offset,
        /// Up to where the log is what was read.
        end_offset: Offset,
    },
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// How to act on an [`Error`]; scripts see it as the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No broker answers: check the address, try again later.
    Unreachable,
    /// The topic, partition or other thing does not exist.
    NotFound,
    /// The request or the caller's arguments are wrong, or the broker refuses them for good.
    Refused,
    /// The broker has a passing or an internal problem: try again later.
    Broker,
    /// Stored data is damaged.
    Damaged,
    /// The producer, consumer or buffer is in no state to do it.
    Local,
}

// === impl Error ===

impl Error {
    pub(crate) fn connect(address: &BrokerAddress, source: io::Error) -> Self {
        Self::Connect { address: address.clone(), source: Arc::new(source) }
    }

    pub(crate) fn broker(context: impl Into<String>, code: ErrorCode, message: Option<String>) -> Self {
        Self::Broker { context: context.into(), code, message: message.filter(|text| !text.is_empty()) }
    }

    /// `Ok` for code 0, else [`Error::Broker`].
    pub(crate) fn check(
        code: ErrorCode,
        message: Option<String>,
        context: impl FnOnce() -> String,
    ) -> Result<(), Self> {
        if code == ErrorCode::NONE { Ok(()) } else { Err(Self::broker(context(), code, message)) }
    }

    /// The code, when a broker answered with one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Timeout { last: Some(last), .. } => last.code(),
            _ => None,
        }
    }

    /// Whether the same request may succeed later, without anybody changing anything.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Disconnected { .. } | Self::RequestTimeout { .. } => true,
            Self::Broker { code, .. } => code.is_retriable() || *code == ErrorCode::BROKER_NOT_AVAILABLE,
            _ => false,
        }
    }

    /// Whether it is worth waiting for: retriable, and not a topic or a broker that simply does not exist.
    #[must_use]
    pub(crate) fn may_pass(&self) -> bool {
        let does_not_exist = matches!(
            self.code(),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::BROKER_NOT_AVAILABLE)
        );
        self.is_retriable() && !does_not_exist
    }

    /// Whether the cached metadata may be to blame: it is asked for again before the next attempt.
    #[must_use]
    pub(crate) fn hints_at_stale_metadata(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Disconnected { .. } | Self::RequestTimeout { .. } => true,
            Self::Broker { code, .. } => is_stale_metadata(*code),
            _ => false,
        }
    }

    /// How to act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::RequestTimeout { .. }
            | Self::Malformed { .. } => ErrorKind::Unreachable,
            Self::Timeout { last, .. } => last.as_ref().map_or(ErrorKind::Unreachable, |last| last.kind()),
            Self::Unsupported { .. } | Self::RecordTooLarge { .. } | Self::Invalid(_) => ErrorKind::Refused,
            Self::Broker { code, .. } if is_not_found(*code) => ErrorKind::NotFound,
            Self::Broker { code, .. } if code.is_retriable() => ErrorKind::Broker,
            Self::Broker { code, .. } => match *code {
                ErrorCode::UNKNOWN_SERVER_ERROR | ErrorCode::KAFKA_STORAGE_ERROR => ErrorKind::Broker,
                ErrorCode::CORRUPT_MESSAGE => ErrorKind::Damaged,
                _ => ErrorKind::Refused,
            },
            Self::OffsetOutOfRange { .. }
            | Self::NoCommittedOffset { .. }
            | Self::UnknownPartition { .. } => ErrorKind::NotFound,
            Self::Damaged { .. } | Self::LogTruncated { .. } => ErrorKind::Damaged,
            Self::BufferFull | Self::Closed => ErrorKind::Local,
        }
    }
}

/// Whether `code` says that the cached metadata may be stale.
pub(crate) fn is_stale_metadata(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::INCONSISTENT_TOPIC_ID
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::BROKER_NOT_AVAILABLE
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::NOT_CONTROLLER
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::LISTENER_NOT_FOUND
    )
}

fn is_not_found(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::OFFSET_OUT_OF_RANGE
            | ErrorCode::RESOURCE_NOT_FOUND
            | ErrorCode::GROUP_ID_NOT_FOUND
    )
}

fn because(last: &Option<Box<Error>>) -> String {
    last.as_ref().map_or_else(String::new, |last| format!("; the last attempt failed: {last}"))
}

fn theirs(served: Option<(i16, i16)>) -> String {
    match served {
        Some((min, max)) => format!("; it serves {min} to {max}"),
        None => "; it does not serve it at all".to_owned(),
    }
}

/// The code's name, or its number when it has none here.
fn name(code: ErrorCode) -> String {
    code.name().map_or_else(|| format!("error code {}", code.code()), str::to_owned)
}

/// What the broker says; what the code means when it says nothing.
fn text(code: ErrorCode, message: &Option<String>) -> Suffix<'_> {
    Suffix(" (", message.as_deref().unwrap_or_else(|| code.message()), ")")
}

/// What the user can do about a code, where that is not plain from its name.
fn advice(code: ErrorCode) -> Suffix<'static> {
    let advice = match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            "check the name with `millrace topic list`, or create it with `millrace topic create`"
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => "choose another name, or delete the topic first",
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "a topic name has 1 to 249 letters, digits, dots, underscores and hyphens"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => "a single broker takes a replication factor of 1",
        ErrorCode::MESSAGE_TOO_LARGE => "raise the topic's max.message.bytes, or send smaller records",
        ErrorCode::INVALID_TIMESTAMP => "the record's timestamp is further from now than the topic allows",
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED => "ask for the rights, or use another user",
        ErrorCode::GROUP_ID_NOT_FOUND => "list the groups with `millrace group list`",
        ErrorCode::NON_EMPTY_GROUP => "stop its members first; `millrace group describe` shows them",
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            "stop its members first, or have them subscribe to other topics"
        }
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::FENCED_MEMBER_EPOCH => {
            "the group has gone on without this member: ask for records more often than max_poll_interval, and read on \
             from where the group is"
        }
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
            "the group's other members use another protocol, or other assignors: use the same, or another group"
        }
        ErrorCode::FENCED_INSTANCE_ID | ErrorCode::UNRELEASED_INSTANCE_ID => {
            "another member uses the same group instance id: give each its own"
        }
        ErrorCode::KAFKA_STORAGE_ERROR => "the broker cannot use its disk; look into its log",
        ErrorCode::UNKNOWN_SERVER_ERROR => "look into the broker's log",
        _ => "",
    };
    Suffix("; ", advice, "")
}

/// A text between two others; nothing when it is empty.
struct Suffix<'a>(&'static str, &'a str, &'static str);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(before, text, after) = self;
        if text.is_empty() { Ok(()) } else { write!(f, "{before}{text}{after}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_error_says_what_was_asked_what_happened_and_what_to_do() {
        let error =
            Error::broker("create topic orders", ErrorCode::TOPIC_ALREADY_EXISTS, Some("exists".into()));
        assert_eq!(
            error.to_string(),
            "create topic orders: TOPIC_ALREADY_EXISTS (exists); choose another name, or delete the topic first"
        );
        let error = Error::broker("x", ErrorCode::INVALID_REQUEST, Some(String::new()));
        assert_eq!(error.to_string(), "x: INVALID_REQUEST (the request contradicts itself or the protocol)");
    }

    #[test]
    fn a_timeout_passes_on_the_kind_of_its_last_failure() {
        let last = Error::broker("x", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
        let timeout = |last| Error::Timeout { what: "x".into(), after: Duration::from_secs(1), last };
        assert_eq!(timeout(Some(Box::new(last))).kind(), ErrorKind::NotFound);
        assert_eq!(timeout(None).kind(), ErrorKind::Unreachable);
    }
}
