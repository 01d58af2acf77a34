//! Creating, growing and deleting topics.
//!
//! A topic's directories exist, durably, before the catalog names it; the catalog names it, durably, before anybody
//! is told. Deletion goes the other way: the catalog first, the directories in the background.

use std::collections::HashSet;
use std::sync::Arc;

use super::api::{ConfigEntry, NewTopic, TopicInfo, TopicRef};
use super::catalog::CatalogRecord;
use super::config::{self, Overrides, TOPIC_SETTINGS, TopicSettings};
use super::core::{Core, Engine, Key};
use super::data_dir::{partition_dir, topic_dir};
use super::image::{MetadataImage, TopicImage};
use super::partition::Partition;
use super::placement::check_replicas;
use super::{Error, configs};
use crate::log::Log;
use crate::types::{TopicId, TopicPartition};

const NAME_BYTES_MAX: usize = 249;
/// Over all topics. Beyond it the open files and maps of one process would not do.
pub(super) const PARTITIONS_MAX: usize = 100_000;

/// A topic that may be created.
struct Checked {
    name: Arc<str>,
    partitions: i32,
    overrides: Overrides,
}

// === impl Engine ===

impl Engine {
    /// Creates topics, each on its own. With `validate_only` everything is checked and nothing created.
    pub fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> impl Future<Output = Vec<Result<TopicInfo, Error>>> + Send + use<> {
        let count = topics.len();
        let done = self.core.on_pool(move |core| {
            topics.into_iter().map(|topic| core.create_topic(topic, validate_only)).collect()
        });
        async move { done.await.unwrap_or_else(|| (0..count).map(|_| Err(Error::Stopping)).collect()) }
    }

    /// Creates those of the names that do not exist, with the broker's defaults. Gives those that could not be
    /// created, with the reason.
    pub fn auto_create(
        &self,
        names: Vec<Arc<str>>,
    ) -> impl Future<Output = Vec<(Arc<str>, Error)>> + Send + use<> {
        let allowed = self.core.image.load().settings.flag("auto.create.topics.enable");
        let all = names.clone();
        let done = allowed.then(|| {
            self.core.on_pool(move |core| {
                let refused = names.into_iter().filter_map(|name| {
                    let topic = NewTopic { name: Arc::clone(&name), ..NewTopic::default() };
                    match core.create_topic(topic, false) {
                        // Somebody else was quicker, and the topic is there.
                        Ok(_) | Err(Error::TopicExists { .. }) => None,
                        Err(error) => Some((name, error)),
                    }
                });
                refused.collect()
            })
        });
        async move {
            match done {
                Some(done) => done
                    .await
                    .unwrap_or_else(|| all.into_iter().map(|name| (name, Error::Stopping)).collect()),
                None => {
                    let missing = |name: Arc<str>| {
                        let error = check_name(&name)
                            .err()
                            .unwrap_or_else(|| Error::UnknownTopicOrPartition { topic: name.to_string() });
                        (name, error)
                    };
                    all.into_iter().map(missing).collect()
                }
            }
        }
    }

    /// Deletes topics, each on its own.
    pub fn delete_topics(
        &self,
        topics: Vec<TopicRef>,
    ) -> impl Future<Output = Vec<Result<(), Error>>> + Send + use<> {
        let count = topics.len();
        let done =
            self.core.on_pool(move |core| topics.iter().map(|topic| core.delete_topic(topic)).collect());
        async move { done.await.unwrap_or_else(|| (0..count).map(|_| Err(Error::Stopping)).collect()) }
    }

    /// Gives a topic more partitions: `count` in all, on the brokers of `assignments` where given.
    pub fn create_partitions(
        &self,
        name: Arc<str>,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let done = self
            .core
            .on_pool(move |core| core.create_partitions(&name, count, assignments.as_deref(), validate_only));
        async move { done.await.unwrap_or(Err(Error::Stopping)) }
    }
}

/// Kafka's rules for names. No name reaches a path, so these are for clients' and tools' sake.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let refuse =
        |why| Err(Error::InvalidTopicName { name: name.chars().take(NAME_BYTES_MAX).collect(), why });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name == "." || name == ".." {
        return refuse("it is . or ..");
    }
    if name.len() > NAME_BYTES_MAX {
        return refuse("it is longer than 249 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return refuse("it has other characters than letters, digits, '.', '_' and '-'");
    }
    Ok(())
}

/// Whether a topic may have this name.
#[must_use]
pub fn is_topic_name(name: &str) -> bool {
    check_name(name).is_ok()
}

// === impl Core ===

