//! Settings of one partition's log, under Kafka's names and with its defaults.

/// Settings of one log. May be changed while the log is open, see [`Log::set_config`](super::Log::set_config).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment grows to at most this; also the largest batch.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is closed at this age.
    pub segment_ms: u64,
    /// `segment.index.bytes`: a segment is closed when its offset index reaches this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: how many bytes of log one index entry stands for, about.
    pub index_interval_bytes: u32,
    /// `retention.ms`; None keeps records for ever.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`, per partition; None for no limit.
    pub retention_bytes: Option<u64>,
    /// `producer.id.expiration.ms`: an idempotent producer is forgotten after this long without a batch.
    pub producer_id_expiration_ms: u64,
    /// `cleanup.policy` has `compact`: of each key only the newest record is kept for good.
    pub compact: bool,
    /// `delete.retention.ms`: how long tombstones stay after they were first cleaned.
    pub delete_retention_ms: u64,
    /// `min.compaction.lag.ms`: a segment is not cleaned while it has a record younger than this.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`: a record is cleaned at this age, however few there are.
    pub max_compaction_lag_ms: u64,
    /// `min.cleanable.dirty.ratio`, in millionths: how much of the log is to be cleaned before it is.
    pub min_cleanable_dirty_ppm: u32,
    /// How much of a record batch is decompressed at most when a lookup by time or the cleaner looks inside it.
    pub decompressed_bytes_max: usize,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

// === impl LogConfig ===

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            producer_id_expiration_ms: DAY_MS,
            compact: false,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: u64::MAX,
            min_cleanable_dirty_ppm: 500_000,
            decompressed_bytes_max: 64 << 20,
        }
    }
}
