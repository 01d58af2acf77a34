//! Opening everything that is in a data directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use super::catalog::{Catalog, CatalogState, TopicState};
use super::checkpoint::{self, CheckpointEntry};
use super::config::{BrokerSettings, TopicSettings};
use super::core::OpenError;
use super::data_dir::{DataDir, partition_dir};
use super::image::{MetadataImage, TopicImage};
use super::partition::Partition;
use super::pool::Pool;
use super::topics::PARTITIONS_MAX;
use crate::env::{Env, OpenMode};
use crate::log::{LastStop, Log, LogResources};
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

/// What was found.
pub(super) struct Loaded {
    pub(super) image: MetadataImage,
    pub(super) catalog: Catalog,
    pub(super) next_producer_id: i64,
    /// Deleted topics whose directories may still be there.
    pub(super) deleted: Vec<TopicId>,
}

/// What opening a partition needs, on whatever thread.
struct Opener {
    env: Env,
    resources: Arc<LogResources>,
    dir: std::path::PathBuf,
    checkpoint: HashMap<TopicPartition, CheckpointEntry>,
    broker_id: BrokerId,
    epoch: LeaderEpoch,
    clean: bool,
}

/// Partitions that one job opens: enough to be worth a job, few enough to share the work.
const PARTITIONS_PER_JOB: usize = 64;

/// Replays the catalog and opens every partition in it.
pub(super) fn load(
    env: &Env,
    pool: &Arc<dyn Pool>,
    resources: &Arc<LogResources>,
    dir: &DataDir,
    settings: &BrokerSettings,
    broker_id: BrokerId,
) -> Result<Loaded, OpenError> {
    let now_ms = env.clock.now_ms();
    let epoch = dir.leader_epoch();
    let (catalog, state) = Catalog::open(dir.catalog(), resources, epoch, dir.was_clean(), now_ms)?;
    if let Some(why) = too_many_partitions(&state) {
        let why = format!("{why}; nothing was changed. Restore the directory from a copy");
        return Err(OpenError::Refused { dir: dir.catalog().display().to_string(), why });
    }
    let settings = Arc::new(settings.with_dynamic(state.broker_settings.clone()));
    let opener = Arc::new(Opener {
        env: env.clone(),
        resources: Arc::clone(resources),
        dir: dir.path().to_owned(),
        checkpoint: checkpoint::read(env, dir),
        broker_id,
        epoch,
        clean: dir.was_clean(),
    });
    let group_overrides = state
        .group_overrides
        .iter()
        .map(|(group, overrides)| (Arc::from(group.as_str()), Arc::new(overrides.clone())));
    let mut image = MetadataImage {
        version: 0,
        broker_id,
        cluster_id: dir.cluster_id().into(),
        leader_epoch: epoch,
        settings: Arc::clone(&settings),
        group_overrides: Arc::new(group_overrides.collect()),
        by_name: BTreeMap::new(),
        by_id: HashMap::new(),
    };
    let mut partitions = open_partitions(pool, &opener, &state, &settings)?;
    for (&id, topic) in &state.topics {
        let mut opened = partitions.remove(&id).unwrap_or_default();
        opened.sort_by_key(|partition| partition.id().partition);
        image.put(topic_image(id, topic, opened, &settings));
    }
    report_strangers(env, dir, &state, &opener.checkpoint)?;
    Ok(Loaded {
        image,
        catalog,
        next_producer_id: state.next_producer_id,
        deleted: state.deleted.into_iter().collect(),
    })
}

/// What is wrong with a catalog whose checksums are right and that names more partitions than any broker makes: none has
/// written it. Opening them, or only looking for them, would take hours.
pub(super) fn too_many_partitions(state: &CatalogState) -> Option<String> {
    let named: u64 = state.topics.values().map(|topic| u64::from(topic.partitions)).sum();
    (named > PARTITIONS_MAX as u64).then(|| {
        format!("the catalog of topics names {named} partitions, and a broker has {PARTITIONS_MAX} at most")
    })
}

fn topic_image(
    id: TopicId,
    topic: &TopicState,
    partitions: Vec<Arc<Partition>>,
    settings: &BrokerSettings,
) -> TopicImage {
    TopicImage {
        name: topic.name.as_str().into(),
        id,
        is_internal: false,
        settings: Arc::new(TopicSettings::resolve(&topic.overrides, settings)),
        overrides: Arc::new(topic.overrides.clone()),
        partitions,
    }
}

