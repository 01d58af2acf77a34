//! The broker's configuration: file, environment, flags and `--set` in one.
//!
//! [`Layers`] gathers what was given, [`ServerConfig::from_layers`] checks it against the definitions and reads
//! it. What always holds: a key nobody knows and a value that makes no sense are refused before anything is
//! opened, each with the place where it was given and, for a key, the nearest right name.

pub mod address;
pub mod definitions;
pub mod document;
pub mod layers;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use address::HostPort;
use definitions::{Definition, Kind, SERVER};
pub use layers::{Layers, Source};

use crate::engine::api::{ConfigEntry, ConfigSource, ConfigSynonym};
use crate::engine::config::{BROKER_SETTINGS, Overrides, Shape, clamped, nearest};
use crate::kafka::connection::ConnectionLimits;
use crate::types::BrokerId;

/// What `millrace serve` runs with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Addresses to listen on.
    pub listeners: Vec<HostPort>,
    /// What clients are told to connect to, where that is not what is listened on.
    pub advertised: Option<HostPort>,
    /// Whether listeners that are not on loopback let anybody in.
    pub allow_anonymous: bool,
    /// Limits of each connection.
    pub connection: ConnectionLimits,
    /// Bytes of requests and answers in memory.
    pub in_flight_bytes: usize,
    /// This broker's id.
    pub node_id: BrokerId,
    /// Threads that serve connections; 0 for one per core.
    pub network_threads: usize,
    /// How long a stop waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The engine's own settings that were given, checked.
    pub engine: Overrides,
    /// The others, as clients may ask for them.
    pub shown: Vec<ConfigEntry>,
}

/// A configuration that cannot be run with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why, over several lines.
        message: String,
    },
    /// No key of that name.
    #[error("unknown key {key:?} ({place}){}", did_you_mean(nearest.as_ref()))]
    UnknownKey {
        /// The key, or the environment's variable.
        key: String,
        /// Where it was given.
        place: Source,
        /// The known name that was most likely meant.
        nearest: Option<String>,
    },
    /// A value that the key does not take.
    #[error("bad value {value:?} for {key} ({place}): {reason}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// Where it was given.
        place: Source,
        /// What would be right.
        reason: String,
    },
    /// A `--set` without a value.
    #[error("--set {0}: expected KEY=VALUE")]
    NotAnAssignment(String),
    /// No data directory was given and the platform has none.
    #[error("no data directory: give --data-dir, or set HOME")]
    NoDataDir,
    /// A listener that all the network could use without a word about it.
    #[error(
        "{0} is not on loopback and has no authentication, so anybody who reaches it could read and write everything; \
         listen on 127.0.0.1, or add --allow-anonymous if that is what you want"
    )]
    OpenToAll(HostPort),
}

fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

// === impl ServerConfig ===

impl ServerConfig {
    /// Checks what was given and fills in the defaults.
    ///
    /// # Errors
    /// The first key that nobody knows, or value that makes no sense.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let mut engine = Overrides::new();
        for (key, given) in layers.iter() {
            if let Some(definition) = definition(key) {
                definition.kind.check(&given.value).map_err(|reason| bad_value(key, given, reason))?;
            } else if BROKER_SETTINGS.iter().any(|setting| setting.name == key) {
                engine.insert(key.to_owned(), given.value.clone());
            } else {
                return Err(ConfigError::UnknownKey {
                    key: key.to_owned(),
                    place: given.source.clone(),
                    nearest: nearest(key, keys()).map(str::to_owned),
                });
            }
        }
        let engine = clamped(engine);
        for setting in BROKER_SETTINGS {
            if let (Some(value), Some(given)) = (engine.get(setting.name), layers.get(setting.name)) {
                setting.check(value).map_err(|error| bad_value(setting.name, given, error.to_string()))?;
            }
        }
        let listeners = addresses(layers, "listeners")?;
        let allow_anonymous = bool_of(layers, "allow.anonymous");
        if !allow_anonymous && let Some(open) = listeners.iter().find(|listener| !listener.is_loopback()) {
            return Err(ConfigError::OpenToAll(open.clone()));
        }
        Ok(Self {
            data_dir: data_dir(layers)?,
            listeners,
            advertised: addresses(layers, "advertised.listeners")?.into_iter().next(),
            allow_anonymous,
            connection: ConnectionLimits {
                request_bytes_max: usize_of(layers, "socket.request.max.bytes"),
                produces_in_flight_max: usize_of(layers, "connections.max.in.flight.requests"),
                in_flight_bytes_max: usize_of(layers, "connections.max.in.flight.bytes"),
                idle: millis_of(layers, "connections.max.idle.ms"),
                request_deadline: millis_of(layers, "connections.request.timeout.ms"),
                answer_deadline: millis_of(layers, "connections.response.timeout.ms"),
            },
            in_flight_bytes: usize_of(layers, "queued.max.request.bytes"),
            node_id: BrokerId(text_of(layers, "node.id").parse().expect("checked against the definition")),
            network_threads: usize_of(layers, "num.network.threads"),
            shutdown_timeout: millis_of(layers, "shutdown.timeout.ms"),
            engine,
            shown: SERVER.iter().map(|definition| shown(definition, layers)).collect(),
        })
    }
}