impl Core {
    fn create_topic(self: &Arc<Self>, topic: NewTopic, validate_only: bool) -> Result<TopicInfo, Error> {
        // Held throughout: names are unique because changes come one at a time.
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        let checked = check(&image, topic)?;
        let settings = Arc::new(TopicSettings::resolve(&checked.overrides, &image.settings));
        let configs: Vec<ConfigEntry> = configs::of_topic(&checked.overrides, &image.settings);
        if validate_only {
            return Ok(TopicInfo { id: TopicId::ZERO, partitions: checked.partitions, configs });
        }
        let id = self.fresh_topic_id(&image);
        let made = self.make_partitions(&image, id, 0..checked.partitions, &settings);
        let partitions = made.inspect_err(|_| self.remove_unnamed(id))?;
        let record = CatalogRecord::TopicCreated {
            id: id.0,
            name: checked.name.to_string(),
            partitions: checked.partitions.unsigned_abs(),
            overrides: checked.overrides.clone().into_iter().collect(),
        };
        if let Err(error) = self.record_change(&catalog, record) {
            // After a failed sync nobody knows whether it is named, and the next start may look for it.
            if !catalog.is_fenced() {
                self.remove_unnamed(id);
            }
            return Err(error);
        }
        self.change_image(|image| {
            image.put(TopicImage {
                name: Arc::clone(&checked.name),
                id,
                is_internal: false,
                overrides: Arc::new(checked.overrides.clone()),
                settings: Arc::clone(&settings),
                partitions: partitions.clone(),
            });
        });
        Ok(TopicInfo { id, partitions: checked.partitions, configs })
    }