/// Opens all partitions, many at a time.
fn open_partitions(
    pool: &Arc<dyn Pool>,
    opener: &Arc<Opener>,
    state: &CatalogState,
    settings: &BrokerSettings,
) -> Result<HashMap<TopicId, Vec<Arc<Partition>>>, OpenError> {
    let mut wanted = Vec::new();
    for (&topic, known) in &state.topics {
        let settings = Arc::new(TopicSettings::resolve(&known.overrides, settings));
        for partition in 0..i32::try_from(known.partitions).unwrap_or(i32::MAX) {
            wanted.push((TopicPartition { topic, partition }, Arc::clone(&settings)));
        }
    }
    let (sender, opened) = mpsc::channel();
    for part in wanted.chunks(PARTITIONS_PER_JOB) {
        let (part, opener, sender) = (part.to_vec(), Arc::clone(opener), sender.clone());
        pool.spawn(Box::new(move || {
            for (id, settings) in part {
                // Nobody listens any more after the first failure.
                if sender.send(opener.open(id, settings)).is_err() {
                    return;
                }
            }
        }));
    }
    drop(sender);
    let mut partitions: HashMap<TopicId, Vec<Arc<Partition>>> = HashMap::new();
    for partition in opened {
        let partition = partition?;
        partitions.entry(partition.id().topic).or_default().push(partition);
    }
    Ok(partitions)
}

/// Directories that no topic names are left alone: that a topic is not in the catalog is no proof that its records
/// are not wanted. Left over from a creation that was never acknowledged they hold no records and were never in a
/// checkpoint; where there is either, the catalog has lost a topic, and going on would make that final.
fn report_strangers(
    env: &Env,
    dir: &DataDir,
    state: &CatalogState,
    checkpoint: &HashMap<TopicPartition, CheckpointEntry>,
) -> Result<(), OpenError> {
    let known: HashSet<String> = state.topics.keys().chain(&state.deleted).map(ToString::to_string).collect();
    let served: HashSet<String> = checkpoint.keys().map(|id| id.topic.to_string()).collect();
    let topics = dir.path().join("topics");
    for name in env.disk.read_dir(&topics)?.into_iter().filter(|name| !known.contains(name)) {
        let path = topics.join(&name);
        if served.contains(&name) || holds_records(env, &path)? {
            return Err(OpenError::Refused {
                dir: path.display().to_string(),
                why: "it was served and no topic names it, so the catalog has lost a topic; nothing was changed. \
                      Restore the catalog from a copy, or move the directory away to go on without it"
                    .into(),
            });
        }
        tracing::warn!(name, "an empty directory under topics/ belongs to no topic; it is left as it is");
    }
    Ok(())
}

/// Whether any partition below a topic's directory has a segment with anything in it.
fn holds_records(env: &Env, topic: &Path) -> io::Result<bool> {
    for partition in env.disk.read_dir(topic)? {
        let partition = topic.join(partition);
        for file in env.disk.read_dir(&partition)?.into_iter().filter(|file| file.ends_with(".log")) {
            if !env.disk.open(&partition.join(file), OpenMode::Read)?.is_empty()? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

// === impl Opener ===

impl Opener {
    fn open(&self, id: TopicPartition, settings: Arc<TopicSettings>) -> Result<Arc<Partition>, OpenError> {
        let path = partition_dir(&self.dir, id);
        if !self.env.disk.exists(&path)? {
            return Err(OpenError::Refused {
                dir: path.display().to_string(),
                why: "a partition's directory is missing; restore it, or delete its topic with another copy"
                    .into(),
            });
        }
        let known = self.checkpoint.get(&id);
        let last_stop = LastStop {
            clean: self.clean,
            synced: known.map(CheckpointEntry::synced),
            log_start_offset: known.map_or(0, CheckpointEntry::log_start_offset),
        };
        let now_ms = self.env.clock.now_ms();
        let resources = Arc::clone(&self.resources);
        let (log, report) = Log::open(path, settings.log.clone(), resources, self.epoch, last_stop, now_ms)?;
        if report.cut_bytes > 0 {
            tracing::warn!(partition = %id, bytes = report.cut_bytes, "a torn tail was cut and kept aside");
        }
        for (from, to) in &report.damaged {
            tracing::error!(partition = %id, from, to, "records are damaged on the disk; all others are served");
        }
        Ok(Partition::new(id, self.broker_id, log, settings))
    }
}
