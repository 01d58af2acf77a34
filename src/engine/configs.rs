//! Describing and altering settings of topics and of the broker.

use std::sync::Arc;

use super::Error;
use super::api::{
    ConfigChange, ConfigEntry, ConfigOp, ConfigResource, ConfigSource, ConfigSynonym, TopicRef,
};
use super::catalog::CatalogRecord;
use super::config::{
    self, BROKER_SETTINGS, BrokerSettings, GROUP_SETTINGS, Overrides, Scope, Setting, Shape, TOPIC_SETTINGS,
    TopicSettings,
};
use super::core::{Core, Engine, set_threads};
use super::image::{MetadataImage, TopicImage};

// === impl Engine ===

impl Engine {
    /// Every setting of a topic or of the broker, with its value and where that comes from. Of all brokers, which is the
    /// broker without a name, only what was given for all of them.
    ///
    /// # Errors
    /// When there is no such topic or broker.
    pub fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, Error> {
        let image = self.core.image.load();
        match resource {
            ConfigResource::Topic(name) => {
                let topic = image.topic(&TopicRef::Name(Arc::clone(name)))?;
                Ok(of_topic(&topic.overrides, &image.settings))
            }
            ConfigResource::Broker(name) => {
                check_broker(&image, name)?;
                if name.is_empty() {
                    return Ok(of_all_brokers(&image.settings));
                }
                let mut entries = of_broker(&image.settings);
                entries.extend(self.core.shown_settings.iter().cloned());
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(entries)
            }
            ConfigResource::Group(name) => {
                check_group_name(name)?;
                let none = Arc::default();
                Ok(of_group(image.group_overrides.get(name).unwrap_or(&none), &image.settings))
            }
        }
    }

    /// Changes settings of a topic or the dynamic ones of the broker. Durable when it returns; with `validate_only`
    /// everything is checked and nothing changed.
    pub fn alter_configs(
        &self,
        resource: ConfigResource,
        change: ConfigChange,
        validate_only: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let done = self.core.on_pool(move |core| match &resource {
            ConfigResource::Topic(name) => core.alter_topic(name, &change, validate_only),
            ConfigResource::Broker(name) => core.alter_broker(name, &change, validate_only),
            ConfigResource::Group(name) => core.alter_group(name, &change, validate_only),
        });
        async move { done.await.unwrap_or(Err(Error::Stopping)) }
    }
}

// === impl Core ===

impl Core {
    fn alter_topic(&self, name: &Arc<str>, change: &ConfigChange, validate_only: bool) -> Result<(), Error> {
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        let topic = image.topic(&TopicRef::Name(Arc::clone(name)))?;
        let clamp = image.settings.clamps_replicas();
        let overrides = changed(TOPIC_SETTINGS, &topic.overrides, change, clamp)?;
        config::check_all(TOPIC_SETTINGS, &overrides)?;
        if validate_only {
            return Ok(());
        }
        let pairs = overrides.clone().into_iter().collect();
        let record = CatalogRecord::TopicSettings { id: topic.id.0, overrides: pairs };
        self.record_change(&catalog, record)?;
        let settings = Arc::new(TopicSettings::resolve(&overrides, &image.settings));
        self.change_image(|image| {
            let (overrides, settings) = (Arc::new(overrides.clone()), Arc::clone(&settings));
            image.put(TopicImage { overrides, settings, ..TopicImage::clone(topic) });
        });
        topic.partitions.iter().for_each(|partition| partition.set_settings(Arc::clone(&settings)));
        Ok(())
    }