    fn create_partitions(
        self: &Arc<Self>,
        name: &Arc<str>,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> Result<(), Error> {
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        let topic = Arc::clone(image.topic(&TopicRef::Name(Arc::clone(name)))?);
        let existing = topic.partition_count();
        if count <= existing {
            let why = format!("the topic {name} has {existing} partitions already; {count} is not more");
            return Err(Error::InvalidPartitions { why });
        }
        let added = usize::try_from(count - existing).expect("count is larger");
        check_room(&image, added)?;
        if let Some(assignments) = assignments {
            if assignments.len() != added {
                let why = format!("{} assignments for {added} new partitions", assignments.len());
                return Err(Error::InvalidReplicaAssignment { why });
            }
            check_brokers(&image, assignments)?;
        }
        if validate_only {
            return Ok(());
        }
        let made = self.make_partitions(&image, topic.id, existing..count, &topic.settings)?;
        let record = CatalogRecord::PartitionsAdded { id: topic.id.0, partitions: count.unsigned_abs() };
        self.record_change(&catalog, record)?;
        self.change_image(|image| {
            let mut grown = TopicImage::clone(&topic);
            grown.partitions.extend(made.iter().cloned());
            image.put(grown);
        });
        Ok(())
    }

    fn delete_topic(self: &Arc<Self>, topic: &TopicRef) -> Result<(), Error> {
        let catalog = self.catalog.lock();
        let image = self.image.load_full();
        let topic = Arc::clone(image.topic(topic)?);
        if !image.settings.flag("delete.topic.enable") {
            return Err(Error::Forbidden { why: "delete.topic.enable is false".into() });
        }
        self.record_change(&catalog, CatalogRecord::TopicDeleted { id: topic.id.0 })?;
        self.change_image(|image| {
            image.remove(topic.id);
        });
        drop(catalog);
        for partition in &topic.partitions {
            partition.set_deleted();
            self.purgatory.check(&Key::HighWatermark(partition.id()));
        }
        self.remove_topic_directory(topic.id);
        Ok(())
    }

    /// Removes a deleted topic's directory in the background, and notes that it is gone. Readers that hold slices
    /// of its files are not disturbed.
    pub(super) fn remove_topic_directory(self: &Arc<Self>, id: TopicId) {
        let core = Arc::clone(self);
        self.pool.spawn(Box::new(move || {
            core.cleaner.forget(id);
            let path = topic_dir(&core.data_dir, id);
            let removed = match core.env.disk.exists(&path) {
                Ok(true) => core.env.disk.remove_dir_all(&path),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            let noted = removed
                .and_then(|()| core.env.disk.sync_dir(&core.data_dir.join("topics")))
                .map_err(|error| error.to_string())
                .and_then(|()| {
                    let record = CatalogRecord::TopicRemoved { id: id.0 };
                    let catalog = core.catalog.lock();
                    core.record_change(&catalog, record).map_err(|error| error.to_string())
                });
            if let Err(error) = noted {
                tracing::warn!(topic = %id, error, "a deleted topic's files are still there; the next start tries again");
            }
        }));
    }

    /// Makes logs and their directories, durable when this returns.
    fn make_partitions(
        &self,
        image: &MetadataImage,
        topic: TopicId,
        indexes: std::ops::Range<i32>,
        settings: &Arc<TopicSettings>,
    ) -> Result<Vec<Arc<Partition>>, Error> {
        let now_ms = self.env.clock.now_ms();
        let disk_error = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::DiskFull { why: error.to_string() },
            _ => Error::Storage { why: error.to_string() },
        };
        let mut partitions = Vec::new();
        for partition in indexes {
            let id = TopicPartition { topic, partition };
            let dir = partition_dir(&self.data_dir, id);
            // Left over from a creation that was never acknowledged.
            if self.env.disk.exists(&dir).map_err(disk_error)? {
                self.env.disk.remove_dir_all(&dir).map_err(disk_error)?;
            }
            self.env.disk.create_dir_all(&dir).map_err(disk_error)?;
            let resources = Arc::clone(&self.resources);
            let log = Log::create(dir, settings.log.clone(), resources, image.leader_epoch, now_ms)?;
            partitions.push(Partition::new(id, image.broker_id, log, Arc::clone(settings)));
        }
        self.env.disk.sync_dir(&topic_dir(&self.data_dir, topic)).map_err(disk_error)?;
        self.env.disk.sync_dir(&self.data_dir.join("topics")).map_err(disk_error)?;
        Ok(partitions)
    }

    /// Removes the directory of a topic that the catalog does not name. Nobody will miss it; what cannot be removed is
    /// reported at the next start.
    fn remove_unnamed(&self, id: TopicId) {
        let _ = self.env.disk.remove_dir_all(&topic_dir(&self.data_dir, id));
    }

    fn fresh_topic_id(&self, image: &MetadataImage) -> TopicId {
        loop {
            let mut id = [0; 16];
            self.env.entropy.fill(&mut id);
            let id = TopicId(id);
            // A leading dash would be taken for an option on command lines; Kafka avoids it too.
            if !id.is_zero() && image.topic_by_id(id).is_none() && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    /// Publishes a changed image. Callers hold the catalog's lock, so no change is lost.
    pub(super) fn change_image(&self, change: impl Fn(&mut MetadataImage)) {
        let mut image = MetadataImage::clone(&self.image.load());
        change(&mut image);
        self.image.store(Arc::new(image));
        // Groups whose members subscribe to patterns are to hear of it.
        self.alarm.ring();
    }
}

fn check(image: &MetadataImage, topic: NewTopic) -> Result<Checked, Error> {
    check_name(&topic.name)?;
    if image.topic_by_name(&topic.name).is_some() {
        return Err(Error::TopicExists { name: topic.name.to_string() });
    }
    let flat = topic.name.replace('.', "_");
    if image.topics().any(|other| other.name.len() == flat.len() && other.name.replace('.', "_") == flat) {
        let why = "it differs from another topic's name only in '.' and '_', which metrics cannot tell apart";
        return Err(Error::InvalidTopicName { name: topic.name.to_string(), why });
    }
    let partitions = partition_count(image, &topic)?;
    check_room(image, usize::try_from(partitions).unwrap_or(usize::MAX))?;
    let mut overrides = Overrides::new();
    for (name, value) in topic.configs {
        let setting = config::find(TOPIC_SETTINGS, &name)?;
        let Some(value) = value else {
            return Err(Error::InvalidConfig { why: format!("{name} has no value") });
        };
        let clamped = image.settings.clamps_replicas();
        let value = if clamped { config::one_replica(&name, value) } else { value };
        setting.check(&value)?;
        overrides.insert(name, setting.normal(&value));
    }
    Ok(Checked { name: topic.name, partitions, overrides })
}

fn partition_count(image: &MetadataImage, topic: &NewTopic) -> Result<i32, Error> {
    if !topic.assignments.is_empty() {
        if topic.partitions.is_some() || topic.replication_factor.is_some() {
            let why =
                "an assignment stands in place of a number of partitions and a replication factor".into();
            return Err(Error::InvalidRequest { why });
        }
        let indexes: HashSet<i32> = topic.assignments.iter().map(|(index, _)| *index).collect();
        let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
        if !(0..count).all(|index| indexes.contains(&index)) {
            let why = "the partitions are not numbered from 0 without gaps".into();
            return Err(Error::InvalidReplicaAssignment { why });
        }
        let brokers: Vec<Vec<i32>> = topic.assignments.iter().map(|(_, brokers)| brokers.clone()).collect();
        check_brokers(image, &brokers)?;
        return Ok(count);
    }
    match topic.replication_factor {
        None | Some(1) => {}
        Some(asked) if asked > 1 && image.settings.clamps_replicas() => {
            tracing::warn!(topic = %topic.name, asked, "replication factor taken as 1 (replication.factor.clamp)");
        }
        Some(asked) => return Err(Error::InvalidReplicationFactor { asked }),
    }
    match topic.partitions {
        None => Ok(i32::try_from(image.settings.int("num.partitions")).unwrap_or(1)),
        Some(count) if count > 0 => Ok(count),
        Some(count) => Err(Error::InvalidPartitions { why: format!("{count} is not above 0") }),
    }
}

fn check_brokers(image: &MetadataImage, assignments: &[Vec<i32>]) -> Result<(), Error> {
    assignments.iter().try_for_each(|brokers| check_replicas(image, brokers))
}

fn check_room(image: &MetadataImage, wanted: usize) -> Result<(), Error> {
    let existing: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    if existing.saturating_add(wanted) <= PARTITIONS_MAX {
        return Ok(());
    }
    let why = format!("this broker has {existing} partitions and takes {PARTITIONS_MAX} at most");
    Err(Error::InvalidPartitions { why })
}
