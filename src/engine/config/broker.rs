//! The broker's settings in force.

mod table;

use std::time::Duration;

pub use self::table::BROKER_SETTINGS;
pub(super) use self::table::{ALLOCATED, NOT_IN_STEP, ONE_BROKER, SYNCED, UNLINKED};
use super::{Overrides, Scope, check_all, find, flag, int, number, parse_bool, value};
use crate::engine::Error;

/// The broker's settings in force: those given at the start, over them those given while it runs for all brokers, and
/// over these the ones given for this broker alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerSettings {
    at_start: Overrides,
    dynamic: DynamicSettings,
    merged: Overrides,
}

/// The settings given while the broker runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DynamicSettings {
    /// For all brokers.
    pub for_all: Overrides,
    /// For this one, over those.
    pub own: Overrides,
}

/// The setting that takes more than one replica as one.
const CLAMP: &str = "replication.factor.clamp";

/// The value of a setting under [`CLAMP`]: a number of replicas above 1 becomes 1, and a warning in the log. Clients set
/// `min.insync.replicas` together with a replication factor that is clamped.
pub(crate) fn one_replica(name: &str, value: String) -> String {
    let counts_replicas = matches!(name, "default.replication.factor" | "min.insync.replicas");
    if counts_replicas && value.trim().parse::<u16>().is_ok_and(|count| count > 1) {
        tracing::warn!(setting = name, asked = value, "taken as 1 ({CLAMP})");
        return "1".to_owned();
    }
    value
}

/// Settings given at the start, with one replica where more are asked for and [`CLAMP`] is among them.
pub(crate) fn clamped(given: Overrides) -> Overrides {
    if given.get(CLAMP).and_then(|value| parse_bool(value)) != Some(true) {
        return given;
    }
    let one = |(name, value): (String, String)| {
        let value = one_replica(&name, value);
        (name, value)
    };
    given.into_iter().map(one).collect()
}

// === impl BrokerSettings ===

impl BrokerSettings {
    /// Settings given at the start: file, environment, command line.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for the first that is unknown or has a bad value.
    pub fn at_start(given: Overrides) -> Result<Self, Error> {
        let given = clamped(given);
        check_all(BROKER_SETTINGS, &given)?;
        Ok(Self { merged: given.clone(), at_start: given, dynamic: DynamicSettings::default() })
    }

    /// The same with other dynamic settings, which were checked by [`Self::check_dynamic`].
    #[must_use]
    pub fn with_dynamic(&self, dynamic: DynamicSettings) -> Self {
        let mut merged = self.at_start.clone();
        merged.extend(dynamic.for_all.clone());
        merged.extend(dynamic.own.clone());
        Self { at_start: self.at_start.clone(), dynamic, merged }
    }

    /// Whether a setting may be changed to this value while the broker runs.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a bad value, and as in Kafka [`Error::InvalidRequest`] for a setting that is read at
    /// the start only.
    pub fn check_dynamic(name: &str, value: &str) -> Result<(), Error> {
        let setting = find(BROKER_SETTINGS, name)?;
        setting.check(value)?;
        if setting.scope == Scope::Dynamic {
            Ok(())
        } else {
            Err(Error::InvalidRequest { why: format!("{name} cannot be changed while the broker runs") })
        }
    }

    /// The value somebody gave, if anybody did.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        self.merged.get(name).map(String::as_str)
    }

    /// The settings given at the start.
    #[must_use]
    pub fn given_at_start(&self) -> &Overrides {
        &self.at_start
    }

    /// The settings changed while running.
    #[must_use]
    pub fn given_dynamically(&self) -> &DynamicSettings {
        &self.dynamic
    }

    /// Whether more than one replica is taken as one.
    pub(crate) fn clamps_replicas(&self) -> bool {
        self.flag(CLAMP)
    }

    /// The value in force.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        value(BROKER_SETTINGS, &self.merged, name)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        flag(BROKER_SETTINGS, &self.merged, name)
    }

    /// The value in force of a whole number.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        int(BROKER_SETTINGS, &self.merged, name)
    }

    /// The value in force of a number that counts things or bytes; one below 0 means no limit.
    pub(crate) fn count(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).unwrap_or(usize::MAX)
    }

    /// The value in force of a time in milliseconds; one below 0 means for ever.
    pub(crate) fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.int(name)).unwrap_or(u64::MAX))
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        number(BROKER_SETTINGS, &self.merged, name)
    }

    pub(super) fn producer_id_expiration_ms(&self) -> u64 {
        u64::try_from(self.int("producer.id.expiration.ms")).unwrap_or(u64::MAX)
    }
}
