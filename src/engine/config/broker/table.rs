//! The broker's settings, but for those of listeners and connections that are read at the start only, which `server` has.

use super::super::{Kind, Scope, Setting, Shape};

const MAX_INT: i64 = i32::MAX as i64;
/// Why a number of replicas is 1.
pub(in crate::engine::config) const ONE_BROKER: &str =
    "this is one broker; replication.factor.clamp=true takes more and makes it 1";
/// Why nothing else says when to sync.
pub(in crate::engine::config) const SYNCED: &str = "a commit is a sync here; see write.caching";
/// Why files are not made longer than what is in them.
pub(in crate::engine::config) const ALLOCATED: &str =
    "blocks are always allocated ahead, file lengths stay true";
/// Why nothing has to be spread out.
pub(in crate::engine::config) const NOT_IN_STEP: &str = "segments are not rolled in step here";
/// Why files do not have to stay for a while.
pub(in crate::engine::config) const UNLINKED: &str =
    "files are unlinked at once; readers that hold them are not disturbed";

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    scope: Scope,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, doc, scope }
}

/// Every broker setting of the engine, by name.
pub const BROKER_SETTINGS: &[Setting] = &[
    setting(
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        Scope::Dynamic,
        "Whether a topic is made when a client first asks for it.",
    ),
    setting(
        "compression.type",
        Kind::Only(Shape::Text, "batches are stored as producers compressed them"),
        "producer",
        Scope::Dynamic,
        "How batches are compressed on the disk.",
    ),
    setting(
        "default.replication.factor",
        Kind::Only(Shape::Int, ONE_BROKER),
        "1",
        Scope::AtStart,
        "How many replicas a topic gets that is made without saying how many.",
    ),
    setting("delete.topic.enable", Kind::Bool, "true", Scope::Dynamic, "Whether topics may be deleted."),
    setting(
        "group.consumer.assignors",
        Kind::List(&["uniform", "range"]),
        "uniform,range",
        Scope::AtStart,
        "The assignors that groups of the newer protocol may ask for; the first is taken when none is asked for.",
    ),
    setting(
        "group.consumer.heartbeat.interval.ms",
        Kind::Int(1, MAX_INT),
        "5000",
        Scope::AtStart,
        "How often members of a group of the newer protocol send heartbeats, unless the group says otherwise.",
    ),
    setting(
        "group.consumer.max.heartbeat.interval.ms",
        Kind::Int(1, MAX_INT),
        "15000",
        Scope::AtStart,
        "The longest heartbeat interval that a group may set.",
    ),
    setting(
        "group.consumer.max.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "60000",
        Scope::AtStart,
        "The longest session timeout that a group may set.",
    ),
    setting(
        "group.consumer.max.size",
        Kind::Int(1, MAX_INT),
        "10000",
        Scope::AtStart,
        "How many members a group of the newer protocol may have.",
    ),
    setting(
        "group.consumer.migration.policy",
        Kind::Word(&["disabled", "downgrade", "upgrade", "bidirectional"]),
        "bidirectional",
        Scope::AtStart,
        "Whether a group may go from the classic protocol to the newer one and back while it has members.",
    ),
    setting(
        "group.consumer.min.heartbeat.interval.ms",
        Kind::Int(1, MAX_INT),
        "5000",
        Scope::AtStart,
        "The shortest heartbeat interval that a group may set.",
    ),
    setting(
        "group.consumer.min.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "45000",
        Scope::AtStart,
        "The shortest session timeout that a group may set.",
    ),
    setting(
        "group.consumer.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "45000",
        Scope::AtStart,
        "After how long without a heartbeat a member of a group of the newer protocol is taken out, unless the group says otherwise.",
    ),
    setting(
        "group.coordinator.max.bytes",
        Kind::Long(1 << 20, i64::MAX),
        "1073741824",
        Scope::AtStart,
        "How many bytes all groups together may keep: members with what they subscribe to and are assigned, committed offsets. \
         At most so many are on their way to the disk at the same time, too.",
    ),
    setting(
        "group.initial.rebalance.delay.ms",
        Kind::Int(0, MAX_INT),
        "3000",
        Scope::AtStart,
        "How long the first members of an empty classic group wait for others before partitions are shared out.",
    ),
    setting(
        "group.max.bytes",
        Kind::Int(1 << 16, 120 << 20),
        "104857600",
        Scope::AtStart,
        "How many bytes one group may keep: its members with what they subscribe to and are assigned, its committed offsets.",
    ),
    setting(
        "group.max.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "1800000",
        Scope::AtStart,
        "The longest session timeout that a member of a classic group may ask for.",
    ),
    setting(
        "group.max.size",
        Kind::Int(1, MAX_INT),
        "10000",
        Scope::AtStart,
        "How many members a classic group may have.",
    ),
    setting(
        "group.min.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "6000",
        Scope::AtStart,
        "The shortest session timeout that a member of a classic group may ask for.",
    ),
    setting(
        "log.cleaner.backoff.ms",
        Kind::Long(0, i64::MAX),
        "15000",
        Scope::Dynamic,
        "How long the log cleaner waits before it looks again when there was nothing to clean.",
    ),
    setting(
        "log.cleaner.dedupe.buffer.size",
        Kind::Long(1 << 20, i64::MAX),
        "134217728",
        Scope::Dynamic,
        "How many bytes the log cleaner's map of keys may take, 27 for each key; a log with more keys is cleaned in several \
         turns.",
    ),
    setting(
        "log.cleaner.delete.retention.ms",
        Kind::Long(0, i64::MAX),
        "86400000",
        Scope::Dynamic,
        "Default of delete.retention.ms.",
    ),
    setting(
        "log.cleaner.enable",
        Kind::Bool,
        "true",
        Scope::Dynamic,
        "Whether compacted topics are cleaned.",
    ),
    setting(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Positive,
        "1.7976931348623157E308",
        Scope::Dynamic,
        "How many bytes the log cleaner reads and writes in a second, all told. Whatever it is, the cleaner leaves the disk \
         to others half of the time.",
    ),
    setting(
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long(1, i64::MAX),
        "9223372036854775807",
        Scope::Dynamic,
        "Default of max.compaction.lag.ms.",
    ),
    setting(
        "log.cleaner.min.cleanable.ratio",
        Kind::Fraction,
        "0.5",
        Scope::Dynamic,
        "Default of min.cleanable.dirty.ratio.",
    ),
    setting(
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long(0, i64::MAX),
        "0",
        Scope::Dynamic,
        "Default of min.compaction.lag.ms.",
    ),
    setting(
        "log.cleaner.threads",
        Kind::Only(Shape::Int, "one partition is cleaned at a time"),
        "1",
        Scope::AtStart,
        "How many partitions are cleaned at the same time.",
    ),
    setting(
        "log.cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        Scope::Dynamic,
        "Default of cleanup.policy.",
    ),
    setting(
        "log.flush.interval.messages",
        Kind::Only(Shape::Long, SYNCED),
        "9223372036854775807",
        Scope::Dynamic,
        "Default of flush.messages.",
    ),
    setting(
        "log.flush.interval.ms",
        Kind::Only(Shape::Long, SYNCED),
        "9223372036854775807",
        Scope::Dynamic,
        "Default of flush.ms.",
    ),
    setting(
        "log.index.interval.bytes",
        Kind::Int(0, MAX_INT),
        "4096",
        Scope::Dynamic,
        "Default of index.interval.bytes.",
    ),
    setting(
        "log.index.size.max.bytes",
        Kind::Int(4, MAX_INT),
        "10485760",
        Scope::Dynamic,
        "Default of segment.index.bytes.",
    ),
    setting(
        "log.message.timestamp.after.max.ms",
        Kind::Long(0, i64::MAX),
        "3600000",
        Scope::Dynamic,
        "Default of message.timestamp.after.max.ms.",
    ),
    setting(
        "log.message.timestamp.before.max.ms",
        Kind::Long(0, i64::MAX),
        "9223372036854775807",
        Scope::Dynamic,
        "Default of message.timestamp.before.max.ms.",
    ),
    setting(
        "log.message.timestamp.type",
        Kind::Word(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        Scope::Dynamic,
        "Default of message.timestamp.type.",
    ),
    setting(
        "log.preallocate",
        Kind::Only(Shape::Bool, ALLOCATED),
        "false",
        Scope::Dynamic,
        "Default of preallocate.",
    ),
    setting(
        "log.retention.bytes",
        Kind::Long(-1, i64::MAX),
        "-1",
        Scope::Dynamic,
        "Default of retention.bytes.",
    ),
    setting(
        "log.retention.check.interval.ms",
        Kind::Long(1, i64::MAX),
        "300000",
        Scope::AtStart,
        "How often retention looks for segments to delete.",
    ),
    setting(
        "log.retention.ms",
        Kind::Long(-1, i64::MAX),
        "604800000",
        Scope::Dynamic,
        "Default of retention.ms.",
    ),
    setting(
        "log.roll.jitter.ms",
        Kind::Only(Shape::Long, NOT_IN_STEP),
        "0",
        Scope::Dynamic,
        "Default of segment.jitter.ms.",
    ),
    setting("log.roll.ms", Kind::Long(1, i64::MAX), "604800000", Scope::Dynamic, "Default of segment.ms."),
    setting(
        "log.segment.bytes",
        Kind::Int(1024 * 1024, MAX_INT),
        "1073741824",
        Scope::Dynamic,
        "Default of segment.bytes.",
    ),
    setting(
        "log.segment.delete.delay.ms",
        Kind::Only(Shape::Long, UNLINKED),
        "60000",
        Scope::Dynamic,
        "Default of file.delete.delay.ms.",
    ),
    setting("log.write.caching", Kind::Bool, "false", Scope::Dynamic, "Default of write.caching."),
    setting(
        "max.connections",
        Kind::Int(1, MAX_INT),
        "8000",
        Scope::Dynamic,
        "Connections at once; further ones wait to be accepted. Never more than half of the process's limit of \
         file descriptors.",
    ),
    setting(
        "max.connections.per.ip",
        Kind::Int(1, MAX_INT),
        "1000",
        Scope::Dynamic,
        "Connections at once from one address; further ones are closed at once.",
    ),
    setting(
        "message.max.bytes",
        Kind::Int(0, MAX_INT),
        "1048588",
        Scope::Dynamic,
        "Default of max.message.bytes.",
    ),
    setting(
        "min.insync.replicas",
        Kind::Only(Shape::Int, ONE_BROKER),
        "1",
        Scope::Dynamic,
        "Default of the topic setting.",
    ),
    setting(
        "num.io.threads",
        Kind::Int(1, 1024),
        "32",
        Scope::Dynamic,
        "Threads that may wait for the disk at the same time; they are started as needed and end when idle.",
    ),
    setting(
        "num.partitions",
        Kind::Int(1, 100_000),
        "1",
        Scope::Dynamic,
        "How many partitions a topic gets that is made without saying how many.",
    ),
    setting(
        "offset.metadata.max.bytes",
        Kind::Int(0, MAX_INT),
        "4096",
        Scope::AtStart,
        "How long the text may be that a consumer keeps with a committed offset.",
    ),
    setting(
        "offsets.retention.check.interval.ms",
        Kind::Long(1, i64::MAX),
        "600000",
        Scope::AtStart,
        "How often committed offsets are looked through for those to forget.",
    ),
    setting(
        "offsets.retention.minutes",
        Kind::Int(1, MAX_INT),
        "10080",
        Scope::AtStart,
        "How long the offsets of a group without members are kept, and those of topics that its members no longer read.",
    ),
    setting(
        "producer.id.expiration.ms",
        Kind::Int(1, MAX_INT),
        "86400000",
        Scope::Dynamic,
        "How long an idempotent producer that writes nothing is remembered.",
    ),
    setting(
        "queued.append.bytes",
        Kind::Long(1 << 20, i64::MAX),
        "134217728",
        Scope::AtStart,
        "How many bytes of accepted batches may wait for the disk; beyond it producers are told to try again.",
    ),
    setting(
        "replication.factor.clamp",
        Kind::Bool,
        "false",
        Scope::Dynamic,
        "Whether a replication factor above 1 is taken as 1, with a warning, rather than refused.",
    ),
    setting(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        Scope::Dynamic,
        "Default of the topic setting.",
    ),
];
