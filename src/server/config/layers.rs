//! Where settings come from, and which of them wins.
//!
//! A value given by `--set` beats one given by a flag, that beats the environment, that beats the file, that
//! beats the default. Each value remembers its source, so that an error can name the line to change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::engine::config::nearest;

/// Prefix of the environment's names.
const PREFIX: &str = "MILLRACE_";

/// Names of the environment that are no keys: the log filter, and what the client subcommands read.
const OTHER_VARIABLES: &[&str] = &["MILLRACE_LOG", "MILLRACE_BROKER"];

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the configuration file.
    File(PathBuf),
    /// In this variable of the environment.
    Environment(String),
    /// By this flag.
    Flag(&'static str),
    /// By `--set`.
    Set,
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The value as written.
    pub value: String,
    /// Where.
    pub source: Source,
}

/// The settings that somebody gave, by key.
#[derive(Debug, Default)]
pub struct Layers {
    given: BTreeMap<String, Given>,
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Set => f.write_str("--set"),
        }
    }
}

// === impl Layers ===

impl Layers {
    /// Adds a value that beats those added before.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>, source: Source) {
        self.given.insert(key.into(), Given { value: value.into(), source });
    }

    /// Adds the keys of a TOML text. `log.retention.ms = 1`, `"log.retention.ms" = 1` and a table `[log.retention]`
    /// all mean the same key.
    ///
    /// # Errors
    /// When the text is not TOML, or a value is not text, a number, a truth value or a list of these.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        self.add_table("", &table, path)
    }

    fn add_table(&mut self, prefix: &str, table: &toml::Table, path: &Path) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            if let toml::Value::Table(inner) = value {
                self.add_table(&key, inner, path)?;
                continue;
            }
            let Some(value) = plain(value) else {
                return Err(ConfigError::BadValue {
                    key,
                    value: value.to_string(),
                    place: Source::File(path.to_owned()),
                    reason: "expected text, a number, true or false, or a list of these".into(),
                });
            };
            self.add(key, value, Source::File(path.to_owned()));
        }
        Ok(())
    }

    /// Adds the environment's variables that name one of `keys`: `MILLRACE_`, then the key in capitals with
    /// underscores for dots.
    ///
    /// # Errors
    /// When a variable begins with `MILLRACE_` and names no key.
    pub fn add_environment<'a>(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<(), ConfigError> {
        let names: BTreeMap<String, &str> = keys.map(|key| (variable_of(key), key)).collect();
        for (name, value) in variables {
            if !name.starts_with(PREFIX) || OTHER_VARIABLES.contains(&name.as_str()) || is_service_link(&name)
            {
                continue;
            }
            let Some(key) = names.get(&name) else {
                let nearest = nearest(&name, names.keys().map(String::as_str)).map(str::to_owned);
                return Err(ConfigError::UnknownKey {
                    place: Source::Environment(name.clone()),
                    key: name,
                    nearest,
                });
            };
            self.add(*key, value, Source::Environment(name));
        }
        Ok(())
    }

    /// Adds a `key=value`.
    ///
    /// # Errors
    /// When there is no `=`.
    pub fn add_set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, value) =
            assignment.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment(assignment.to_owned()))?;
        self.add(key.trim(), value.trim(), Source::Set);
        Ok(())
    }

    /// The value given for a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.given.get(key)
    }

    /// All that was given, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.given.iter().map(|(key, given)| (key.as_str(), given))
    }
}

/// The name of the environment's variable for a key.
#[must_use]
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace(['.', '-'], "_"))
}

/// A scalar, or a list of scalars, as it would be written after `=`.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(plain).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// Whether Kubernetes or Docker made this variable for a service that is called "millrace".
fn is_service_link(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    rest.contains("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
        || rest == "PORT"
        || rest.starts_with("PORT_")
}
