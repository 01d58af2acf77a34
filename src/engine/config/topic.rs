//! Topic settings.

use super::broker::{ALLOCATED, NOT_IN_STEP, ONE_BROKER, SYNCED, UNLINKED};
use super::{
    BrokerSettings, Kind, MAX_INT, Overrides, Scope, Setting, Shape, flag, int, number, setting, value,
};
use crate::log::LogConfig;
use crate::record::{ProduceRules, TimestampType};

/// Every topic setting, by name.
pub const TOPIC_SETTINGS: &[Setting] = &[
    setting(
        "cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        Scope::Topic("log.cleanup.policy"),
        "What happens to old segments: delete lets retention remove them; compact takes only records with keys and keeps, \
         of each key, the newest one. Both may be given.",
    ),
    setting(
        "compression.type",
        Kind::Only(Shape::Text, "batches are stored as producers compressed them"),
        "producer",
        Scope::Topic("compression.type"),
        "How batches are compressed on the disk.",
    ),
    setting(
        "delete.retention.ms",
        Kind::Long(0, i64::MAX),
        "86400000",
        Scope::Topic("log.cleaner.delete.retention.ms"),
        "How long a tombstone stays in a compacted topic after it was first cleaned: what a consumer that reads from the \
         start may take to see it.",
    ),
    setting(
        "file.delete.delay.ms",
        Kind::Only(Shape::Long, UNLINKED),
        "60000",
        Scope::Topic("log.segment.delete.delay.ms"),
        "How long a deleted segment's file stays.",
    ),
    setting(
        "flush.messages",
        Kind::Only(Shape::Long, SYNCED),
        "9223372036854775807",
        Scope::Topic("log.flush.interval.messages"),
        "After how many records a sync is forced.",
    ),
    setting(
        "flush.ms",
        Kind::Only(Shape::Long, SYNCED),
        "9223372036854775807",
        Scope::Topic("log.flush.interval.ms"),
        "After what time a sync is forced.",
    ),
    setting(
        "index.interval.bytes",
        Kind::Int(0, MAX_INT),
        "4096",
        Scope::Topic("log.index.interval.bytes"),
        "How many bytes of log one index entry stands for, about.",
    ),
    setting(
        "max.compaction.lag.ms",
        Kind::Long(1, i64::MAX),
        "9223372036854775807",
        Scope::Topic("log.cleaner.max.compaction.lag.ms"),
        "How long a record may stay uncompacted: at this age its segment is closed, and cleaned however little there is.",
    ),
    setting(
        "max.message.bytes",
        Kind::Int(0, MAX_INT),
        "1048588",
        Scope::Topic("message.max.bytes"),
        "The largest record batch accepted, as it comes, header included.",
    ),
    setting(
        "message.timestamp.after.max.ms",
        Kind::Long(0, i64::MAX),
        "3600000",
        Scope::Topic("log.message.timestamp.after.max.ms"),
        "How far in the future a producer's timestamp may lie.",
    ),
    setting(
        "message.timestamp.before.max.ms",
        Kind::Long(0, i64::MAX),
        "9223372036854775807",
        Scope::Topic("log.message.timestamp.before.max.ms"),
        "How far in the past a producer's timestamp may lie.",
    ),
    setting(
        "message.timestamp.type",
        Kind::Word(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        Scope::Topic("log.message.timestamp.type"),
        "Whose clock records carry: the producer's or the broker's.",
    ),
    setting(
        "min.cleanable.dirty.ratio",
        Kind::Fraction,
        "0.5",
        Scope::Topic("log.cleaner.min.cleanable.ratio"),
        "How much of a compacted log may be dirty before it is cleaned.",
    ),
    setting(
        "min.compaction.lag.ms",
        Kind::Long(0, i64::MAX),
        "0",
        Scope::Topic("log.cleaner.min.compaction.lag.ms"),
        "How long a record stays uncompacted at least.",
    ),
    setting(
        "min.insync.replicas",
        Kind::Only(Shape::Int, ONE_BROKER),
        "1",
        Scope::Topic("min.insync.replicas"),
        "How many replicas must have a record before acks=all is answered.",
    ),
    setting(
        "preallocate",
        Kind::Only(Shape::Bool, ALLOCATED),
        "false",
        Scope::Topic("log.preallocate"),
        "Whether a segment's file has its full length from the start.",
    ),
    setting(
        "retention.bytes",
        Kind::Long(-1, i64::MAX),
        "-1",
        Scope::Topic("log.retention.bytes"),
        "How large a partition may grow before its oldest segments go; -1 for no limit.",
    ),
    setting(
        "retention.ms",
        Kind::Long(-1, i64::MAX),
        "604800000",
        Scope::Topic("log.retention.ms"),
        "How long records are kept; -1 for ever.",
    ),
    setting(
        "segment.bytes",
        Kind::Int(1024 * 1024, MAX_INT),
        "1073741824",
        Scope::Topic("log.segment.bytes"),
        "How large a segment may grow before a new one is begun; also the largest batch.",
    ),
    setting(
        "segment.index.bytes",
        Kind::Int(4, MAX_INT),
        "10485760",
        Scope::Topic("log.index.size.max.bytes"),
        "How large a segment's index may grow before a new segment is begun.",
    ),
    setting(
        "segment.jitter.ms",
        Kind::Only(Shape::Long, NOT_IN_STEP),
        "0",
        Scope::Topic("log.roll.jitter.ms"),
        "By how much segment.ms is shortened at random.",
    ),
    setting(
        "segment.ms",
        Kind::Long(1, i64::MAX),
        "604800000",
        Scope::Topic("log.roll.ms"),
        "How old a segment may grow before a new one is begun.",
    ),
    setting(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        Scope::Topic("unclean.leader.election.enable"),
        "Whether a replica that lags may lead. There is only one, which never lags.",
    ),
    setting(
        "write.caching",
        Kind::Bool,
        "false",
        Scope::Topic("log.write.caching"),
        "Whether acks=all is answered, and consumers see a record, before it is on the disk.",
    ),
];

/// A topic's settings, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// What its logs go by.
    pub log: LogConfig,
    /// What producers' batches are checked against. `allow_zstd` is the request's to say.
    pub rules: ProduceRules,
    /// Whether records may be deleted before their time: `cleanup.policy` has `delete`.
    pub deletes: bool,
    /// Whether a record counts as committed when it is appended.
    pub write_caching: bool,
}