/// All keys, the server's and the engine's.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let engine = BROKER_SETTINGS.iter().map(|setting| setting.name);
    SERVER.iter().map(|definition| definition.key).chain(engine)
}

fn definition(key: &str) -> Option<&'static Definition> {
    SERVER.iter().find(|definition| definition.key == key)
}

/// One of the server's own keys as a client that describes the broker sees it.
fn shown(definition: &Definition, layers: &Layers) -> ConfigEntry {
    let Definition { key, kind, default, doc } = *definition;
    let given = layers.get(key).map(|given| (given.value.as_str(), ConfigSource::StaticBroker));
    let places = given.into_iter().chain([(default, ConfigSource::Default)]);
    let synonyms: Vec<ConfigSynonym> = places
        .map(|(value, source)| ConfigSynonym { name: key.to_owned(), value: Some(value.to_owned()), source })
        .collect();
    ConfigEntry {
        name: key.to_owned(),
        value: synonyms[0].value.clone(),
        source: synonyms[0].source,
        read_only: true,
        sensitive: false,
        shape: match kind {
            Kind::Text => Shape::Text,
            Kind::Bool => Shape::Bool,
            Kind::Number { .. } => Shape::Long,
        },
        doc,
        synonyms,
    }
}

fn bad_value(key: &str, given: &layers::Given, reason: String) -> ConfigError {
    ConfigError::BadValue {
        key: key.to_owned(),
        value: given.value.clone(),
        place: given.source.clone(),
        reason,
    }
}

/// The value in force for one of the server's own keys.
fn text_of<'a>(layers: &'a Layers, key: &str) -> &'a str {
    let default = definition(key).expect("only defined keys are asked for").default;
    layers.get(key).map_or(default, |given| &given.value)
}

fn bool_of(layers: &Layers, key: &str) -> bool {
    debug_assert_eq!(definition(key).map(|definition| definition.kind), Some(Kind::Bool));
    text_of(layers, key) == "true"
}

fn usize_of(layers: &Layers, key: &str) -> usize {
    text_of(layers, key).parse().expect("checked against the definition")
}

fn millis_of(layers: &Layers, key: &str) -> Duration {
    Duration::from_millis(text_of(layers, key).parse().expect("checked against the definition"))
}

fn addresses(layers: &Layers, key: &str) -> Result<Vec<HostPort>, ConfigError> {
    let texts = text_of(layers, key).split(',').filter(|text| !text.trim().is_empty());
    texts
        .map(|text| {
            text.parse().map_err(|error: address::AddressError| {
                let given = layers.get(key).expect("the default is an address");
                bad_value(key, given, error.to_string())
            })
        })
        .collect()
}

fn data_dir(layers: &Layers) -> Result<PathBuf, ConfigError> {
    let given = text_of(layers, "log.dir");
    if !given.is_empty() {
        return Ok(given.into());
    }
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".local/share"))
    });
    base.map(|base| base.join("millrace")).ok_or(ConfigError::NoDataDir)
}

#[cfg(test)]
mod tests;