    fn alter_broker(&self, name: &str, change: &ConfigChange, validate_only: bool) -> Result<(), Error> {
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        check_broker(&image, name)?;
        if let Some(name) =
            change.names().find(|name| self.shown_settings.iter().any(|shown| shown.name == **name))
        {
            return Err(Error::InvalidRequest {
                why: format!("{name} cannot be changed while the broker runs"),
            });
        }
        let mut dynamic = image.settings.given_dynamically().clone();
        let before = if name.is_empty() { &mut dynamic.for_all } else { &mut dynamic.own };
        let after = changed(BROKER_SETTINGS, before, change, image.settings.clamps_replicas())?;
        for (name, value) in &after {
            if before.get(name) != Some(value) {
                BrokerSettings::check_dynamic(name, value)?;
            }
        }
        if validate_only {
            return Ok(());
        }
        let overrides = after.clone().into_iter().collect();
        let record = if name.is_empty() {
            CatalogRecord::ClusterSettings { overrides }
        } else {
            CatalogRecord::BrokerSettings { overrides }
        };
        self.record_change(&catalog, record)?;
        *before = after;
        let settings = Arc::new(image.settings.with_dynamic(dynamic));
        set_threads(&*self.pool, &settings);
        // Topics fall back to the broker's values, so theirs are resolved anew.
        self.change_image(|image| {
            image.settings = Arc::clone(&settings);
            let topics: Vec<_> = image.topics().cloned().collect();
            for topic in topics {
                let resolved = Arc::new(TopicSettings::resolve(&topic.overrides, &settings));
                topic.partitions.iter().for_each(|partition| partition.set_settings(Arc::clone(&resolved)));
                image.put(TopicImage { settings: resolved, ..TopicImage::clone(&topic) });
            }
        });
        Ok(())
    }
}

// === impl Core: groups ===

impl Core {
    fn alter_group(&self, name: &Arc<str>, change: &ConfigChange, validate_only: bool) -> Result<(), Error> {
        check_group_name(name)?;
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        let none = Arc::default();
        let before = image.group_overrides.get(name).unwrap_or(&none);
        let after = changed(GROUP_SETTINGS, before, change, false)?;
        config::check_group(&after, &image.settings)?;
        if before.is_empty() && !after.is_empty() && image.group_overrides.len() >= GROUPS_MAX {
            let why = format!("{GROUPS_MAX} groups have settings of their own; there can be no more");
            return Err(Error::InvalidConfig { why });
        }
        if validate_only {
            return Ok(());
        }
        let pairs = after.clone().into_iter().collect();
        self.record_change(
            &catalog,
            CatalogRecord::GroupSettings { group: name.to_string(), overrides: pairs },
        )?;
        let after = Arc::new(after);
        self.change_image(|image| {
            let groups = Arc::make_mut(&mut image.group_overrides);
            if after.is_empty() {
                groups.remove(name);
            } else {
                groups.insert(Arc::clone(name), Arc::clone(&after));
            }
        });
        Ok(())
    }
}

/// So many groups may have settings of their own.
const GROUPS_MAX: usize = 10_000;
/// The longest name of a group that has.
const GROUP_NAME_BYTES_MAX: usize = 1024;

fn check_group_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > GROUP_NAME_BYTES_MAX {
        let why = format!("a group with settings has a name, of at most {GROUP_NAME_BYTES_MAX} bytes");
        return Err(Error::InvalidRequest { why });
    }
    Ok(())
}

/// The empty name means every broker, which is this one.
fn check_broker(image: &MetadataImage, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.parse() == Ok(image.broker_id.0) {
        return Ok(());
    }
    Err(Error::InvalidRequest {
        why: format!("there is no broker {name:?}; this one is {}", image.broker_id.0),
    })
}

/// What the overrides become; under `clamp`, with one replica where more are asked for.
fn changed(
    settings: &[Setting],
    before: &Overrides,
    change: &ConfigChange,
    clamp: bool,
) -> Result<Overrides, Error> {
    let clamped = |name: &str, value: &str| {
        if clamp { config::one_replica(name, value.to_owned()) } else { value.to_owned() }
    };
    let mut after = Overrides::new();
    match change {
        ConfigChange::Replace(pairs) => {
            for (name, value) in pairs {
                let value = value.as_ref().ok_or_else(|| no_value(name))?;
                let setting = config::find(settings, name)?;
                let value = clamped(name, value);
                setting.check(&value)?;
                after.insert(name.clone(), setting.normal(&value));
            }
        }
        ConfigChange::Incremental(ops) => {
            after.clone_from(before);
            for (name, op) in ops {
                let setting = config::find(settings, name)?;
                match op {
                    ConfigOp::Set(value) => {
                        let value = clamped(name, value.as_ref().ok_or_else(|| no_value(name))?);
                        setting.check(&value)?;
                        after.insert(name.clone(), setting.normal(&value));
                    }
                    ConfigOp::Delete => {
                        after.remove(name);
                    }
                    ConfigOp::Append(value) | ConfigOp::Subtract(value) => {
                        let value = value.as_ref().ok_or_else(|| no_value(name))?;
                        let now = after.get(name).map_or(setting.default, String::as_str);
                        let value = edited_list(setting, now, value, matches!(op, ConfigOp::Append(_)))?;
                        setting.check(&value)?;
                        after.insert(name.clone(), value);
                    }
                }
            }
        }
    }
    Ok(after)
}