// === impl TopicSettings ===

impl TopicSettings {
    /// Resolves a topic's own values over the broker's over the defaults. All were checked when they were taken in.
    #[must_use]
    pub fn resolve(topic: &Overrides, broker: &BrokerSettings) -> Self {
        let effective = effective(topic, broker);
        let int = |name| int(TOPIC_SETTINGS, &effective, name);
        let limit = |name| u64::try_from(int(name)).ok();
        let positive = |name| u64::try_from(int(name)).unwrap_or(0);
        let small = |name| u32::try_from(int(name)).unwrap_or(u32::MAX);
        let policy = value(TOPIC_SETTINGS, &effective, "cleanup.policy");
        let has = |word: &str| policy.split(',').any(|part| part.trim() == word);
        let append_time = value(TOPIC_SETTINGS, &effective, "message.timestamp.type") == "LogAppendTime";
        Self {
            log: LogConfig {
                segment_bytes: small("segment.bytes"),
                segment_ms: positive("segment.ms"),
                segment_index_bytes: small("segment.index.bytes"),
                index_interval_bytes: small("index.interval.bytes"),
                retention_ms: limit("retention.ms").filter(|_| has("delete")),
                retention_bytes: limit("retention.bytes").filter(|_| has("delete")),
                compact: has("compact"),
                delete_retention_ms: positive("delete.retention.ms"),
                min_compaction_lag_ms: positive("min.compaction.lag.ms"),
                max_compaction_lag_ms: limit("max.compaction.lag.ms")
                    .filter(|&lag_ms| lag_ms < i64::MAX.unsigned_abs())
                    .unwrap_or(u64::MAX),
                min_cleanable_dirty_ppm: millionths(number(
                    TOPIC_SETTINGS,
                    &effective,
                    "min.cleanable.dirty.ratio",
                )),
                producer_id_expiration_ms: broker.producer_id_expiration_ms(),
                ..LogConfig::default()
            },
            rules: ProduceRules {
                max_message_bytes: usize::try_from(int("max.message.bytes")).unwrap_or(usize::MAX),
                needs_keys: has("compact"),
                timestamp_type: if append_time {
                    TimestampType::LogAppendTime
                } else {
                    TimestampType::CreateTime
                },
                timestamp_before_max_ms: int("message.timestamp.before.max.ms"),
                timestamp_after_max_ms: int("message.timestamp.after.max.ms"),
                ..ProduceRules::default()
            },
            deletes: has("delete"),
            write_caching: flag(TOPIC_SETTINGS, &effective, "write.caching"),
        }
    }
}

/// A fraction in millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a checked fraction is from 0 to 1"
)]
fn millionths(fraction: f64) -> u32 {
    (fraction * 1e6) as u32
}

/// A topic's own values, and the broker's where it has none.
fn effective(topic: &Overrides, broker: &BrokerSettings) -> Overrides {
    let mut effective = topic.clone();
    for setting in TOPIC_SETTINGS {
        if let Scope::Topic(name) = setting.scope
            && let Some(value) = broker.given(name)
        {
            effective.entry(setting.name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    debug_assert!(super::check_all(TOPIC_SETTINGS, &effective).is_ok());
    effective
}
