//! The settings of topics and of the broker: one table each, with Kafka's names and defaults.
//!
//! Creating a topic, altering it, describing it, the configuration file and docs/CONFIG.md all read these tables.
//! What always holds: a value that is accepted is enforced. A setting of Kafka's that this broker does not enforce
//! is in the table with the one value that describes what it does, and refuses every other, saying why; a name that
//! is in no table is refused with the nearest one that is.

mod broker;
mod group;
mod nearest;
mod topic;

use std::collections::BTreeMap;

pub use broker::{BROKER_SETTINGS, BrokerSettings, DynamicSettings};
pub(crate) use broker::{clamped, one_replica};
pub use group::GROUP_SETTINGS;
pub(super) use group::{check_group, group_value};
pub use nearest::nearest;
pub use topic::{TOPIC_SETTINGS, TopicSettings};

use super::Error;

/// The largest value of a setting that Kafka keeps in 32 bits.
const MAX_INT: i64 = i32::MAX as i64;

/// Settings as they were given, by name.
pub type Overrides = BTreeMap<String, String>;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Kafka's name where Kafka has it.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value when nobody sets it, as text; empty for none.
    pub default: &'static str,
    /// What it does: one or two sentences.
    pub doc: &'static str,
    /// The broker setting that a topic's setting falls back to, or that takes effect while the broker runs.
    pub scope: Scope,
}

/// Where a setting gets its value from, or when it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A topic's setting that falls back to this setting of the broker.
    Topic(&'static str),
    /// A group's setting that falls back to this setting of the broker.
    Group(&'static str),
    /// A broker's setting that can be changed while it runs.
    Dynamic,
    /// A broker's setting that is read at the start.
    AtStart,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Int(i64, i64),
    /// As `Int`, of 64 bits in Kafka's own description.
    Long(i64, i64),
    /// One of several words.
    Word(&'static [&'static str]),
    /// Several of some words, separated by commas.
    List(&'static [&'static str]),
    /// A number from 0 to 1.
    Fraction,
    /// A number above 0.
    Positive,
    /// Only the default: what this broker does anyway, and why it does nothing else.
    Only(Shape, &'static str),
}

/// How a fixed setting's value reads, for those who describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A 32-bit number.
    Int,
    /// A 64-bit number.
    Long,
    /// A fraction.
    Double,
    /// A word.
    Text,
    /// Words separated by commas.
    List,
}

/// A row of a table.
const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    scope: Scope,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, doc, scope }
}

// === impl Setting ===

impl Setting {
    /// Whether the value is one that the setting takes.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], saying what it does take.
    pub fn check(&self, value: &str) -> Result<(), Error> {
        let name = self.name;
        let refuse = |what: String| {
            Err(Error::InvalidConfig { why: format!("invalid value {value:?} for {name}: {what}") })
        };
        match self.kind {
            Kind::Bool if parse_bool(value).is_none() => refuse("it is true or false".into()),
            Kind::Int(min, max) | Kind::Long(min, max) => match value.trim().parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => refuse(format!("it is a whole number from {min} to {max}")),
            },
            Kind::Word(words) if !words.contains(&value.trim()) => {
                refuse(format!("it is one of {}", words.join(", ")))
            }
            Kind::List(words) if !is_list_of(words, value) => {
                refuse(format!("it is one or more of {}, separated by commas", words.join(", ")))
            }
            Kind::Fraction
                if !value.trim().parse::<f64>().is_ok_and(|number| (0.0..=1.0).contains(&number)) =>
            {
                refuse("it is a number from 0 to 1".into())
            }
            Kind::Positive if !value.trim().parse::<f64>().is_ok_and(|number| number > 0.0) => {
                refuse("it is a number above 0".into())
            }
            Kind::Only(_, why) if value.trim() != self.default => {
                refuse(format!("this broker takes only {:?}: {why}", self.default))
            }
            _ => Ok(()),
        }
    }

    /// A value that was checked, as it is kept and shown: without the space around it or around a list's words.
    #[must_use]
    pub fn normal(&self, value: &str) -> String {
        match self.shape() {
            Shape::List => value.split(',').map(str::trim).collect::<Vec<_>>().join(","),
            _ => value.trim().to_owned(),
        }
    }

    /// How the value reads.
    pub fn shape(&self) -> Shape {
        match self.kind {
            Kind::Bool => Shape::Bool,
            Kind::Int(..) => Shape::Int,
            Kind::Long(..) => Shape::Long,
            Kind::Word(_) => Shape::Text,
            Kind::List(_) => Shape::List,
            Kind::Fraction | Kind::Positive => Shape::Double,
            Kind::Only(shape, _) => shape,
        }
    }

    /// The values taken, in words.
    #[must_use]
    pub fn values(&self) -> String {
        match self.kind {
            Kind::Bool => "true or false".into(),
            Kind::Int(min, max) | Kind::Long(min, max) if max == i64::MAX || max == i64::from(i32::MAX) => {
                format!("a whole number from {min}")
            }
            Kind::Int(min, max) | Kind::Long(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Word(words) => words.join(", "),
            Kind::List(words) => format!("some of {}, separated by commas", words.join(", ")),
            Kind::Fraction => "a number from 0 to 1".into(),
            Kind::Positive => "a number above 0".into(),
            Kind::Only(_, why) => format!("only the default: {why}"),
        }
    }
}

