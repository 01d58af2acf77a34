//! The cluster's features and their levels: what ApiVersions lists and UpdateFeatures is asked to change.
//!
//! One table. A level is what this version of the broker does, so none can be changed while it runs.

/// A feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feature {
    /// Kafka's name.
    pub(super) name: &'static str,
    /// The lowest level supported.
    pub(super) min: i16,
    /// The highest.
    pub(super) max: i16,
    /// The one in force.
    pub(super) level: i16,
}

/// The features. `share.version` and `transaction.version` come with the APIs they are about: a client that sees them
/// finalized behaves otherwise, whatever keys are listed.
pub(super) const FEATURES: &[Feature] = &[
    Feature { name: "group.version", min: 0, max: 1, level: 1 },
    // The level of metadata that Kafka 4.3 has and, as clients see it, this broker too.
    Feature { name: "metadata.version", min: 7, max: 30, level: 30 },
];
