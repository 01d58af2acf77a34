//! Wall time, for the timestamps of records: the one place where the client reads it.
//!
//! Timeouts run on tokio's clock instead, which tests can pause.

use crate::types::TimestampMs;

/// Now, in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a client stamps its records with the time of its host, as all clients do"
)]
pub(crate) fn now_ms() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX)
}