/// The setting of that name.
///
/// # Errors
/// [`Error::InvalidConfig`] with the nearest name there is.
pub fn find<'a>(settings: &'a [Setting], name: &str) -> Result<&'a Setting, Error> {
    settings.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let near = nearest(name, settings.iter().map(|setting| setting.name));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        Error::InvalidConfig { why: format!("unknown setting {name:?}{hint}") }
    })
}

/// Checks every pair against the table.
///
/// # Errors
/// The first that does not fit.
pub fn check_all(settings: &[Setting], overrides: &Overrides) -> Result<(), Error> {
    overrides.iter().try_for_each(|(name, value)| find(settings, name)?.check(value))
}

fn is_list_of(words: &[&str], value: &str) -> bool {
    value.split(',').all(|word| words.contains(&word.trim()))
}

fn parse_bool(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The value of a setting: what was given, else the default. Values are checked when they are taken in, so a text
/// that does not parse cannot be here.
fn value<'a>(settings: &[Setting], overrides: &'a Overrides, name: &str) -> &'a str
where
    'static: 'a,
{
    match overrides.get(name) {
        Some(value) => value.trim(),
        None => {
            settings.iter().find(|setting| setting.name == name).expect("the name is in the table").default
        }
    }
}

fn int(settings: &[Setting], overrides: &Overrides, name: &str) -> i64 {
    value(settings, overrides, name).parse().expect("checked when it was taken in")
}

fn number(settings: &[Setting], overrides: &Overrides, name: &str) -> f64 {
    value(settings, overrides, name).parse().expect("checked when it was taken in")
}

fn flag(settings: &[Setting], overrides: &Overrides, name: &str) -> bool {
    parse_bool(value(settings, overrides, name)).expect("checked when it was taken in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_the_setting_takes() {
        for setting in TOPIC_SETTINGS.iter().chain(BROKER_SETTINGS).chain(GROUP_SETTINGS) {
            if !setting.default.is_empty() {
                setting.check(setting.default).unwrap();
            }
            assert!(setting.doc.ends_with('.'), "{}", setting.name);
        }
    }

    #[test]
    fn names_are_in_order_and_fall_back_to_settings_that_exist() {
        for table in [TOPIC_SETTINGS, BROKER_SETTINGS, GROUP_SETTINGS] {
            assert!(table.is_sorted_by_key(|setting| setting.name));
        }
        for setting in TOPIC_SETTINGS.iter().chain(GROUP_SETTINGS) {
            if let Scope::Topic(broker) | Scope::Group(broker) = setting.scope {
                find(BROKER_SETTINGS, broker).unwrap();
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_right_one() {
        let refused = find(TOPIC_SETTINGS, "retention.mss").unwrap_err();
        assert!(refused.to_string().contains("did you mean retention.ms?"), "{refused}");
    }

    #[test]
    fn what_is_not_enforced_is_refused_with_the_reason() {
        let policy = find(TOPIC_SETTINGS, "cleanup.policy").unwrap();
        policy.check("compact, delete").unwrap();
        assert!(policy.check("compact,squash").unwrap_err().to_string().contains("compact, delete"));
        let fixed = find(TOPIC_SETTINGS, "min.insync.replicas").unwrap();
        assert!(fixed.check("2").unwrap_err().to_string().contains("this is one broker"));
    }

    #[test]
    fn a_rate_is_any_number_above_zero() {
        let rate = find(BROKER_SETTINGS, "log.cleaner.io.max.bytes.per.second").unwrap();
        for good in ["1", "0.5", "1.0E7", " 3e300 "] {
            rate.check(good).unwrap();
        }
        for bad in ["0", "-1", "NaN", "fast", ""] {
            assert!(rate.check(bad).unwrap_err().to_string().contains("a number above 0"), "{bad}");
        }
    }
}