fn no_value(name: &str) -> Error {
    Error::InvalidConfig { why: format!("{name} has no value") }
}

/// A list with words added or taken away.
fn edited_list(setting: &Setting, now: &str, words: &str, append: bool) -> Result<String, Error> {
    if setting.shape() != Shape::List {
        let why =
            format!("{} is not a list, so nothing can be appended to it or subtracted from it", setting.name);
        return Err(Error::InvalidConfig { why });
    }
    let split = |text: &str| -> Vec<String> {
        text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let mut list = split(now);
    for word in split(words) {
        list.retain(|other| append || *other != word);
        if append && !list.contains(&word) {
            list.push(word);
        }
    }
    Ok(list.join(","))
}

/// A topic's settings as they are described.
pub(super) fn of_topic(overrides: &Overrides, broker: &BrokerSettings) -> Vec<ConfigEntry> {
    let entries = TOPIC_SETTINGS.iter().map(|setting| {
        let mut synonyms = Vec::new();
        if let Some(value) = overrides.get(setting.name) {
            synonyms.push(synonym(setting.name, value, ConfigSource::Topic));
        }
        if let Scope::Topic(name) = setting.scope {
            let fallback = BROKER_SETTINGS.iter().find(|setting| setting.name == name);
            synonyms.extend(broker_synonyms(fallback.expect("held by a test"), broker));
        }
        described(setting, synonyms, false)
    });
    entries.collect()
}

/// A group's settings as they are described.
fn of_group(overrides: &Overrides, broker: &BrokerSettings) -> Vec<ConfigEntry> {
    let entries = GROUP_SETTINGS.iter().map(|setting| {
        let given = overrides.get(setting.name);
        let mut synonyms: Vec<_> =
            given.map(|value| synonym(setting.name, value, ConfigSource::Group)).into_iter().collect();
        if let Scope::Group(name) = setting.scope {
            let fallback = BROKER_SETTINGS.iter().find(|setting| setting.name == name);
            synonyms.extend(broker_synonyms(fallback.expect("held by a test"), broker));
        }
        described(setting, synonyms, false)
    });
    entries.collect()
}

fn of_all_brokers(broker: &BrokerSettings) -> Vec<ConfigEntry> {
    let for_all = &broker.given_dynamically().for_all;
    let entries = BROKER_SETTINGS.iter().filter_map(|setting| {
        let given = synonym(setting.name, for_all.get(setting.name)?, ConfigSource::DynamicDefaultBroker);
        Some(described(setting, vec![given], false))
    });
    entries.collect()
}

fn of_broker(broker: &BrokerSettings) -> Vec<ConfigEntry> {
    let entries = BROKER_SETTINGS
        .iter()
        .map(|setting| described(setting, broker_synonyms(setting, broker), setting.scope != Scope::Dynamic));
    entries.collect()
}

fn broker_synonyms(setting: &Setting, broker: &BrokerSettings) -> Vec<ConfigSynonym> {
    let mut synonyms = Vec::new();
    let dynamic = broker.given_dynamically();
    if let Some(value) = dynamic.own.get(setting.name) {
        synonyms.push(synonym(setting.name, value, ConfigSource::DynamicBroker));
    }
    if let Some(value) = dynamic.for_all.get(setting.name) {
        synonyms.push(synonym(setting.name, value, ConfigSource::DynamicDefaultBroker));
    }
    if let Some(value) = broker.given_at_start().get(setting.name) {
        synonyms.push(synonym(setting.name, value, ConfigSource::StaticBroker));
    }
    synonyms.push(synonym(setting.name, setting.default, ConfigSource::Default));
    synonyms
}

fn synonym(name: &str, value: &str, source: ConfigSource) -> ConfigSynonym {
    ConfigSynonym { name: name.to_owned(), value: Some(value.to_owned()), source }
}

/// The first synonym is the one in force.
fn described(setting: &Setting, synonyms: Vec<ConfigSynonym>, read_only: bool) -> ConfigEntry {
    let first = synonyms.first().expect("a setting has at least its default");
    ConfigEntry {
        name: setting.name.to_owned(),
        value: first.value.clone(),
        source: first.source,
        read_only,
        sensitive: false,
        shape: setting.shape(),
        doc: setting.doc,
        synonyms,
    }
}
