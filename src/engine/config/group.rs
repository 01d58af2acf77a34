//! Group settings: what a group of the consumer protocol has instead of the broker's values.

use std::time::Duration;

use super::{BrokerSettings, Kind, MAX_INT, Overrides, Scope, Setting, setting};
use crate::engine::Error;

/// Every group setting, by name.
pub const GROUP_SETTINGS: &[Setting] = &[
    setting(
        "consumer.heartbeat.interval.ms",
        Kind::Int(1, MAX_INT),
        "5000",
        Scope::Group("group.consumer.heartbeat.interval.ms"),
        "How often members of the group send heartbeats.",
    ),
    setting(
        "consumer.session.timeout.ms",
        Kind::Int(1, MAX_INT),
        "45000",
        Scope::Group("group.consumer.session.timeout.ms"),
        "After how long without a heartbeat a member of the group is taken out.",
    ),
];

/// What a group's settings are bounded by: the setting, the broker's smallest value, its largest.
const BOUNDS: [(&str, &str, &str); 2] = [
    (
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
];

/// Whether a group may have these settings under those of the broker.
///
/// # Errors
/// [`Error::InvalidConfig`] with the reason.
pub(in crate::engine) fn check_group(overrides: &Overrides, broker: &BrokerSettings) -> Result<(), Error> {
    super::check_all(GROUP_SETTINGS, overrides)?;
    let refuse = |why| Err(Error::InvalidConfig { why });
    for (name, least, most) in BOUNDS {
        let Some(value) = overrides.get(name).and_then(|value| value.parse::<i64>().ok()) else { continue };
        if value < broker.int(least) {
            return refuse(format!("{name} must be greater than or equal to {least}"));
        }
        if value > broker.int(most) {
            return refuse(format!("{name} must be less than or equal to {most}"));
        }
    }
    let millis = |name| group_value(overrides, broker, name);
    if millis("consumer.session.timeout.ms") <= millis("consumer.heartbeat.interval.ms") {
        return refuse(
            "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms".into(),
        );
    }
    Ok(())
}

/// The value in force for a group.
pub(in crate::engine) fn group_value(overrides: &Overrides, broker: &BrokerSettings, name: &str) -> Duration {
    let setting = GROUP_SETTINGS.iter().find(|setting| setting.name == name);
    let given = overrides.get(name).and_then(|value| value.parse().ok());
    let millis = given.or_else(|| match setting?.scope {
        Scope::Group(fallback) => u64::try_from(broker.int(fallback)).ok(),
        _ => None,
    });
    Duration::from_millis(millis.unwrap_or(0))
}
